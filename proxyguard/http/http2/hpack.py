"""Compressed header fields (RFC 7541): a decoder whose memory and work are bounded, and an encoder.

The table of static fields is that of the hpack library; strings that clients repeat (user agents, Accept values) are decoded once
for all connections.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import Any, Final, cast

from hpack.table import HeaderTable

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.privacy import SECRET_FIELDS
from proxyguard.http.http2.errors import BoundExceeded, ConnectionFault, ErrorCode
from proxyguard.http.http2.huffman import decode_huffman

Field = tuple[bytes, bytes]

TABLE_BYTES: Final = 4096
"""Of either dynamic table, at most: the protocol's default."""

ENTRY_BYTES: Final = 32
"""What an entry counts besides its strings (RFC 7541 section 4.1)."""

REMEMBERED_BYTES: Final = 256
REMEMBERED_STRINGS: Final = 4096
"""Compressed strings whose meaning is remembered, and how long they may be: some 3 MB at most."""

REMEMBERED_NAMES: Final = 512
"""Names of fields whose code is remembered, of each kind; sites use a few dozen. Then they are coded anew."""

MAX_DIGITS: Final = 4
"""Bytes that an integer may have after its prefix: 2^28 is far more than any length here."""

LITERAL: Final = 0x100

_TABLE: Final[tuple[Field, ...]] = ((b"", b""), *vars(HeaderTable)["STATIC_TABLE"])
"""Looked up without its type, a tuple of 61 pairs: the compiler would write code for each of them."""
_STATIC: Final[list[Any]] = list(_TABLE)
"""Here and below, fields that are only passed on are Any: the compiler takes apart, and puts together again, what it knows is a
pair."""
_STATIC_FIELDS: Final = {field: index for index, field in reversed(list(enumerate(_TABLE))) if index}
_STATIC_NAMES: Final = {field[0]: index for index, field in reversed(list(enumerate(_TABLE))) if index}
_STATIC_SIZES: Final = [len(name) + len(value) for name, value in _TABLE]
_FIRST_DYNAMIC: Final = len(_STATIC)

_VOLATILE: Final = frozenset({
    b"age", b"content-length", b"content-range", b"etag", b"expires", b"last-modified", b"location", b"content-location",
    b"x-proxyguard-reference", b"retry-after", b":path", b"x-forwarded-for", b"x-real-ip",
})  # fmt: skip
"""Fields whose values seldom come twice on a connection; in the table they would push out those that do."""


