"""Finds where a request comes from and who it is: what is known of the address, and the verdict on the identity it claims.

No request waits for anything: what has to be looked up elsewhere is unknown until it is there. A claim is proven by a signature,
by the published ranges or by the reverse name, and is false only when what can be asked says so for certain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final, NamedTuple

from proxyguard.core.address import Address, Network
from proxyguard.core.origin import NOTHING_KNOWN, Origin, Proof
from proxyguard.core.origin_settings import Identity, OriginTables
from proxyguard.core.request import Request
from proxyguard.guard.origin.background import Background
from proxyguard.guard.origin.bots import KnownBot
from proxyguard.guard.origin.key_directories import FetchText, KeyDirectories
from proxyguard.guard.origin.origin_data import OriginData, load_data, signature_of
from proxyguard.guard.origin.reverse_dns import ReverseDns
from proxyguard.guard.origin.shared_nonces import SharedNonces
from proxyguard.guard.origin.signatures import Signatures
from proxyguard.guard.origin.unvouched import UnvouchedWatch
from proxyguard.policy.compile.network_table import NetworkTable

logger = logging.getLogger(__name__)

_SPECIAL: Final = NetworkTable(
    (Network.parse(text), 0)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        "::/127", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8",
    )
)  # fmt: skip
"""What is not of the internet, by the special-purpose registries of IANA (RFC 6890). `ipaddress` takes 20 µs to say so."""

LOOK_SECONDS: Final = 60.0
"""Between looks whether lists or tables were replaced."""


class AddressFacts(NamedTuple):
    """What is known of an address, shared by all of which the same is known."""

    unclaimed: Origin
    """The origin of a request that claims nothing."""
    lists: tuple[int, ...]
    """The numbers of the published lists that it is in."""
    is_public: bool
    """Whether it is an address of the internet: of others nothing can be proven or refuted."""


class _Known:
    """Data, and the facts found in it. Replaced as one, so that the numbers of lists always belong to their data."""

    __slots__ = ("data", "old", "shared", "young")

    def __init__(self, data: OriginData) -> None:
        self.data = data
        self.young: dict[int, AddressFacts] = {}
        self.old: dict[int, AddressFacts] = {}
        self.shared: dict[AddressFacts, AddressFacts] = {}

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def remember(self, client: Address, room: int) -> AddressFacts:
        """The facts of an address, remembered. When the young half is full it becomes the old one, and the old is forgotten."""
        facts = self.old.get(client.number)
        if facts is None:
            facts = address_facts(client, self.data)
            facts = self.shared.setdefault(facts, facts)
        if len(self.young) >= room // 2:
            self.old, self.young, self.shared = self.young, {}, {}
        self.young[client.number] = facts
        return facts


def is_public(number: int) -> bool:
    """Whether an address of the common line is one of the internet."""
    return not _SPECIAL.find(number)


def address_facts(client: Address, data: OriginData) -> AddressFacts:
    """What is known of an address. Of one that is not of the internet nothing is."""
    if not is_public(client.number):
        return AddressFacts(NOTHING_KNOWN, (), is_public=False)
    where = data.tables.find(client.text)
    lists = data.ranges.find(client.number)
    kind = data.kinds.of(where.asn, where.owner, is_rented=data.hosting in lists)
    return AddressFacts(Origin(where.country, where.asn, where.owner, kind), lists, is_public=True)


class Origins:
    """Finds origins. Called from one thread, the event loop's."""

    def __init__(
        self, tables: OriginTables, identity: Identity, *, clock: Callable[[], float], wall: Callable[[], float],
        fetch: FetchText | None = None,
    ) -> None:  # fmt: skip
        """`clock` is for what is remembered, `wall` (Unix seconds) for days and signatures, `fetch` gets directories of keys."""
        self._tables = tables
        self._identity = identity
        self._clock = clock
        self._wall = wall
        self._background = Background()
        self._known: _Known | None = None
        self._signature: tuple[tuple[str, int, int], ...] = ()
        self._looking: Future[None] | None = None
        self.dns = ReverseDns(
            self._background, identity.resolvers, timeout_seconds=identity.dns_timeout_seconds,
            max_under_way=identity.dns_lookups, clock=clock,
        )  # fmt: skip
        self.directories = KeyDirectories(self._background, identity.directories, clock, fetch)
        self._signatures = Signatures(self.directories, identity.signature_age_seconds)
        self._unvouched = UnvouchedWatch()
        self._unwatched = 0
        """Requests that it is not shown; counted here, as each call of it is one of Python."""
        self.found = 0
        """Requests whose origin was looked for; the address of `remembered` of them was known."""
        self.remembered = 0
        self.verdicts = {True: 0, False: 0, None: 0}
        """Claims by their verdict."""

    def __len__(self) -> int:
        return 0 if self._known is None else len(self._known)

    def share_nonces(self, path: Path, secret: bytes) -> None:
        """Remember nonces with other workers, in a file. `secret` is the instance's. Raises OSError."""
        self._signatures.nonces.shared = SharedNonces(path, secret)

    @property
    def nonces(self) -> int:
        return len(self._signatures.nonces)

    @property
    def data(self) -> OriginData:
        """What facts are found in; read now if it was not yet, which takes half a second."""
        self.prepare()
        if self._known is None:
            raise TypeError("nothing was read")
        return self._known.data

    def prepare(self) -> None:
        """Read lists and tables, unless they were. Called before the first policy that asks is in force, from any thread."""
        if self._known is None:
            self._signature = signature_of(self._tables)
            self._put_in_force(load_data(self._tables))
            if self._signature or self._tables.directory is not None:
                self._looking = self._background.submit(self._look())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.refresh()

    def refresh(self) -> None:
        """Take over lists and tables that were replaced. What cannot be read is logged, and unknown."""
        try:
            signature = signature_of(self._tables)
            if self._known is not None and signature != self._signature:
                self._signature = signature
                self._put_in_force(load_data(self._tables))
        except Exception:
            logger.exception("lists and tables of origins could not be read again; the last ones stay")

    def _put_in_force(self, data: OriginData) -> None:
        for fault in data.faults:
            logger.warning("origin: %s", fault)
        self._known = _Known(data)

    def gauges(self) -> list[tuple[str, str, Callable[[], float]]]:
        """What metrics show: name, text, and how it is read."""
        dns, directories, verdicts = self.dns, self.directories, self.verdicts
        return [
            ("origin_lookups", "Requests whose origin was looked for.", lambda: self.found),
            ("origin_remembered", "Those of them whose address was known already.", lambda: self.remembered),
            ("origin_addresses", "Addresses whose facts are remembered.", self.__len__),
            ("identity_proven", "Claimed identities that were proven.", lambda: verdicts[True]),
            ("identity_forged", "Claimed identities that failed.", lambda: verdicts[False]),
            ("identity_unknown", "Claimed identities that are not known, or not yet.", lambda: verdicts[None]),
            ("identity_dns_pending", "Look-ups of reverse names under way.", lambda: dns.under_way),
            ("identity_dns_cached", "Verdicts by reverse name that were remembered.", lambda: dns.counts["cached"]),
            ("identity_dns_confirmed", "Look-ups that confirmed a bot.", lambda: dns.counts["confirmed"]),
            ("identity_dns_refuted", "Look-ups that refuted a claim.", lambda: dns.counts["refuted"]),
            ("identity_dns_failed", "Look-ups that no server answered as it should.", lambda: dns.counts["failed"]),
            ("identity_dns_crowded", "Look-ups that were not made for want of room.", lambda: dns.counts["crowded"]),
            ("identity_keys_fetched", "Directories of keys that were fetched.", lambda: directories.counts["fetched"]),
            ("identity_keys_failed", "Directories of keys that could not be fetched.", lambda: directories.counts["failed"]),
            ("identity_nonces", "Nonces of signatures that are remembered.", lambda: self.nonces),
        ]

    def close(self) -> None:
        """Give up what is under way."""
        self._background.close()

    def find(self, request: Request) -> Origin:
        """The origin of a request, as far as it is known now. Does not wait."""
        known = self._known
        if known is None:
            return NOTHING_KNOWN
        self.found += 1
        if self._unwatched:
            self._unwatched -= 1
        else:
            self._unwatched = self._unvouched.observe(request)
        client, data = request.client, known.data
        facts = known.young.get(client.number)
        if facts is None:
            facts = known.remember(client, self._tables.addresses)
        else:
            self.remembered += 1
        index = request.header_index
        agents = index.get(b"user-agent")
        bot = data.claims.of(agents[0]) if agents else None
        if b"signature-input" in index:
            signed = self._signed(request, facts.unclaimed, data)
            if signed is not None:
                return signed
        if bot is None:
            return facts.unclaimed
        return self._claimed(request, bot, facts, data)

    def _signed(self, request: Request, origin: Origin, data: OriginData) -> Origin | None:
        """The origin of a request with a signature that proves or fails; None: with none that can be judged."""
        verdict = self._signatures.judge(request, self._wall())
        if verdict is None or verdict.verified is None:
            return None
        bot = data.by_directory.get(verdict.host)
        name = verdict.host.replace(".", "-").replace(":", "-") if bot is None else bot.name
        self.verdicts[verdict.verified] += 1
        return origin._replace(
            identity=name if verdict.verified else None, claim=name, verified=verdict.verified, proof=Proof.SIGNATURE
        )

    def _claimed(self, request: Request, bot: KnownBot, facts: AddressFacts, data: OriginData) -> Origin:
        """The origin of a request whose user agent names a bot."""
        verified, proof = self.verdict(request.client, bot, facts, data)
        if verified is False and self._unvouched.doubts(request):
            verified, proof = None, Proof.NONE
        self.verdicts[verified] += 1
        return facts.unclaimed._replace(identity=bot.name if verified else None, claim=bot.name, verified=verified, proof=proof)

    def verdict(self, client: Address, bot: KnownBot, facts: AddressFacts, data: OriginData) -> tuple[bool | None, Proof]:
        """Whether an address is a bot's, and what that rests on."""
        if not facts.is_public:
            return None, Proof.NONE
        now = self._wall()
        ranges = data.ranges
        refuted = bool(bot.ranges)
        for name in bot.ranges:
            number = ranges.numbers.get(name)
            age = float("inf") if number is None else now - ranges.days[number]
            if number in facts.lists and age <= self._identity.prove_seconds:
                return True, Proof.RANGES
            refuted = refuted and number is not None and ranges.lists[number].is_complete and age <= self._identity.refute_seconds
        if bot.suffixes and self._identity.reverse_dns:
            return self.dns.find(client, bot), Proof.REVERSE_DNS
        return (False, Proof.RANGES) if refuted else (None, Proof.NONE)
