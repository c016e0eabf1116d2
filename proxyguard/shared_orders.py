"""Orders about restrictions that several instances share, through the store that they count in: one command is enough for all.

An order is kept as a ban of a key that no request has, because bans reach all instances within a second, outlive restarts and end
by themselves. Of a start and an end, the later one counts, whichever instance it came from. Knows nothing of a store's workings.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxyguard.decision import Reject
from proxyguard.limits.store import AsyncStore, BanTerms, Store
from proxyguard.policy.restriction import Restriction
from proxyguard.restrictions import Ended, Orders, Started

START: Final = "restriction-start:"
END: Final = "restriction-end:"
PREFIXES: Final = (START, END)
"""What the keys of such bans begin with; they are no bans to an operator."""


class SharedOrders:
    """The orders in a store."""

    def __init__(self, store: Store | AsyncStore) -> None:
        self._store = store

    def start(self, restriction: Restriction, order: Started) -> None:
        """Tell all instances of a start."""
        ends = restriction.until if order.until is None else min(order.until, restriction.until)
        self._say(START, END, restriction.name, "", "started by command", order.since, ends)

    def end(self, restriction: Restriction, order: Ended) -> None:
        """Tell all instances of an end, or a roll-back."""
        self._say(END, START, restriction.name, order.identity, order.reason, order.at, restriction.until)

    def merged(self, orders: Orders, restrictions: Iterable[Restriction], now: float) -> Orders:
        """The orders of this instance with those of the others."""
        started, ended = dict(orders.started), dict(orders.ended)
        for restriction in restrictions:
            name = restriction.name
            begun, over = self._store.banned(START + name, now), self._store.banned(END + name, now)
            if begun is not None and (name not in started or started[name].since < begun.since):
                started[name] = Started(begun.since, begun.until)
            if over is not None and (name not in ended or ended[name].at < over.since):
                ended[name] = Ended(over.since, over.reason, over.note)
            if name in started and name in ended:
                if started[name].since > ended[name].at:
                    del ended[name]
                else:
                    del started[name]
        return Orders(started, ended)

    def _say(self, prefix: str, other: str, name: str, note: str, reason: str, now: float, until: float) -> None:
        if until <= now:
            return
        self._store.unban(other + name)
        self._store.unban(prefix + name)
        self._store.ban(prefix + name, "operator", reason, BanTerms(until - now, Reject(), note=note), now)
