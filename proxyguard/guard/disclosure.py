"""What a site discloses: which item a request asks for, and how often that was read lately. One per process.

Only what the site answered with 200 counts as read, and nothing that an allow rule let through: verified robots read everything.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from proxyguard.core.decision import Allow
from proxyguard.core.item import COLD, HOT, Item
from proxyguard.core.jar_settings import Items
from proxyguard.core.request import Request
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.limits.heat import Heat, Recent
from proxyguard.policy.compile.items import ItemFinder

LEAST_READS: Final = 2.0
"""In one of several workers, however many these are: one read makes nothing hot, nor does one of what shares its cells."""


class Disclosure:
    """Finds items, and learns what is read. Of several workers each sees its share of the reads, and takes that into account."""

    __slots__ = ("_cold_below", "_heat", "_recent", "counted")

    def __init__(self, items: Items, workers: int = 1) -> None:
        self._cold_below = max(items.cold_below / workers, min(items.cold_below, LEAST_READS))
        self._heat = Heat(items.half_life_seconds)
        self._recent = Recent()
        self.counted: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        """Items that were answered with 200, by class of client, heat and the state of its jar."""

    def find(self, finder: ItemFinder, request: Request, now: float) -> Item | None:
        """The item that a request asks for."""
        found = finder.find(request)
        if found is None:
            return None
        family, number, ordinal = found
        if number is None:
            return Item(family, None, -1, COLD)
        if self._heat.reads(number, now) >= self._cold_below:
            return Item(family, number, ordinal, HOT)
        return Item(family, number, ordinal, COLD, is_recent=self._recent.has(number, now))

    def settle(self, item: Item, ticket: Ticket, served: Served, now: float) -> None:
        """Learn from the end of an exchange."""
        if served.status == 200 and served.upstream_seconds is not None:
            jar = ticket.request.jar.states[0].decode()
            self.counted[ticket.class_, item.heat.decode(), jar] += 1
            if item.number is not None and not isinstance(ticket.decision.action, Allow):
                self._heat.add(item.number, now)
                if item.heat is COLD:
                    self._recent.add(item.number, now)
