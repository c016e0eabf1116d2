"""The upstream connections that one client connection uses or waits for, and the pace between both sides.

Neither side is read faster than the other takes what comes of it: a client that stalls holds up its upstreams, and a blocked
upstream holds up its client, unless the client's lane has a pace of its own for each. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from proxyguard.adapters.mitmproxy.messages import EndLease, Lease, Leased, UpstreamPace
from proxyguard.adapters.mitmproxy.private import ConnectionClosed, DataReceived
from proxyguard.adapters.mitmproxy.services import ClientState
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamConnection, UpstreamServer

if TYPE_CHECKING:
    from proxyguard.adapters.mitmproxy.driver import ClientConnection
    from proxyguard.adapters.mitmproxy.exchange import Exchange
    from proxyguard.adapters.mitmproxy.runtime import Runtime


class Leases:
    """See the module. One per client connection, and the tenant of each upstream connection that it has."""

    __slots__ = ("_carriers", "_client", "_link", "_runtime", "_waits")

    def __init__(self, client: ClientConnection, runtime: Runtime, link: ClientState) -> None:
        self._client: ClientConnection | None = client
        self._runtime = runtime
        self._link = link
        self._carriers: list[UpstreamConnection] = []
        self._waits: dict[Exchange, asyncio.Task[None]] | None = None

    # -- what the lane asks for ------------------------------------------------------------------------------------------

    def begin(self, command: Lease) -> None:
        """Get a connection. The client is told with Leased, now or later."""
        exchange = command.exchange
        pool = self._runtime.pool
        carrier = pool.lease(command.group, self, fresh=command.fresh)
        if carrier is not None:
            self._add(exchange, carrier)
        else:
            if self._waits is None:
                self._waits = {}
            done = partial(self._connected, exchange)
            self._waits[exchange] = pool.connect(command.group, self, done, fresh=command.fresh)

    def give_up(self, exchange: Exchange) -> None:
        """Stop waiting for a connection."""
        waiting = self._waits.pop(exchange, None) if self._waits else None
        if waiting is not None:
            waiting.cancel()

    def end(self, command: EndLease) -> None:
        """Give a connection back."""
        carrier = command.server.carrier
        self._forget(carrier)
        if command.flush:
            carrier.finish()
        else:
            self._runtime.pool.release(carrier, reusable=command.reusable)

    def _connected(self, exchange: Exchange, carrier: UpstreamConnection | None, fault: str) -> None:
        if self._waits is not None:
            self._waits.pop(exchange, None)
        client = self._client
        if carrier is not None:
            if client is None:
                self._runtime.pool.release(carrier, reusable=True)
            else:
                self._add(exchange, carrier)
        elif client is not None:
            client.dispatch(Leased(exchange, None, reused=False, fault=fault))

    def _add(self, exchange: Exchange, carrier: UpstreamConnection) -> None:
        self._carriers.append(carrier)
        if self._link.stalled:
            carrier.hold_reading(held=True)
        client = self._client
        if client is not None:
            client.dispatch(Leased(exchange, carrier.server, reused=carrier.leases > 1))

    def _forget(self, carrier: UpstreamConnection) -> None:
        if carrier in self._carriers:
            self._carriers.remove(carrier)
            carrier.tenant = None
            if carrier.is_blocked and self._client is not None:
                self._client.keep_pace()

    # -- the pace --------------------------------------------------------------------------------------------------------

    @property
    def is_blocked(self) -> bool:
        """Whether the client is not to be read, as an upstream does not take what it sends."""
        return not self._link.multiplexed and any(carrier.is_blocked for carrier in self._carriers)

    def hold(self, server: UpstreamServer, *, held: bool) -> None:
        """Stop reading from one upstream, or go on if the client takes what comes."""
        server.carrier.hold_reading(held=held or self._link.stalled)

    def hold_all(self, *, held: bool) -> None:
        """The client takes nothing more, or takes it again."""
        for carrier in self._carriers:
            carrier.hold_reading(held=held)

    # -- what upstream connections say (see upstream.Tenant) -------------------------------------------------------------

    def upstream_received(self, server: UpstreamServer, data: bytes) -> None:
        client = self._client
        if client is not None:
            client.dispatch(DataReceived(server, data))

    def upstream_closed(self, server: UpstreamServer) -> None:
        self._forget(server.carrier)
        if self._client is not None:
            self._client.dispatch(ConnectionClosed(server))

    def upstream_pace_changed(self) -> None:
        client = self._client
        if client is None:
            return
        if self._link.multiplexed:
            client.dispatch(UpstreamPace())
        else:
            client.keep_pace()

    def upstream_stalled(self) -> None:
        self._runtime.services.events.bound_exceeded("upstream_first_byte_seconds")

    # -- the end ---------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """The client has gone: cut what it had and wait for nothing more."""
        self._client = None
        for task in tuple(self._waits.values()) if self._waits else ():
            task.cancel()
        self._waits = None
        for carrier in self._carriers:
            carrier.close()
        self._carriers.clear()
