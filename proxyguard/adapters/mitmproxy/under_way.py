"""Counts the requests under way: in all, per client network, and those of them that a rule delays.

A request is counted in when it is to be delayed or forwarded, and out when its exchange is over, whatever its end. What a rule
refuses at once is not counted. Knows addresses and counts; nothing of connections, streams or answers.
"""

from __future__ import annotations

from typing import Final

from proxyguard.adapters.mitmproxy.capacity import Capacity
from proxyguard.core.address import Address, Prefixes
from proxyguard.core.shares import Shares
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
        self._per_network = Shares()
        self._delayed = Shares()
        self.total = 0
        self.delayed = 0

    def enter(self, client: Address, of_site: Shares) -> str:
        """Count a request in, or return the name of the bound that it would exceed."""
        capacity = self.capacity
        if self.total >= capacity.requests:
            return TOO_MANY
        network = client.network_key(self._prefixes)
        if self._per_network.of(network) >= capacity.requests_per_network and not self._trusted.contains(client):
            return TOO_MANY_OF_NETWORK
        if self._several:
            if of_site.of(network) >= capacity.requests_per_network_and_site and not self._trusted.contains(client):
                return TOO_MANY_OF_NETWORK
            of_site.add(network)
        self._per_network.add(network)
        self.total += 1
        return ""

    def leave(self, client: Address, of_site: Shares) -> None:
        """Count a request out."""
        network = client.network_key(self._prefixes)
        self.total -= 1
        self._per_network.take(network)
        if self._several:
            of_site.take(network)

    def delay(self, client: Address) -> bool:
        """Count a request that a rule delays, or return False when its network, or all together, have no room for it."""
        network = client.network_key(self._prefixes)
        capacity = self.capacity
        if self.delayed >= capacity.delayed or self._delayed.of(network) >= capacity.delayed_per_network:
            return False
        self._delayed.add(network)
        self.delayed += 1
        return True

    def resume(self, client: Address) -> None:
        """The delay of a request is over."""
        self.delayed -= 1
        self._delayed.take(client.network_key(self._prefixes))

    @property
    def networks(self) -> int:
        """Client networks that have a request under way."""
        return len(self._per_network)
