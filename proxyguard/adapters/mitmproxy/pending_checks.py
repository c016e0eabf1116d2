"""Checks that a remote store has yet to answer. Each outlives its connection, since what it counted must be settled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial

from proxyguard.adapters.mitmproxy.messages import AwaitTicket, ClientHandle, Decided, ExchangeHandle
from proxyguard.adapters.mitmproxy.services import FrontServices
from proxyguard.guard.interfaces import Ticket


class PendingChecks:
    """Those of all connections of a worker: as many as requests that are served. The store's deadline ends each."""

    __slots__ = ("_loop", "_services", "_tasks")

    def __init__(self, loop: asyncio.AbstractEventLoop, services: FrontServices) -> None:
        self._loop = loop
        self._services = services
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, client: ClientHandle, command: AwaitTicket) -> None:
        """Wait for a check, then dispatch Decided to the client."""
        task = self._loop.create_task(self._wait(client, command.exchange, command.awaiting))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, client))

    def cancel(self) -> None:
        """Stop waiting for all of them."""
        for task in self._tasks:
            task.cancel()

    async def _wait(self, client: ClientHandle, exchange: ExchangeHandle, awaiting: Awaitable[Ticket]) -> None:
        ticket = await awaiting
        if client.is_released:
            exchange.decided(ticket, self._services.clock())  # only settles
        else:
            client.dispatch(Decided(exchange, ticket))

    def _ended(self, client: ClientHandle, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._services.events.internal_error("check", error)
            client.abort()
