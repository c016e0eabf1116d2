"""How many bytes may be held: in all, and for each client network, so that one client cannot use up everybody's share."""

from __future__ import annotations


class Budget:
    """Counts bytes. Every `take` that returned True is followed by `give` of as many. `used` is the sum of all."""

    __slots__ = ("_by_network", "_most", "_most_per_network", "used")

    def __init__(self, most: int, most_per_network: int) -> None:
        self._most = most
        self._most_per_network = most_per_network
        self._by_network: dict[str, int] = {}
        self.used = 0

    def take(self, network: str, size: int) -> bool:
        """Count `size` bytes in, unless that would exceed a bound."""
        if self.used + size > self._most:
            return False
        held = self._by_network.get(network, 0) + size
        if held > self._most_per_network:
            return False
        self._by_network[network] = held
        self.used += size
        return True

    def give(self, network: str, size: int) -> None:
        """Count `size` bytes out."""
        if not size:
            return
        self.used -= size
        left = self._by_network[network] - size
        if left:
            self._by_network[network] = left
        else:
            del self._by_network[network]
