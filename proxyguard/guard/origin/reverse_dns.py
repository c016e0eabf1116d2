"""Whether the reverse name of an address lies in a bot's domain, and that name leads back to the address.

The only module that knows dnspython. Whoever has an address chooses its reverse name and how its servers answer: so names are
compared label by label, only a forward answer proves, a server that fails leaves the verdict unknown, and everything has a bound.
No request waits: the first one starts a look-up, and until that ends the verdict is unknown.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from enum import Enum
from time import monotonic
from typing import Final, NamedTuple

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
import dns.reversename
from cachetools import TTLCache

from proxyguard.core.address import Address
from proxyguard.core.origin_settings import Nameserver
from proxyguard.guard.origin.background import Background
from proxyguard.guard.origin.bots import KnownBot

MAX_NAMES: Final = 4
"""Reverse names of an address that are confirmed; crawlers have one."""

MAX_PER_NETWORK: Final = 4
"""Look-ups under way for addresses of one client network."""

SLOW_PART: Final = 4
"""Networks whose reverse zone was slow to answer have one such part of all look-ups together: who lets them time out, from
however many networks, cannot keep all places."""
SLOW_SHARE: Final = 0.5
"""Of the time for an answer; a look-up that took more was slow."""
SLOW_SECONDS: Final = 600.0
MAX_SLOW: Final = 20_000
_V6_ZONE_BITS: Final = 32
"""An allocation of IPv6, whose reverse zone belongs to one network operator however many /48s it has."""

KNOWN_SECONDS: Final = 86_400.0
REFUTED_SECONDS: Final = 3600.0
FAILED_SECONDS: Final = 60.0
MAX_KNOWN: Final = 20_000
"""Verdicts of each kind that are kept; about 300 bytes each."""

WELL_KNOWN: Final = ("8.8.8.8", "1.1.1.1", "9.9.9.9")
"""Addresses of public resolvers, each of another operator, that have had reverse names for many years."""
REACH_SECONDS: Final = 3600.0

UDP_BYTES: Final = 1232
"""What a server may send over UDP (DNS flag day 2020); a longer answer comes over TCP."""


class DnsVerdict(Enum):
    """What came of a look-up."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    FAILED = "failed"


def known_key(address: Address, bot: KnownBot) -> bytes:
    """What a verdict is kept by: one text of bytes, which takes half the room of a number and a name."""
    return address.number.to_bytes(16) + bot.name.encode()


class ReverseDns:
    """Verdicts about addresses; see `find`. All methods are called from one thread; the look-ups run in the background."""

    def __init__(
        self,
        background: Background,
        nameservers: tuple[Nameserver, ...],
        *,
        timeout_seconds: float,
        max_under_way: int,
        clock: Callable[[], float],
    ) -> None:
        """No nameservers: those of the system."""
        self._background = background
        self._nameservers = nameservers
        self._timeout_seconds = timeout_seconds
        self._max_under_way = max_under_way
        kept = {
            DnsVerdict.CONFIRMED: KNOWN_SECONDS, DnsVerdict.REFUTED: REFUTED_SECONDS, DnsVerdict.FAILED: FAILED_SECONDS
        }  # fmt: skip
        self._known: dict[DnsVerdict, TTLCache[bytes, bool]] = {
            verdict: TTLCache(MAX_KNOWN, seconds, clock) for verdict, seconds in kept.items()
        }
        self._reach = Reach()
        self._slow: TTLCache[str, bool] = TTLCache(MAX_SLOW, SLOW_SECONDS, clock)
        self._under_way: dict[bytes, _UnderWay] = {}
        self._by_network: Counter[str] = Counter()
        self._slow_under_way = 0
        self._arrived: deque[tuple[bytes, DnsVerdict, float]] = deque()
        self.counts: Counter[str] = Counter()
        """Look-ups by what came of them: confirmed, refuted, failed; `crowded`: not started for want of room; `cached`."""

    @property
    def under_way(self) -> int:
        if self._arrived:
            self._take()
        return len(self._under_way)

    def find(self, address: Address, bot: KnownBot) -> bool | None:
        """Whether an address is one of a bot's; None: not known (yet)."""
        if self._arrived:
            self._take()
        key = known_key(address, bot)
        for verdict, known in self._known.items():
            if key in known:
                self.counts["cached"] += 1
                return _MEANING[verdict]
        network = address.network_key()
        if key in self._under_way:
            return None
        zone = _zone(address)
        is_slow = zone in self._slow
        if (
            len(self._under_way) >= self._max_under_way
            or self._by_network[network] >= MAX_PER_NETWORK
            or (is_slow and self._slow_under_way * SLOW_PART >= self._max_under_way)
        ):
            self.counts["crowded"] += 1
            return None
        self._under_way[key] = _UnderWay(network, zone, is_slow)
        self._by_network[network] += 1
        self._slow_under_way += is_slow
        self._background.submit(self._look_up(key, address.text, bot))
        return None

    def _take(self) -> None:
        """Take over what look-ups found."""
        while self._arrived:
            key, verdict, seconds = self._arrived.popleft()
            network, zone, is_slow = self._under_way.pop(key)
            self._slow_under_way -= is_slow
            if seconds > self._timeout_seconds * SLOW_SHARE:
                self._slow[zone] = True
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]
            self._known[verdict][key] = True
            self.counts[verdict.value] += 1

    async def _look_up(self, key: bytes, address: str, bot: KnownBot) -> None:
        verdict, began = DnsVerdict.FAILED, monotonic()
        try:
            found = await look_up(address, bot.suffixes, self._nameservers, self._timeout_seconds, self._reach, bot.shared)
            verdict = found.verdict
        finally:
            self._arrived.append((key, verdict, monotonic() - began))


