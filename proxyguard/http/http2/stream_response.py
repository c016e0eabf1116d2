"""The response to one request as the frames of its stream bring it, held to what HTTP/1 would accept of the same response.

Follows RFC 9113 section 8. The fields are written down as HTTP/1 and read by the strict reader of `http1`: what comes out
unchanged is sound. Takes the place of a ResponseParser: frames go in by `take_fields` and `take_data`, and the next `feed` gives
their events.
"""

from __future__ import annotations

from typing import Final

from proxyguard.core.request import Headers
from proxyguard.core.settings import Bounds
from proxyguard.http.claims import may_be_trailer
from proxyguard.http.http1.faults import BadResponse, Malformed
from proxyguard.http.http1.fields import read_fields
from proxyguard.http.http1.heads import END, Body, BodyKind, End, ResponseEvent, ResponseHead
from proxyguard.http.http1.response_parser import MAX_INTERIM, ResponseParser, framing_of, understand
from proxyguard.http.http2.hpack import Field
from proxyguard.http.reason_phrases import reason_phrase

_CONNECTION_FIELDS: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade",
})  # fmt: skip
"""RFC 9113 section 8.2.2: a response that has one is malformed."""

_STATUS_DIGITS: Final = 3


class StreamResponse(ResponseParser):
    """One per request. After a fault, which the next `feed` raises, nothing more is taken.

    `is_whole` says that the upstream has sent all of it.
    """

    __slots__ = ("_events", "_expected", "_fault", "_head", "_reset", "is_whole")

    def __init__(self, bounds: Bounds) -> None:
        super().__init__(bounds)
        self._events: list[ResponseEvent] = []
        self._head: ResponseHead | None = None
        self._expected: int | None = None
        self._fault = ""
        self._reset: int | None = None
        self.is_whole = False

    @property
    def reusable(self) -> bool:
        """Whether the response is whole."""
        return self.is_whole and not self._fault

    @property
    def begun(self) -> bool:
        """Whether anything of the response has come."""
        return self._head is not None or self._interim > 0 or bool(self._fault)

    def begin(self, method: bytes, *, upgrade: bool = False) -> None:  # noqa: ARG002 - none is offered over HTTP/2
        """Expect the response to a request."""
        self._method = method

    def feed(self, data: bytes) -> list[ResponseEvent]:  # noqa: ARG002 - see the module: frames bring it
        """The events of the frames taken since the last call. Raises BadResponse, whose `events` precede the fault."""
        events, self._events = self._events, []
        if self._fault:
            raise BadResponse(self._fault, tuple(events), reset=self._reset)
        return events

    def eof(self) -> list[ResponseEvent]:
        """The connection is gone; call after the last `feed`. Raises BadResponse for a response that was cut."""
        if self.is_whole:
            return []
        raise BadResponse("cut-body" if self._head is not None else "cut-head" if self.begun else "no-response", ())

    def cut(self, reason: str, reset: int | None = None) -> None:
        """The response ends here, for a reason of RESPONSE_FAULTS; `reset` is the code of the upstream's RST_STREAM."""
        if not self.is_whole and not self._fault:
            self._fault = reason
            self._reset = reset

    def refuse(self, status: int) -> None:
        """Answer in the upstream's place: it would not take the request."""
        kind, no_length, keep_alive, is_dated = BodyKind.LENGTH, 0, True, False
        head = ResponseHead(status, reason_phrase(status), (), b"1.1", kind, no_length, keep_alive, (), is_dated)
        self._head = head
        self._events += (head, END)
        self.is_whole = True

    # -- frames ----------------------------------------------------------------------------------------------------------

    def take_fields(self, fields: list[Field], *, whole: bool) -> None:
        """A header section, or the trailers. Raises Malformed."""
        if self._head is not None:
            self._take_trailers(fields, whole=whole)
            return
        head = self._head_of(fields)
        if head.status < 200:
            self._interim += 1
            if head.status == 101:
                raise Malformed("unasked-upgrade")
            if whole or self._interim > MAX_INTERIM:
                raise Malformed("interim-count")
            self._events.append(head)
            return
        self._head = head
        if head.body is BodyKind.LENGTH:
            self._expected = head.content_length
        elif head.body is BodyKind.NONE:
            self._expected = 0
        self._events.append(head)
        if whole:
            self._end(())

    def take_data(self, payload: bytes, *, whole: bool) -> None:
        """Some of the body. Raises Malformed."""
        if self._head is None:
            raise Malformed("status-line")
        if payload:
            if self._expected is not None:
                self._expected -= len(payload)
                if self._expected < 0:
                    raise Malformed("content-length")
            self._events.append(Body(payload))
        if whole:
            self._end(())

    def _take_trailers(self, fields: list[Field], *, whole: bool) -> None:
        if not whole:
            raise Malformed("unasked")
        self._check(fields, "trailer-size")
        self._end(tuple(field for field in fields if may_be_trailer(field[0])))

    def _end(self, trailers: Headers) -> None:
        if self._expected:
            raise Malformed("cut-body")
        self.is_whole = True
        self._events.append(End(trailers) if trailers else END)

    def _head_of(self, fields: list[Field]) -> ResponseHead:
        """The head that a header section makes; a body without a length is chunked, as it would be in HTTP/1."""
        status = fields[0][1] if fields and fields[0][0] == b":status" else b""
        if len(status) != _STATUS_DIGITS or not status.isdigit() or status < b"100":
            raise Malformed("status-line")
        headers = fields[1:]
        self._check(headers, "head-size")
        length, _, options, keep_alive, is_dated = framing_of(headers)
        number = int(status)
        framing = (length, length is None, options, keep_alive, is_dated)
        return understand(number, reason_phrase(number), b"1.1", tuple(headers), framing, self._method)

    def _check(self, fields: list[Field], too_large: str) -> None:
        """Raise Malformed unless HTTP/1 would read the same fields, within the same bound."""
        text = b"".join([b"%b: %b\r\n" % field for field in fields])
        if len(text) > self._bounds.response_head_bytes:
            raise Malformed(too_large)
        if any(name in _CONNECTION_FIELDS for name, _ in fields):
            raise Malformed("connection")
        if any(name != name.lower() for name, _ in fields):
            raise Malformed("field-name")
        if read_fields(text, 0, len(text)) != fields:
            raise Malformed("field-value")