class FieldDecoder:
    """One per connection. What it raises ends the connection, since the two tables are out of step then.

    `path_form` is LITERAL and the first byte of the literal that `:path` was in the last block; 0 when it was none. `is_wasteful`
    says that a string was ever Huffman-coded that got no shorter by it.
    """

    __slots__ = (
        "_block", "_entries", "_fields", "_limit", "_max_bytes", "_max_fields", "_remembers", "_size", "_sizes", "is_wasteful",
        "path_form",
    )  # fmt: skip

    def __init__(self, max_bytes: int, max_fields: int, *, remembers: bool = False) -> None:
        """Blocks that decode to more than this (names and values; fields) are given up. `remembers`: the last block is kept, and
        when it comes again its fields are the same list."""
        self._entries: list[Any] = []  # fields, the newest last
        self._sizes: list[int] = []  # and what they count
        self._size = 0
        self._limit = TABLE_BYTES
        self._max_bytes = max_bytes
        self._max_fields = max_fields
        self._remembers = remembers
        self._block: bytes = b""
        self._fields: list[Field] | None = None
        self.path_form = 0
        self.is_wasteful = False

    def decode(self, block: bytes) -> list[Field]:
        """Raises ConnectionFault(COMPRESSION_ERROR) and BoundExceeded("head_bytes")."""
        known = self._fields
        if known is not None and block == self._block:
            return known
        try:
            return self._decode(block)
        except IndexError:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR) from None

    def _decode(self, block: bytes) -> list[Field]:
        fields: list[Any] = []
        entries = self._entries
        left = self._max_bytes
        place = self._read_limits(block)
        is_table_changed = place > 0
        end = len(block)
        self.path_form = 0
        while place < end:
            byte = block[place]
            if byte & 0x80:
                index = byte & 0x7F
                place += 1
                if index == 0x7F:
                    index, place = _read_rest(block, place, index)
                if 0 < index < _FIRST_DYNAMIC:
                    fields.append(_STATIC[index])
                    left -= _STATIC_SIZES[index]
                else:
                    back = self._back(index)
                    fields.append(entries[-back])
                    left -= self._sizes[-back] - ENTRY_BYTES
            else:
                incremental = byte & 0x40
                mask = 0x3F if incremental else 0x0F
                if not incremental and byte & 0x20:
                    raise ConnectionFault(ErrorCode.COMPRESSION_ERROR)  # a table size in the middle of a block
                index = byte & mask
                place += 1
                if index == mask:
                    index, place = _read_rest(block, place, index)
                if index:
                    name = self._name(index)
                else:
                    name, place = self._read_string(block, place)
                if name == b":path":
                    self.path_form = LITERAL | byte
                value, place = self._read_string(block, place, remembers=name not in SECRET_FIELDS)
                field: Any = (name, value)
                size = len(name) + len(value)
                if incremental:
                    is_table_changed = True
                    self._add(field, size + ENTRY_BYTES)
                left -= size
                fields.append(field)
            if left < 0 or len(fields) > self._max_fields:
                raise BoundExceeded("head_bytes")
        self._fields, self._block = None, b""
        if self._remembers and not is_table_changed:
            self._fields, self._block = fields, block
        return fields

    def _read_limits(self, block: bytes) -> int:
        """Changes of the table's size, which may only come first; returns the place after them."""
        place = 0
        while place < len(block) and block[place] & 0xE0 == 0x20:
            limit = block[place] & 0x1F
            place += 1
            if limit == 0x1F:
                limit, place = _read_rest(block, place, limit)
            if limit > TABLE_BYTES or place > 8:
                raise ConnectionFault(ErrorCode.COMPRESSION_ERROR)
            self._limit = limit
            self._evict()
        return place

    def _back(self, index: int) -> int:
        """Which of the newest entries a number beyond the static table stands for; 1 is the last."""
        back = index - _FIRST_DYNAMIC + 1
        if index == 0 or back > len(self._entries):
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR)
        return back

    def _name(self, index: int) -> bytes:
        field: Field = _STATIC[index] if index < _FIRST_DYNAMIC else self._entries[-self._back(index)]
        return field[0]

    def _read_string(self, block: bytes, place: int, *, remembers: bool = True) -> tuple[bytes, int]:
        byte = block[place]
        length = byte & 0x7F
        place += 1
        if length == 0x7F:
            length, place = _read_rest(block, place, length)
        stop = place + length
        if stop > len(block):
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR)
        text = block[place:stop]
        if byte & 0x80:
            text = _remembered(text) if remembers and length <= REMEMBERED_BYTES else decode_huffman(text)
            if length >= len(text):
                self.is_wasteful = True
        return text, stop

    def _add(self, field: Any, size: int) -> None:
        self._entries.append(field)
        self._sizes.append(size)
        self._size += size
        if self._size > self._limit:
            self._evict()

    def _evict(self) -> None:
        while self._size > self._limit:
            self._size -= self._sizes.pop(0)
            del self._entries[0]


