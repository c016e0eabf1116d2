"""Reads the requests of one client connection, and refuses every head or body that could be read in two ways.

Finds each head in the stream, and its body after it; request_head interprets it. Bounds are Bounds'
`head_bytes`, `target_bytes`, `field_bytes`, `header_count`, `body_bytes` and, after an upgrade offer, `buffer_bytes`.
However the bytes are cut, the same messages or the same fault come out. Knows nothing of sockets, time, or clients.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from proxyguard.core.settings import Bounds
from proxyguard.http.http1.chunked import ChunkedDecoder
from proxyguard.http.http1.faults import BadRequest, Malformed
from proxyguard.http.http1.fields import BARE_LF, longest_field
from proxyguard.http.http1.heads import END, BodyKind, RequestEvent, RequestHead, read_piece
from proxyguard.http.http1.known_lines import read_request_fields
from proxyguard.http.http1.request_head import LINE_SPARE_BYTES, RequestLine, is_alike, read_line, understand, with_target
from proxyguard.http.http1.steady_fields import SteadyFields, steady_fields

REMEMBERED_BYTES: Final = 4096
"""Header sections up to this are remembered until the next request; nearly all are smaller."""

STEADY_BYTES: Final = 2048
"""Those up to this are remembered twice, whole and around their Referer: all but those with many cookies."""


class _Place(Enum):
    HEAD = 1
    LENGTH = 2
    CHUNKED = 3
    UPGRADE = 4
    FAILED = 5


class RequestParser:
    """One per client connection. Feed bytes, get events; after a BadRequest nothing more is accepted."""

    __slots__ = (
        "_before", "_blank", "_bounds", "_chunks", "_fault", "_head_bytes", "_held", "_left", "_line", "_line_limit", "_place",
        "_section", "_steady", "_target_bytes",
    )  # fmt: skip

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._head_bytes = bounds.head_bytes
        self._target_bytes = bounds.target_bytes
        self._line_limit = min(bounds.target_bytes + LINE_SPARE_BYTES, bounds.head_bytes)
        self._place = _Place.HEAD
        self._held = bytearray()
        self._blank = False
        self._line: RequestLine | None = None
        self._left = 0
        self._chunks: ChunkedDecoder | None = None
        self._fault = ""
        self._section = b""
        self._before: RequestHead | None = None
        self._steady: SteadyFields | None = None

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
        """Read a head from what is held and `data[start:]`; returns the place in `data` after what was used."""
        held = self._held
        if not held:
            if data[start] == 0x0D:
                if start + 1 == len(data):
                    held += b"\r"
                    return len(data)
                if data[start + 1] == 0x0A:
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
        held += data[start : start + self._head_bytes - before]
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
            limit = start + self._line_limit
            if scanned > start and len(text) < limit and text.find(b"\n", scanned) < 0:
                return -1  # what was looked at before is not looked at again: a client may send single bytes
            line = read_line(text, start, limit, self._target_bytes)
            self._line = line
            if line is None:
                return -1
        fields = start + line.size
        limit = start + self._head_bytes
        if isinstance(text, bytes) and self._is_section(text, fields) and len(text) <= limit:
            return len(text)
        look = max(fields - 2, scanned - 3)
        stop = text.find(b"\r\n\r\n", look, limit)
        if stop >= 0:
            return stop + 4
        if BARE_LF.search(text, look, limit) is not None:
            raise Malformed("bare-lf")
        if len(text) >= limit:
            raise Malformed("head-size")
        return -1

    def _is_section(self, text: bytes, start: int) -> bool:
        """Whether `text[start:]` is the section of the last head, as with most requests of a client: then it needs no search."""
        section = self._section
        return section != b"" and len(text) - start == len(section) and text[start:] == section

    def _take_head(self, text: bytes, start: int, stop: int, events: list[RequestEvent]) -> None:
        """Understand the complete head `text[start:stop]` and get ready for what follows it."""
        line = self._line
        assert line is not None  # noqa: S101 - _find_end reads it first
        self._line = None
        self._blank = False
        bounds = self._bounds
        section = text[start + line.size : stop]
        head = self._read_as_before(line, section) or self._read_section(line, section)
        length = head.content_length
        if length and bounds.body_bytes is not None and length > bounds.body_bytes:
            raise Malformed("body-size")
        events.append(head)
        if length:
            self._left = length
            self._place = _Place.LENGTH
        elif head.body is BodyKind.CHUNKED:
            self._chunks = ChunkedDecoder(bounds.field_bytes, bounds.header_count, bounds.body_bytes)
            self._place = _Place.CHUNKED
        else:
            events.append(END)
            if head.upgrade is not None:
                self._place = _Place.UPGRADE

    def _read_as_before(self, line: RequestLine, section: bytes) -> RequestHead | None:
        """The head of a section that is the last one, or is but for the Referer; None: it has to be read."""
        before = self._before
        if before is None or not is_alike(before, line):
            return None
        if section == self._section:
            return with_target(before, line.target.text)
        steady = self._steady
        headers = None if steady is None or len(section) > self._bounds.field_bytes else steady.read(section)
        if steady is None or headers is None:
            return None
        head = before.with_fields(line.method, line.target.text, headers, before.steady, before.referer_at)
        self._section = section
        self._before = head
        return head

    def _read_section(self, line: RequestLine, section: bytes) -> RequestHead:
        """Most clients say the same of themselves with each request, so the last section is kept with what it meant."""
        bounds = self._bounds
        size = len(section)
        fields = read_request_fields(section, 0, size - 2)
        if len(fields) > bounds.header_count:
            raise Malformed("field-count")
        if size > bounds.field_bytes and longest_field(section) > bounds.field_bytes:
            raise Malformed("field-size")
        head = understand(line, tuple(fields))
        if size > REMEMBERED_BYTES or line.target.authority is not None:
            self._before = None
            return head
        steady = steady_fields(section, head.headers) if size <= STEADY_BYTES else None
        if steady is not None:
            head = head.with_fields(head.method, head.target, head.headers, steady.around.fields, steady.around.place)
        self._section = section
        self._before = head
        self._steady = steady
        return head

    def _read_length(self, data: bytes, start: int, events: list[RequestEvent]) -> int:
        size = read_piece(data, start, self._left, events)
        self._left -= size
        if not self._left:
            self._place = _Place.HEAD
        return start + size

    def _read_chunked(self, data: bytes, start: int, events: list[RequestEvent]) -> int:
        chunks = self._chunks
        assert chunks is not None  # noqa: S101 - made when the place became CHUNKED
        start = chunks.read(data, start, events)
        if chunks.done:
            self._chunks = None
            self._place = _Place.HEAD
        return start
