"""Drives an HTTP/1 lane event by event, without sockets, loop or time: a driver of some fifty lines."""

from __future__ import annotations

import asyncio
from math import inf

from proxyguard.adapters.mitmproxy.admission import Admission
from proxyguard.adapters.mitmproxy.capacity import capacity_of
from proxyguard.adapters.mitmproxy.http1.layer import Http1Layer
from proxyguard.adapters.mitmproxy.messages import (
    Abort,
    Arrived,
    AwaitTicket,
    Decided,
    Detain,
    Drain,
    EndLease,
    ExchangeHandle,
    Expired,
    GiveUp,
    Heard,
    HoldReading,
    HoldUpstream,
    Lease,
    Leased,
    Order,
    Send,
    TurnEnds,
    Writable,
)
from proxyguard.adapters.mitmproxy.private import (
    Client,
    CloseConnection,
    CloseTcpConnection,
    ConnectionClosed,
    ConnectionState,
    Context,
    Options,
    Start,
)
from proxyguard.adapters.mitmproxy.reading import ReadBuffer
from proxyguard.adapters.mitmproxy.services import ClientState, FrontServices, Route
from proxyguard.adapters.mitmproxy.tarpit import Dripper
from proxyguard.adapters.mitmproxy.timers import TimerWheel
from proxyguard.adapters.mitmproxy.under_way import UnderWay
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamConnection, UpstreamServer, UpstreamTarget
from proxyguard.adapters.mitmproxy.upstream.group import UpstreamGroup
from proxyguard.core.address import Address
from proxyguard.core.settings import Bounds, BufferBudget, Buffering, Settings, Site, Upstream
from proxyguard.guard.interfaces import Checker
from proxyguard.http.forwarded import ClientAddressResolver
from proxyguard.http.trusted_networks import TrustedNetworks
from proxyguard.policy.sites import HostTable
from tests.adapters.fakes import HeaderChecker, NotedEvents

OPTIONS = Options()
STREAMED = Buffering(request_bytes=0, response_bytes=0)
"""Bodies pass as they come."""

SITE = Site(hosts=("a.example", "*.b.example", "localhost"), upstreams=(Upstream("http", "127.0.0.1", 9000),))


class IdleTransport(asyncio.Transport):
    """A transport that has sent everything."""

    def get_write_buffer_size(self) -> int:
        return 0


class FakeUpstream:
    """One upstream connection: what it got, and whether the lane still has it on lease."""

    def __init__(self, bounds: Bounds) -> None:
        wheel = TimerWheel(None, 0.25, lambda: 0.0, lambda *_: None)  # type: ignore[arg-type]  # never turns
        target = UpstreamTarget(SITE.upstreams[0], None, None, wheel, bounds, lambda: 0.0, ReadBuffer())
        connection = UpstreamConnection(target)
        connection.transport = IdleTransport()
        self.server = connection.server
        self.got = b""
        self.leased = False
        self.cut = False

    @property
    def leases(self) -> int:
        return self.server.connection.leases


class FakeDripper(Dripper):
    """Has room as told."""

    def __init__(self) -> None:
        self.room = True

    def has_room(self, network: str) -> bool:
        return self.room


