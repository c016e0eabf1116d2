"""Reads the responses of one upstream connection, one request at a time, and refuses framing that is not plain.

Follows RFC 9112. An upstream is the operator's own, so a few habits of old servers pass (no reason phrase, padded chunk
sizes, the same Content-Length twice); what would let one response run into another does not. Heads are bounded by Bounds'
`response_head_bytes`. Knows nothing of sockets, time, or what the request was besides its method.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from proxyguard.core.settings import Bounds
from proxyguard.http.http1 import serialise
from proxyguard.http.http1.chunked import ChunkedDecoder
from proxyguard.http.http1.faults import BadResponse, Malformed
from proxyguard.http.http1.fields import BARE_LF, list_tokens
from proxyguard.http.http1.heads import END, Body, BodyKind, ResponseEvent, ResponseHead, read_piece
from proxyguard.http.http1.known_lines import is_for_everybody, read_response_fields
from proxyguard.http.http1.names import END_TO_END

MAX_INTERIM: Final = 16
"""Interim responses (100, 103, …) before the final one; a server sends one or two."""

MAX_HEADS: Final = 256
MAX_HEAD_BYTES: Final = 1024
"""Heads that are remembered, and bytes of each: half a megabyte at most, with what they are read as."""

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9] ")
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")
_BODILESS: Final = frozenset({204, 304})
_KEEP_ALIVE: Final = re.compile(rb"(timeout|max)[ \t]*=[ \t]*\"?([0-9]{1,9})")
_CONNECTION_OPTIONS: Final = frozenset({b"close", b"keep-alive", b"upgrade"})

_USUAL: Final = (
    b"Server", b"Content-Type", b"Cache-Control", b"Vary", b"ETag", b"Last-Modified", b"Accept-Ranges", b"Content-Encoding",
    b"Expires", b"Set-Cookie", b"Strict-Transport-Security", b"X-Content-Type-Options", b"X-Frame-Options", b"X-Powered-By",
    b"Content-Security-Policy", b"Referrer-Policy", b"Location", b"Content-Language", b"Age", b"Link",
)  # fmt: skip
_NOT_FRAMING: Final = frozenset(_USUAL) | {name.lower() for name in _USUAL}
"""Names, as servers spell them, of fields that say nothing of framing."""


class _Place(Enum):
    IDLE = 1
    HEAD = 2
    LENGTH = 3
    CHUNKED = 4
    UNTIL_CLOSE = 5
    UPGRADED = 6
    SPOILT = 7


class ResponseParser:
    """One per upstream connection. `begin` for each request, then feed bytes and get events.

    Of the last response: `has_hidden_body` says that it announced a body although its status or its method allows none.
    `idle_seconds` and `requests_left` are what its Keep-Alive field says, None when it says nothing.
    """

    __slots__ = (
        "_bounds", "_chunks", "_held", "_interim", "_keep_alive", "_left", "_method", "_place", "_upgrade", "has_hidden_body",
        "idle_seconds", "requests_left",
    )  # fmt: skip

    idle_seconds: int | None
    requests_left: int | None

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._place = _Place.IDLE
        self._method = b""
        self._upgrade = False
        self._held = bytearray()
        self._interim = 0
        self._left = 0
        self._keep_alive = True
        self.has_hidden_body = False
        self.idle_seconds = None
        self.requests_left = None
        self._chunks: ChunkedDecoder | None = None

    @property
    def reusable(self) -> bool:
        """Whether the last response is complete and the connection may carry another request."""
        return self._place is _Place.IDLE and self._keep_alive

    @property
    def begun(self) -> bool:
        """Whether any byte of the response has come; before that an idempotent request may be sent again elsewhere."""
        return self._place is not _Place.HEAD or bool(self._held) or self._interim > 0

    def begin(self, method: bytes, *, upgrade: bool = False) -> None:
        """Expect the response to a request; `upgrade` when it offered one. Only when `reusable`."""
        if not self.reusable:
            raise RuntimeError("begin() on a connection that is not reusable")
        self._place = _Place.HEAD
        self._method = method
        self._upgrade = upgrade
        self._interim = 0

    def feed(self, data: bytes) -> list[ResponseEvent]:
        """Read on. Raises BadResponse, whose `events` precede the fault. Bytes after a complete response spoil reuse."""
        events: list[ResponseEvent] = []
        try:
            self._run(data, events)
        except Malformed as fault:
            raise self._spoil(fault.reason, events) from None
        return events

    def eof(self) -> list[ResponseEvent]:
        """The upstream closed. Ends a body that runs until the close; raises BadResponse for one that was cut."""
        place = self._place
        if place in (_Place.HEAD, _Place.LENGTH, _Place.CHUNKED):
            began = self.begun
            raise self._spoil("cut-body" if place is not _Place.HEAD else "cut-head" if began else "no-response", [])
        self._place = _Place.SPOILT
        return [END] if place is _Place.UNTIL_CLOSE else []

    def break_off(self) -> None:
        """The connection is broken, and not closed by the upstream: a body that runs until the close is not whole."""
        if self._place is _Place.UNTIL_CLOSE:
            self._place = _Place.LENGTH

    def rest(self) -> bytes:
        """What came after a 101; for the upgraded protocol. Empties it."""
        rest = bytes(self._held)
        self._held.clear()
        return rest

    def _spoil(self, reason: str, events: list[ResponseEvent]) -> BadResponse:
        self._place = _Place.SPOILT
        self._held.clear()
        return BadResponse(reason, tuple(events))

    def _run(self, data: bytes, events: list[ResponseEvent]) -> None:
        start = 0
        end = len(data)
        while start < end:
            match self._place:
                case _Place.HEAD:
                    start = self._read_head(data, start, events)
                case _Place.LENGTH:
                    start = self._read_length(data, start, events)
                case _Place.CHUNKED:
                    start = self._read_chunked(data, start, events)
                case _Place.UNTIL_CLOSE:
                    events.append(Body(data[start:] if start else data))
                    return
                case _Place.UPGRADED:
                    self._held += data[start:]
                    if len(self._held) > self._bounds.buffer_bytes:
                        raise Malformed("unasked")
                    return
                case _Place.IDLE if events:
                    self._place = _Place.SPOILT  # the response is whole; only reuse is lost
                    return
                case _Place.IDLE | _Place.SPOILT:
                    raise Malformed("unasked")

    def _read_head(self, data: bytes, start: int, events: list[ResponseEvent]) -> int:
        held = self._held
        limit = self._bounds.response_head_bytes
        if not held:
            stop = data.find(b"\r\n\r\n", start, start + limit) + 4
            if stop >= 4:
                self._take_head(data, start, stop, events)
                return stop
        before = len(held)
        held += data[start : start + limit - before]
        look = max(0, before - 3)
        stop = held.find(b"\r\n\r\n", look) + 4
        if stop < 4:
            if BARE_LF.search(held, look) is not None:
                raise Malformed("bare-lf")
            if len(held) >= limit:
                raise Malformed("head-size")
            return len(data)
        text = bytes(held[:stop])
        held.clear()
        self._take_head(text, 0, stop, events)
        return start + stop - before

    def _take_head(self, text: bytes, start: int, stop: int, events: list[ResponseEvent]) -> None:
        head, framing = read_head(text[start:stop], self._method)
        length, is_chunked, _, keep_alive, _ = framing
        status = head.status
        events.append(head)
        if status == 101:
            if not self._upgrade:
                events.pop()
                raise Malformed("unasked-upgrade")
            self._place = _Place.UPGRADED
            return
        if status < 200:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise Malformed("interim-count")
            return
        self._keep_alive = head.keep_alive
        self.has_hidden_body = head.body is BodyKind.NONE and (is_chunked or bool(length))
        self.idle_seconds = self.requests_left = None
        if keep_alive:
            self._read_keep_alive(keep_alive)
        match head.body:
            case BodyKind.LENGTH if head.content_length:
                self._left = head.content_length
                self._place = _Place.LENGTH
            case BodyKind.CHUNKED:
                self._chunks = ChunkedDecoder(self._bounds.response_head_bytes, self._bounds.response_head_bytes, lenient=True)
                self._place = _Place.CHUNKED
            case BodyKind.UNTIL_CLOSE:
                self._place = _Place.UNTIL_CLOSE
            case BodyKind.LENGTH | BodyKind.NONE:
                self._place = _Place.IDLE
                events.append(END)

    def _read_keep_alive(self, value: bytes) -> None:
        """What the upstream says of the connection's life (RFC 2068 section 19.7.1.1); of several values the smallest."""
        for name, digits in _KEEP_ALIVE.findall(value.lower()):
            number = int(digits)
            if name == b"timeout":
                self.idle_seconds = number if self.idle_seconds is None else min(self.idle_seconds, number)
            else:
                self.requests_left = number if self.requests_left is None else min(self.requests_left, number)

    def _read_length(self, data: bytes, start: int, events: list[ResponseEvent]) -> int:
        size = read_piece(data, start, self._left, events)
        self._left -= size
        if not self._left:
            self._place = _Place.IDLE
        return start + size

    def _read_chunked(self, data: bytes, start: int, events: list[ResponseEvent]) -> int:
        chunks = self._chunks
        assert chunks is not None  # noqa: S101 - made when the place became CHUNKED
        start = chunks.read(data, start, events)
        if chunks.done:
            self._chunks = None
            self._place = _Place.IDLE
        return start


