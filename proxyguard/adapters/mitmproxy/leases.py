"""The upstream connections that one client connection uses or waits for, and the pace between both sides.

Neither side is read faster than the other takes what comes of it: a client that stalls holds up its upstreams, and a blocked
upstream holds up its client, unless the client's layer has a pace of its own for each. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
from functools import partial

from proxyguard.adapters.mitmproxy.messages import Arrived, ClientHandle, EndLease, ExchangeHandle, Lease, Leased, UpstreamPace
from proxyguard.adapters.mitmproxy.private import ConnectionClosed
from proxyguard.adapters.mitmproxy.runtime import Runtime
from proxyguard.adapters.mitmproxy.services import ClientState
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamConnection, UpstreamServer
from proxyguard.adapters.mitmproxy.upstream.group import UpstreamGroup


class Leases:
    """Leases upstream connections for one client connection, and is the user of each that it has."""

    __slots__ = ("_client", "_connections", "_link", "_runtime", "_waits")

    def __init__(self, client: ClientHandle, runtime: Runtime, link: ClientState) -> None:
        self._client: ClientHandle | None = client
        self._runtime = runtime
        self._link = link
        self._connections: list[UpstreamConnection] = []
        self._waits: dict[ExchangeHandle, asyncio.Task[None]] | None = None

    # -- what the layers ask for -----------------------------------------------------------------------------------------

    def take(self, group: UpstreamGroup, *, is_repeatable: bool) -> UpstreamServer | None:
        """Lease an idle connection; None when there is none. See services.Upstreams."""
        connection = self._runtime.pool.take(group, self, is_repeatable=is_repeatable)
        if connection is None:
            return None
        self._add(connection)
        return connection.server

    def connect(self, command: Lease) -> None:
        """Open a connection and lease it. The client is sent Leased, now or later."""
        exchange = command.exchange
        if self._waits is None:
            self._waits = {}
        done = partial(self._connected, exchange)
        self._waits[exchange] = self._runtime.pool.connect(command.group, self, done, fresh=command.fresh)

    def give_up(self, exchange: ExchangeHandle) -> None:
        """Stop waiting for a connection."""
        waiting = self._waits.pop(exchange, None) if self._waits else None
        if waiting is not None:
            waiting.cancel()

    def end(self, command: EndLease) -> None:
        """Give a connection back."""
        connection = command.server.connection
        self._forget(connection)
        if command.flush:
            connection.finish()
        else:
            self._runtime.pool.release(connection, reusable=command.reusable)

    def _connected(self, exchange: ExchangeHandle, connection: UpstreamConnection | None, fault: str) -> None:
        if self._waits is not None:
            self._waits.pop(exchange, None)
        client = self._client
        if connection is not None:
            if client is None:
                self._runtime.pool.release(connection, reusable=True)
            else:
                self._add(connection)
                client.dispatch(Leased(exchange, connection.server))
        elif client is not None:
            client.dispatch(Leased(exchange, None, fault=fault))

    def _add(self, connection: UpstreamConnection) -> None:
        self._connections.append(connection)
        connection.server.has_own_pace = True

    def _forget(self, connection: UpstreamConnection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            connection.user = None
            if connection.is_blocked and self._client is not None:
                self._client.keep_pace()

    # -- the pace --------------------------------------------------------------------------------------------------------

    @property
    def is_blocked(self) -> bool:
        """Whether the client is not to be read, as an upstream does not take what it sends."""
        return not self._link.multiplexed and any(connection.is_blocked for connection in self._connections)

    def hold(self, server: UpstreamServer, *, held: bool) -> None:
        """Stop reading from one upstream, or go on if the client takes what comes, or need not."""
        server.connection.hold_reading(held=held or (self._link.stalled and not server.has_own_pace))

    def hold_all(self, *, held: bool) -> None:
        """The client takes nothing more, or takes it again."""
        for connection in self._connections:
            if not connection.server.has_own_pace:
                connection.hold_reading(held=held)

    # -- what upstream connections report (see upstream.connection.ConnectionUser) ---------------------------------------

    def upstream_received(self, server: UpstreamServer, data: bytes) -> None:
        client = self._client
        if client is not None:
            client.dispatch(Arrived(server, data))

    def upstream_closed(self, server: UpstreamServer) -> None:
        self._forget(server.connection)
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
        """The client has gone: cut its connections and stop waiting for more."""
        self._client = None
        for task in tuple(self._waits.values()) if self._waits else ():
            task.cancel()
        self._waits = None
        for connection in self._connections:
            connection.close()
        self._connections.clear()
