"""Those who cost the site its CPU: facet searches, blame and diff pages without end."""

from __future__ import annotations

from random import Random
from typing import Final

from proxyguard.tools.range.browsers import desktop_browser, program
from proxyguard.tools.range.draw import EVEN, WORDS, spread
from proxyguard.tools.range.networks import hosting, residential
from proxyguard.tools.range.site import FACETS
from proxyguard.tools.range.values import Cohort, CohortKind, Session
from proxyguard.tools.range.visitor import Visitor

SEARCHERS: Final = 500
SEARCHES: Final = 8
FACETS_AT_ONCE: Final = (15, 22)
FORGE_ADDRESSES: Final = 10_000
ROTATED: Final = (
    b"Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.%d.%d Safari/537.36",
    b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_%d_%d) AppleWebKit/%d.36 (KHTML, like Gecko) Safari/605.1.15",
)  # fmt: skip


def _search(random: Random) -> Session:
    software = desktop_browser(random)
    visitor = Visitor(residential(random, software.speaks), software, keeps_cookies=False, sends_referer=False)
    for number in range(SEARCHES):
        facets = b"".join(
            b"&facet.%s=%s" % (random.choice(FACETS), random.choice(WORDS)) for _ in range(random.randint(*FACETS_AT_ONCE))
        )
        yield from visitor.get(20.0 * random.random() if number else 0.0, b"/search?q=%s%s" % (random.choice(WORDS), facets))


def _blame(random: Random) -> Session:
    """One request, under a user agent that nobody has, for a blame page or a diff of any two versions."""
    agent = random.choice(ROTATED) % (random.randrange(40, 120), random.randrange(1000, 6000), random.randrange(200))
    source = residential(random, "go") if random.random() < 0.8 else hosting(random, "go")
    visitor = Visitor(source, program(agent, "go", (b"User-Agent", agent), (b"Accept-Encoding", b"gzip")), keeps_cookies=False)
    target = (
        b"/code/blame/%d" % random.randrange(1, 20_000)
        if random.random() < 0.5
        else b"/code/diff/%d" % random.randrange(1, 10**8)
    )
    yield from visitor.get(0.0, target)


FACET_BOMB: Final = Cohort(
    name="facet-bomb", kind=CohortKind.ADVERSARY, arrivals=spread(SEARCHERS, EVEN, _search),
    about="500 home addresses, eight searches each with 15 and more facets", source="a university library's report",
)  # fmt: skip
FORGE_SWARM: Final = Cohort(
    name="forge-swarm", kind=CohortKind.ADVERSARY, arrivals=spread(FORGE_ADDRESSES, EVEN, _blame),
    about="10,000 addresses, one request each, random user agents, every blame and diff page",
    source="a code forge's report of 2025",
)  # fmt: skip
