"""Reads the requests of one client connection, and refuses every head or body that could be read in two ways.

Follows RFC 9112; where it lets a server choose between repair and refusal, this refuses. Bounds are Bounds' `head_bytes`,
`target_bytes`, `field_bytes`, `header_count`, `body_bytes` and, for what comes after an upgrade offer, `buffer_bytes`.
Whatever way the bytes are cut, the same messages or the same fault come out. Knows nothing of sockets, time, or clients.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from proxyguard.http1.chunked import ChunkedDecoder
from proxyguard.http1.faults import BadRequest, Malformed
from proxyguard.http1.fields import BARE_LF, TOKEN, list_tokens, longest_field, read_fields
from proxyguard.http1.heads import END, Body, BodyKind, End, RequestEvent, RequestHead
from proxyguard.http1.names import END_TO_END, FRAMING, MISSPELT_FRAMING
from proxyguard.http1.target import Target, check_path, read_authority, read_target, same_authority
from proxyguard.settings import Bounds

LINE_SPARE_BYTES: Final = 64
"""What a request line may have besides its target: a method of at most 32 bytes, two spaces, the version, CRLF."""

UPGRADES: Final = frozenset({b"websocket"})
"""Protocols that a connection may change to. h2c is not one: it would carry requests past the rules."""

_LINE: Final = re.compile(rb"([A-Z][A-Z0-9_-]{0,31}) ([!\"$-~]++) HTTP/1\.([01])\r\n")
_LINE_SHAPE: Final = re.compile(rb"(" + TOKEN + rb"+) ([^ ]+) (HTTP/[0-9]\.[0-9])\r\n")
_METHOD: Final = re.compile(rb"[A-Z][A-Z0-9_-]{0,31}")
_TOKEN_BYTE: Final = re.compile(TOKEN)
_PREFACE: Final = b"PRI * HTTP/2.0\r\n"
_REFUSED_METHODS: Final = frozenset({b"CONNECT", b"TRACE"})
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")
_VERSIONS: Final = {b"0": b"1.0", b"1": b"1.1"}
_KNOWN: Final = FRAMING | MISSPELT_FRAMING | {b"expect", b"upgrade", b"te"}
_CONNECTION_OPTIONS: Final = frozenset({b"close", b"keep-alive", b"upgrade", b"te"})


class _Line(NamedTuple):
    """A request line that was accepted; `size` is its bytes with the CRLF."""

    method: bytes
    target: Target
    version: bytes
    size: int


class _Place(Enum):
    HEAD = 1
    LENGTH = 2
    CHUNKED = 3
    UPGRADE = 4
    FAILED = 5


class RequestParser:
    """One per client connection. Feed bytes, get events; after a BadRequest nothing more is accepted."""

    __slots__ = ("_blank", "_bounds", "_chunks", "_fault", "_held", "_left", "_line", "_line_limit", "_place", "_received",
                 "_scanned")  # fmt: skip

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._line_limit = min(bounds.target_bytes + LINE_SPARE_BYTES, bounds.head_bytes)
        self._place = _Place.HEAD
        self._held = bytearray()
        self._scanned = 0
        self._blank = False
        self._line: _Line | None = None
        self._left = 0
        self._received = 0
        self._chunks: ChunkedDecoder | None = None
        self._fault = ""

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and is not complete."""
        return self._place is _Place.HEAD and bool(self._held)

    @property
    def idle(self) -> bool:
        """Whether nothing of a next request has come."""
        return self._place is _Place.HEAD and not self._held

    def feed(self, data: bytes) -> list[RequestEvent]:
        """Read on. Raises BadRequest, whose `events` are those that precede the fault."""
        events: list[RequestEvent] = []
        try:
            self._run(data, events)
        except Malformed as fault:
            self._place = _Place.FAILED
            self._fault = fault.reason
            self._held.clear()
            raise BadRequest(fault.reason, tuple(events)) from None
        return events

    def take_rest(self) -> bytes:
        """What came after an upgrade offer; for the upgraded protocol. Empties it."""
        rest = bytes(self._held)
        self._held.clear()
        return rest

    def resume(self) -> list[RequestEvent]:
        """Go on with HTTP after an upgrade offer that was not taken. Raises BadRequest."""
        self._place = _Place.HEAD
        return self.feed(self.take_rest())

    def _run(self, data: bytes, events: list[RequestEvent]) -> None:
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
                case _Place.UPGRADE:
                    self._held += data[start:]
                    if len(self._held) > self._bounds.buffer_bytes:
                        raise Malformed("upgrade-backlog")
                    return
                case _Place.FAILED:
                    raise Malformed(self._fault)

    def _read_head(self, data: bytes, start: int, events: list[RequestEvent]) -> int:
        """Read a head from what is held and `data[start:]`; gives the place in `data` after what was used."""
        held = self._held
        if not held:
            if data.startswith(b"\r\n", start):
                return self._skip_blank(start + 2)
            stop = self._find_end(data, start, start)
            if stop < 0:
                held += data[start:]
                return len(data)
            self._take_head(data, start, stop, events)
            return stop
        if held == b"\r":
            if not data.startswith(b"\n", start):
                raise Malformed("request-line")
            held.clear()
            return self._skip_blank(start + 1)
        before = len(held)
        held += data[start : start + self._bounds.head_bytes - before]
        stop = self._find_end(held, 0, before)
        if stop < 0:
            return len(data)
        text = bytes(held[:stop])
        held.clear()
        self._take_head(text, 0, stop, events)
        return start + stop - before

    def _skip_blank(self, stop: int) -> int:
        """One empty line before a request is let pass (RFC 9112 section 2.2), no more."""
        if self._blank:
            raise Malformed("request-line")
        self._blank = True
        return stop

    def _find_end(self, text: bytes | bytearray, start: int, scanned: int) -> int:
        """The place after the head that begins at `start`, or -1 while it is not complete; checks its request line once."""
        line = self._line
        if line is None:
            line = self._line = self._read_line(text, start)
            if line is None:
                return -1
        look = max(start + line.size - 2, scanned - 3)
        limit = start + self._bounds.head_bytes
        stop = text.find(b"\r\n\r\n", look, limit)
        if stop >= 0:
            return stop + 4
        if BARE_LF.search(text, look, limit) is not None:
            raise Malformed("bare-lf")
        if len(text) >= limit:
            raise Malformed("head-size")
        return -1

    def _read_line(self, text: bytes | bytearray, start: int) -> _Line | None:
        limit = start + self._line_limit
        match = _LINE.match(text, start, limit)
        if match is None:
            if text[start] != 0x0D and _TOKEN_BYTE.match(text, start) is None:
                raise Malformed("bare-lf" if text[start] == 0x0A else "request-line")
            stop = text.find(b"\n", start, limit) + 1
            if stop:
                raise Malformed(_line_fault(bytes(text[start:stop])))
            if len(text) >= limit:
                raise Malformed("target-size")
            return None
        method, target, minor = map(bytes, match.groups())
        if len(target) > self._bounds.target_bytes:
            raise Malformed("target-size")
        if method in _REFUSED_METHODS:
            raise Malformed("method-refused")
        if not target.startswith(b"/"):
            reduced = read_target(method, target)
        else:
            if b"%" in target or b"/." in target or b"\\" in target:
                check_path(target)
            reduced = Target(target)
        return _Line(method, reduced, _VERSIONS[minor], match.end() - start)

    def _take_head(self, text: bytes, start: int, stop: int, events: list[RequestEvent]) -> None:
        """Understand the complete head `text[start:stop]` and get ready for what follows it."""
        line = self._line
        assert line is not None  # noqa: S101 - _find_end reads it first
        self._line = None
        self._blank = False
        bounds = self._bounds
        first = start + line.size
        fields = read_fields(text, first, stop - 2)
        if len(fields) > bounds.header_count:
            raise Malformed("field-count")
        if stop - first > bounds.field_bytes and longest_field(text, first, stop) > bounds.field_bytes:
            raise Malformed("field-size")
        head = _understand(line, tuple(fields))
        length = head.content_length
        if length and bounds.body_bytes is not None and length > bounds.body_bytes:
            raise Malformed("body-size")
        events.append(head)
        if length:
            self._left = length
            self._place = _Place.LENGTH
        elif head.body is BodyKind.CHUNKED:
            self._received = 0
            self._chunks = ChunkedDecoder(bounds.field_bytes, bounds.header_count)
            self._place = _Place.CHUNKED
        else:
            events.append(END)
            if head.upgrade is not None:
                self._place = _Place.UPGRADE

    def _read_length(self, data: bytes, start: int, events: list[RequestEvent]) -> int:
        left = self._left
        piece = data if not start and len(data) <= left else data[start : start + left]
        events.append(Body(piece))
        self._left = left = left - len(piece)
        if not left:
            events.append(END)
            self._place = _Place.HEAD
        return start + len(piece)

    def _read_chunked(self, data: bytes, start: int, events: list[RequestEvent]) -> int:
        chunks = self._chunks
        assert chunks is not None  # noqa: S101 - made when the place became CHUNKED
        parts: list[bytes] = []
        start = chunks.decode(data, start, parts)
        if parts:
            piece = parts[0] if len(parts) == 1 else b"".join(parts)
            self._received += len(piece)
            limit = self._bounds.body_bytes
            if limit is not None and self._received > limit:
                raise Malformed("body-size")
            events.append(Body(piece))
        if chunks.done:
            events.append(End(chunks.trailers) if chunks.trailers else END)
            self._chunks = None
            self._place = _Place.HEAD
        return start


