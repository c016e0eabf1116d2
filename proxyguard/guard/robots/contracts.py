"""Holds requests to the robots.txt of their site: which text is in force for each host, and when it is read again.

Texts are read from the upstream in the background: what clients ask for `/robots.txt`, with whatever fields, changes nothing.
No request waits; until a text was read, and where it cannot be, everything is unknown. What RFC 9309 says of answers holds:
with 4xx nothing is forbidden; with 5xx and silence the last text stays, for thirty days. A crawler may keep a copy for a day
(section 2.4), so that only what every text of the last day forbids is forbidden.

Clients choose hosts: there is room for MAX_HOSTS, for few of one client network, and none that is in use gives way; those that
the operator names always have room. What nobody needed since it was read is not read again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final
from urllib.parse import urljoin, urlsplit

from proxyguard.core.address import DEFAULT_PREFIXES, Prefixes
from proxyguard.core.request import Request
from proxyguard.core.robots import NOT_READ, RobotsVerdict, RobotsWord
from proxyguard.core.shares import Shares
from proxyguard.guard.interfaces import AskSite, FileAnswer
from proxyguard.policy.bots.classes import MAX_BYTES as MAX_AGENT
from proxyguard.policy.bots.classes import classes_of
from proxyguard.policy.robots.robots_txt import NOTHING_FORBIDDEN, RobotsTxt, subject_of, whole_lines

logger = logging.getLogger(__name__)

MAX_HOSTS: Final = 256
HOSTS_PER_NETWORK: Final = 8
"""Hosts that one client network may be the first to ask for."""

IDLE_SECONDS: Final = 600.0
"""A host that nobody asked for so long gives way to another."""

SIFT_SECONDS: Final = 1.0
"""Between looks for such hosts: who invents hosts decides how often there is no room."""

MAX_TEXT_BYTES: Final = 4 * 1024 * 1024
"""All different texts together, earlier ones too; beyond, a text is not held, and unknown. Made ready they take about ten times
as much."""

MAX_EARLIER: Final = 4
"""Texts of the last day that are kept beside the one in force; of more the newest."""

COPY_SECONDS: Final = 86_400.0
"""How long a crawler may go by a copy."""

STALE_SECONDS: Final = 30 * 86_400.0
"""How long a text stays in force that cannot be read again."""

RETRY_SECONDS: Final = 60.0
"""Until a text that could not be read is asked for again; each time twice as long, up to the usual time."""

READ_SECONDS: Final = 20.0
"""For one text, redirects included: a host that never answers makes others of its batch wait no longer."""

AT_ONCE: Final = 4
MAX_REDIRECTS: Final = 5
"""What RFC 9309 (section 2.3.1.2) asks of crawlers."""

PATH: Final = "/robots.txt"


class _Contract:
    """What is in force for one host."""

    __slots__ = ("asked_at", "earlier", "failures", "look_at", "network", "read_at", "text", "used", "words")

    def __init__(self, network: str, now: float) -> None:
        self.network = network
        """Of the client that asked first; empty for a host that the operator names."""
        self.used = now
        self.look_at = now
        self.asked_at = self.read_at = 0.0
        self.failures = 0
        self.text = b""
        self.words: RobotsTxt | None = None
        self.earlier: tuple[tuple[float, RobotsTxt], ...] = ()
        """Texts that were replaced, and until when a crawler may go by a copy; the newest first."""


class RobotsContracts:
    """Judges requests by the robots.txt of their host. One per process; called from the event loop only."""

    def __init__(
        self,
        refresh_seconds: float,
        clock: Callable[[], float],
        prefixes: Prefixes = DEFAULT_PREFIXES,
        named: frozenset[bytes] = frozenset(),
        shown: Callable[[bytes], str] = bytes.decode,
    ) -> None:
        """`named`: the hosts that the operator's sites name whole, in lower case. `shown`: what the log may say of a host."""
        self._named = named
        self._shown = shown
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._prefixes = prefixes
        self._contracts: dict[bytes, _Contract] = {}
        self._shares = Shares()
        self._wake = asyncio.Event()
        self._sifted = -inf
        self.read = self.failed = self.crowded = 0
        """Texts that were read, or could not be; hosts and texts for which there was no room."""
        self.broken = 0
        """Requests of declared bots for what robots.txt forbids them."""

    def __len__(self) -> int:
        return len(self._contracts)

    def judge(self, request: Request, now: float) -> RobotsVerdict:
        """What the robots.txt of its site says of a request, as far as it is known. Does not wait.

        It is read from when a declared bot first asked the site for something: nobody else can break it.
        """
        contract = self._contracts.get(request.host)
        agent = request.user_agent or b""
        if contract is None:
            if classes_of(agent[:MAX_AGENT]):
                self._admit(request, now)
            return NOT_READ
        self._use(contract, now)
        words = contract.words
        if words is None:
            return NOT_READ
        path = subject_of(request)
        verdict = words.judge(agent, path)
        if verdict.word is not RobotsWord.DISALLOWED:
            return verdict
        for until, earlier in contract.earlier:
            if now < until and earlier.judge(agent, path).word is not RobotsWord.DISALLOWED:
                return verdict._replace(word=RobotsWord.ALLOWED)
        classes = classes_of(agent[:MAX_AGENT])
        self.broken += bool(classes)
        return verdict._replace(classes=classes)

    def text_of(self, request: Request, now: float) -> bytes | None:
        """The text that the site of a request has, empty where it has none; None: not known (yet)."""
        contract = self._contracts.get(request.host)
        if contract is None:
            self._admit(request, now)
            return None
        self._use(contract, now)
        return None if contract.words is None else contract.text

    def gauges(self) -> list[tuple[str, str, Callable[[], float]]]:
        """What metrics show: name, text, and how it is read."""
        return [
            ("robots_hosts", "Hosts whose robots.txt is known, or asked for.", self.__len__),
            ("robots_read", "Times that a robots.txt was read.", lambda: self.read),
            ("robots_failed", "Times that a robots.txt could not be read.", lambda: self.failed),
            ("robots_crowded", "Hosts and texts for which there was no room; they are unknown.", lambda: self.crowded),
            ("robots_broken", "Requests of declared bots for what robots.txt forbids them.", lambda: self.broken),
        ]

    async def run(self, ask: AskSite) -> None:
        """Read texts when their time comes, until cancelled."""
        while True:
            if await self.read_due(ask):
                continue
            self._wake.clear()
            soonest = min((each.look_at for each in self._contracts.values() if _is_wanted(each)), default=inf)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(self._refresh_seconds, max(0.05, soonest - self._clock()))):
                    await self._wake.wait()

    async def read_due(self, ask: AskSite) -> bool:
        """Read some of the texts whose time has come; returns whether there were any."""
        now = self._clock()
        due = [host for host, each in self._contracts.items() if each.look_at <= now and _is_wanted(each)][:AT_ONCE]
        for host in due:
            contract = self._contracts[host]
            contract.asked_at, contract.look_at = now, now + self._refresh_seconds
        for host, answer in zip(due, await asyncio.gather(*(_ask(host, ask) for host in due)), strict=True):
            await self._take(host, answer)
        return bool(due)

    def _use(self, contract: _Contract, now: float) -> None:
        if contract.look_at <= now and not _is_wanted(contract):
            self._wake.set()
        contract.used = now

    def _admit(self, request: Request, now: float) -> None:
        """Make room for a host that nobody asked for before, if there is any."""
        network = "" if request.host in self._named else request.client.network_key(self._prefixes)
        if self._is_full(network) and now - self._sifted >= SIFT_SECONDS:
            self._sifted = now
            for host in [host for host, each in self._contracts.items() if each.network and now - each.used > IDLE_SECONDS]:
                self._shares.take(self._contracts.pop(host).network)
        if self._is_full(network):
            self.crowded += 1
            return
        if network:
            self._shares.add(network)
        self._contracts[request.host] = _Contract(network, now)
        self._wake.set()

    def _is_full(self, network: str) -> bool:
        """Whether there is no room for a host that a client of a network asks for; none: the operator names it."""
        return bool(network) and (len(self._contracts) >= MAX_HOSTS or self._shares.of(network) >= HOSTS_PER_NETWORK)

    async def _take(self, host: bytes, answer: FileAnswer) -> None:
        contract, now = self._contracts.get(host), self._clock()
        if contract is None:
            return  # it gave way meanwhile
        if 200 <= answer.status < 300:
            words = await self._made(whole_lines(answer.body))
        else:
            words = NOTHING_FORBIDDEN if 400 <= answer.status < 500 and answer.status != 429 else None
        if words is None:
            self.failed += 1
            contract.look_at = now + min(self._refresh_seconds, RETRY_SECONDS * 2 ** min(contract.failures, 16))
            contract.failures += 1
            if now - contract.read_at > STALE_SECONDS:
                contract.words = None
            return
        self.read += 1
        contract.failures = 0
        contract.read_at = now
        self._put_in_force(host, contract, words, whole_lines(answer.body) if words is not NOTHING_FORBIDDEN else b"", now)

    def _put_in_force(self, host: bytes, contract: _Contract, words: RobotsTxt, text: bytes, now: float) -> None:
        before = contract.words
        if before is not None and before.version == words.version:
            return
        if before is not None:
            contract.earlier = ((now + COPY_SECONDS, before), *contract.earlier)[:MAX_EARLIER]
        contract.words, contract.text = words, text
        logger.info(
            "robots.txt of %s: version %s, %d groups, %d bytes", self._shown(host), words.version, len(words.names), len(text)
        )

    async def _made(self, text: bytes) -> RobotsTxt | None:
        """The text, read in a thread; shared with hosts that have the same. None: there is no room."""
        now, held = self._clock(), set[RobotsTxt]()
        for each in self._contracts.values():
            each.earlier = tuple([one for one in each.earlier if one[0] > now])
            held.update(words for _, words in each.earlier)
            if each.words is not None:
                if each.text == text:
                    return each.words
                held.add(each.words)
        if len(text) + sum(words.size for words in held) > MAX_TEXT_BYTES:
            self.crowded += 1
            return None
        return await asyncio.to_thread(RobotsTxt, text)


def _is_wanted(contract: _Contract) -> bool:
    """Whether anybody asked for the host since its text was asked for."""
    return contract.used >= contract.asked_at


async def _ask(host: bytes, ask: AskSite) -> FileAnswer:
    """The answer to `/robots.txt`, or none in time."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await _followed(host, ask)
    except TimeoutError:
        return FileAnswer(0)


async def _followed(host: bytes, ask: AskSite) -> FileAnswer:
    """The answer to `/robots.txt`, redirects within the host followed. One that leads elsewhere is none."""
    path, name = PATH, host.decode("ascii", "replace")
    for _ in range(MAX_REDIRECTS + 1):
        answer = await ask(host, path)
        if not 300 <= answer.status < 400 or not answer.location:
            break
        try:
            where = urlsplit(urljoin(f"https://{name}{path}", answer.location))
            leads_elsewhere = where.scheme not in ("http", "https") or where.hostname != name
        except ValueError:
            leads_elsewhere = True
        if leads_elsewhere:
            return FileAnswer(0)
        path = (where.path or "/") + (f"?{where.query}" if where.query else "")
    return answer
