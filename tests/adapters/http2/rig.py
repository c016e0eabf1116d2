"""Drives an HTTP/2 lane event by event: the surroundings of `lane_rig`, and the h2 library as the client."""

from __future__ import annotations

from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.events import Event as H2Event

from proxyguard.adapters.mitmproxy.http2.layer import Http2Layer
from proxyguard.adapters.mitmproxy.http2.tarpit import HeldStream
from proxyguard.adapters.mitmproxy.messages import Arrived, Expired, Heard, HoldUpstream, Order, TurnEnds, UpstreamPace
from proxyguard.adapters.mitmproxy.private import ConnectionClosed, Context, Start
from proxyguard.adapters.mitmproxy.tarpit import Encryptor
from proxyguard.core.decision import Tarpit
from proxyguard.core.request import Request
from proxyguard.core.settings import Bounds, Trust
from proxyguard.http.forwarded import ClientAddressResolver
from proxyguard.http.http2.errors import ErrorCode
from proxyguard.http.http2.frames import ACK, MAX_WINDOW, PING, PREFACE, frame, goaway, settings
from proxyguard.http.http2.intake import GOAWAY_PING
from tests.adapters.fakes import HeaderChecker
from tests.adapters.http1.rig import OPTIONS, FakeDripper, FakeUpstream, LaneRig

Fields = list[tuple[bytes, bytes]]

GET: Fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/x")]
HELLO = PREFACE + settings(())
"""What a client says first at the very least."""

WARNING = goaway(MAX_WINDOW, ErrorCode.NO_ERROR)
"""The first step of a goodbye."""

HEARD = frame(PING, ACK, 0, GOAWAY_PING)
"""A client's answer to it."""


def post(*more: tuple[bytes, bytes]) -> Fields:
    return [(b":method", b"POST"), *GET[1:], *more]


def wish(what: bytes) -> Fields:
    return [*GET, (b"x-do", what)]


class Answered:
    """What came back on one stream."""

    def __init__(self) -> None:
        self.interim: list[dict[bytes, bytes]] = []
        self.fields: Fields = []
        self.body = b""
        self.trailers: Fields = []
        self.ended = False
        self.reset: int | None = None

    @property
    def status(self) -> int:
        return int(dict(self.fields).get(b":status", b"0"))


class Http2Client:
    """The h2 library on the other side, which raises when the lane breaks the protocol.

    It knows no goodbye in two steps and takes the first GOAWAY for the last, so that one is kept from it and noted in `warned`.
    """

    def __init__(self, *, opens_windows: bool = True) -> None:
        config = H2Configuration(client_side=True, header_encoding=False, validate_outbound_headers=False,
                                 normalize_outbound_headers=False)  # fmt: skip
        self.connection = H2Connection(config)
        self.answers: dict[int, Answered] = {}
        self.goaway: int | None = None
        self.last_taken: int | None = None
        self.warned = False
        self._unread = b""
        self._opens_windows = opens_windows
        self._next = 1
        self.connection.initiate_connection()

    def request(self, fields: Fields, *, end: bool = True) -> int:
        number = self._next
        self._next += 2
        self.answers[number] = Answered()
        self.connection.send_headers(number, fields, end_stream=end)
        return number

    def receive(self, data: bytes) -> None:
        data = self._unread + data
        start = 0
        while len(data) - start >= 9:
            stop = start + 9 + int.from_bytes(data[start : start + 3])
            if stop > len(data):
                break
            if data[start:stop] == WARNING:
                self.warned = True
            else:
                for event in self.connection.receive_data(data[start:stop]):
                    self._note(event)
            start = stop
        self._unread = data[start:]

    def _note(self, event: H2Event) -> None:
        if isinstance(event, ConnectionTerminated):
            self.goaway = int(event.error_code or 0)
            self.last_taken = event.last_stream_id
            return
        answer = self.answers.get(getattr(event, "stream_id", 0) or 0)
        if answer is None:
            return
        match event:
            case InformationalResponseReceived():
                answer.interim.append(dict(event.headers))
            case ResponseReceived():
                answer.fields = list(event.headers)
            case DataReceived():
                answer.body += event.data
                if self._opens_windows and event.flow_controlled_length:
                    self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case TrailersReceived():
                answer.trailers = list(event.headers)
            case StreamEnded():
                answer.ended = True
            case StreamReset():
                answer.reset = int(event.error_code)
            case _:
                pass


