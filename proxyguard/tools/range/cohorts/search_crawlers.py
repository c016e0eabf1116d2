"""Search engines whose addresses prove who they are."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import program
from proxyguard.tools.range.draw import EVEN, arrivals, popular_item
from proxyguard.tools.range.networks import verified_bot
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

SESSIONS: Final = 64
ENGINES: Final = (
    (
        b"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1; +http://www.google.com/bot.html) "
        b"Chrome/142.0.7444.162 Safari/537.36"
    ),
    b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    (
        b"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) "
        b"Chrome/136.0.0.0 Safari/537.36"
    ),
    b"Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
)  # fmt: skip


def _arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
    for index, at in enumerate(arrivals(draw.stream(), span.count(SESSIONS), span, EVEN)):
        yield Arrival(at, _session(draw.stream(index), index))


def _session(random: Random, index: int) -> Session:
    engine = index % len(ENGINES)
    agent = ENGINES[engine]
    fields = (
        (b"Connection", b"keep-alive"), (b"Accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (b"From", b"bot(at)search.example"), (b"User-Agent", agent), (b"Accept-Encoding", b"gzip, deflate, br"),
    )  # fmt: skip
    visitor = Visitor(
        verified_bot(engine, random.randrange(200), "crawler"), program(agent, "crawler", *fields), keeps_cookies=False
    )
    yield from visitor.get(0.0, b"/robots.txt")
    yield from visitor.get(1.0, b"/sitemap.xml")
    for _ in range(random.randint(10, 60)):
        answer = yield from visitor.get(4.0 + random.random() * 20, b"/posts/%d" % popular_item(random))
        if answer.status == 429:
            return


SEARCH_CRAWLERS: Final = Cohort(
    name="search-crawlers", kind=CohortKind.LEGITIMATE, arrivals=_arrivals,
    about="Verified search engines, one page every 4-24 s, rendering and not",
    source="user agents and pace as the engines document them; addresses in the range's verified networks",
)  # fmt: skip
