"""Loopback addresses with a synthetic meaning: who owns them, in which country, what kind of network, what their name is.

Any 127.a.b.c may be the source of a connection on loopback, so that a swarm of thousands of peers needs no privileges; the
layout follows the plan in docs/guide/range.md. Owners, countries and names are made up and belong to nobody.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache, lru_cache
from random import Random
from typing import Final, NamedTuple

from proxyguard.core.address import V4_BASE, Address
from proxyguard.tools.range.weights import cumulated, index_by


class SyntheticNetwork(StrEnum):
    """What kind of network an address lies in."""

    OFFICE = "office"
    MOBILE = "mobile"
    RESIDENTIAL = "residential"
    HOSTING = "hosting"
    VERIFIED_BOT = "verified-bot"
    ANONYMISER = "anonymiser"


COUNTRIES: Final = ("DE", "FR", "US", "BR", "IN", "JP", "PL", "GB", "ES", "IT", "NL", "CA", "SE", "KR", "MX", "ZA")
"""Home networks are spread over these by owner."""

RESIDENTIAL_OWNERS: Final = 256
CARRIERS: Final = 4
CLOUDS: Final = 16

PRICES: Final = {
    SyntheticNetwork.OFFICE: 0.0, SyntheticNetwork.MOBILE: 4.0, SyntheticNetwork.RESIDENTIAL: 2.0, SyntheticNetwork.HOSTING: 0.05,
    SyntheticNetwork.VERIFIED_BOT: 0.0, SyntheticNetwork.ANONYMISER: 0.1,
}  # fmt: skip
"""Dollars a gigabyte through such an address. Residential: list prices of proxy sellers in 2026 for large volumes; mobile about
twice that; hosting: traffic beyond what a rented machine includes."""


ADDRESS_PRICES: Final = {
    SyntheticNetwork.OFFICE: 0.0, SyntheticNetwork.MOBILE: 0.0, SyntheticNetwork.RESIDENTIAL: 0.0, SyntheticNetwork.HOSTING: 0.1,
    SyntheticNetwork.VERIFIED_BOT: 0.0, SyntheticNetwork.ANONYMISER: 0.0,
}  # fmt: skip
"""Dollars for a new address, for a day. Hosting: the smallest machine with an address of its own; others are paid by traffic."""


class AddressOwner(NamedTuple):
    """The network that an address belongs to."""

    kind: SyntheticNetwork
    name: str
    asn: int
    country: str


class RangeSource(NamedTuple):
    """Where a request comes from. `speaks` is whose TLS and HTTP the connection has: a browser's, or a library's."""

    address: Address
    owner: AddressOwner
    speaks: str = ""
    is_regular: bool = False
    """Whether who comes from it has been here on earlier days, and has the cookies to show for it."""


@lru_cache(maxsize=65_536)
def address(number: int) -> Address:
    """The address 127.0.0.0 + number."""
    return Address(V4_BASE + 0x7F00_0000 + number)


@lru_cache(maxsize=4_096)
def _owner(kind: SyntheticNetwork, index: int) -> AddressOwner:
    match kind:
        case SyntheticNetwork.RESIDENTIAL:
            return AddressOwner(kind, f"home-{index}.example", 64_512 + index, COUNTRIES[index % len(COUNTRIES)])
        case SyntheticNetwork.MOBILE:
            return AddressOwner(kind, f"carrier-{index}.example", 64_900 + index, COUNTRIES[index % len(COUNTRIES)])
        case SyntheticNetwork.HOSTING:
            return AddressOwner(kind, f"cloud-{index}.example", 64_950 + index, "US")
        case SyntheticNetwork.OFFICE:
            return AddressOwner(kind, f"office-{index}.example", 64_800 + index % 64, COUNTRIES[index % len(COUNTRIES)])
        case SyntheticNetwork.VERIFIED_BOT:
            return AddressOwner(kind, f"search-{index}.example", 64_990 + index, "US")
        case SyntheticNetwork.ANONYMISER:
            return AddressOwner(kind, f"exit-{index}.example", 64_980 + index, "NL")


def owner_of(address_: Address) -> AddressOwner | None:
    """The owner of a synthetic address; None for any other."""
    number = address_.number - V4_BASE - 0x7F00_0000
    if not 0 <= number < 1 << 24:
        return None
    second, third = number >> 16, number >> 8 & 0xFF
    if second >= 200:
        return _owner(SyntheticNetwork.VERIFIED_BOT, second - 200) if second < 216 else None
    if 128 <= second < 144:
        return _owner(SyntheticNetwork.HOSTING, second - 128)
    if 64 <= second < 128:
        return _owner(SyntheticNetwork.RESIDENTIAL, (second - 64) * 4 + (third >> 6))
    if second == 50:
        return _owner(SyntheticNetwork.ANONYMISER, third)
    if 20 <= second < 24:
        return _owner(SyntheticNetwork.MOBILE, second - 20)
    if second == 10:
        return _owner(SyntheticNetwork.OFFICE, third)
    return None


def source(number: int, speaks: str = "") -> RangeSource:
    """The source 127.0.0.0 + number. Raises ValueError outside of the plan."""
    where = address(number)
    owner = owner_of(where)
    if owner is None:
        raise ValueError(f"{where.text} has no meaning in the range")
    return RangeSource(where, owner, speaks)


def residential(random: Random, speaks: str = "", owner: int | None = None) -> RangeSource:
    """A home line of an owner, or of one by how large it is."""
    at = index_by(random, _owner_sizes()) if owner is None else owner
    number = (64 << 16) + at * 16_384 + random.randrange(1, 16_383)
    return source(number if number & 0xFF else number + 1, speaks)


def mobile(random: Random, speaks: str = "") -> RangeSource:
    """One of five exits of one of four carriers, which hundreds of phones share."""
    return source(((20 + random.randrange(CARRIERS)) << 16) + 256 + random.randrange(1, 6), speaks)


def office(index: int, exit_: int = 1, speaks: str = "") -> RangeSource:
    """One of the exits of office `index` (0 to 255)."""
    return source((10 << 16) + (index << 8) + exit_, speaks)


def hosting(random: Random, speaks: str = "", cloud: int | None = None) -> RangeSource:
    """A rented machine."""
    at = random.randrange(CLOUDS) if cloud is None else cloud
    return source(((128 + at) << 16) + (random.randrange(256) << 8) + random.randrange(1, 255), speaks)


def hosting_line(index: int, speaks: str = "", cloud: int = 3) -> RangeSource:
    """Machine `index` of one cloud, side by side in its networks: 254 in each /24."""
    return source(((128 + cloud) << 16) + (index // 254 << 8) + index % 254 + 1, speaks)


def verified_bot(index: int, machine: int, speaks: str = "") -> RangeSource:
    """A machine of a search engine: engine `index`, in its published range."""
    return source(((200 + index) << 16) + (machine // 254 << 8) + machine % 254 + 1, speaks)


def anonymiser(index: int, speaks: str = "") -> RangeSource:
    """Exit `index` of Tor or of a VPN."""
    return source((50 << 16) + (index // 4 << 8) + index % 4 + 1, speaks)


@cache
def _owner_sizes() -> tuple[float, ...]:
    """Zipf with exponent 0.9."""
    return cumulated(rank**-0.9 for rank in range(1, RESIDENTIAL_OWNERS + 1))
