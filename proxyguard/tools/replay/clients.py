"""What is remembered of each client and each network, in tables of bounded size.

When a table is full, the half that matters least is folded into an *others* row: first those of whom nothing was stopped,
then those with few requests. Knows nothing of rules beyond their names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from cachetools import LRUCache

from proxyguard.core.address import Address, Network
from proxyguard.core.distinct import Distinct
from proxyguard.policy.compile.network_table import NetworkTable

MAX_CLIENTS: Final = 100_000
"""About 80 MiB when full."""

MAX_ADDRESSES: Final = 100_000
"""Addresses as written whose rows are at hand; those used least recently give way."""

MAX_RULES_SHOWN: Final = 8
"""Rules counted per client; more rules than that stop nobody in practice."""


@dataclass(slots=True, eq=False)
class NetworkRow:
    """The /24 or /48 that clients come from."""

    key: str
    hashed: int
    clients: int = 0
    requests: int = 0
    stopped: int = 0
    shadowed: int = 0


@dataclass(slots=True, eq=False)
class ClientRow:
    """One client as limits see it: an address, or an IPv6 /64."""

    key: str
    hashed: int
    network: NetworkRow
    verified: bool = False
    requests: int = 0
    stopped: int = 0
    shadowed: int = 0
    newly: int = 0
    freed: int = 0
    logged_in: int = 0
    browser: int = 0
    pages: int = 0
    assets: int = 0
    referers: int = 0
    agent: bytes = b""
    agents: int = 0
    hours: int = 0
    last_hour: int = -1
    first: float = 0.0
    last: float = 0.0
    rules: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Others:
    """The clients that were folded together."""

    rows: int = 0
    requests: int = 0
    stopped: int = 0
    shadowed: int = 0

    def fold(self, row: ClientRow) -> None:
        self.rows += 1
        self.requests += row.requests
        self.stopped += row.stopped
        self.shadowed += row.shadowed


class ClientTable:
    """Finds the rows of an address as written; makes them when it is new."""

    __slots__ = ("_addresses", "_capacity", "_verified", "networks", "others", "rows", "seen", "seen_networks")

    def __init__(self, verified: tuple[Network, ...] = (), capacity: int = MAX_CLIENTS) -> None:
        self._capacity = capacity
        self._verified = NetworkTable((network, 1) for network in verified) if verified else None
        self._addresses: LRUCache[bytes, tuple[Address, ClientRow]] = LRUCache(MAX_ADDRESSES)
        self.rows: dict[str, ClientRow] = {}
        self.networks: dict[str, NetworkRow] = {}
        self.others = Others()
        self.seen = Distinct(8191, bits=14)  # a standard error of 0.8 %
        self.seen_networks = Distinct(8191, bits=14)

    def find(self, text: bytes) -> tuple[Address, ClientRow]:
        """The address and its row. Raises ValueError when the text is not an address."""
        found = self._addresses.get(text)
        if found is None:
            found = self._new(text)
        return found

    def _new(self, text: bytes) -> tuple[Address, ClientRow]:
        address = Address.parse(text.decode("ascii"))
        key = address.client_key()
        row = self.rows.get(key)
        if row is None:
            if len(self.rows) >= self._capacity:
                self._shrink()
            verified = self._verified is not None and bool(self._verified.find(address.number))
            hashed = mixed(hash_of(key) if "/" in key else address.number)
            row = self.rows[key] = ClientRow(key, hashed, self._network(address.network_key()), verified)
            row.network.clients += 1
            self.seen.add(row.hashed)
        found = self._addresses[text] = (address, row)
        return found

    def _network(self, key: str) -> NetworkRow:
        row = self.networks.get(key)
        if row is None:
            if len(self.networks) >= self._capacity:
                self._shrink_networks()
            row = self.networks[key] = NetworkRow(key, mixed(hash_of(key)))
            self.seen_networks.add(row.hashed)
        return row

    def _shrink(self) -> None:
        """Fold the lesser half of the clients into the others."""
        for row in sorted(self.rows.values(), key=_weight)[: self._capacity // 2]:
            self.others.fold(row)
            del self.rows[row.key]
        self._addresses.clear()

    def _shrink_networks(self) -> None:
        lesser = sorted(self.networks.values(), key=lambda row: (row.stopped, row.requests))
        for row in lesser[: self._capacity // 2]:
            del self.networks[row.key]


def _weight(row: ClientRow) -> tuple[int, int]:
    return row.stopped + row.shadowed + row.newly + row.freed, row.requests


def hash_of(text: str) -> int:
    """A number for a short text, the same in every run."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


_MAX_HASH: Final = (1 << 64) - 1


def mixed(number: int) -> int:
    """A 64-bit number without the regularity of addresses (the finaliser of SplitMix64, over both halves)."""
    low = (number ^ (number >> 64) * 0x9E3779B97F4A7C15) & _MAX_HASH
    low = ((low ^ (low >> 30)) * 0xBF58476D1CE4E5B9) & _MAX_HASH
    low = ((low ^ (low >> 27)) * 0x94D049BB133111EB) & _MAX_HASH
    return low ^ (low >> 31)
