"""What a site discloses: which item a request asks for, and how often that was read lately. One per process.

Only what the site answered with 200 counts as read, and nothing that an allow rule let through: verified robots read everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from proxyguard.core.decision import Allow
from proxyguard.core.item import COLD, HOT, Item
from proxyguard.core.jar_settings import Items
from proxyguard.core.number64 import Number64
from proxyguard.core.request import Request
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.heat import Heat
from proxyguard.limits.recent import Recent
from proxyguard.limits.sightings import Sightings, Subject
from proxyguard.policy.compile.items import ItemFinder

RECENT_SECONDS: Final = 1_800.0

MOST_RECENT: Final = 32_768
"""Rarely read items that are read in a third of this time; with more, the time is shorter."""

_READ: Final = int(Subject.READ)
_RARE_READ: Final = int(Subject.RARE_READ)


class Disclosure:
    """Finds items, and learns what is read, here and by what other processes on one store tell."""

    __slots__ = ("_cold_below", "_counts", "_heat", "_recent", "_sightings")

    def __init__(self, items: Items, sightings: Sightings | None = None, clock: Callable[[], float] = CLOCK) -> None:
        """Without `sightings` nobody else is told, nor listened to."""
        self._cold_below = items.cold_below
        self._heat = Heat(items.half_life_seconds)
        self._recent = Recent(RECENT_SECONDS, MOST_RECENT)
        self._sightings = sightings
        if sightings is not None:
            sightings.listen(Subject.READ, lambda number, reads: self._heat.add(Number64.of(number), clock(), reads))
            sightings.listen(Subject.RARE_READ, lambda number, reads: self._learn_rare(Number64.of(number), clock(), reads))
        self._counts: dict[tuple[str, bytes, bytes], int] = {}
        """As `counted`, in bytes."""

    def find(self, finder: ItemFinder, request: Request, now: float) -> Item | None:
        """The item that a request asks for."""
        found = finder.find(request)
        if found is None or found.number is None:
            return found
        if self._heat.reads(found.number, now) >= self._cold_below:
            return Item(found.family, found.number, found.ordinal, HOT)
        if self._recent.has(found.number, now):
            return Item(found.family, found.number, found.ordinal, COLD, is_recent=True)
        return found

    def settle(self, item: Item, ticket: Ticket, served: Served, now: float) -> None:
        """Learn from the end of an exchange."""
        if served.status == 200 and served.upstream_seconds is not None:
            key: Any = (ticket.class_, item.heat, ticket.request.jar.states[0])  # compiled, an object, made once for both uses
            self._counts[key] = self._counts.get(key, 0) + 1
            if item.number is not None and not isinstance(ticket.decision.action, Allow):
                is_rare = item.heat is COLD
                if is_rare:
                    self._learn_rare(item.number, now, 1)
                else:
                    self._heat.add(item.number, now)
                if self._sightings is not None:
                    self._sightings.tell(_RARE_READ if is_rare else _READ, item.number.whole)

    def counted(self) -> dict[tuple[str, str, str], int]:
        """Items that were answered with 200, by class of client, heat and the state of its jar."""
        return {(class_, heat.decode(), jar.decode()): count for (class_, heat, jar), count in self._counts.items()}

    def as_data(self) -> dict[str, Any]:
        """What is read lately, as JSON can hold it; not what was recent."""
        return self._heat.as_data()

    def restore(self, data: dict[str, Any], now: float) -> None:
        """Take over what `as_data` gave, with the same secret. Raises as `Heat.restore`."""
        self._heat.restore(data, now)

    def _learn_rare(self, number: Number64, now: float, reads: int) -> None:
        self._heat.add(number, now, reads)
        self._recent.add(number, now)
