"""What a site discloses: which item a request asks for, and how often that was read lately. One per process.

Only what the site answered with 200 counts as read, and nothing that an allow rule let through: verified robots read everything.
"""

from __future__ import annotations

from proxyguard.core.decision import Allow
from proxyguard.core.item import COLD, HOT, Item, Items
from proxyguard.core.request import Request
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.limits.heat import Heat
from proxyguard.policy.compile.items import ItemFinder


class Disclosure:
    """Finds items, and learns what is read. Of several workers each sees its share of the reads, and takes that into account."""

    __slots__ = ("_cold_below", "_heat", "disclosed", "disclosed_cold")

    def __init__(self, items: Items, workers: int = 1) -> None:
        self._cold_below = items.cold_below / workers
        self._heat = Heat(items.half_life_seconds)
        self.disclosed = 0
        """Items that were answered with 200; `disclosed_cold`: those of them that were cold."""
        self.disclosed_cold = 0

    def find(self, finder: ItemFinder, request: Request, now: float) -> Item | None:
        """The item that a request asks for."""
        found = finder.find(request)
        if found is None:
            return None
        family, number = found
        return Item(family, number, COLD if number is None or self._heat.reads(number, now) < self._cold_below else HOT)

    def settle(self, item: Item, ticket: Ticket, served: Served, now: float) -> None:
        """Learn from the end of an exchange."""
        if served.status == 200 and served.upstream_seconds is not None:
            self.disclosed += 1
            self.disclosed_cold += item.heat is COLD
            if item.number is not None and not isinstance(ticket.decision.action, Allow):
                self._heat.add(item.number, now)
