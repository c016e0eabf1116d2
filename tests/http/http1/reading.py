"""How the tests feed parsers and sum up what came out."""

from __future__ import annotations

from collections.abc import Iterable

from proxyguard.core.request import Headers
from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import BadRequest, BadResponse
from proxyguard.http.http1.heads import Body, End, RequestEvent, RequestHead, ResponseEvent, ResponseHead
from proxyguard.http.http1.request_parser import RequestParser
from proxyguard.http.http1.response_parser import ResponseParser
from proxyguard.http.http1.serialise import chunk, last_chunk, request_head
from tests.http.http1.odd_requests import Expectation, Forwarded, Pending, Refused

Message = tuple[RequestHead | ResponseHead, bytes, Headers | None]
"""A head, its body, its trailers; None for them when the message is not complete."""


def single_bytes(raw: bytes) -> list[bytes]:
    return [raw[place : place + 1] for place in range(len(raw))]


def messages(events: Iterable[RequestEvent | ResponseEvent]) -> list[Message]:
    """Events joined to messages."""
    found: list[Message] = []
    for event in events:
        match event:
            case RequestHead() | ResponseHead():
                found.append((event, b"", None))
            case Body():
                data = event.data
                assert data, "a Body event is never empty"
                head, body, trailers = found[-1]
                assert trailers is None, "no body after the end"
                found[-1] = (head, body + data, None)
            case End():
                trailers = event.trailers
                head, body, before = found[-1]
                assert before is None, "one end a message"
                found[-1] = (head, body, trailers)
    return found


def read_requests(pieces: Iterable[bytes], bounds: Bounds | None = None) -> tuple[list[Message], tuple[int, str] | None]:
    """The messages, and the fault that ended them."""
    parser = RequestParser(bounds or Bounds())
    events: list[RequestEvent] = []
    try:
        for piece in pieces:
            events += parser.feed(piece)
    except BadRequest as fault:
        return messages([*events, *fault.events]), (fault.status, fault.reason)
    return messages(events), None


def read_responses(
    pieces: Iterable[bytes], method: bytes = b"GET", *, bounds: Bounds | None = None, upgrade: bool = False, closed: bool = False
) -> tuple[list[Message], str | None, ResponseParser]:
    """The messages, the fault that ended them, and the parser as it was left."""
    parser = ResponseParser(bounds or Bounds())
    parser.begin(method, upgrade=upgrade)
    events: list[ResponseEvent] = []
    try:
        for piece in pieces:
            events += parser.feed(piece)
        if closed:
            events += parser.eof()
    except BadResponse as fault:
        return messages([*events, *fault.events]), fault.reason, parser
    return messages(events), None, parser


def outcome(pieces: Iterable[bytes], bounds: Bounds | None = None) -> Expectation:
    """What becomes of one request."""
    found, fault = read_requests(pieces, bounds)
    if fault is not None:
        return Refused(*fault)
    if not found:
        return Pending()
    (head, body, trailers), *more = found
    assert not more
    if trailers is None:
        return Pending()
    assert isinstance(head, RequestHead)
    return Forwarded(request_head(head), body, trailers)


def wire(request: Forwarded) -> bytes:
    """A forwarded request as an upstream gets it."""
    if b"\r\nTransfer-Encoding: chunked\r\n" in request.head:
        return request.head + chunk(request.body) + last_chunk(request.trailers)
    return request.head + request.body
