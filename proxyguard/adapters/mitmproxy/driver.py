"""One client connection: bytes of its socket become events for mitmproxy's layers, and their commands are carried out.

Takes the place of mitmproxy's ConnectionHandler, without its tasks: everything happens in the callbacks of asyncio. Owns the
socket, the upstream connections on lease and the back-pressure between them. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from functools import partial
from math import inf
from typing import TYPE_CHECKING, NamedTuple, cast

from proxyguard.adapters.mitmproxy.admission import Admission
from proxyguard.adapters.mitmproxy.choice import Choice
from proxyguard.adapters.mitmproxy.common import Common, Link
from proxyguard.adapters.mitmproxy.embed import Embedding, LinkContext
from proxyguard.adapters.mitmproxy.private import (
    CloseConnection,
    CloseTcpConnection,
    Command,
    ConnectionClosed,
    ConnectionState,
    DataReceived,
    Event,
    HookCompleted,
    Layer,
    Log,
    SendData,
    Start,
    StartHook,
)
from proxyguard.adapters.mitmproxy.reading import PiecewiseProtocol, ReadBuffer, high_water
from proxyguard.adapters.mitmproxy.signals import (
    Abort,
    AwaitTicket,
    Decided,
    Detain,
    Drain,
    EndLease,
    Expired,
    GiveUp,
    HoldReading,
    HoldUpstream,
    Lease,
    Leased,
    TurnEnds,
    UpstreamPace,
    Writable,
)
from proxyguard.adapters.mitmproxy.timers import UNPLACED, TimerWheel
from proxyguard.adapters.mitmproxy.upstream import UpstreamConnection, UpstreamServer
from proxyguard.adapters.mitmproxy.upstream_pool import UpstreamPool
from proxyguard.client_address import Address
from proxyguard.ports import Ticket
from proxyguard.proxy_protocol import BadProxyHeader, ProxyHeaderParser

if TYPE_CHECKING:
    from proxyguard.adapters.mitmproxy.exchange import Exchange

logger = logging.getLogger(__name__)


class Runtime(NamedTuple):
    """What drives all connections of a worker."""

    loop: asyncio.AbstractEventLoop
    common: Common
    embedding: Embedding
    pool: UpstreamPool
    wheel: TimerWheel
    admission: Admission
    connections: set[ClientConnection]
    buffer: ReadBuffer
    checks: set[asyncio.Task[None]]
    """Checks that a remote store has yet to answer; each outlives its connection, since what it counted must be settled."""


class ClientConnection(PiecewiseProtocol):
    """See the module."""

    __slots__ = (
        "_busy", "_closing", "_context", "_entered", "_held_by_lane", "_layer", "_link", "_pending", "_preamble",
        "_runtime", "_stalled", "_unsent", "_upstreams", "_waits", "deadline", "placed_at",
    )  # fmt: skip

    _entered: Address
    _link: Link

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime.buffer)
        self._runtime = runtime
        self._context: LinkContext | None = None
        self._layer: Layer | None = None
        self._preamble: ProxyHeaderParser | None = None
        self._pending: list[Event] = []
        self._upstreams: list[UpstreamConnection] = []
        self._waits: dict[Exchange, asyncio.Task[None]] | None = None
        self._busy = False
        self._closing = False
        self._stalled = False
        self._unsent = 0
        self._held_by_lane = False
        self.deadline = inf
        self.placed_at = UNPLACED

    # -- the client's socket ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        runtime = self._runtime
        transport = self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        name = transport.get_extra_info("peername")
        if not name:  # gone between the handshake and accept
            transport.abort()
            return
        peer = Address.parse(name[0], name[1])
        if runtime.admission.is_refused(peer):
            transport.abort()
            return
        bound = runtime.admission.enter(peer)
        if bound is not None:
            runtime.common.events.bound_exceeded(bound)
            transport.abort()
            return
        self._entered = peer
        common = runtime.common
        common.events.connection_opened()
        runtime.connections.add(self)
        transport.set_write_buffer_limits(high=high_water(common.bounds.buffer_bytes))
        self._link = Link(peer, common.clock() + common.bounds.head_seconds * runtime.admission.patience)
        self._link.wake = self._wake
        self._link.wake_soon = self._wake_soon
        local = transport.get_extra_info("sockname")
        self._context = runtime.embedding.context(name[:2], local[:2], self._link)
        self._layer = Choice(self._context)
        if common.settings.trust.proxy_protocol and common.resolver.trusts(peer):
            self._preamble = ProxyHeaderParser()
        self._dispatch(Start())

    def took(self, data: bytes) -> None:
        if self._preamble is not None:
            data = self._read_preamble(data)
            if not data:
                return
        context = self._context
        if context is not None:
            self._dispatch(DataReceived(context.client, data))

    def eof_received(self) -> bool:
        """The client may still want its answer; the layers say when to close."""
        context = self._context
        if context is None or self._closing:
            return False
        context.client.state = ConnectionState.CAN_WRITE
        self._dispatch(ConnectionClosed(context.client))
        return not self._closing

    def connection_lost(self, _: Exception | None) -> None:
        context = self._context
        if context is None:
            return
        context.client.state = ConnectionState.CLOSED
        lane = self._link.lane
        self._closing = True
        try:
            if lane is not None:  # told directly: a TLS layer swallows a second close
                self._run(lane, ConnectionClosed(context.client))
        except Exception as error:  # noqa: BLE001 - the connection is gone whatever happens here
            self._runtime.common.events.internal_error("driver", error)
        self._let_go()
        self._runtime.admission.leave(self._entered)
        self._runtime.common.events.connection_closed()

    def pause_writing(self) -> None:
        self._stalled = self._link.stalled = True
        self._unsent = self.transport.get_write_buffer_size()
        common = self._runtime.common
        self._move_deadline(common.clock() + common.bounds.send_gap_seconds * common.admission.patience)
        for carrier in self._upstreams:
            carrier.hold_reading(held=True)

    def resume_writing(self) -> None:
        self._stalled = self._link.stalled = False
        for carrier in self._upstreams:
            carrier.hold_reading(held=False)
        self._dispatch(Writable())

    # -- upstreams on lease ----------------------------------------------------------------------------------------------

    def upstream_received(self, server: UpstreamServer, data: bytes) -> None:
        self._dispatch(DataReceived(server, data))

    def upstream_closed(self, server: UpstreamServer) -> None:
        self._end_lease(server.carrier)
        self._dispatch(ConnectionClosed(server))

    def upstream_pace_changed(self) -> None:
        if self._link.multiplexed:
            self._dispatch(UpstreamPace())
        else:
            self._apply_reading()

    def upstream_stalled(self) -> None:
        self._runtime.common.events.bound_exceeded("upstream_first_byte_seconds")

    # -- time ------------------------------------------------------------------------------------------------------------

    def on_deadline(self, now: float) -> None:
        self.deadline = inf
        common = self._runtime.common
        if self._stalled or self._closing:
            unsent = self.transport.get_write_buffer_size()
            if unsent < self._unsent:
                self._unsent = unsent
                self._move_deadline(now + common.bounds.send_gap_seconds)
            else:
                common.events.bound_exceeded("send_gap_seconds")
                self.transport.abort()
        elif self._link.handshaking:
            common.events.bound_exceeded("tls_handshake_seconds")
            self.transport.abort()
        elif self._link.lane is None:
            common.events.bound_exceeded("head_seconds")
            self.transport.abort()
        else:
            self._dispatch(Expired())

    def drain(self) -> None:
        """Finish what runs and begin nothing; an idle connection closes."""
        if self._link.lane is None:
            self.transport.abort()
        else:
            self._dispatch(Drain())

    def abort(self) -> None:
        """Cut the connection now."""
        self.transport.abort()

    # -- events down, commands up ----------------------------------------------------------------------------------------

    def _dispatch(self, event: Event) -> None:
        """Hand an event to the layers and carry out what they say, then what comes of that."""
        layer = self._layer
        if layer is None:
            return
        if self._busy:
            self._pending.append(event)
            return
        self._busy = True
        try:
            self._run(layer, event)
        except Exception as error:  # noqa: BLE001 - the one place where a fault of ours ends a connection
            self._runtime.common.events.internal_error("driver", error)
            self.transport.abort()
        self._busy = False
        if not self._closing and not self._stalled:
            due = self.deadline = self._link.due
            if due < self.placed_at:
                self._runtime.wheel.watch(self)

    def _run(self, layer: Layer, event: Event) -> None:
        for command in layer.handle_event(event):
            self._carry_out(command)
        pending = self._pending
        while pending:
            for command in layer.handle_event(pending.pop(0)):
                self._carry_out(command)
        if layer.__class__ is Choice and layer.layer is not None and self._layer is layer:
            self._layer = layer.layer

    def _carry_out(self, command: Command) -> None:
        kind = command.__class__
        if kind is SendData:
            self._send(command)  # type: ignore[arg-type]  # checked by class, as it is the commonest by far
            return
        match command:
            case Lease():
                self._lease(command)
            case EndLease():
                carrier = command.server.carrier
                self._end_lease(carrier)
                if command.flush:
                    carrier.finish()
                else:
                    self._runtime.pool.release(carrier, reusable=command.reusable)
            case HoldReading():
                self._held_by_lane = command.held
                self._apply_reading()
            case HoldUpstream():
                command.server.carrier.hold_reading(held=command.held or self._stalled)
            case CloseTcpConnection() if command.half_close:
                self._half_close()
            case CloseConnection():
                self._close()
            case Abort():
                self._closing = True
                self.transport.abort()
            case Detain():
                self._detain(command)
            case AwaitTicket():
                task = self._runtime.loop.create_task(self._ticket(command.exchange, command.awaiting))
                self._runtime.checks.add(task)
                task.add_done_callback(self._checked)
            case GiveUp():
                waiting = self._waits.pop(command.exchange, None) if self._waits else None
                if waiting is not None:
                    waiting.cancel()
            case StartHook():
                self._hook(command)
            case Log():
                logger.debug("%s", command.message)
            case _:
                raise NotImplementedError(f"no layer of ours sends {type(command).__name__}")

    def _half_close(self) -> None:
        if not self.transport.is_closing():
            try:
                self.transport.write_eof()
            except OSError:  # reset since we last heard of it
                self.transport.abort()

    def _send(self, command: SendData) -> None:
        connection = command.connection
        if connection.__class__ is UpstreamServer:
            carrier = connection.carrier
            if not carrier.closed:
                carrier.transport.write(command.data)
        elif not self._closing:
            self.transport.write(command.data)

    def _lease(self, command: Lease) -> None:
        exchange = command.exchange
        pool = self._runtime.pool
        carrier = pool.lease(command.group, self, fresh=command.fresh)
        if carrier is not None:
            self._leased(exchange, carrier, "")
        else:
            if self._waits is None:
                self._waits = {}
            done = partial(self._connected, exchange)
            self._waits[exchange] = pool.connect(command.group, self, done, fresh=command.fresh)

    def _connected(self, exchange: Exchange, carrier: UpstreamConnection | None, fault: str) -> None:
        if self._waits is not None:
            self._waits.pop(exchange, None)
        if self._layer is None:
            if carrier is not None:
                self._runtime.pool.release(carrier, reusable=True)
            return
        self._leased(exchange, carrier, fault)

    def _leased(self, exchange: Exchange, carrier: UpstreamConnection | None, fault: str) -> None:
        if carrier is None:
            self._dispatch(Leased(exchange, None, reused=False, fault=fault))
            return
        self._upstreams.append(carrier)
        if self._stalled:
            carrier.hold_reading(held=True)
        self._dispatch(Leased(exchange, carrier.server, reused=carrier.leases > 1))

    def _end_lease(self, carrier: UpstreamConnection) -> None:
        if carrier in self._upstreams:
            self._upstreams.remove(carrier)
            carrier.tenant = None
            if carrier.is_blocked:
                self._apply_reading()

    def _apply_reading(self) -> None:
        blocked = not self._link.multiplexed and any(carrier.is_blocked for carrier in self._upstreams)
        held = self._held_by_lane or blocked
        self.hold_reading(held=held)

    # -- waiting ---------------------------------------------------------------------------------------------------------

    async def _ticket(self, exchange: Exchange, awaiting: Awaitable[Ticket]) -> None:
        ticket = await awaiting
        if self._layer is None:
            exchange.decided(ticket, self._runtime.common.clock())  # the client has gone: only settles
        else:
            self._dispatch(Decided(exchange, ticket))

    def _checked(self, task: asyncio.Task[None]) -> None:
        self._runtime.checks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._runtime.common.events.internal_error("check", error)
            self.transport.abort()

    def _hook(self, hook: StartHook) -> None:
        rest = self._runtime.embedding.run_hook(hook)
        if rest is None:
            if getattr(hook, "blocking", False):  # a bool, or the layer that waits
                self._pending.append(HookCompleted(hook))
            return
        task = self._runtime.loop.create_task(rest)
        task.add_done_callback(lambda _: self._dispatch(HookCompleted(hook)))

    # -- the PROXY header ------------------------------------------------------------------------------------------------

    def _read_preamble(self, data: bytes) -> bytes:
        """Read on in the PROXY header; gives what follows it."""
        preamble = self._preamble
        assert preamble is not None  # noqa: S101 - the caller looks
        events = self._runtime.common.events
        try:
            header = preamble.feed(data)
        except BadProxyHeader as fault:
            events.bad_request(f"proxy-{fault.reason}")
            self.transport.abort()
            return b""
        if header is None:
            return b""
        self._preamble = None
        if header.source is not None:
            self._link.peer = header.source
            if self._runtime.admission.is_refused(header.source):
                self.transport.abort()
                return b""
        return preamble.rest()

    # -- ends ------------------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        """Close once everything is sent, but wait no longer than for any other byte that a client does not take."""
        context = self._context
        if self._closing or context is None:
            return
        self._closing = True
        context.client.state = ConnectionState.CLOSED
        self._unsent = self.transport.get_write_buffer_size()
        common = self._runtime.common
        self._move_deadline(common.clock() + common.bounds.send_gap_seconds)
        self.transport.close()

    def _detain(self, command: Detain) -> None:
        """Everything but the transport is let go; the dripper counts the connection out when it ends."""
        runtime = self._runtime
        transport = self.transport
        leave = partial(_left, runtime, self._entered)
        seal = self._link.seal
        self._closing = True
        runtime.common.dripper.hold(transport, command.head, command.tarpit, command.network, seal=seal, on_gone=leave)
        self._let_go()

    def _let_go(self) -> None:
        """Drop what this connection holds. Its counts are left to the caller."""
        runtime = self._runtime
        self.deadline = inf
        runtime.wheel.forget(self)
        runtime.connections.discard(self)
        for task in tuple(self._waits.values()) if self._waits else ():
            task.cancel()
        self._waits = None
        for carrier in self._upstreams:
            carrier.close()
        self._upstreams.clear()
        self._pending.clear()
        if self._context is not None:
            self._context.layers.clear()
        self._context = None
        self._layer = None
        # The lane knows its link: freed here, and not only when the collector comes by.
        self._link.wake = self._link.wake_soon = self._link.lane = None

    def _wake(self) -> None:
        self._dispatch(Expired())

    def _wake_soon(self) -> None:
        self._runtime.loop.call_soon(self._dispatch, TurnEnds())

    def _move_deadline(self, deadline: float) -> None:
        self.deadline = deadline
        if deadline < self.placed_at:
            self._runtime.wheel.watch(self)


def _left(runtime: Runtime, peer: Address) -> None:
    runtime.admission.leave(peer)
    runtime.common.events.connection_closed()
