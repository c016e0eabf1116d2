"""Compressed header fields (RFC 7541): a decoder whose memory and work are bounded, and an encoder.

The tables of the code (static fields, Huffman code) are those of the hpack library; strings that clients repeat (user agents,
Accept values) are decoded once for all connections.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import Final

from hpack.exceptions import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from proxyguard.core.privacy import SECRET_FIELDS
from proxyguard.http.http2.errors import BoundExceeded, ConnectionFault, ErrorCode

Field = tuple[bytes, bytes]

TABLE_BYTES: Final = 4096
"""Of either dynamic table, at most: the protocol's default."""

ENTRY_BYTES: Final = 32
"""What an entry counts besides its strings (RFC 7541 section 4.1)."""

REMEMBERED_BYTES: Final = 256
REMEMBERED_STRINGS: Final = 4096
"""Compressed strings whose meaning is remembered, and how long they may be: some 3 MB at most."""

MAX_DIGITS: Final = 4
"""Bytes that an integer may have after its prefix: 2^28 is far more than any length here."""

LITERAL: Final = 0x100

_STATIC: Final[tuple[Field, ...]] = ((b"", b""), *vars(HeaderTable)["STATIC_TABLE"])
"""Looked up without its type, a tuple of 61 pairs: the compiler would write code for each of them."""
_STATIC_FIELDS: Final = {field: index for index, field in reversed(list(enumerate(_STATIC))) if index}
_STATIC_NAMES: Final = {field[0]: index for index, field in reversed(list(enumerate(_STATIC))) if index}
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

    __slots__ = ("_entries", "_limit", "_max_bytes", "_max_fields", "_size", "is_wasteful", "path_form")

    def __init__(self, max_bytes: int, max_fields: int) -> None:
        """Blocks that decode to more than this (names and values; fields) are given up."""
        self._entries: list[Field] = []  # the newest last
        self._size = 0
        self._limit = TABLE_BYTES
        self._max_bytes = max_bytes
        self._max_fields = max_fields
        self.path_form = 0
        self.is_wasteful = False

    def decode(self, block: bytes) -> list[Field]:
        """Raises ConnectionFault(COMPRESSION_ERROR) and BoundExceeded("head_bytes")."""
        try:
            return self._decode(block)
        except (IndexError, HPACKError):
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR) from None

    def _decode(self, block: bytes) -> list[Field]:
        fields: list[Field] = []
        entries = self._entries
        left = self._max_bytes
        place = self._read_limits(block)
        end = len(block)
        self.path_form = 0
        while place < end:
            byte = block[place]
            if byte & 0x80:
                index = byte & 0x7F
                place += 1
                if index == 0x7F:
                    index, place = _read_rest(block, place, index)
                field = _STATIC[index] if 0 < index < _FIRST_DYNAMIC else self._field(index)
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
                    name = self._field(index)[0]
                else:
                    name, place = self._read_string(block, place)
                if name == b":path":
                    self.path_form = LITERAL | byte
                value, place = self._read_string(block, place, remembers=name not in SECRET_FIELDS)
                field = (name, value)
                if incremental:
                    size = len(name) + len(value) + ENTRY_BYTES
                    entries.append(field)
                    self._size += size
                    if self._size > self._limit:
                        self._evict()
            left -= len(field[0]) + len(field[1])
            fields.append(field)
            if left < 0 or len(fields) > self._max_fields:
                raise BoundExceeded("head_bytes")
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

    def _field(self, index: int) -> Field:
        if 0 < index < _FIRST_DYNAMIC:
            return _STATIC[index]
        back = index - _FIRST_DYNAMIC + 1
        if index == 0 or back > len(self._entries):
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR)
        return self._entries[-back]

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

    def _evict(self) -> None:
        count = 0
        for name, value in self._entries:
            if self._size <= self._limit:
                break
            self._size -= len(name) + len(value) + ENTRY_BYTES
            count += 1
        del self._entries[:count]


class FieldEncoder:
    """One per connection. Keeps fields that a site repeats in the client's table."""

    __slots__ = ("_added", "_limit", "_numbers", "_order", "_size", "_smallest")

    def __init__(self) -> None:
        self._numbers: dict[Field, int] = {}
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
            self._evict()

    def encode(self, fields: list[Field]) -> bytes:
        """The block of a header or trailer section. Names are lower case."""
        parts = [] if self._smallest is None else [self._new_limits()]
        numbers = self._numbers
        for field in fields:
            number = numbers.get(field)
            if number is not None:
                parts.append(_indexed(_FIRST_DYNAMIC + self._added - 1 - number))
                continue
            index = _STATIC_FIELDS.get(field)
            if index is not None:
                parts.append(_indexed(index))
                continue
            name, value = field
            if name in _VOLATILE or (size := len(name) + len(value) + ENTRY_BYTES) > self._limit >> 1:
                parts.append(_literal_name(name, 0x00, 4) + _plain(value))
            elif name in SECRET_FIELDS:  # nobody further on may measure guesses by them either (RFC 7541 section 7.1.3)
                parts.append(_literal_name(name, 0x10, 4) + _plain(value))
            else:
                parts.append(_literal_name(name, 0x40, 6) + _plain(value))
                numbers[field] = self._added
                self._added += 1
                self._order.append(field)
                self._size += size
                if self._size > self._limit:
                    self._evict()
        return b"".join(parts)

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


@lru_cache(maxsize=256)
def _indexed(index: int) -> bytes:
    return _integer(index, 0x80, 7)


def _literal_name(name: bytes, mark: int, bits: int) -> bytes:
    return _known_name(name, mark, bits) if len(name) <= REMEMBERED_BYTES else bytes((mark,)) + _plain(name)


@lru_cache(maxsize=1024)
def _known_name(name: bytes, mark: int, bits: int) -> bytes:
    index = _STATIC_NAMES.get(name)
    return _integer(index, mark, bits) if index is not None else bytes((mark,)) + _plain(name)


def _plain(text: bytes) -> bytes:
    """A string as it is: Huffman coding in Python costs more than the quarter of its bytes that it saves."""
    length = len(text)
    return b"%c%b" % (length, text) if length < 0x7F else _integer(length, 0x00, 7) + text


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
