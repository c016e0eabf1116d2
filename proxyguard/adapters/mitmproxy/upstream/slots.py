"""Slots for connections to upstreams: how many a site may have on lease, and the queue of requests that wait for one.

All sites share the slots of the worker. Half of them are divided evenly, and each site is sure of its part; the other half is for
whoever comes first. So a site whose upstreams are slow never takes the last slot of another. Knows nothing of connections.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf
from typing import Final

from proxyguard.core.shares import Shares

QUEUE_FULL: Final = "upstream-queue-full"
QUEUE_TIMEOUT: Final = "upstream-queue-timeout"


class UpstreamSlots:
    """The slots of a worker, `total` for `sites` sites. At most `queue` requests of a site wait, each for `queue_seconds`."""

    def __init__(self, total: int, sites: int, queue: int, queue_seconds: float) -> None:
        self.total = total
        self.used = 0
        self.queue = queue
        self.queue_seconds = queue_seconds
        self.sure = total // (2 * sites) if sites > 1 else 0
        self.common = total - self.sure * sites
        """Slots that no site is sure of; `common_used` of them are taken."""
        self.common_used = 0
        self.sites: list[SiteSlots] = []
        self.waiting: dict[SiteSlots, None] = {}
        """Sites with a queue, in the order of their turns."""

    def site(self, limit: int | None = None) -> SiteSlots:
        """The slots of one more site; `limit`: the most that it may have."""
        made = SiteSlots(self, self.total if limit is None else min(limit, self.total))
        self.sites.append(made)
        return made

    def counts(self) -> dict[str, int]:
        """Slots that are taken, and requests that wait for one."""
        return {"upstream_leases": self.used, "requests_queued": sum(site.waiting for site in self.sites)}

    def serve(self) -> None:
        """Give what is free to those who wait: sites in turn, and the requests of one in the order they came."""
        for site in tuple(self.waiting):
            if site.has_room:
                del self.waiting[site]
                site.serve_one()
                if site.waiting:
                    self.waiting[site] = None  # its next turn comes after everybody else's


class SiteSlots:
    """The slots of one site. Each that was taken, or waited for with success, is to be given back once.

    `per_network` counts the requests of the site that are under way; see under_way.
    """

    __slots__ = ("_all", "_queue", "limit", "per_network", "used")

    def __init__(self, slots: UpstreamSlots, limit: int) -> None:
        self._all = slots
        self._queue: deque[asyncio.Future[None]] = deque()
        self.limit = limit
        self.used = 0
        self.per_network = Shares()

    @property
    def has_room(self) -> bool:
        """Whether a slot is free, whoever waits for it."""
        used, slots = self.used, self._all
        return used < self.limit and (used < slots.sure or slots.common_used < slots.common)

    @property
    def is_free(self) -> bool:
        """Whether a request that comes now gets a slot at once."""
        return not self._queue and self.has_room

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def take(self) -> None:
        """Take a slot; there must be one."""
        if self.used >= self._all.sure:
            self._all.common_used += 1
        self.used += 1
        self._all.used += 1

    def give_back(self) -> None:
        """A slot is free again."""
        self.used -= 1
        self._all.used -= 1
        if self.used >= self._all.sure:
            self._all.common_used -= 1
        if self._all.waiting:
            self._all.serve()

    async def wait(self) -> str:
        """Take a slot when it is this request's turn. Returns "", or a token when the bounds of the queue are exceeded."""
        if self.is_free:
            self.take()
            return ""
        slots, queue = self._all, self._queue
        if len(queue) >= slots.queue:
            return QUEUE_FULL
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        slots.waiting[self] = None
        try:
            async with asyncio.timeout(slots.queue_seconds):
                await turn
        except TimeoutError:
            if turn.done() and not turn.cancelled():  # it came in the same moment
                return ""
            self._drop(turn)
            return QUEUE_TIMEOUT
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            else:
                self._drop(turn)
            raise
        return ""

    def serve_one(self) -> None:
        """Give a slot to the first in the queue who still waits."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                self.take()
                turn.set_result(None)
                return

    def _drop(self, turn: asyncio.Future[None]) -> None:
        if turn in self._queue:
            self._queue.remove(turn)
        if not self._queue:
            self._all.waiting.pop(self, None)


def unbounded() -> SiteSlots:
    """Slots without end, for a group of upstreams outside a worker."""
    return UpstreamSlots(2**31, 1, 0, inf).site()
