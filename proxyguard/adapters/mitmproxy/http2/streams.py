"""All streams of one HTTP/2 connection: how they begin, what their client's frames do to them, which of them an event concerns.

Stands between `http2.intake`, which says what frames mean, and the exchanges of the streams. `touched` are those that the event
at hand concerned. Knows nothing of the order of events, or of the end of the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyguard.adapters.mitmproxy.bad_requests import count_fault, error_answer
from proxyguard.adapters.mitmproxy.exchange import Exchange
from proxyguard.adapters.mitmproxy.http2.stream import Http2Stream
from proxyguard.adapters.mitmproxy.messages import GiveUp, Lease
from proxyguard.adapters.mitmproxy.private import Command, Connection
from proxyguard.adapters.mitmproxy.services import ClientState, FrontServices
from proxyguard.core.request import Request
from proxyguard.http.http1.faults import Malformed
from proxyguard.http.http1.heads import RequestHead
from proxyguard.http.http2 import frames
from proxyguard.http.http2.errors import REQUEST_FAULTS, ErrorCode, Http2Fault, StreamFault
from proxyguard.http.http2.hpack import Field
from proxyguard.http.http2.intake import Intake
from proxyguard.http.http2.receiving import stream_window
from proxyguard.http.http2.request_fields import RequestReader, read_trailers
from proxyguard.http.http2.sending import Sender

if TYPE_CHECKING:
    from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamServer

PROXY_ALLOWANCE: Final = 20
"""How many times `http2_resets` a trusted proxy may reset: many people share its connection."""


class Http2Streams:
    """See the module. `now` is the time of the event at hand, `is_busy` says that there is one. Implements `intake.Streams`.

    `last_ended` is when there was no stream left for the last time.
    """

    __slots__ = (
        "_by_exchange",
        "_by_server",
        "_request_reader",
        "_stream_window",
        "bounds",
        "commands",
        "intake",
        "is_busy",
        "last_ended",
        "link",
        "now",
        "open",
        "requests",
        "sender",
        "services",
        "tarpits",
        "touched",
    )  # fmt: skip

    def __init__(self, services: FrontServices, link: ClientState, now: float) -> None:
        self.services = services
        self.link = link
        self.bounds = bounds = services.bounds
        self.now = now
        self.is_busy = False
        self.commands: list[Command] = []
        self.sender = Sender()
        allowance = PROXY_ALLOWANCE if services.resolver.trusts(link.peer) else 1
        self.intake = Intake(self, self.sender, bounds, now, resets=bounds.http2_resets * allowance)
        self.open: dict[int, Http2Stream] = {}
        self.touched: dict[Http2Stream, None] = {}
        self.requests = 0
        self.tarpits = 0
        self.last_ended = 0.0
        self._by_exchange: dict[Exchange, Http2Stream] = {}
        self._by_server: dict[int, Http2Stream] = {}
        self._request_reader = RequestReader(bounds)
        self._stream_window = stream_window(bounds.buffer_bytes)

    def __contains__(self, number: object) -> bool:
        return number in self.open

    # -- which stream ----------------------------------------------------------------------------------------------------

    def of_exchange(self, exchange: Exchange) -> Http2Stream | None:
        """The stream whose request an exchange is, if it is still there."""
        stream = self._by_exchange.get(exchange)
        if stream is not None:
            self.touched[stream] = None
        return stream

    def of_server(self, server: Connection) -> Http2Stream | None:
        """The stream that has an upstream connection on lease."""
        stream = self._by_server.get(id(server))
        if stream is not None:
            self.touched[stream] = None
        return stream

    def attach(self, stream: Http2Stream, server: UpstreamServer) -> None:
        """A stream has a connection on lease from now on."""
        stream.server = server
        self._by_server[id(server)] = stream

    def detach(self, stream: Http2Stream) -> None:
        """What comes on the connection that the stream had on lease concerns it no more."""
        if stream.server is not None:
            self._by_server.pop(id(stream.server), None)
            stream.server = None
        stream.held = False

    def part(self, stream: Http2Stream) -> None:
        """A stream's exchange is over."""
        if stream.exchange is not None:
            self._by_exchange.pop(stream.exchange, None)
        self.detach(stream)

    # -- what the client's frames do (see intake.Streams) ----------------------------------------------------------------

    def begin(self, number: int, fields: list[Field], *, whole: bool) -> None:
        if len(self.open) >= self.bounds.http2_streams:
            raise StreamFault(ErrorCode.REFUSED_STREAM)
        self.requests += 1
        out = self.sender.open(number)
        stream = self.open[number] = Http2Stream(self, number, out, window=self._stream_window, receiving=not whole)
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

    def take_initial_window(self, size: int) -> None:
        self.sender.set_initial_window(size, [stream.out for stream in self.open.values()])
        self.touch_all()

    def take_reset(self, number: int) -> None:
        stream = self.open[number]
        self.sender.drop(stream.out)
        self.remove(stream)

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
        route = services.routes.find(head.host)
        if route is None:
            services.events.bad_request("host-unknown")
            self._answer_alone(stream, 421)
            return
        link = self.link
        client = services.resolver.resolve(link.peer, head.headers)
        scheme = services.resolver.scheme(link.peer, head.headers, link.scheme)
        request = Request(client, head.method, scheme, head.host, head.target, head.headers, b"2")
        exchange = stream.exchange = Exchange(services, link, stream, head, route, self.now, whole=not stream.receiving)
        self._by_exchange[exchange] = stream
        exchange.begin(request, self.now)

    def _refuse(self, stream: Http2Stream, reason: str) -> None:
        """Something is wrong with a request's form: an answer that says so, if none has begun."""
        count_fault(self.services.events, reason)
        status = REQUEST_FAULTS[reason]
        if stream.exchange is not None:
            stream.exchange.fail(status, "client-malformed", self.now)
            stream.pass_on()
        elif not stream.out.ended:
            self._answer_alone(stream, status)
        self.intake.resets.spend(self.now)

    def _answer_alone(self, stream: Http2Stream, status: int) -> None:
        """Answer a request that no exchange is made for."""
        stream.send_answer(error_answer(self.services, status, stream.head))

    def _broken(self, stream: Http2Stream, error: Exception) -> None:
        self.services.events.internal_error("http2", error)
        if stream.exchange is not None:
            stream.exchange.fail(500, "internal", self.now)
        elif not stream.out.ended:
            self._answer_alone(stream, 500)

    # -- ends ------------------------------------------------------------------------------------------------------------

    def reset(self, stream: Http2Stream, code: ErrorCode) -> None:
        """End a stream here and now."""
        if stream.number in self.open:
            self.intake.remember_reset(stream.number)
            self.sender.reset(stream.out, code)
            self.remove(stream)

    def drop(self, stream: Http2Stream) -> None:
        """End a stream without an answer. Who has that done over and over is cut."""
        self.reset(stream, ErrorCode.CANCEL)
        self.intake.resets.spend(self.now)

    def remove(self, stream: Http2Stream) -> None:
        """A stream has ended."""
        self.open.pop(stream.number, None)
        stream.on_removed()
        commands = self.commands
        if commands and commands[-1].__class__ is GiveUp:
            _cancel_lease(commands)
        if not self.open:
            self.last_ended = self.now

    def touch_all(self) -> None:
        """Something concerns every stream."""
        self.touched.update(dict.fromkeys(self.open.values()))

    def wake(self) -> None:
        """Something was written outside of an event."""
        if not self.is_busy and self.link.wake is not None:
            self.link.wake()


def _cancel_lease(commands: list[Command]) -> None:
    """A request that was taken back in the turn it came in needs no connection: strike out the wish for one and its GiveUp."""
    given_up = commands[-1]
    assert isinstance(given_up, GiveUp)  # noqa: S101 - the caller looks
    for place in range(len(commands) - 2, -1, -1):
        command = commands[place]
        if isinstance(command, Lease) and command.exchange is given_up.exchange:
            del commands[place], commands[-1]
            return
