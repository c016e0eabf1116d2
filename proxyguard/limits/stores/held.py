"""What this process has under way at a store outside it, by key: what it tells the store again before the leases end.

Without it a process that died would be counted for ever. Counts from the moment that a charge is sent, so that what is told and
what the store has counted by then are the same. Knows nothing of connections.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxyguard.limits.charge import Charge
from proxyguard.limits.limit import LEASE_SECONDS, CountKind
from proxyguard.limits.stores.store import Outcome

RENEW_SECONDS: Final = LEASE_SECONDS / 3
"""Between two words about each key: two may be lost before the lease ends."""

PAGE: Final = 100
"""Keys told in one call: well under a millisecond of the store's."""


def is_held(charge: Charge) -> bool:
    """Whether a charge is about requests under way."""
    return charge.limit.count.kind is CountKind.CONCURRENT


class Held:
    """How many requests are under way by key, and a charge of each. As many as requests at most."""

    __slots__ = ("_charges",)

    def __init__(self) -> None:
        self._charges: dict[str, Charge] = {}

    def __len__(self) -> int:
        return len(self._charges)

    def sent(self, charges: Sequence[Charge]) -> None:
        """Charges go to the store; those that take are held from now on."""
        for charge in charges:
            if is_held(charge) and charge.cost > 0:
                self._add(charge, 1)

    def answered(self, charges: Sequence[Charge], outcome: Outcome | None) -> list[Charge]:
        """The store's answer to charges that were sent: what did not fit is not held. None: somebody else has to count them.

        Returns what takes back from the store what is not held, if it was told of it.
        """
        if outcome is None or outcome.ban is not None:
            return self._drop(charges)
        pairs = list(zip(charges, outcome.usages, strict=True))
        stopped = any(charge.stops and usage.exceeded for charge, usage in pairs)
        return self._drop([charge for charge, usage in pairs if stopped or usage.exceeded])

    def release(self, charges: Sequence[Charge]) -> tuple[list[Charge], list[Charge]]:
        """Owed charges, cut into those for the store and those of requests that are not held there."""
        here, elsewhere = [], []
        for charge in charges:
            if not is_held(charge):
                here.append(charge)
            elif charge.key in self._charges:
                self._add(charge, -1)
                here.append(charge)
            else:
                elsewhere.append(charge)
        return here, elsewhere

    def all(self) -> list[Charge]:
        """What to tell the store: of each key how many are under way."""
        return list(self._charges.values())

    def _drop(self, charges: Sequence[Charge]) -> list[Charge]:
        dropped = [charge for charge in charges if is_held(charge) and charge.cost > 0]
        for charge in dropped:
            self._add(charge, -1)
        return [charge.arisen(-1.0) for charge in dropped]

    def _add(self, charge: Charge, count: int) -> None:
        known = self._charges.get(charge.key)
        total = count + (0 if known is None else known.cost)
        if total > 0:
            self._charges[charge.key] = charge.arisen(total)
        elif known is not None:
            del self._charges[charge.key]