class HoldingDripper(FakeDripper):
    """Keeps the streams that it was given to hold."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[HeldStream] = []
        self.openings: list[bytes] = []
        self.gone_count = 0

    def hold(
        self, transport: Any, head: bytes, tarpit: Tarpit, network: str, *, encryptor: Encryptor | None = None, on_gone: Any
    ) -> None:
        self.openings.append(head)
        self.held.append(transport)
        transport.set_protocol(_Gone(self))


class _Gone:
    def __init__(self, dripper: HoldingDripper) -> None:
        self._dripper = dripper

    def connection_lost(self, _: Exception | None) -> None:
        self._dripper.gone_count += 1


class Http2Rig(LaneRig):
    """A lane for HTTP/2 with a client; `upstreams` are in the order they were leased in."""

    def __init__(
        self,
        bounds: Bounds | None = None,
        *,
        opens_windows: bool = True,
        gathers: bool = False,
        trust: Trust | None = None,
        draining: bool = False,
        **surroundings: Any,
    ) -> None:
        """`gathers`: turns of the loop end with `end_turn`; else each ends with the event that it began with."""
        self.turn_awaited = False
        self._gathers = gathers
        self._depth = 0
        super().__init__(bounds, **surroundings)
        self.dripper = self.services.dripper = self.holding = HoldingDripper()
        self.link.wake = lambda: self.dispatch(Expired())
        if trust is not None:
            self.services.resolver = ClientAddressResolver(trust)
        self.link.wake_soon = self._await_turn
        self.services.draining = draining
        self.http2 = Http2Layer(Context(self.client, OPTIONS), self.services, self.link)
        self.layer = self.http2  # type: ignore[assignment]  # takes the same events
        self.h2 = Http2Client(opens_windows=opens_windows)
        self.dispatch(Start())

    @property
    def requests(self) -> list[Request]:
        """What was checked."""
        assert isinstance(self.checker, HeaderChecker)
        return self.checker.requests

    @property
    def served(self) -> list[tuple[int, str]]:
        """Status and fault of every exchange that ended."""
        assert isinstance(self.checker, HeaderChecker)
        return self.checker.served

    def talk(self) -> None:
        """Let both sides say what they have to say until both are silent."""
        while True:
            said, self.sent = self.sent, b""
            if said:
                self.h2.receive(said)
            wanted = self.h2.connection.data_to_send()
            if wanted and not self.end:
                self.feed(wanted)
            elif not self.sent:
                return

    def ask(self, fields: Fields | None = None, body: bytes | None = None) -> Answered:
        """A request from head to end; its answer so far."""
        number = self.h2.request(fields or GET, end=body is None)
        if body is not None:
            self.h2.connection.send_data(number, body, end_stream=True)
        self.talk()
        return self.h2.answers[number]

    def reply(self, data: bytes, upstream: FakeUpstream | None = None) -> None:
        """An upstream sends bytes; the newest one unless told."""
        self.dispatch(Arrived((upstream or self.upstream).server, data))
        self.talk()

    def respond_on(self, upstream: FakeUpstream, data: bytes) -> None:
        """An upstream sends bytes; nobody reads the answer yet."""
        self.dispatch(Arrived(upstream.server, data))

    def lose(self, upstream: FakeUpstream) -> None:
        """An upstream closes its connection."""
        upstream.leased = False
        upstream.cut = True
        self.dispatch(ConnectionClosed(upstream.server))

    def dispatch(self, event: Heard) -> None:
        self._depth += 1
        super().dispatch(event)
        self._depth -= 1
        if not self._gathers and not self._depth:
            self.end_turns()

    def _await_turn(self) -> None:
        assert not self.turn_awaited
        self.turn_awaited = True

    def end_turn(self) -> None:
        """The loop has handed on everything that came, and tells a lane that asked for it."""
        if self.turn_awaited:
            self.turn_awaited = False
            self.dispatch(TurnEnds())

    def end_turns(self) -> None:
        """Let turns of the loop go by until nobody waits for the next."""
        while self.turn_awaited:
            self.end_turn()

    def tell_time(self) -> None:
        """The driver looks at the deadline."""
        self.dispatch(Expired())

    def pace(self, upstream: FakeUpstream, *, blocked: bool, talks: bool = True) -> None:
        """An upstream does not take what is sent to it, or does again."""
        upstream.server.connection.is_blocked = blocked
        self.dispatch(UpstreamPace())
        if talks:
            self.talk()

    def raw(self, *parts: bytes) -> None:
        """Bytes that no decent client would send."""
        self.feed(b"".join(parts))

    def _carry_out(self, command: Order) -> None:
        if isinstance(command, HoldUpstream):
            assert self.holds.get(id(command.server), False) is not command.held or self.link.stalled is False
            self.holds[id(command.server)] = command.held
        else:
            super()._carry_out(command)


def ping(payload: bytes = b"12345678") -> bytes:
    return frame(0x6, 0, 0, payload)