def _line_fault(line: bytes) -> str:
    """Which reason a request line that is not accepted is refused for."""
    if not line.endswith(b"\r\n"):
        return "bare-lf"
    if line == _PREFACE:
        return "http2-preface"
    shape = _LINE_SHAPE.fullmatch(line)
    if shape is None:
        return "request-line"
    method, _, version = shape.groups()
    if version not in (b"HTTP/1.0", b"HTTP/1.1"):
        return "version"
    return "target" if _METHOD.fullmatch(method) is not None else "method-unknown"


def _understand(line: _Line, headers: tuple[tuple[bytes, bytes], ...]) -> RequestHead:
    """Routing, framing and connection options of a well-formed head. Raises Malformed."""
    host: bytes | None = None
    length: int | None = None
    coding: bytes | None = None
    options: list[bytes] = []
    upgrades: list[bytes] = []
    expect = te_trailers = False
    modern = line.version == b"1.1"
    for name, value in headers:
        name = name.lower()  # noqa: PLW2901 - the spelling is not looked at again
        if name not in _KNOWN:
            continue
        match name:
            case b"host":
                if host is not None:
                    raise Malformed("host-repeated")
                host = value
            case b"connection":
                options += list_tokens(value)
            case b"content-length":
                if length is not None:
                    raise Malformed("content-length-repeated")
                if _DIGITS.fullmatch(value) is None:
                    raise Malformed("content-length")
                length = int(value)
            case b"transfer-encoding":
                if coding is not None or value.lower() != b"chunked":
                    raise Malformed("transfer-encoding")
                coding = value
            case b"expect":
                if modern and value.lower() != b"100-continue":
                    raise Malformed("expect")
                expect = modern
            case b"upgrade":
                upgrades += [offer.strip(b" \t").lower() for offer in value.split(b",")]
            case b"te":
                te_trailers = te_trailers or b"trailers" in [c.strip(b" \t").lower() for c in value.split(b",")]
            case _:
                raise Malformed("field-name")
    if coding is not None:
        if length is not None:
            raise Malformed("length-and-encoding")
        if not modern:
            raise Malformed("transfer-encoding-http10")
    target = line.target
    if host is None:
        if modern:
            raise Malformed("host-missing")
        authority, bare_host = target.authority or (b"", b"")
    else:
        authority, bare_host = named = read_authority(host)
        if target.authority is not None and not same_authority(target, named):
            raise Malformed("host-mismatch")
    has_body = coding is not None or bool(length)
    upgrade = None
    if upgrades and modern and b"upgrade" in options and line.method == b"GET" and not has_body:
        upgrade = next((offer for offer in upgrades if offer in UPGRADES), None)
    if options:
        keep_alive = b"close" not in options and (modern or b"keep-alive" in options)
        nominated = tuple(o for o in options if o not in _CONNECTION_OPTIONS and o not in END_TO_END)
    else:
        keep_alive, nominated = modern, ()
    return RequestHead(
        line.method,
        target.text,
        authority,
        bare_host,
        headers,
        line.version,
        BodyKind.CHUNKED if coding is not None else BodyKind.NONE if length is None else BodyKind.LENGTH,
        length,
        keep_alive,
        expect and has_body,
        upgrade,
        nominated,
        te_trailers,
    )