class _UnderWay(NamedTuple):
    """A look-up under way, by whom it is bounded."""

    network: str
    zone: str
    is_slow: bool


def _zone(address: Address) -> str:
    """What has one reverse zone, as far as an address tells."""
    return address.network_key() if address.is_v4 else f"{address.number >> 128 - _V6_ZONE_BITS:x}"


_MEANING: Final = {DnsVerdict.CONFIRMED: True, DnsVerdict.REFUTED: False, DnsVerdict.FAILED: None}


class Reach:
    """Whether the resolvers know the reverse names of the internet at all: one that knows only its own network's says of every
    crawler that it has no name. Asked at most once in REACH_SECONDS, and only when an address has none."""

    __slots__ = ("_asking", "_known_at", "_reaches")

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._known_at = float("-inf")
        self._reaches = False

    async def reaches(self, resolver: dns.asyncresolver.Resolver) -> bool:
        """Whether a well-known address has a reverse name."""
        async with self._asking:  # who comes meanwhile waits for the answer, instead of taking the last one
            if monotonic() - self._known_at > (REACH_SECONDS if self._reaches else FAILED_SECONDS):
                self._reaches = any([await self._has_name(resolver, address) for address in WELL_KNOWN])
                self._known_at = monotonic()
            return self._reaches

    async def _has_name(self, resolver: dns.asyncresolver.Resolver, address: str) -> bool:
        try:
            return bool(await _names(resolver, address))
        except dns.exception.DNSException:
            return False


class LookUp(NamedTuple):
    """What came of a look-up, and the name that was confirmed, or else the first that the address has."""

    verdict: DnsVerdict
    name: str = ""
    is_shared: bool = False
    """Whether the name leads back, and is one of a cloud from which others come, too."""


async def look_up(
    address: str, suffixes: tuple[str, ...], nameservers: tuple[Nameserver, ...], timeout_seconds: float, reach: Reach,
    shared: tuple[str, ...] = (),
) -> LookUp:  # fmt: skip
    """Look an address up, and the names found in turn, each within the time. Whatever servers answer, this does not raise.

    A name below one of `shared` that leads back leaves it unknown.
    """
    first = ""
    try:
        resolver = _resolver(nameservers, timeout_seconds)
        names = await _names(resolver, address)
        first = names[0].to_text(omit_final_dot=True)
        ours = _below(suffixes, names)
        failed = False
        for name in [*ours, *_below(shared, names)][:MAX_NAMES]:
            try:
                if address in await _addresses(resolver, name, is_v6=":" in address):
                    is_shared = name not in ours
                    verdict = DnsVerdict.FAILED if is_shared else DnsVerdict.CONFIRMED
                    return LookUp(verdict, name.to_text(omit_final_dot=True), is_shared)
            except _NOTHING_THERE:
                continue
            except dns.exception.DNSException:
                failed = True
    except _NOTHING_THERE:
        return LookUp(DnsVerdict.REFUTED if await reach.reaches(resolver) else DnsVerdict.FAILED)
    except Exception:  # noqa: BLE001 - a stranger's answer decides what is raised here, and no answer proves nothing
        return LookUp(DnsVerdict.FAILED, first)
    return LookUp(DnsVerdict.FAILED if failed else DnsVerdict.REFUTED, first)


_NOTHING_THERE: Final = (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer)


def _below(domains: tuple[str, ...], names: list[dns.name.Name]) -> list[dns.name.Name]:
    """The names in one of the domains."""
    parents = [dns.name.from_text(domain) for domain in domains]
    return [name for name in names if any(name.is_subdomain(parent) for parent in parents)]


def _resolver(nameservers: tuple[Nameserver, ...], timeout_seconds: float) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=not nameservers)
    if nameservers:
        resolver.nameservers = [dns.nameserver.Do53Nameserver(each.host, each.port) for each in nameservers]
    resolver.lifetime = timeout_seconds
    resolver.timeout = timeout_seconds / 2
    resolver.use_edns(0, 0, UDP_BYTES)
    return resolver


async def _names(resolver: dns.asyncresolver.Resolver, address: str) -> list[dns.name.Name]:
    answer = await resolver.resolve(dns.reversename.from_address(address), dns.rdatatype.PTR, search=False)
    return [record.target for record in answer]


async def _addresses(resolver: dns.asyncresolver.Resolver, name: dns.name.Name, *, is_v6: bool) -> set[str]:
    kind = dns.rdatatype.AAAA if is_v6 else dns.rdatatype.A
    answer = await resolver.resolve(name, kind, search=False)
    return {Address.parse(record.address).text for record in answer}
