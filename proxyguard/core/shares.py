"""How much of something each client network has: where connections, requests, tarpits and held bytes are counted per network.

Holds an entry for each network that has any, so it is as large as what it counts; the bounds are the business of who counts.
"""

from __future__ import annotations


class Shares:
    """Amounts by network key. Every `add` is followed by `take` of as many."""

    __slots__ = ("_amounts",)

    def __init__(self) -> None:
        self._amounts: dict[str, int] = {}

    def __len__(self) -> int:
        """Networks that have any."""
        return len(self._amounts)

    def of(self, network: str) -> int:
        """How much a network has now."""
        return self._amounts.get(network, 0)

    def add(self, network: str, amount: int = 1) -> None:
        """Count in."""
        self._amounts[network] = self._amounts.get(network, 0) + amount

    def take(self, network: str, amount: int = 1) -> None:
        """Count out; raises KeyError for a network that has none."""
        left = self._amounts[network] - amount
        if left:
            self._amounts[network] = left
        else:
            del self._amounts[network]
