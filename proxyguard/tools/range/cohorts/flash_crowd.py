"""A flash crowd: ten times as many people on one page for ten minutes."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import desktop_browser, phone_browser
from proxyguard.tools.range.draw import midnights
from proxyguard.tools.range.networks import mobile, residential
from proxyguard.tools.range.people import visit
from proxyguard.tools.range.values import DAY_SECONDS, HOUR_SECONDS, Arrival, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

PEOPLE: Final = 800
BEGINS_AT: Final = 19 * HOUR_SECONDS
LASTS: Final = 600.0
TARGET: Final = b"/posts/4711"


def _arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
    for day in midnights(span):
        random = draw.stream(f"day {day}")
        begin = day + BEGINS_AT if span.end - span.begin >= DAY_SECONDS else (span.begin + span.end) / 2
        for index, at in enumerate(
            sorted(begin + random.random() ** 2 * LASTS for _ in range(round(PEOPLE * min(span.size, 1.0))))
        ):
            yield Arrival(at, _session(draw.stream(f"{day} {index}")))


def _session(random: Random) -> Session:
    phone = random.random() < 0.5
    software = phone_browser(random) if phone else desktop_browser(random)
    source = mobile(random, software.speaks) if phone else residential(random, software.speaks)
    pages = 1 if random.random() < 0.6 else random.randint(2, 4)
    yield from visit(Visitor(source, software), random, pages, first=TARGET, assets=(6, 24))


FLASH_CROWD: Final = Cohort(
    name="flash-crowd", kind=CohortKind.LEGITIMATE, arrivals=_arrivals,
    about="800 people come to one page within ten minutes",
    source="ten times the calm rate for ten minutes, most in the beginning: reports of posts that spread",
)  # fmt: skip
