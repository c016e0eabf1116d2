"""How many bytes may be held: in all, and for each client network, so that one client cannot use up everybody's share."""

from __future__ import annotations

from proxyguard.core.shares import Shares


class Budget:
    """Counts bytes. Every `take` that returned True is followed by `give` of as many. `used` is the sum of all."""

    __slots__ = ("_by_network", "_most", "_most_per_network", "used")

    def __init__(self, most: int, most_per_network: int) -> None:
        self._most = most
        self._most_per_network = most_per_network
        self._by_network = Shares()
        self.used = 0

    def take(self, network: str, size: int) -> bool:
        """Count `size` bytes in, unless that would exceed a bound."""
        if self.used + size > self._most:
            return False
        if self._by_network.of(network) + size > self._most_per_network:
            return False
        self._by_network.add(network, size)
        self.used += size
        return True

    def give(self, network: str, size: int) -> None:
        """Count `size` bytes out."""
        if not size:
            return
        self.used -= size
        self._by_network.take(network, size)