_heads: dict[bytes, tuple[ResponseHead, Framing]] = {}


def read_head(text: bytes, method: bytes) -> tuple[ResponseHead, Framing]:
    """A head, the empty line included, and what its fields say. Raises Malformed.

    Heads that come again are read once: those of a page that many ask for within a second. Kept are only heads whose fields are
    all for everybody, as `known_lines` has them.
    """
    known = _heads.get(text)
    if known is not None and method != b"HEAD":
        return known
    line = _STATUS_LINE.match(text)
    if line is None:
        raise Malformed(_line_fault(text))
    fields = read_response_fields(text, line.end(), len(text) - 2)
    framing = framing_of(fields)
    found = understand(int(line[2]), line[3] or b"", b"1." + line[1], tuple(fields), framing, method), framing
    if method != b"HEAD" and len(text) <= MAX_HEAD_BYTES and all(is_for_everybody(name) for name, _ in fields):
        if len(_heads) >= MAX_HEADS:
            _heads.clear()
            serialise.forget_heads()
        _heads[text] = found
        serialise.remember(found[0])
    return found


def _line_fault(text: bytes) -> str:
    """Which reason a head is refused for whose status line is not one."""
    if BARE_LF.search(text) is not None:
        return "bare-lf"
    return "version" if _VERSION.match(text) is not None and not text.startswith((b"HTTP/1.0 ", b"HTTP/1.1 ")) else "status-line"


