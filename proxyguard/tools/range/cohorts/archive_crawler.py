"""A polite archive: reads robots.txt, a page every ten seconds."""

from __future__ import annotations

from random import Random
from typing import Final

from proxyguard.tools.range.browsers import program
from proxyguard.tools.range.draw import EVEN, spread
from proxyguard.tools.range.networks import verified_bot
from proxyguard.tools.range.values import Cohort, CohortKind, Session
from proxyguard.tools.range.visitor import Visitor

SESSIONS: Final = 24
PAGES: Final = 60
AGENT: Final = b"Mozilla/5.0 (compatible; archive.org_bot +http://archive.org/details/archive.org_bot)"


def _session(random: Random) -> Session:
    software = program(AGENT, "java", (b"User-Agent", AGENT), (b"Connection", b"close"), (b"Accept", b"text/html,*/*;q=0.9"))
    visitor = Visitor(verified_bot(7, random.randrange(8), "java"), software, keeps_cookies=False)
    yield from visitor.get(0.0, b"/robots.txt")
    for _ in range(PAGES):
        yield from visitor.get(10.0 + random.random(), b"/posts/%d" % random.randrange(1, 50_001), conditional=True)


ARCHIVE_CRAWLER: Final = Cohort(
    name="archive-crawler", kind=CohortKind.LEGITIMATE, arrivals=spread(SESSIONS, EVEN, _session),
    about="An archive that obeys robots.txt: a page every ten seconds",
    source="Crawl-delay of the range's robots.txt",
)  # fmt: skip
