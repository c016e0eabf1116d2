"""Addresses that stand in for the pseudonyms of an audit log: one for each, in the network that the record names.

So networks are judged as they were, and clients are told apart as they were; which single address somebody had, nobody knows.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from proxyguard.core.pseudonym import PATTERN

MAX_NAMES: Final = 200_000
"""Pseudonyms with an address of their own, about 40 MiB; those beyond share addresses of their network."""

CLIENT_V6_BITS: Final = 64

UNKNOWN: Final = "fd00::/8"
"""Where clients are whose network is not told (RFC 4193): each in a /48 of its own."""

UNKNOWN_BITS: Final = 48


class StandIns:
    """The addresses of one pass over a log."""

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}
        self._taken: dict[str, int] = {}
        self._is_crowded = False

    def of(self, client: str, network: str) -> str:
        """An address for a pseudonym; anything else stays as it is."""
        if PATTERN.fullmatch(client) is None:
            return client
        found = self._addresses.get(client)
        if found is None:
            found = self._next(network)
            if len(self._addresses) < MAX_NAMES:
                self._addresses[client] = found
            else:
                self._is_crowded = True
        return found

    def notes(self) -> list[str]:
        """What to know of a log that had pseudonyms."""
        if not self._addresses:
            return []
        note = "clients are pseudonyms, with addresses made up in their networks: conditions on single addresses cannot be judged"
        return [note, *(["more clients than addresses: some share one, and their limits"] if self._is_crowded else [])]

    def _next(self, named: str) -> str:
        try:
            network, bits = ip_network(named or UNKNOWN), None if named else UNKNOWN_BITS
        except ValueError:
            network, bits = ip_network(UNKNOWN), UNKNOWN_BITS
        number = self._taken[named] = self._taken.get(named, -1) + 1
        step, room = _places(network, bits)
        self._is_crowded |= number >= room
        return str(network[number % room * step])


def _places(network: IPv4Network | IPv6Network, bits: int | None) -> tuple[int, int]:
    """How far clients of a network are apart, and how many have room."""
    step = 1
    if isinstance(network, IPv6Network):
        step = 1 << (network.max_prefixlen - max(network.prefixlen, bits or CLIENT_V6_BITS))
    return step, max(1, network.num_addresses // step)
