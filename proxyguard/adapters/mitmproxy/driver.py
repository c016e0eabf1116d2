"""One client connection: bytes of its socket become events for mitmproxy's layers, and their commands are carried out.

Takes the place of mitmproxy's ConnectionHandler, without its tasks: everything happens in the callbacks of asyncio. Owns the
socket, its deadline and its end. Knows nothing of HTTP, and of upstreams only which of them a command is for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from math import inf
from typing import Final, cast

from proxyguard.adapters.mitmproxy.embed import ConnectionContext
from proxyguard.adapters.mitmproxy.leases import Leases
from proxyguard.adapters.mitmproxy.masking_process import MaskResult
from proxyguard.adapters.mitmproxy.messages import (
    Abort,
    Arrived,
    AwaitMask,
    AwaitTicket,
    AwaitTime,
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
    Listener,
    Order,
    Ready,
    Send,
    TurnEnds,
    Writable,
    data_received,
)
from proxyguard.adapters.mitmproxy.next_layer import ProtocolChooser
from proxyguard.adapters.mitmproxy.private import (
    CloseConnection,
    CloseTcpConnection,
    ConnectionClosed,
    ConnectionState,
    HookCompleted,
    Log,
    SendData,
    Start,
    StartHook,
)
from proxyguard.adapters.mitmproxy.proxy_header import ProxyHeaderReader, RefusedPeer
from proxyguard.adapters.mitmproxy.reading import LINGER_BYTES, LINGER_SECONDS, PiecewiseProtocol, cut, high_water, unsent_bytes
from proxyguard.adapters.mitmproxy.runtime import Runtime
from proxyguard.adapters.mitmproxy.services import ClientState
from proxyguard.adapters.mitmproxy.timers import UNPLACED, call_from
from proxyguard.core.address import Address
from proxyguard.core.settings import Listen

logger = logging.getLogger(__name__)

LOCAL_PEER: Final = ("127.0.0.1", 0)
"""Who connects over a Unix socket, which has no addresses: a program on this machine."""


class ClientConnection(PiecewiseProtocol):
    """Drives one client connection; asyncio calls it for the socket, the wheel for its deadline."""

    __slots__ = (
        "_busy", "_closing", "_context", "_entered", "_held_by_layer", "_layer", "_leases", "_link", "_listen", "_looked",
        "_pending", "_proxy_header", "_runtime", "_thrown_away", "_unsent", "deadline", "placed_at",
    )  # fmt: skip

    _entered: Address
    _leases: Leases
    _link: ClientState
    _looked: float

    def __init__(self, runtime: Runtime, listen: Listen) -> None:
        super().__init__(runtime.buffer)
        self._runtime = runtime
        self._listen = listen
        self._context: ConnectionContext | None = None
        self._layer: Listener | None = None
        self._proxy_header: ProxyHeaderReader | None = None
        self._pending: list[Heard] = []
        self._busy = False
        self._closing = False
        self._thrown_away = 0
        self._unsent = 0
        self._held_by_layer = False
        self.deadline = inf
        self.placed_at = UNPLACED

    # -- the client's socket ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        runtime = self._runtime
        transport = self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        listen = self._listen
        name = LOCAL_PEER if listen.path else transport.get_extra_info("peername")
        if not name:  # gone between the handshake and accept
            transport.abort()
            return
        peer = Address.parse(name[0], name[1])
        if runtime.admission.is_refused(peer):
            transport.abort()
            return
        bound = runtime.admission.enter(peer)
        if bound is not None:
            runtime.services.events.bound_exceeded(bound)
            transport.abort()
            return
        self._entered = peer
        services = runtime.services
        services.events.connection_opened()
        runtime.connections.add(self)
        transport.set_write_buffer_limits(high=high_water(services.bounds.buffer_bytes))
        link = self._link = ClientState(peer, services.clock() + services.bounds.head_seconds * runtime.admission.patience)
        link.wake = self._wake
        link.wake_soon = self._wake_soon
        link.upstreams = self._leases = Leases(self, runtime, link)
        link.redirects = listen.redirects
        local = LOCAL_PEER if listen.path else transport.get_extra_info("sockname")
        self._context = runtime.embedding.context(name[:2], local[:2], link)
        self._layer = ProtocolChooser(self._context)
        if services.settings.trust.proxy_protocol and services.resolver.trusted.contains(peer):
            self._proxy_header = ProxyHeaderReader(link, services)
        self.dispatch(Start())

    def on_data(self, data: bytes) -> None:
        if self._closing:
            self._thrown_away += len(data)
            self.hold_reading(held=self._thrown_away > LINGER_BYTES)
            return
        reader = self._proxy_header
        if reader is not None:
            try:
                data = reader.read(data)
            except RefusedPeer:
                self.transport.abort()
                return
            if not reader.is_over:
                return
            self._proxy_header = None
            self._entered = self._link.peer
            if not data:
                return
        context = self._context
        if context is not None:
            self.dispatch(data_received(context.client, data) if self._link.layer is None else Arrived(None, data))

    def eof_received(self) -> bool:
        """The client may still want its answer; the layers say when to close."""
        context = self._context
        if context is None or self._closing:
            return False
        context.client.state = ConnectionState.CAN_WRITE
        self.dispatch(ConnectionClosed(context.client))
        return not self._closing

    def connection_lost(self, _: Exception | None) -> None:
        context = self._context
        if context is None:
            return
        context.client.state = ConnectionState.CLOSED
        self._closing = True
        layer = self._link.layer
        if layer is not None:
            self._layer = cast("Listener", layer)  # sent to it directly: a TLS layer swallows a second close
            self.dispatch(ConnectionClosed(context.client))
        self._let_go()
        self._runtime.on_end(self._entered)

    def pause_writing(self) -> None:
        self._link.stalled = True
        self._unsent = unsent_bytes(self.transport)
        services = self._runtime.services
        self._looked = services.clock()
        self._move_deadline(self._looked + services.bounds.send_gap_seconds * services.admission.patience)
        self._leases.hold_all(held=True)

    def resume_writing(self) -> None:
        self._link.stalled = False
        self._leases.hold_all(held=False)
        self.dispatch(Writable())

    def keep_pace(self) -> None:
        """Read from the client only while its layer and its upstreams take what comes."""
        self.hold_reading(held=self._held_by_layer or self._leases.is_blocked)

    # -- time ------------------------------------------------------------------------------------------------------------

    def on_deadline(self, now: float) -> None:
        self.deadline = inf
        services = self._runtime.services
        if self._link.stalled or self._closing:
            bounds = services.bounds
            lingers = self._closing and self._link.multiplexed
            unsent = unsent_bytes(self.transport)
            taken, self._unsent = self._unsent - unsent, unsent
            if self._closing and not unsent:
                self.transport.abort()
            elif taken > 0 and taken >= bounds.response_rate * (now - self._looked):
                self._looked = now
                self._move_deadline(now + (LINGER_SECONDS if lingers else bounds.send_gap_seconds))
            elif lingers and now < self._looked + bounds.send_gap_seconds:
                self._unsent += taken
                self._move_deadline(now + LINGER_SECONDS)
            else:
                services.events.bound_exceeded("response_rate" if taken > 0 else "send_gap_seconds")
                cut(self.transport)
        elif self._link.handshaking or self._link.layer is None:
            services.events.bound_exceeded("tls_handshake_seconds" if self._link.handshaking else "head_seconds")
            self.transport.abort()
        else:
            self.dispatch(Expired())

    def drain(self) -> None:
        """Finish what runs and begin nothing; an idle connection closes."""
        if self._link.layer is None:
            self.transport.abort()
        else:
            self.dispatch(Drain())

    def abort(self) -> None:
        """Cut the connection now; what the kernel has of a whole answer is still sent."""
        cut(self.transport, is_error=not self._closing or self.transport.get_write_buffer_size() > 0)

    @property
    def is_released(self) -> bool:
        """Whether everything that this connection held has been let go."""
        return self._layer is None

    # -- events down, commands up ----------------------------------------------------------------------------------------

    def dispatch(self, event: Heard) -> None:
        """Hand an event to the layers and carry out their commands, then the events that came meanwhile."""
        layer = self._layer
        if layer is None:
            return
        pending = self._pending
        if self._busy:
            pending.append(event)
            return
        self._busy = True
        try:
            self._obey(layer.handle_event(event))
            while pending:
                self._obey(layer.handle_event(pending.pop(0)))
        except Exception as error:  # noqa: BLE001 - the one place where a fault of ours ends a connection
            self._runtime.services.events.internal_error("driver", error)
            cut(self.transport)
        self._busy = False
        if type(layer) is ProtocolChooser and layer.layer is not None and self._layer is layer:
            self._layer = cast("Listener", layer.layer)
        link = self._link
        if not self._closing and not link.stalled:
            self._move_deadline(link.due)

    def _obey(self, orders: Iterable[Order]) -> None:
        if isinstance(orders, list):  # of the layers that speak HTTP; compiled, a loop over a list takes a third
            for order in orders:
                self._carry_out(order)
        else:
            for order in orders:
                self._carry_out(order)

    def _carry_out(self, command: Order) -> None:
        if isinstance(command, Send):  # the commonest by far
            self._send(command)
            return
        match command:
            case SendData():  # of mitmproxy, while TLS is agreed on
                self._send(Send(None, command.data))
            case Lease():
                self._leases.connect(command)
            case EndLease():
                self._leases.end(command)
            case HoldReading():
                self._held_by_layer = command.held
                self.keep_pace()
            case HoldUpstream():
                self._leases.hold(command.server, held=command.held)
            case CloseTcpConnection() if command.half_close:
                self._half_close()
            case CloseConnection():
                self._close()
            case Abort():
                self._closing = True
                cut(self.transport, is_error=command.is_error)
            case Detain():
                self._detain(command)
            case AwaitTicket():
                self._runtime.checks.add(self, command)
            case AwaitMask():
                self._await_mask(command)
            case AwaitTime():
                answer = partial(self._answer_ready, command.exchange, None)
                call_from(self._runtime.loop, self._runtime.services.clock, command.due, answer)
            case GiveUp():
                self._leases.give_up(command.exchange)
            case StartHook():
                self._hook(command)
            case Log():
                logger.debug("%s", command.message)
            case _:
                raise NotImplementedError(f"no layer of ours sends {type(command).__name__}")

    def _send(self, command: Send) -> None:
        server = command.server
        if server is not None:
            connection = server.connection
            if not connection.closed:
                connection.transport.write(command.data)
        elif not self._closing:
            self.transport.write(command.data)

    def _await_mask(self, command: AwaitMask) -> None:
        done = partial(self._answer_ready, command.exchange)
        if not self._runtime.masking.mask(command.job, command.network, done):
            self._pending.append(Ready(command.exchange, ("mask-busy", "", b"")))

    def _answer_ready(self, exchange: ExchangeHandle, result: MaskResult | None) -> None:
        self.dispatch(Ready(exchange, result))

    def _half_close(self) -> None:
        if not self.transport.is_closing():
            try:
                self.transport.write_eof()
            except OSError:  # reset meanwhile
                self.transport.abort()

    def _hook(self, hook: StartHook) -> None:
        self._runtime.embedding.run_hook(hook)
        if getattr(hook, "blocking", False):  # a bool, or the layer that waits
            self._pending.append(HookCompleted(hook))

    # -- ends ------------------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        """Close once everything is sent, but wait no longer than for any other byte that a client does not take."""
        context = self._context
        if self._closing or context is None:
            return
        self._closing = True
        context.client.state = ConnectionState.CLOSED
        lingers = self._link.multiplexed  # its client goes on sending, if only WINDOW_UPDATEs; an HTTP/1 layer lingers by itself
        is_sending = lingers or self.transport.get_write_buffer_size()
        self._unsent = unsent_bytes(self.transport) if is_sending else 0
        services = self._runtime.services
        self._looked = services.clock()
        if lingers:
            self._move_deadline(self._looked + LINGER_SECONDS)
            self.hold_reading(held=False)
            self._half_close()
        else:
            self._move_deadline(self._looked + services.bounds.send_gap_seconds)
            self.transport.close()

    def _detain(self, command: Detain) -> None:
        """Everything but the transport is let go; the tarpit counts the connection out when it ends."""
        leave = partial(self._runtime.on_end, self._entered)
        encryptor = self._link.encryptor
        self._closing = True
        self._let_go()
        self._runtime.services.dripper.hold(
            self.transport, command.head, command.tarpit, command.network, encryptor=encryptor, on_gone=leave
        )

    def _let_go(self) -> None:
        """Drop what this connection holds. Its counts are left to the caller."""
        runtime = self._runtime
        self.deadline = inf
        runtime.wheel.forget(self)
        runtime.connections.discard(self)
        self._leases.close()
        self._pending.clear()
        if self._context is not None:
            self._context.layers.clear()
        self._context = None
        self._layer = None
        # Layers and leases know the link: freed here, and not only when the collector comes by.
        link = self._link
        link.wake = link.wake_soon = link.layer = link.upstreams = None

    def _wake(self) -> None:
        self.dispatch(Expired())

    def _wake_soon(self) -> None:
        self._runtime.loop.call_soon(self.dispatch, TurnEnds())

    def _move_deadline(self, deadline: float) -> None:
        self.deadline = deadline
        if deadline < self.placed_at:
            self._runtime.wheel.watch(self)
