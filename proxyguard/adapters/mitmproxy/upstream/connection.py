"""One upstream and its connections: bytes between a socket and whichever client connection has it on lease.

Layers know a connection by the mitmproxy `Server` it carries. Knows nothing of which upstream comes next: see pool.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Callable
from math import inf
from typing import Final, Protocol, cast

from proxyguard.adapters.mitmproxy.private import ConnectionState, Server
from proxyguard.adapters.mitmproxy.reading import PiecewiseProtocol, ReadBuffer, cut, high_water
from proxyguard.adapters.mitmproxy.timers import UNPLACED, TimerWheel
from proxyguard.adapters.mitmproxy.upstream.slots import SiteSlots
from proxyguard.core.settings import Bounds, Upstream, UpstreamReuse
from proxyguard.http.http1.response_parser import ResponseParser

FINISH_SECONDS: Final = 10.0
"""How long the last bytes of an upgraded connection may take to be sent to the upstream."""

IDLE_SECONDS: Final = 15.0
"""How long an unused connection is kept: less than common servers keep it, more than the gap between busy requests."""

SURE_SECONDS: Final = 0.2
"""How long an unused connection of an upstream that announces nothing is good for a request that must not be sent twice.

Servers keep theirs for a second or more. Where requests come so seldom that this is passed, a new connection costs nothing."""

LONGEST_MARGIN_SECONDS: Final = 1.0
"""How much earlier than the upstream announced (Keep-Alive: timeout) a connection is given up; at most half of that time."""

CALM_CLOSES: Final = 50
"""Connections to one address that a worker closes with FIN in a second: 3,000 ports of the usual 28,000 wait for their minute."""

IDLE_CONNECTIONS: Final = 256
"""Unused connections kept per upstream and worker."""

CONNECTS_AT_ONCE: Final = 256
"""Connections being opened to one upstream. More wait their turn, within the connect time, rather than overrun its backlog."""


class ConnectionUser(Protocol):
    """Whoever has an upstream connection on lease."""

    def upstream_received(self, server: UpstreamServer, data: bytes) -> None: ...
    def upstream_closed(self, server: UpstreamServer) -> None: ...
    def upstream_pace_changed(self) -> None: ...
    def upstream_stalled(self) -> None: ...


class UpstreamServer(Server):
    """mitmproxy's description of an upstream connection, with a way back to what carries its bytes."""

    connection: UpstreamConnection
    parser: ResponseParser
    """Reads the responses that come on this connection; whoever has it on lease feeds it."""
    has_own_pace: bool
    """Whether whoever has it on lease says when it is read; else it is not while the client takes nothing."""
    exchange: object
    """Whose request it carries, None while it is idle: an HTTP/2 connection finds its stream by it."""


