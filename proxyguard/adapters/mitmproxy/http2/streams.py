"""All streams of one HTTP/2 connection: how they begin, what their client's frames do to them, which of them an event concerns.

Stands between `http2.intake`, which interprets frames, and the exchanges of the streams. Knows nothing of the order of events, or
of the end of the connection.
"""

from __future__ import annotations

from math import inf
from typing import cast

from proxyguard.adapters.mitmproxy.bad_requests import HOST_UNKNOWN, count_fault, error_answer
from proxyguard.adapters.mitmproxy.http2.connection import Http2Connection
from proxyguard.adapters.mitmproxy.http2.stream import Http2Stream
from proxyguard.adapters.mitmproxy.messages import ExchangeHandle
from proxyguard.adapters.mitmproxy.private import Connection
from proxyguard.adapters.mitmproxy.routing import open_exchange
from proxyguard.adapters.mitmproxy.services import ClientState, FrontServices
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamServer
from proxyguard.core.request import Request
from proxyguard.http.http1.faults import Malformed
from proxyguard.http.http1.heads import RequestHead
from proxyguard.http.http2 import frames
from proxyguard.http.http2.errors import REQUEST_FAULTS, ErrorCode, Http2Fault, StreamFault
from proxyguard.http.http2.hpack import Field
from proxyguard.http.http2.receiving import stream_window
from proxyguard.http.http2.request_fields import RequestReader, read_trailers