class FieldEncoder:
    """One per connection. Keeps fields that a site repeats in the client's table."""

    __slots__ = ("_added", "_block", "_fields", "_limit", "_numbers", "_order", "_remembers", "_size", "_smallest")

    def __init__(self, *, remembers: bool = False) -> None:
        """`remembers`: the last list of fields is kept, and when it comes again, nothing in it changed, so is its block."""
        self._remembers = remembers
        self._fields: list[Field] | None = None
        self._block: bytes = b""
        self._numbers: dict[Any, int] = {}  # by field
        self._order: deque[Field] = deque()
        self._added = 0
        self._size = 0
        self._limit = TABLE_BYTES
        self._smallest: int | None = None

    def set_limit(self, limit: int) -> None:
        """The client says how large its table may be; no more than TABLE_BYTES of it is used."""
        limit = min(limit, TABLE_BYTES)
        if limit != self._limit:
            self._smallest = limit if self._smallest is None else min(limit, self._smallest)
            self._limit = limit
            self._fields, self._block = None, b""
            self._evict()

    def encode(self, fields: list[Field]) -> bytes:
        """The block of a header or trailer section. Names are lower case."""
        if fields is self._fields:
            return self._block
        known = self._added
        is_limited = self._smallest is not None
        parts = [self._new_limits()] if is_limited else []
        numbers = self._numbers
        these: list[Any] = cast("list[Any]", fields)
        for each in these:
            number = numbers.get(each)
            if number is not None:
                parts.append(_INDEXED[_FIRST_DYNAMIC + self._added - 1 - number])
                continue
            index = _STATIC_FIELDS.get(each)
            if index is not None:
                parts.append(_INDEXED[index])
                continue
            field: Field = each
            name, value = field
            if name in _VOLATILE or (size := len(name) + len(value) + ENTRY_BYTES) > self._limit >> 1:
                parts.append(_literal_name(_plain_names, name, 0x00, 4))
            elif name in SECRET_FIELDS:  # nobody further on may measure guesses by them either (RFC 7541 section 7.1.3)
                parts.append(_literal_name(_secret_names, name, 0x10, 4))
            else:
                parts.append(_literal_name(_kept_names, name, 0x40, 6))
                numbers[each] = self._added
                self._added += 1
                self._order.append(field)
                self._size += size
                if self._size > self._limit:
                    self._evict()
            length = len(value)
            parts.append(_LENGTHS[length] if length < 0x7F else _integer(length, 0x00, 7))
            parts.append(value)
        block = b"".join(parts)
        self._fields, self._block = None, b""
        if self._remembers and known == self._added and not is_limited:
            self._fields, self._block = fields, block
        return block

    def _new_limits(self) -> bytes:
        smallest, self._smallest = self._smallest, None
        assert smallest is not None  # noqa: S101 - the caller looks
        parts = _integer(smallest, 0x20, 5)
        return parts if smallest == self._limit else parts + _integer(self._limit, 0x20, 5)

    def _evict(self) -> None:
        while self._size > self._limit:
            field = self._order.popleft()
            del self._numbers[field]
            self._size -= len(field[0]) + len(field[1]) + ENTRY_BYTES


def _read_rest(block: bytes, place: int, value: int) -> tuple[int, int]:
    """The rest of an integer whose prefix was all ones. Raises IndexError when it is cut, ConnectionFault when too large."""
    shift = 0
    while True:
        byte = block[place]
        place += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift >= 7 * MAX_DIGITS:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR)


@lru_cache(maxsize=REMEMBERED_STRINGS)
def _remembered(text: bytes) -> bytes:
    return decode_huffman(text)


def _literal_name(known: dict[bytes, bytes], name: bytes, mark: int, bits: int) -> bytes:
    """How a literal field with this name begins, by its kind: `known` are those of the kind that came before."""
    found = known.get(name)
    if found is None:
        index = _STATIC_NAMES.get(name)
        found = _integer(index, mark, bits) if index is not None else bytes((mark,)) + _plain(name)
        if len(name) <= REMEMBERED_BYTES:
            keep_at_hand(known, REMEMBERED_NAMES, name, found)
    return found


def _plain(text: bytes) -> bytes:
    """A string as it is: Huffman coding in Python costs more than the quarter of its bytes that it saves."""
    return _integer(len(text), 0x00, 7) + text


def _integer(value: int, mark: int, bits: int) -> bytes:
    top = (1 << bits) - 1
    if value < top:
        return bytes((mark | value,))
    found = bytearray((mark | top,))
    value -= top
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


_INDEXED: Final = [_integer(index, 0x80, 7) for index in range(_FIRST_DYNAMIC + TABLE_BYTES // ENTRY_BYTES)]
"""Numbers of both tables as they are written."""

_LENGTHS: Final = [_integer(length, 0x00, 7) for length in range(0x7F)]
"""Those of most strings, likewise."""

_plain_names: Final[dict[bytes, bytes]] = {}
_secret_names: Final[dict[bytes, bytes]] = {}
_kept_names: Final[dict[bytes, bytes]] = {}
"""How literals with these names begin: of fields not to be kept, never to be, and to be kept in the table."""