class UpstreamConnection(PiecewiseProtocol):
    """A TCP or TLS connection to an upstream, on lease or idle in the pool. Counts as used from its second lease on.

    `slots` is whose slot it takes up, None while it is idle: the slot is free again once the connection is idle or gone.
    """

    __slots__ = (
        "_readiness", "_unsent", "closed", "deadline", "is_blocked", "leases", "placed_at", "resumed", "server", "slots",
        "sure_until", "target", "user",
    )  # fmt: skip

    _readiness: select.poll

    def __init__(self, target: UpstreamTarget) -> None:
        super().__init__(target.buffer)
        self.target = target
        self.user: ConnectionUser | None = None
        self.slots: SiteSlots | None = None
        self.leases = 0
        self.closed = False
        self.is_blocked = False
        self.resumed = 0.0
        """When it last ceased to be blocked."""
        self._unsent = 0
        self.deadline = inf
        self.placed_at = UNPLACED
        self.sure_until = inf
        upstream = target.upstream
        self.server = UpstreamServer(address=(upstream.host, upstream.port))
        self.server.connection = self
        self.server.parser = ResponseParser(target.bounds)
        self.server.exchange = None
        self.server.has_own_pace = True
        self.server.user = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        self.transport.set_write_buffer_limits(high=high_water(self.target.bounds.buffer_bytes))
        self._readiness = select.poll()
        self._readiness.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self.server.state = ConnectionState.OPEN
        self.target.opened(self)

    @property
    def is_sending(self) -> bool:
        """Whether some of what was written has not gone out."""
        return self.transport.get_write_buffer_size() > 0

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come that was not read yet: neither bytes nor the upstream's end. One system call."""
        return not self._readiness.poll(0)

    def may_be_kept(self, *, is_suspect: bool) -> bool:
        """Whether it may carry another request after one answered whole. `is_suspect`: the upstream may have lost count."""
        reuse = self.target.reuse
        is_wanted = reuse is UpstreamReuse.ALWAYS or (reuse is UpstreamReuse.SAFE and not is_suspect)
        parser = self.server.parser
        left = parser.requests_left
        return is_wanted and parser.idle_seconds != 0 and (left is None or left > self.leases)

    def on_data(self, data: bytes) -> None:
        if self.user is None:
            self.close()  # bytes nobody asked for: the next response could not be trusted
        else:
            self.user.upstream_received(self.server, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if exc is not None:
            self.server.parser.break_off()
        self.server.state = ConnectionState.CLOSED
        self.target.lost(self)
        self.free_slot()
        user, self.user = self.user, None
        if user is not None:
            user.upstream_closed(self.server)

    def pause_writing(self) -> None:
        self.is_blocked = True
        self._unsent = self.transport.get_write_buffer_size()
        self._watch_progress(self.target.now())
        if self.user is not None:
            self.user.upstream_pace_changed()

    def resume_writing(self) -> None:
        self.is_blocked = False
        self.resumed = self.target.now()
        if self.user is not None:
            self.deadline = inf
            self.user.upstream_pace_changed()

    def on_deadline(self, now: float) -> None:
        """An unused connection has been kept long enough, or an upstream has not taken a byte for too long."""
        user = self.user
        if user is None:
            self.closed = True
            self.transport.abort()
        elif self.is_blocked:
            unsent, self._unsent = self._unsent, self.transport.get_write_buffer_size()
            if self._unsent < unsent:
                self._watch_progress(now)
            else:
                user.upstream_stalled()
                self.server.parser.break_off()
                self.transport.abort()

    def _watch_progress(self, now: float) -> None:
        self.deadline = now + self.target.bounds.upstream_first_byte_seconds
        self.target.watch(self)

    def free_slot(self) -> None:
        """Give back the slot that the connection takes up, if any."""
        slots, self.slots = self.slots, None
        if slots is not None:
            slots.give_back()

    def finish(self) -> None:
        """Close once everything that was written is sent."""
        self.user = None
        self.deadline = self.target.now() + FINISH_SECONDS
        self.target.watch(self)
        if not self.closed:
            self.hold_reading(held=False)
            self.closed = True
            self.transport.close()

    def close(self) -> None:
        """Cut the connection; nothing that is still to be sent matters any more.

        By a reset where many end so: whoever closes with FIN keeps the local port for a minute, and it is clients who choose how
        many connections are not kept. Where few do, the upstream need not log a reset.
        """
        self.user = None
        self.deadline = inf
        self.closed = True
        cut(self.transport, is_error=not self.transport.is_closing() and not self.target.may_close_calmly())


class UpstreamTarget:
    """One address of an upstream: its idle connections, the newest last, and its health.

    `is_unreachable`: left out until a probe gets through. `is_ill`: left out until its health checks are good. `is_slow`: others
    are tried first, as it took long to accept a connection. `is_retired`: the upstream's name no longer stands for this address.
    """

    def __init__(
        self,
        upstream: Upstream,
        tls: ssl.SSLContext | None,
        server_name: str | None,
        wheel: TimerWheel,
        bounds: Bounds,
        now: Callable[[], float],
        buffer: ReadBuffer,
        reuse: UpstreamReuse = UpstreamReuse.SAFE,
        address: str = "",
    ) -> None:
        self.upstream = upstream
        self.address = address or upstream.host
        self.reuse = reuse
        self.tls = tls
        self.server_name = server_name
        self.bounds = bounds
        self.now = now
        self.buffer = buffer
        self.is_unreachable = False
        self.is_ill = False
        self.is_slow = False
        self.is_retired = False
        self.open: set[UpstreamConnection] = set()
        self._idle: list[UpstreamConnection] = []
        self._closes = 0
        self._closes_since = -inf
        self._connecting = asyncio.Semaphore(CONNECTS_AT_ONCE)
        self._wheel = wheel

    @property
    def name(self) -> str:
        """The address as an operator would write it: `http://192.0.2.1:80`, or the path of a Unix socket."""
        upstream = self.upstream
        if upstream.path:
            return str(upstream)
        return f"{upstream.scheme}://{f'[{self.address}]' if ':' in self.address else self.address}:{upstream.port}"

    @property
    def is_out(self) -> bool:
        """Whether it is left out while others are well."""
        return self.is_unreachable or self.is_ill

    @property
    def state(self) -> str:
        """In a word for operators."""
        return "unreachable" if self.is_unreachable else "ill" if self.is_ill else "up"

    def take_idle(self, *, is_repeatable: bool) -> UpstreamConnection | None:
        """The connection used last, or None when there is none that the upstream holds open and has sent nothing on.

        For a request that is not repeatable it must be sure to stay open while the request is on its way.
        """
        idle = self._idle
        if not idle:
            return None
        now = self.now()
        looks_away = is_repeatable and self.reuse is UpstreamReuse.ALWAYS
        while idle:
            connection = idle[-1]
            if not is_repeatable and now >= connection.sure_until:
                return None  # and those below were used earlier still
            idle.pop()
            if connection.closed or connection.transport.is_closing():
                continue
            if now < connection.deadline and (looks_away or connection.is_silent):
                connection.deadline = inf
                return connection
            connection.close()
        return None

    def keep_idle(self, connection: UpstreamConnection) -> None:
        if connection.closed or self.is_retired or len(self._idle) >= IDLE_CONNECTIONS:
            connection.close()
            return
        connection.user = None
        connection.leases = max(1, connection.leases)  # its next user is not the first to have it
        connection.free_slot()
        connection.hold_reading(held=False)
        self._idle.append(connection)
        now = self.now()
        announced = connection.server.parser.idle_seconds
        if announced is None:
            connection.deadline = now + IDLE_SECONDS
            connection.sure_until = now + SURE_SECONDS
        else:
            lasting = min(IDLE_SECONDS, max(announced / 2, announced - LONGEST_MARGIN_SECONDS))
            connection.deadline = connection.sure_until = now + lasting
        self.watch(connection)

    def close_oldest(self) -> None:
        """Close the idle connection that was used least recently."""
        if self._idle:
            self._idle.pop(0).close()

    def watch(self, connection: UpstreamConnection) -> None:
        """See that the deadline of an unused connection is kept."""
        if connection.deadline < connection.placed_at:
            self._wheel.watch(connection)

    def may_close_calmly(self) -> bool:
        """Whether one more connection may be closed by us with FIN within this second."""
        now = self.now()
        if now >= self._closes_since + 1.0:
            self._closes_since = now
            self._closes = 0
        self._closes += 1
        return self._closes <= CALM_CLOSES

    def retire(self) -> None:
        """Keep no connection any more; those on lease end with their requests."""
        self.is_retired = True
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def connect(self) -> UpstreamConnection:
        """A new connection, TLS established and verified. Raises OSError (TimeoutError and ssl.SSLError are such)."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.bounds.upstream_connect_seconds), self._connecting:
            upstream = self.upstream
            name = self.server_name if self.tls else None
            made: list[UpstreamConnection] = []

            def make() -> UpstreamConnection:
                made.append(self.make_connection())
                return made[-1]

            try:
                if upstream.path:
                    _, connection = await loop.create_unix_connection(make, upstream.path, ssl=self.tls, server_hostname=name)
                else:
                    _, connection = await loop.create_connection(
                        make, self.address, upstream.port, ssl=self.tls, server_hostname=name
                    )
            except BaseException as error:
                for late in made:
                    self._lost_unseen(late)
                if isinstance(error, ValueError) and not isinstance(error, OSError):
                    raise OSError(f"TLS takes no such name as {name!r}") from error
                raise
        return connection

    def _lost_unseen(self, connection: UpstreamConnection) -> None:
        """Forget a connection that was established in the moment when its attempt was given up: uvloop has closed its socket, and
        tells nobody that it is lost."""
        if connection in self.open:
            connection.closed = True
            self.lost(connection)

    def make_connection(self) -> UpstreamConnection:
        """What is to carry the bytes of a new connection."""
        return UpstreamConnection(self)

    def opened(self, connection: UpstreamConnection) -> None:
        self.open.add(connection)
        connection.deadline = self.now() + IDLE_SECONDS  # should whoever asked for it have gone
        self.watch(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        self.open.discard(connection)
        self._wheel.forget(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    @property
    def idle_count(self) -> int:
        return len(self._idle)
