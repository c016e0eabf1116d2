"""Declared crawlers of AI companies, which ignore robots.txt, and one that comes back as a Chrome when it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import SYSTEMS, chrome, program
from proxyguard.tools.range.networks import hosting, hosting_line, residential
from proxyguard.tools.range.scraping import NOTHING_LEFT, WorkQueue, got, take_one
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

PAGES: Final = 2_000
AGENTS: Final = (
    b"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.3; +https://openai.com/gptbot)",
    b"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
    (
        b"Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 "
        b"(compatible; Bytespider; spider-feedback@bytedance.com)"
    ),
    b"CCBot/2.0 (https://commoncrawl.org/faq/)",
    b"meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
    (
        b"Mozilla/5.0 (compatible; Amazonbot/0.1; +https://developer.amazon.com/support/amazonbot) "
        b"Chrome/119.0.6045.214 Safari/537.36"
    ),
)  # fmt: skip
COMES_BACK_AFTER: Final = 60.0
PATIENCE: Final = 5
"""Refusals in a row after which it changes its name."""


def _crawlers(span: Presence, draw: Draw) -> Iterator[Arrival]:
    for index, agent in enumerate(AGENTS):
        yield Arrival(span.begin + index, _crawl(draw.stream(index), agent, index, span.count(PAGES)))


def _crawl(random: Random, agent: bytes, index: int, pages: int) -> Session:
    software = program(agent, "crawler", (b"User-Agent", agent), (b"Accept", b"*/*"), (b"Accept-Encoding", b"gzip, br"))
    queue = WorkQueue()
    for number in range(pages):
        visitor = Visitor(hosting_line(index * 254 + number % 16, "crawler", 11), software, keeps_cookies=False)
        answer = yield from take_one(visitor, queue, 1.0 / random.uniform(2.0, 6.0), b"/posts/%d")
        if answer is NOTHING_LEFT:
            return


def _returning(span: Presence, draw: Draw) -> Iterator[Arrival]:
    queue = WorkQueue()
    for index in range(4):
        yield Arrival(span.begin + index, _returns(draw.stream(index), queue, index, span.count(PAGES)))


def _returns(random: Random, queue: WorkQueue, index: int, pages: int) -> Session:
    """Crawl under its own name; a minute after the fifth refusal in a row come back as a Chrome on macOS from elsewhere."""
    agent = AGENTS[0]
    software = program(agent, "crawler", (b"User-Agent", agent), (b"Accept", b"*/*"), (b"Accept-Encoding", b"gzip, br"))
    visitor = Visitor(hosting_line(index, "crawler", 11), software, keeps_cookies=False)
    refused, wait = 0, 0.25
    for _ in range(pages):
        answer = yield from take_one(visitor, queue, wait, b"/posts/%d")
        wait = 1.0 / random.uniform(2.0, 6.0)
        if answer is NOTHING_LEFT:
            return
        refused = 0 if got(answer) else refused + 1
        if refused >= PATIENCE:
            refused, wait = 0, COMES_BACK_AFTER * random.random()
            mask = chrome(143, SYSTEMS[1][0], SYSTEMS[1][1])
            source = residential(random, "crawler") if random.random() < 0.5 else hosting(random, "crawler", random.randrange(4))
            visitor = Visitor(source, mask, keeps_cookies=False, sends_referer=False)


AI_CRAWLERS: Final = Cohort(
    name="ai-crawlers", kind=CohortKind.ADVERSARY, arrivals=_crawlers,
    about="Six declared AI crawlers, 16 addresses each, 2-6 pages a second, robots.txt ignored",
    source="pace and habits: a forge's and a CDN's reports of 2025 and 2026",
)  # fmt: skip
CRAWLER_RETURNS: Final = Cohort(
    name="returning-crawler", kind=CohortKind.ADVERSARY, arrivals=_returning,
    about="A declared crawler that comes back within a minute as Chrome on macOS from other networks",
    source="a CDN's report of 2025",
)  # fmt: skip
