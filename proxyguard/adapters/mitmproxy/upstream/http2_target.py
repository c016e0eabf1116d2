"""One address of an upstream that is spoken to in HTTP/2: few connections, many requests on each."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from proxyguard.adapters.mitmproxy.reading import ReadBuffer
from proxyguard.adapters.mitmproxy.timers import TimerWheel
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamConnection, UpstreamTarget
from proxyguard.adapters.mitmproxy.upstream.multiplexed import NO_ALPN, MultiplexedConnection, not_http2
from proxyguard.adapters.mitmproxy.upstream.stream import UpstreamStream
from proxyguard.core.settings import Bounds, Upstream, UpstreamReuse


class Http2Target(UpstreamTarget):
    """Gives out streams in place of connections. One connection is opened at a time, for all who wait for one.

    `keep` looks after a task until it ends.
    """

    def __init__(
        self,
        keep: Callable[[asyncio.Task[Any]], None],
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
        super().__init__(upstream, tls, server_name, wheel, bounds, now, buffer, reuse, address)
        self._keep = keep
        self._carriers: list[MultiplexedConnection] = []
        self._dialling: asyncio.Task[OSError | None] | None = None

    def keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have something done that ends with the pool."""
        task = asyncio.get_running_loop().create_task(work)
        self._keep(task)
        return task

    def take_idle(self, *, is_repeatable: bool) -> UpstreamConnection | None:  # noqa: ARG002 - what is refused is sent again
        """A stream on a connection that has room, None without one."""
        carrier = self._with_room()
        return None if carrier is None else UpstreamStream(self, self, carrier)

    async def connect(self) -> UpstreamConnection:
        """A stream on a connection that has room, or on a new one. Raises OSError."""
        return UpstreamStream(self, self, await self.carrier())

    async def carrier(self) -> MultiplexedConnection:
        """A connection with room for a request, which is to be attached at once. Raises OSError."""
        async with asyncio.timeout(self.bounds.upstream_connect_seconds):
            while True:
                carrier = self._with_room()
                if carrier is not None:
                    return carrier
                dialling = self._dialling
                if dialling is None:
                    dialling = self._dialling = asyncio.get_running_loop().create_task(self._dial())
                    self._keep(dialling)
                error = await asyncio.shield(dialling)
                if error is not None:
                    raise error

    def keep_idle(self, connection: UpstreamConnection) -> None:
        """A stream is not used again; its connection is."""
        connection.close()

    def close_oldest(self) -> None:
        """Close the first connection without streams."""
        idle = next((carrier for carrier in self._carriers if not carrier.streams), None)
        if idle is not None:
            idle.leave()

    def retire(self) -> None:
        self.is_retired = True
        for carrier in tuple(self._carriers):
            carrier.client.is_leaving = True
            if not carrier.streams:
                carrier.leave()

    def lost(self, connection: UpstreamConnection) -> None:
        super().lost(connection)
        self._carriers = [carrier for carrier in self._carriers if carrier is not connection]

    @property
    def idle_count(self) -> int:
        return sum([not carrier.streams for carrier in self._carriers])

    def make_connection(self) -> UpstreamConnection:
        return MultiplexedConnection(self)

    def _with_room(self) -> MultiplexedConnection | None:
        return next((carrier for carrier in self._carriers if carrier.has_room), None)

    async def _dial(self) -> OSError | None:
        """Open a connection; returns what went wrong, for all who wait. Nobody gets it before it is known to take requests."""
        carrier: UpstreamConnection | None = None
        try:
            carrier = await super().connect()
            assert isinstance(carrier, MultiplexedConnection)  # noqa: S101 - see make_connection
            async with asyncio.timeout(self.bounds.upstream_connect_seconds):
                await carrier.ready
        except ssl.SSLError as refused:
            return not_http2(NO_ALPN) if "NO_APPLICATION_PROTOCOL" in (refused.reason or "") else refused
        except OSError as error:
            if carrier is not None:
                carrier.close()
            return error
        finally:
            self._dialling = None
        if carrier.has_room:
            self._carriers.append(carrier)
            return None
        carrier.close()
        return not_http2("the upstream takes no requests on a new connection")