class LaneRig:
    """A layer with its surroundings. What it sends is kept without the Date of now.

    `connects` False leaves no connection idle and lets Lease commands wait in `leases`.
    """

    def __init__(
        self,
        bounds: Bounds | None = None,
        *,
        checker: Checker | None = None,
        connects: bool = True,
        misdirected: bool = False,
        files: int = 100_000,
        buffering: Buffering | None = None,
        budget: BufferBudget | None = None,
    ) -> None:
        self.bounds = bounds or Bounds()
        self.now = 1000.0
        self.checker = checker or HeaderChecker()
        self.events = NotedEvents()
        self.dripper = FakeDripper()
        self.connects = connects
        settings = Settings(
            sites=(SITE,), bounds=self.bounds, buffering=buffering or STREAMED, buffer_budget=budget or BufferBudget()
        )
        route = Route(SITE, UpstreamGroup(()), b"127.0.0.1:9000")
        self.services = FrontServices(
            settings,
            self.checker,
            self.events,
            lambda: self.now,
            HostTable((host, route) for host in SITE.hosts),
            self.dripper,
            ClientAddressResolver(settings.trust),
            Admission(self.bounds, settings.counting.prefixes, TrustedNetworks(), lambda _: False),
            UnderWay(capacity_of(self.bounds, files, 2), settings.counting.prefixes, TrustedNetworks(), several_sites=True),
        )
        client = Client(peername=("192.0.2.7", 4711), sockname=("127.0.0.1", 80), state=ConnectionState.OPEN)
        self.link = ClientState(Address.parse("192.0.2.7", 4711), inf)
        self.link.upstreams = self
        self.client = client
        self.layer = Http1Layer(Context(client, OPTIONS), self.services, self.link, misdirected=misdirected)
        self.sent = b""
        self.upstreams: list[FakeUpstream] = []
        self.idle: list[FakeUpstream] = []
        self.leases: list[Lease] = []
        self.tickets: list[AwaitTicket] = []
        self.detained: bytes | None = None
        self.end = ""
        """`close`, `abort` or `detain` once the lane has ended the connection."""
        self.half_closed = False
        self.reading_held = False
        self.turns = 0
        self.link.wake_soon = self.wake_soon
        self.holds: dict[int, bool] = {}
        self.dispatch(Start())

    # -- what happens to the lane ----------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """The client sends bytes."""
        self.dispatch(Arrived(None, data))

    def half_close(self) -> None:
        """The client says that it will send no more."""
        self.client.state = ConnectionState.CAN_WRITE
        self.dispatch(ConnectionClosed(self.client))

    def vanish(self) -> None:
        """The client's connection is lost."""
        self.client.state = ConnectionState.CLOSED
        self.dispatch(ConnectionClosed(self.client))

    def respond(self, data: bytes) -> None:
        """The newest upstream connection sends bytes."""
        self.dispatch(Arrived(self.upstreams[-1].server, data))

    def upstream_closes(self) -> None:
        """The newest upstream connection is closed by its other end."""
        upstream = self.upstreams[-1]
        upstream.leased = False
        upstream.cut = True
        if upstream in self.idle:
            self.idle.remove(upstream)
        self.dispatch(ConnectionClosed(upstream.server))

    def pass_time(self, seconds: float) -> None:
        """Let time pass; tells the lane when its deadline is over."""
        self.now += seconds
        if self.link.due <= self.now:
            self.dispatch(Expired())

    def wake_soon(self) -> None:
        """The lane asks for another turn of the loop."""
        self.turns += 1

    def end_turns(self) -> None:
        """Let turns of the loop go by until nobody waits for the next."""
        while self.turns:
            self.turns -= 1
            self.dispatch(TurnEnds())

    def stall(self) -> None:
        """The client's socket takes nothing more."""
        self.link.stalled = True

    def unstall(self) -> None:
        self.link.stalled = False
        self.dispatch(Writable())

    def is_held(self, upstream: FakeUpstream) -> bool:
        """Whether an upstream is not read."""
        return self.holds.get(id(upstream.server), False)

    def drain(self) -> None:
        self.dispatch(Drain())

    def connect(self) -> None:
        """The oldest waiting Lease gets a new connection."""
        self._lease(self.leases.pop(0))

    def refuse_to_connect(self, fault: str = "upstream-connect") -> None:
        """The oldest waiting Lease gets none."""
        self.dispatch(Leased(self.leases.pop(0).exchange, None, fault=fault))

    @property
    def upstream(self) -> FakeUpstream:
        return self.upstreams[-1]

    # -- what the lane wants ---------------------------------------------------------------------------------------------

    def dispatch(self, event: Heard) -> None:
        for command in self.layer.handle_event(event):
            self._carry_out(command)

    def _carry_out(self, command: Order) -> None:
        match command:
            case Send():
                if command.server is None:
                    assert not self.end, "bytes after the end"
                    assert not self.half_closed, "bytes after half-closing"
                    self.sent += command.data.replace(b"Date: %b\r\n" % self.services.date(), b"")
                else:
                    found = [upstream for upstream in self.upstreams if upstream.server is command.server]
                    assert found[0].leased, "bytes to an upstream that is not on lease"
                    found[0].got += command.data
            case Lease():
                if self.connects:
                    self._lease(command)
                else:
                    self.leases.append(command)
            case EndLease():
                found = [upstream for upstream in self.upstreams if upstream.server is command.server]
                found[0].leased = False
                if command.reusable:
                    self.idle.append(found[0])
                else:
                    found[0].cut = True
            case GiveUp():
                self.leases = [lease for lease in self.leases if lease.exchange is not command.exchange]
            case HoldReading():
                self.reading_held = command.held
            case HoldUpstream():
                self.holds[id(command.server)] = command.held
            case CloseTcpConnection() if command.half_close:
                self.half_closed = True
            case CloseConnection():
                self._finish("close")
            case Abort():
                self._finish("abort")
            case Detain():
                self.detained = command.head
                self._finish("detain")
            case AwaitTicket():
                self.tickets.append(command)
            case _:
                raise AssertionError(f"a lane does not send {command!r}")

    def take(self, _: UpstreamGroup, /, *, is_repeatable: bool) -> UpstreamServer | None:
        """Lease an idle upstream connection to the layer."""
        return self._hand_out(self.idle.pop()) if self.idle and self.connects else None

    def _lease(self, command: Lease) -> None:
        upstream = self.idle.pop() if self.idle and not command.fresh else FakeUpstream(self.bounds)
        if upstream not in self.upstreams:
            self.upstreams.append(upstream)
        self.dispatch(Leased(command.exchange, self._hand_out(upstream)))

    def _hand_out(self, upstream: FakeUpstream) -> UpstreamServer:
        upstream.server.connection.leases += 1
        upstream.leased = True
        return upstream.server

    def _finish(self, how: str) -> None:
        assert not self.end, f"{how} after {self.end}"
        self.end = how

    def decide(self, exchange: ExchangeHandle, ticket: object) -> None:
        """A check that was waited for is answered."""
        self.dispatch(Decided(exchange, ticket))  # type: ignore[arg-type]  # tests pass what they like