class Http2Streams:
    """The open streams, `touched` those that the event at hand concerned. Implements `intake.Streams` and `stream.StreamSet`.

    Of those in `backlog` some of the response is held back. `last_ended` is when there was no stream left for the last time.
    """

    __slots__ = (
        "_before", "_by_exchange", "_request_reader", "_shown", "_stream_window", "backlog", "bounds", "connection", "intake",
        "last_ended", "link", "open", "requests", "sender", "services", "touched",
    )  # fmt: skip

    def __init__(self, services: FrontServices, link: ClientState) -> None:
        self.services = services
        self.link = link
        self.bounds = bounds = services.bounds
        self.connection = connection = Http2Connection(services, link, self)
        self.sender = connection.sender
        self.intake = connection.intake
        self.open: dict[int, Http2Stream] = {}
        self.touched: dict[Http2Stream, None] = {}
        self.backlog: dict[Http2Stream, None] = {}
        self.requests = 0
        self.last_ended = 0.0
        self._by_exchange: dict[object, Http2Stream] = {}
        self._before: Request | None = None
        self._shown = 0
        self._request_reader = RequestReader(bounds)
        self._stream_window = stream_window(bounds.buffer_bytes)

    def __contains__(self, number: object) -> bool:
        return number in self.open

    # -- which stream ----------------------------------------------------------------------------------------------------

    def of_exchange(self, exchange: ExchangeHandle) -> Http2Stream | None:
        """The stream whose request an exchange is, if it is still there."""
        stream = self._by_exchange.get(exchange)
        if stream is not None:
            self.touched[stream] = None
        return stream

    def of_server(self, server: Connection) -> Http2Stream | None:
        """The stream that has an upstream connection on lease."""
        stream = self._by_exchange.get(cast("UpstreamServer", server).exchange)
        if stream is not None:
            self.touched[stream] = None
        return stream

    def part(self, stream: Http2Stream) -> None:
        """A stream's exchange is over."""
        if stream.exchange is not None:
            self._by_exchange.pop(stream.exchange, None)

    # -- what the client's frames do (see intake.Streams) ----------------------------------------------------------------

    def begin(self, number: int, fields: list[Field], *, whole: bool) -> None:
        if len(self.open) >= self.bounds.http2_streams:
            raise StreamFault(ErrorCode.REFUSED_STREAM)
        self.requests += 1
        stream = self.open[number] = Http2Stream(self.connection, self, number, window=self._stream_window, receiving=not whole)
        self.touched[stream] = None
        try:
            head = self._request_reader.read(fields, whole=whole)
        except Malformed as fault:
            stream.method = next((value for name, value in fields if name == b":method"), b"")
            self._refuse(stream, fault.reason)
        else:
            try:
                self._ask(stream, head)
            except Http2Fault:
                raise
            except Exception as error:  # noqa: BLE001 - a fault of ours in one request leaves the others alone
                self._broken(stream, error)
        if self.requests >= self.bounds.requests_per_connection:
            self.intake.part()

    def take_data(self, number: int, payload: bytes, size: int, *, end: bool) -> None:
        stream = self.open[number]
        self.touched[stream] = None
        try:
            fault = stream.data(payload, size, end=end)
        except StreamFault:
            self.intake.acknowledge(size)
            raise
        if fault:
            self._refuse(stream, fault)

    def take_trailers(self, number: int, fields: list[Field], *, whole: bool) -> None:
        stream = self.open[number]
        if not stream.receiving:
            raise StreamFault(ErrorCode.STREAM_CLOSED)
        if not whole:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR)
        if stream.drained_until < inf:
            self.remove(stream)
            return
        self.touched[stream] = None
        try:
            trailers = read_trailers(fields, self.bounds)
        except Malformed as fault:
            self._refuse(stream, fault.reason)
            return
        if stream.lacks_body:
            self._refuse(stream, "content-length")
            return
        stream.end(trailers)
        stream.pass_on()

    def take_window(self, number: int, increment: int) -> None:
        stream = self.open[number]
        self.touched[stream] = None
        self.sender.open_stream_window(stream.out, increment)

    def touch_held(self) -> None:
        self.touched.update(dict.fromkeys(stream for stream in self.open.values() if stream.held))

    def take_initial_window(self, size: int) -> None:
        self.sender.set_initial_window(size, [stream.out for stream in self.open.values()])
        self.touch_all()

    def take_reset(self, number: int) -> bool:
        stream = self.open[number]
        is_answered = stream.drained_until < inf
        self.sender.drop(stream.out)
        self.remove(stream)
        return not is_answered

    def fail(self, number: int, code: ErrorCode) -> None:
        stream = self.open.get(number)
        if stream is not None:
            self.reset(stream, code)
        else:
            self.sender.parts.append(frames.rst_stream(number, code))

    # -- requests --------------------------------------------------------------------------------------------------------

    def _ask(self, stream: Http2Stream, head: RequestHead) -> None:
        services = self.services
        stream.head = head
        stream.method = head.method
        if stream.receiving:
            stream.expect(head.content_length)
        connection = self.connection
        now, whole = connection.now, not stream.receiving
        before = self._last_alike()
        exchange = open_exchange(services, self.link, connection.outbox, stream, head, b"2", before, now, whole=whole)
        if exchange is None:
            self._answer_alone(stream, 421, HOST_UNKNOWN)
            return
        stream.exchange = exchange
        self._by_exchange[exchange] = stream
        self._before = exchange.request
        exchange.begin(now)

    def _last_alike(self) -> Request | None:
        """The last request, unless its connection has shown more of itself since: then its facts are not those of the next."""
        facts = self.link.facts
        if facts is not None:
            shown = facts.path_forms << 1 | facts.is_wasteful  # nothing else changes with the first request or later
            if shown != self._shown:
                self._shown = shown
                self._before = None
        return self._before

    def _refuse(self, stream: Http2Stream, reason: str) -> None:
        """Something is wrong with a request's form: an answer that says so, if none has begun."""
        count_fault(self.services.events, reason)
        status = REQUEST_FAULTS[reason]
        if stream.exchange is not None:
            stream.exchange.fail(status, reason, self.connection.now)
            stream.pass_on()
        elif stream.is_detained:
            self.reset(stream, ErrorCode.PROTOCOL_ERROR)
        elif not stream.out.ended:
            self._answer_alone(stream, status, reason)
        self.connection.blame()

    def _answer_alone(self, stream: Http2Stream, status: int, fault: str) -> None:
        """Answer a request that no exchange is made for."""
        head, method = stream.head, stream.method
        stream.send_answer(error_answer(self.services, self.link, status, fault, head, method=method, version=b"2"))

    def _broken(self, stream: Http2Stream, error: Exception) -> None:
        self.services.events.internal_error("http2", error)
        if stream.exchange is not None:
            stream.exchange.fail(500, "internal", self.connection.now)
        elif not stream.out.ended:
            self._answer_alone(stream, 500, "internal")

    def refill(self) -> bool:
        """Hand on what is held back of responses, as far as their client takes it. Returns whether it takes more of one."""
        now = self.connection.now
        more = False
        for stream in tuple(self.backlog):
            exchange = stream.exchange
            if exchange is None or not exchange.has_backlog:
                del self.backlog[stream]
            elif not stream.is_behind:
                exchange.pump(now)
                self.touched[stream] = None
                more = True
        return more

    # -- ends ------------------------------------------------------------------------------------------------------------

    def reset(self, stream: Http2Stream, code: ErrorCode) -> None:
        """End a stream here and now."""
        if stream.number in self.open:
            self.intake.remember_reset(stream.number)
            self.sender.reset(stream.out, code)
            self.remove(stream)

    def drop(self, stream: Http2Stream) -> None:
        """End a stream without an answer. A client that brings that about over and over is cut."""
        self.reset(stream, ErrorCode.CANCEL)
        self.connection.blame()

    def remove(self, stream: Http2Stream) -> None:
        """A stream has ended."""
        self.open.pop(stream.number, None)
        if self.backlog:
            self.backlog.pop(stream, None)
        stream.on_removed()
        if not self.open:
            self.last_ended = self.connection.now

    def touch_all(self) -> None:
        """Something concerns every stream."""
        self.touched.update(dict.fromkeys(self.open.values()))
