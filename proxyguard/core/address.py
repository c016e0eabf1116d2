"""Addresses as proxyguard sees them: one number line for IPv4 and IPv6, and the prefixes that limits count by.

Knows nothing of requests, rules or sockets. An IPv4 address and its IPv6-mapped form (`::ffff:192.0.2.1`, RFC 4291
section 2.5.5.2) are the same address; every address is a 128-bit number in which IPv4 occupies `::ffff:0:0/96`, so that
one sorted table of ranges serves both families.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

V4_BASE: Final = 0xFFFF_0000_0000
"""The number of `::ffff:0.0.0.0`: adding a 32-bit IPv4 number gives its place on the common line."""

MAX_NUMBER: Final = (1 << 128) - 1


class Prefixes(NamedTuple):
    """How many leading bits of an address a key keeps, per address family."""

    client_v4: int = 32
    client_v6: int = 64
    network_v4: int = 24
    network_v6: int = 48


DEFAULT_PREFIXES: Final = Prefixes()


class Address:
    """One client address, with the port when the front knows it. Immutable by convention; derives keys once.

    `number` lies on the common 128-bit line. `text` is the canonical form, IPv4 for mapped addresses.
    """

    __slots__ = ("_ban_keys", "_client_key", "_network_key", "_prefixes", "number", "port", "text")

    def __init__(self, number: int, port: int | None = None) -> None:
        self.number = number
        self.port = port
        self.text = str(IPv4Address(number - V4_BASE)) if is_v4(number) else str(IPv6Address(number))
        self._prefixes: Prefixes | None = None
        """Of the keys below, those that were asked for."""
        self._client_key = self._network_key = ""
        self._ban_keys: tuple[str, str] | None = None

    @classmethod
    def parse(cls, text: str, port: int | None = None) -> Address:
        """Read `192.0.2.1`, `2001:db8::1` or `fe80::1%eth0` (the zone is dropped). Raises ValueError."""
        return cls(address_number(text), port)

    @property
    def is_v4(self) -> bool:
        return is_v4(self.number)

    def client_key(self, prefixes: Prefixes = DEFAULT_PREFIXES) -> str:
        """The key that `per: client` counts by: the address for IPv4, the /64 for IPv6 unless configured."""
        if self._prefixes is not prefixes:
            self._keep_keys_of(prefixes)
        if not self._client_key:
            self._client_key = _prefix_text(self, prefixes.client_v4 if self.is_v4 else prefixes.client_v6)
        return self._client_key

    def network_key(self, prefixes: Prefixes = DEFAULT_PREFIXES) -> str:
        """The key that `per: network` counts by: the /24 or the /48 unless configured."""
        if self._prefixes is not prefixes:
            self._keep_keys_of(prefixes)
        if not self._network_key:
            self._network_key = _prefix_text(self, prefixes.network_v4 if self.is_v4 else prefixes.network_v6)
        return self._network_key

    def ban_keys(self, prefixes: Prefixes = DEFAULT_PREFIXES) -> tuple[str, str]:
        """The keys by which every request looks for bans: the client's, and its network's."""
        if self._prefixes is not prefixes:
            self._keep_keys_of(prefixes)
        keys = self._ban_keys
        if keys is None:
            keys = self._ban_keys = "client:" + self.client_key(prefixes), "network:" + self.network_key(prefixes)
        return keys

    def _keep_keys_of(self, prefixes: Prefixes) -> None:
        self._prefixes = prefixes
        self._client_key = self._network_key = ""
        self._ban_keys = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and other.number == self.number

    def __hash__(self) -> int:
        return hash(self.number)

    def __repr__(self) -> str:
        return f"Address({self.text!r}, port={self.port})"


class Network(NamedTuple):
    """An inclusive range on the common number line, with the text an operator wrote."""

    first: int
    last: int
    text: str

    @classmethod
    def parse(cls, text: str) -> Network:
        """Read an address or a CIDR network. Raises ValueError when it is neither or has host bits set."""
        network = ip_network(text, strict=True)
        first = int(network.network_address)
        if isinstance(network, IPv6Network):
            return cls(first, int(network.broadcast_address), text)
        return cls(V4_BASE + first, V4_BASE + int(network.broadcast_address), text)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number <= self.last


def is_v4(number: int) -> bool:
    """Whether a number of the common line is an IPv4 address."""
    return number >> 32 == V4_BASE >> 32


def address_number(text: str) -> int:
    """The place of an address on the common line. Raises ValueError."""
    address = ip_address(text.partition("%")[0])
    return V4_BASE + int(address) if isinstance(address, IPv4Address) else int(address)


def _prefix_text(address: Address, bits: int) -> str:
    width = 32 if address.is_v4 else 128
    if bits >= width:
        return address.text
    if bits == 24 and width == 32:  # the default for networks, and a tenth of the time
        return f"{address.text[: address.text.rfind('.')]}.0/24"
    base = V4_BASE if address.is_v4 else 0
    first = base + ((address.number - base) >> (width - bits) << (width - bits))
    return f"{Address(first).text}/{bits}"
