"""Scrapy with its own name or that of a browser. Its fields stand as it writes them: Host last, nothing about the connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxyguard.tools.range.browsers import program
from proxyguard.tools.range.networks import hosting
from proxyguard.tools.range.scraping import WorkQueue, harvest
from proxyguard.tools.range.values import HOST, Arrival, Arrivals, Cohort, CohortKind, Draw, Presence
from proxyguard.tools.range.visitor import Visitor

PAGES: Final = 2_000
PARALLEL: Final = 8
"""CONCURRENT_REQUESTS_PER_DOMAIN."""

PLAIN: Final = b"Scrapy/2.13.3 (+https://scrapy.org)"
COPIED: Final = b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36"
ACCEPT: Final = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def _arrivals_of(agent: bytes) -> Arrivals:
    def arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
        queue = WorkQueue()
        source = hosting(draw.stream("address"), "twisted")
        fields = (
            (b"Accept", ACCEPT),
            (b"Accept-Language", b"en"),
            (b"User-Agent", agent),
            (b"Accept-Encoding", b"gzip, deflate, br, zstd"),
            (b"Host", HOST),
        )
        for index in range(PARALLEL):
            visitor = Visitor(source, program(agent, "twisted", *fields))
            yield Arrival(span.begin, harvest(visitor, draw.stream(index), queue, 0.8, span.count(PAGES) // PARALLEL))

    return arrivals


SCRAPY: Final = Cohort(
    name="scrapy", kind=CohortKind.ADVERSARY, arrivals=_arrivals_of(PLAIN),
    about="Scrapy as it comes, eight requests at a time",
    source="Scrapy's default fields and concurrency",
)  # fmt: skip
SCRAPY_AS_BROWSER: Final = Cohort(
    name="scrapy-as-browser", kind=CohortKind.ADVERSARY, arrivals=_arrivals_of(COPIED),
    about="Scrapy under the name of a Chrome, with its own fields in its own order",
    source="Scrapy with USER_AGENT set, the first thing its tutorials advise",
)  # fmt: skip
