"""People who live on the site: 80 tabs in five minutes, up to 2,000 pages a day."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import desktop_browser
from proxyguard.tools.range.draw import midnights, page_target
from proxyguard.tools.range.networks import residential
from proxyguard.tools.range.people import load_assets, log_in, read_page
from proxyguard.tools.range.values import HOUR_SECONDS, Arrival, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

PEOPLE: Final = 20
TABS: Final = 80
TABS_SECONDS: Final = 300.0
HOURS: Final = 14
PAGES_AN_HOUR: Final = (60, 140)


def _arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
    for day in midnights(span):
        random = draw.stream(f"day {day}")
        for index, at in enumerate(sorted(day + 7 * HOUR_SECONDS + random.random() * 2 * HOUR_SECONDS for _ in range(PEOPLE))):
            if span.begin <= at < span.end:
                yield Arrival(at, _session(draw.stream(f"{day} {index}")))


def _session(random: Random) -> Session:
    software = desktop_browser(random)
    visitor = Visitor(residential(random, software.speaks)._replace(is_regular=True), software)
    if not (yield from log_in(visitor, random, 0.0)):
        return
    for number in range(TABS):
        if not (yield from read_page(visitor, random, TABS_SECONDS / TABS * random.random() * 2, page_target(random))):
            return
        if not number:
            yield from load_assets(visitor, random, 30)
    for _ in range(HOURS):
        pages = random.randint(*PAGES_AN_HOUR)
        for _ in range(pages):
            if not (yield from read_page(visitor, random, HOUR_SECONDS / pages * random.random() * 2, page_target(random))):
                return


POWER_USER: Final = Cohort(
    name="power-user", kind=CohortKind.LEGITIMATE, arrivals=_arrivals,
    about="20 people who come every day, open 80 tabs in five minutes and read up to 2,000 pages a day",
    source="2,000 pages a day and 108 addresses a minute are the most seen of people in public logs",
)  # fmt: skip
