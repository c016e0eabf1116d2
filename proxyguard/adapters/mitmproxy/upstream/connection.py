"""One connection to an upstream: bytes between its socket and whichever client connection has it on lease.

The mitmproxy `Server` it carries is what layers know it by.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Final, Protocol, cast

from proxyguard.adapters.mitmproxy.private import ConnectionState, Server
from proxyguard.adapters.mitmproxy.reading import PiecewiseProtocol, high_water
from proxyguard.adapters.mitmproxy.timers import UNPLACED
from proxyguard.http.http1.response_parser import ResponseParser

if TYPE_CHECKING:
    from proxyguard.adapters.mitmproxy.upstream.pool import UpstreamTarget


FINISH_SECONDS: Final = 10.0
"""How long the last bytes of an upgraded connection may take to be sent to the upstream."""


class ConnectionUser(Protocol):
    """What has an upstream connection on lease."""

    def upstream_received(self, server: UpstreamServer, data: bytes) -> None: ...
    def upstream_closed(self, server: UpstreamServer) -> None: ...
    def upstream_pace_changed(self) -> None: ...
    def upstream_stalled(self) -> None: ...


class UpstreamServer(Server):
    """mitmproxy's description of an upstream connection, with a way back to what carries its bytes."""

    carrier: UpstreamConnection
    parser: ResponseParser
    """Reads the responses that come on this connection; whoever has it on lease feeds it."""


class UpstreamConnection(PiecewiseProtocol):
    """A TCP or TLS connection to an upstream, on lease or idle in the pool. Counts as used from its second lease on."""

    __slots__ = ("_unsent", "closed", "deadline", "is_blocked", "leases", "placed_at", "server", "target", "tenant")

    def __init__(self, target: UpstreamTarget) -> None:
        super().__init__(target.buffer)
        self.target = target
        self.tenant: ConnectionUser | None = None
        self.leases = 0
        self.closed = False
        self.is_blocked = False
        self._unsent = 0
        self.deadline = inf
        self.placed_at = UNPLACED
        upstream = target.upstream
        self.server = UpstreamServer(address=(upstream.host, upstream.port))
        self.server.carrier = self
        self.server.parser = ResponseParser(target.bounds)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        self.transport.set_write_buffer_limits(high=high_water(self.target.bounds.buffer_bytes))
        self.server.state = ConnectionState.OPEN
        self.target.opened(self)

    def on_data(self, data: bytes) -> None:
        if self.tenant is None:
            self.close()  # bytes nobody asked for: the next response could not be trusted
        else:
            self.tenant.upstream_received(self.server, data)

    def connection_lost(self, _: Exception | None) -> None:
        self.closed = True
        self.server.state = ConnectionState.CLOSED
        self.target.lost(self)
        tenant, self.tenant = self.tenant, None
        if tenant is not None:
            tenant.upstream_closed(self.server)

    def pause_writing(self) -> None:
        self.is_blocked = True
        self._unsent = self.transport.get_write_buffer_size()
        self._watch_progress(self.target.now())
        if self.tenant is not None:
            self.tenant.upstream_pace_changed()

    def resume_writing(self) -> None:
        self.is_blocked = False
        if self.tenant is not None:
            self.deadline = inf
            self.tenant.upstream_pace_changed()

    def on_deadline(self, now: float) -> None:
        """An unused connection has been kept long enough, or an upstream has not taken a byte for too long."""
        tenant = self.tenant
        if tenant is None:
            self.closed = True
            self.transport.abort()
        elif self.is_blocked:
            unsent, self._unsent = self._unsent, self.transport.get_write_buffer_size()
            if self._unsent < unsent:
                self._watch_progress(now)
            else:
                tenant.upstream_stalled()
                self.transport.abort()

    def _watch_progress(self, now: float) -> None:
        self.deadline = now + self.target.bounds.upstream_first_byte_seconds
        self.target.watch(self)

    def finish(self) -> None:
        """Close once everything that was written is sent."""
        self.tenant = None
        self.deadline = self.target.now() + FINISH_SECONDS
        self.target.watch(self)
        if not self.closed:
            self.hold_reading(held=False)
            self.closed = True
            self.transport.close()

    def close(self) -> None:
        """Cut the connection; nothing that is still to be sent matters any more."""
        self.tenant = None
        self.deadline = inf
        self.closed = True
        self.transport.abort()
