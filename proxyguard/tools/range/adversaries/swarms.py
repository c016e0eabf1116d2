"""Swarms of home addresses with one to three requests each, from careless to perfect."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import SYSTEMS, ClientSoftware, desktop_browser, phone_browser, program
from proxyguard.tools.range.draw import AWAKE, EVEN, arrivals
from proxyguard.tools.range.networks import residential
from proxyguard.tools.range.scraping import WorkQueue, harvest
from proxyguard.tools.range.values import Arrival, Arrivals, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

ADDRESSES: Final = 20_000
PAGES: Final = (1, 3)
CLUSTER: Final = 25
"""Sessions that share five user agents: a wiki saw clusters of 20-25 requests with exactly five."""

KINDS: Final = 5
OLD_CHROMES: Final = (103, 107, 110, 114, 119)


def _careless(random: Random) -> ClientSoftware:
    """What a script sends that copied a user agent only."""
    agent = b"Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36" % (
        random.choice(SYSTEMS)[0], random.choice(OLD_CHROMES),
    )  # fmt: skip
    return program(agent, "python", (b"User-Agent", agent), (b"Accept-Encoding", b"gzip, deflate"), (b"Accept", b"*/*"))


def _person(random: Random) -> ClientSoftware:
    return phone_browser(random) if random.random() < 0.5 else desktop_browser(random)


def swarm(
    *, careless: bool = False, impersonated: bool = False, cookies: bool = False, assets: int = 0, people_hours: bool = False,
    follows: bool = False, owners: int | None = None, pages: tuple[int, int] = PAGES, is_counted: bool = False,
) -> Arrivals:  # fmt: skip
    """Arrivals of a swarm. `impersonated`: TLS as a browser's. `owners`: only so many networks, those that people use least.
    `is_counted`: an address makes as many requests as it would read pages, and each redirect that it follows is one."""

    def made(span: Presence, draw: Draw) -> Iterator[Arrival]:
        queue = WorkQueue()
        hours = AWAKE if people_hours else EVEN
        kinds: list[ClientSoftware] = []
        for index, at in enumerate(arrivals(draw.stream(), span.count(ADDRESSES), span, hours)):
            random = draw.stream(index)
            if index % CLUSTER == 0:
                kinds = [_careless(random) if careless else _person(random) for _ in range(KINDS)]
            software = _person(random) if people_hours else kinds[index % KINDS]
            owner = None if people_hours else random.randrange(256) if owners is None else 255 - random.randrange(owners)
            source = residential(random, software.speaks if impersonated else "python", owner)
            visitor = Visitor(
                source, software, follows=follows or cookies, keeps_cookies=cookies or follows, sends_referer=assets > 0
            )
            yield Arrival(at, _session(random, visitor, queue, pages, assets, is_counted=is_counted))

    return made


def _session(
    random: Random, visitor: Visitor, queue: WorkQueue, pages: tuple[int, int], assets: int, *, is_counted: bool
) -> Session:
    count = random.randint(*pages)
    if is_counted:
        visitor.left = count
    yield from harvest(visitor, random, queue, 8.0, count, assets=assets)


def _cohort(name: str, about: str, source: str, made: Arrivals) -> Cohort:
    return Cohort(name=name, kind=CohortKind.ADVERSARY, about=about, source=source, arrivals=made)


RESIDENTIAL: Final = _cohort(
    "residential-swarm", "20,000 home addresses, 1-3 pages each, five old user agents a cluster, nothing else right",
    "a wiki's and a map service's reports; lab on aggregate limits, adversary a", swarm(careless=True),
)  # fmt: skip
ALL_HEADERS: Final = _cohort(
    "swarm-all-headers", "The same with every header field right, no cookie, no asset",
    "lab on aggregate limits, adversary a+", swarm(),
)  # fmt: skip
FOLLOWING: Final = _cohort(
    "swarm-following", "The same that follows redirects and keeps the cookie meanwhile, and still reads 1-3 pages",
    "lab on aggregate limits, adversary ac, with a request more for an address", swarm(follows=True),
)  # fmt: skip
COUNTED: Final = _cohort(
    "swarm-counted", "The same with one to three requests of an address in all, the redirect among them",
    "lab on aggregate limits, adversary ac", swarm(follows=True, is_counted=True),
)  # fmt: skip
WITH_ASSETS: Final = _cohort(
    "swarm-with-assets", "The same with a browser's TLS, cookies and assets, 3-10 pages each",
    "lab on aggregate limits, adversary b", swarm(impersonated=True, cookies=True, assets=12, pages=(3, 10)),
)  # fmt: skip
IMPERSONATED: Final = _cohort(
    "swarm-impersonated", "People's browsers, TLS, networks and hours, cookies and assets: a perfect imitation",
    "lab on aggregate limits, adversary c+", swarm(impersonated=True, cookies=True, assets=12, people_hours=True),
)  # fmt: skip
