"""One upstream and its connections: bytes between a socket and whichever client connection has it on lease.

Layers know a connection by the mitmproxy `Server` it carries. Knows nothing of which upstream comes next: see pool.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from math import inf
from typing import Final, Protocol, cast

from proxyguard.adapters.mitmproxy.private import ConnectionState, Server
from proxyguard.adapters.mitmproxy.reading import PiecewiseProtocol, ReadBuffer, high_water
from proxyguard.adapters.mitmproxy.timers import UNPLACED, TimerWheel
from proxyguard.core.settings import Bounds, Upstream
from proxyguard.http.http1.response_parser import ResponseParser

FINISH_SECONDS: Final = 10.0
"""How long the last bytes of an upgraded connection may take to be sent to the upstream."""

IDLE_SECONDS: Final = 15.0
"""How long an unused connection is kept: less than common servers keep it, more than the gap between busy requests."""

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
    """A TCP or TLS connection to an upstream, on lease or idle in the pool. Counts as used from its second lease on."""

    __slots__ = ("_unsent", "closed", "deadline", "is_blocked", "leases", "placed_at", "resumed", "server", "target", "user")

    def __init__(self, target: UpstreamTarget) -> None:
        super().__init__(target.buffer)
        self.target = target
        self.user: ConnectionUser | None = None
        self.leases = 0
        self.closed = False
        self.is_blocked = False
        self.resumed = 0.0
        """When it last ceased to be blocked."""
        self._unsent = 0
        self.deadline = inf
        self.placed_at = UNPLACED
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
        self.server.state = ConnectionState.OPEN
        self.target.opened(self)

    def on_data(self, data: bytes) -> None:
        if self.user is None:
            self.close()  # bytes nobody asked for: the next response could not be trusted
        else:
            self.user.upstream_received(self.server, data)

    def connection_lost(self, _: Exception | None) -> None:
        self.closed = True
        self.server.state = ConnectionState.CLOSED
        self.target.lost(self)
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
                self.transport.abort()

    def _watch_progress(self, now: float) -> None:
        self.deadline = now + self.target.bounds.upstream_first_byte_seconds
        self.target.watch(self)

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
        """Cut the connection; nothing that is still to be sent matters any more."""
        self.user = None
        self.deadline = inf
        self.closed = True
        self.transport.abort()


class UpstreamTarget:
    """One upstream: its idle connections, the newest last, and its health."""

    def __init__(
        self,
        upstream: Upstream,
        tls: ssl.SSLContext | None,
        server_name: str | None,
        wheel: TimerWheel,
        bounds: Bounds,
        now: Callable[[], float],
        buffer: ReadBuffer,
    ) -> None:
        self.upstream = upstream
        self.tls = tls
        self.server_name = server_name
        self.bounds = bounds
        self.now = now
        self.buffer = buffer
        self.is_out = False
        self.open: set[UpstreamConnection] = set()
        self._idle: list[UpstreamConnection] = []
        self._connecting = asyncio.Semaphore(CONNECTS_AT_ONCE)
        self._wheel = wheel

    def take_idle(self) -> UpstreamConnection | None:
        """The connection used last, or None when there is none."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if not connection.closed and not connection.transport.is_closing():
                connection.deadline = inf
                return connection
        return None

    def keep_idle(self, connection: UpstreamConnection) -> None:
        if connection.closed or len(self._idle) >= IDLE_CONNECTIONS:
            connection.close()
            return
        connection.user = None
        connection.hold_reading(held=False)
        self._idle.append(connection)
        connection.deadline = self.now() + IDLE_SECONDS
        self.watch(connection)

    def watch(self, connection: UpstreamConnection) -> None:
        """See that the deadline of an unused connection is kept."""
        if connection.deadline < connection.placed_at:
            self._wheel.watch(connection)

    async def connect(self) -> UpstreamConnection:
        """A new connection, TLS established and verified. Raises OSError (TimeoutError and ssl.SSLError are such)."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.bounds.upstream_connect_seconds), self._connecting:
            _, connection = await loop.create_connection(
                lambda: UpstreamConnection(self),
                self.upstream.host,
                self.upstream.port,
                ssl=self.tls,
                server_hostname=self.server_name if self.tls else None,
            )
        return connection

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
