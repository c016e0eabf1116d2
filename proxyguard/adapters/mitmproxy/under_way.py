"""Counts the requests under way: in all, per client network, and those of them that a rule delays.

A request is counted in when it is to be delayed or forwarded, and out when its exchange is over, whatever its end. What a rule
refuses at once is not counted. Knows addresses and counts; nothing of connections, streams or answers.
"""

from __future__ import annotations

from typing import Final

from proxyguard.adapters.mitmproxy.capacity import Capacity
from proxyguard.core.address import Address, Prefixes
from proxyguard.http.trusted_networks import TrustedNetworks

TOO_MANY: Final = "requests"
TOO_MANY_OF_NETWORK: Final = "requests_per_network"


class UnderWay:
    """Every `enter` that returned "" is followed by one `leave` with the same arguments; a `delay` that was True by a `resume`.

    `of_site` is where the requests of one site are counted by network. A trusted proxy that names no client has no bound of its
    own, as it speaks for many.
    """

    __slots__ = ("_delayed", "_per_network", "_prefixes", "_several", "_trusted", "capacity", "delayed", "total")

    def __init__(self, capacity: Capacity, prefixes: Prefixes, trusted: TrustedNetworks, *, several_sites: bool) -> None:
        self.capacity = capacity
        self._prefixes = prefixes
        self._trusted = trusted
        self._several = several_sites
        self._per_network: dict[str, int] = {}
        self._delayed: dict[str, int] = {}
        self.total = 0
        self.delayed = 0

    def enter(self, client: Address, of_site: dict[str, int]) -> str:
        """Count a request in, or return the name of the bound that it would exceed."""
        capacity = self.capacity
        if self.total >= capacity.requests:
            return TOO_MANY
        network = client.network_key(self._prefixes)
        count = self._per_network.get(network, 0)
        if count >= capacity.requests_per_network and not self._trusted.contains(client):
            return TOO_MANY_OF_NETWORK
        if self._several:
            here = of_site.get(network, 0)
            if here >= capacity.requests_per_network_and_site and not self._trusted.contains(client):
                return TOO_MANY_OF_NETWORK
            of_site[network] = here + 1
        self._per_network[network] = count + 1
        self.total += 1
        return ""

    def leave(self, client: Address, of_site: dict[str, int]) -> None:
        """Count a request out."""
        network = client.network_key(self._prefixes)
        self.total -= 1
        _take_one(self._per_network, network)
        if self._several:
            _take_one(of_site, network)

    def delay(self, client: Address) -> bool:
        """Count a request that a rule delays, or return False when its network, or all together, have no room for it."""
        network = client.network_key(self._prefixes)
        count = self._delayed.get(network, 0)
        if self.delayed >= self.capacity.delayed or count >= self.capacity.delayed_per_network:
            return False
        self._delayed[network] = count + 1
        self.delayed += 1
        return True

    def resume(self, client: Address) -> None:
        """The delay of a request is over."""
        self.delayed -= 1
        _take_one(self._delayed, client.network_key(self._prefixes))

    @property
    def networks(self) -> int:
        """Client networks that have a request under way."""
        return len(self._per_network)


def _take_one(counts: dict[str, int], network: str) -> None:
    left = counts[network] - 1
    if left:
        counts[network] = left
    else:
        del counts[network]
