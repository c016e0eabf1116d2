"""Who may connect: bounds on open connections in all and per client network, and peers that are refused at accept.

Knows addresses and counts; nothing of sockets or of what is sent on a connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxyguard.core.address import Address, Prefixes
from proxyguard.core.settings import Bounds
from proxyguard.core.shares import Shares
from proxyguard.http.trusted_networks import TrustedNetworks

LEAST_PATIENCE: Final = 0.1
"""With the defaults: a head within 1.5 s, and 6 s of idleness, when there is hardly any room left."""

TOO_MANY: Final = "connections"
TOO_MANY_OF_NETWORK: Final = "connections_per_network"


class Admission:
    """Counts open connections. Every `enter` that returned None is followed by one `leave` with the same address.

    Where a trusted peer names the client, `enter_network` counts that one in as well, and `leave` is called with its address.
    """

    def __init__(
        self,
        bounds: Bounds,
        prefixes: Prefixes,
        trusted: TrustedNetworks,
        refuse_at_accept: Callable[[Address], bool],
        on_count: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._room = bounds.connections
        self._room_of_network = bounds.connections_per_network
        self._prefixes = prefixes
        self._trusted = trusted
        self._refuse = refuse_at_accept
        self._on_count = on_count
        self._per_network = Shares()
        self.open = 0

    @property
    def patience(self) -> float:
        """What share of its usual time a client may take: less than 1 once three quarters of the room are used."""
        return max(LEAST_PATIENCE, min(1.0, 4.0 * (1.0 - self.open / self._room)))

    def network(self, peer: Address) -> str:
        """The key that connections and tarpits are counted by."""
        return peer.network_key(self._prefixes)

    def is_refused(self, peer: Address) -> bool:
        """Whether a peer is banned altogether. Trusted proxies never are: others speak through them."""
        return not self._trusted.contains(peer) and self._refuse(peer)

    def enter(self, peer: Address) -> str | None:
        """Count a connection in, or return the name of the bound it would exceed."""
        if self.open >= self._room:
            return TOO_MANY
        bound = self.enter_network(peer)
        if bound is None:
            self.open += 1
            self._on_count(self.open)
        return bound

    def enter_network(self, client: Address) -> str | None:
        """Count a connection in for a client's network alone, or return the name of the bound it would exceed."""
        if self._trusted.contains(client):
            return None
        network = self.network(client)
        if self._per_network.of(network) >= self._room_of_network:
            return TOO_MANY_OF_NETWORK
        self._per_network.add(network)
        return None

    def leave(self, peer: Address) -> None:
        """Count a connection out."""
        self.open -= 1
        self._on_count(self.open)
        if self._trusted.contains(peer):
            return
        self._per_network.take(self.network(peer))
