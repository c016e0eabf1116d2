"""An archive rush: 2,000 old items are in the news, and people read them for three hours."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import desktop_browser
from proxyguard.tools.range.draw import gap, midnights, spread_number
from proxyguard.tools.range.networks import residential
from proxyguard.tools.range.people import load_assets, read_page
from proxyguard.tools.range.values import HOUR_SECONDS, Arrival, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

PEOPLE: Final = 600
ITEMS_IN_THE_NEWS: Final = 2_000
BEGINS_AT: Final = 20 * HOUR_SECONDS
LASTS: Final = 3 * HOUR_SECONDS


def _arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
    for day in midnights(span):
        random = draw.stream(f"day {day}")
        for index, at in enumerate(
            sorted(day + BEGINS_AT + random.random() * LASTS for _ in range(round(PEOPLE * min(span.size, 1.0))))
        ):
            if span.begin <= at < span.end:
                yield Arrival(at, _session(draw.stream(f"{day} {index}")))


def _session(random: Random) -> Session:
    software = desktop_browser(random)
    visitor = Visitor(residential(random, software.speaks), software)
    for number in range(random.randint(2, 25)):
        target = b"/posts/%d" % spread_number(40_000 + random.randrange(ITEMS_IN_THE_NEWS))
        if not (yield from read_page(visitor, random, gap(random, 15.0) if number else 0.0, target)):
            return
        yield from load_assets(visitor, random, random.randrange(3) if number else 20)


ARCHIVE_RUSH: Final = Cohort(
    name="archive-rush", kind=CohortKind.LEGITIMATE, arrivals=_arrivals,
    about="600 people read 2,000 old items that nobody else reads, for three hours",
    source="lab on aggregate limits: the case in which cold items are read by people",
)  # fmt: skip