type Framing = tuple[int | None, bool, tuple[bytes, ...], bytes, bool]
"""What the fields say: the body's length, whether it is chunked, the options of Connection, the value of Keep-Alive, and whether
there is a Date."""


def understand(
    status: int, reason: bytes, version: bytes, headers: tuple[tuple[bytes, bytes], ...], framing: Framing, method: bytes
) -> ResponseHead:
    """Framing and connection options of a well-formed head (RFC 9112 section 6.3). Raises Malformed."""
    length, is_chunked, options, _, is_dated = framing
    if is_chunked:
        if length is not None:
            raise Malformed("length-and-encoding")
        if version == b"1.0":
            raise Malformed("transfer-encoding-http10")
    if method == b"HEAD" or status < 200 or status in _BODILESS:
        body = BodyKind.NONE
    elif is_chunked:
        body = BodyKind.CHUNKED
    elif length is not None:
        body = BodyKind.LENGTH
    else:
        body = BodyKind.UNTIL_CLOSE
    keep_alive = b"close" not in options and (version == b"1.1" or b"keep-alive" in options)
    return ResponseHead(
        status,
        reason,
        headers,
        version,
        body,
        length,
        keep_alive and body is not BodyKind.UNTIL_CLOSE,
        tuple(o for o in options if o not in _CONNECTION_OPTIONS and o not in END_TO_END),
        is_dated,
    )


def framing_of(headers: list[tuple[bytes, bytes]]) -> Framing:
    """Look through the fields once. Raises Malformed."""
    length: int | None = None
    is_chunked = is_dated = False
    options: list[bytes] = []
    keep_alive = b""
    for name, value in headers:
        if name in _NOT_FRAMING:
            continue
        match name.lower():
            case b"content-length":
                if _DIGITS.fullmatch(value) is None:
                    raise Malformed("content-length")
                if length is not None and length != int(value):
                    raise Malformed("content-length-repeated")
                length = int(value)
            case b"transfer-encoding":
                if is_chunked or value.lower() != b"chunked":
                    raise Malformed("transfer-encoding")
                is_chunked = True
            case b"connection":
                options += list_tokens(value)
            case b"keep-alive":
                keep_alive += value + b","
            case b"date":
                is_dated = True
            case _:
                pass
    return length, is_chunked, tuple(options), keep_alive, is_dated
