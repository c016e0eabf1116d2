"""Clients that speak and write like a browser, and browsers without a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxyguard.tools.range.browsers import SYSTEMS, chrome
from proxyguard.tools.range.networks import hosting_line
from proxyguard.tools.range.scraping import WorkQueue, harvest
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence
from proxyguard.tools.range.visitor import Visitor

ADDRESSES: Final = 50
PAGES: Final = 10_000
BROWSERS: Final = 4


def _impersonating(span: Presence, draw: Draw) -> Iterator[Arrival]:
    queue = WorkQueue()
    pages = span.count(PAGES) // ADDRESSES
    for index in range(ADDRESSES):
        visitor = Visitor(hosting_line(index * 254, "chrome", 14), chrome(143, *SYSTEMS[index % 3][:2]), sends_referer=False)
        yield Arrival(span.begin, harvest(visitor, draw.stream(index), queue, 4.0, pages))


def _headless(span: Presence, draw: Draw) -> Iterator[Arrival]:
    queue = WorkQueue()
    for index in range(BROWSERS):
        software = chrome(143, *SYSTEMS[0][:2])
        hints = tuple((name, value.replace(b"Google Chrome", b"HeadlessChrome")) for name, value in software.hints[:2])
        made = software._replace(speaks="chrome", hints=(*hints, (b"sec-ch-ua-platform", b'"Linux"')))
        visitor = Visitor(hosting_line(index, "chrome", 15), made)
        yield Arrival(span.begin, harvest(visitor, draw.stream(index), queue, 2.0, span.count(PAGES) // 10, assets=20))


IMPERSONATING: Final = Cohort(
    name="impersonating-client", kind=CohortKind.ADVERSARY, arrivals=_impersonating,
    about="50 rented addresses, a Chrome's TLS and fields, no assets",
    source="libraries that imitate a browser's TLS",
)  # fmt: skip
HEADLESS: Final = Cohort(
    name="headless-browser", kind=CohortKind.ADVERSARY, arrivals=_headless,
    about="Headless Chromium under a Windows user agent, with assets; its hints say Linux",
    source="live clients tried against the bundled rules",
)  # fmt: skip
