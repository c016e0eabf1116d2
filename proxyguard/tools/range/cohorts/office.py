"""Offices: many people behind two addresses, who all begin at nine and at times sign up together."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import desktop_browser
from proxyguard.tools.range.draw import OFFICE_HOURS, arrivals, midnights, pages_of_visit
from proxyguard.tools.range.networks import office
from proxyguard.tools.range.people import sign_up, visit
from proxyguard.tools.range.values import DAY_SECONDS, HOUR_SECONDS, Arrival, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

PEOPLE: Final = 60
OFFICES: Final = 2
START: Final = 9 * HOUR_SECONDS
CLASS_START: Final = 40
"""First requests within the minute in which a class or a meeting begins."""

SIGN_UPS: Final = 10
SIGN_UP_SECONDS: Final = 900.0
SIGN_UP_AT: Final = 11 * HOUR_SECONDS
OVER_THE_DAY: Final = 70
"""Visits of each office besides, spread over its hours."""


def _moments(random: Random, span: Presence) -> Iterator[tuple[float, bool]]:
    """When visits begin, in order, and whether they are sign-ups."""
    for day in midnights(span):
        fixed = [(day + START + random.random() * 60, False) for _ in range(CLASS_START)]
        fixed += [(day + SIGN_UP_AT + random.random() * SIGN_UP_SECONDS, True) for _ in range(SIGN_UPS)]
        rest = [(at, False) for at in arrivals(random, OVER_THE_DAY, Presence(day, day + DAY_SECONDS), OFFICE_HOURS)]
        yield from ((at, signs) for at, signs in sorted(fixed + rest) if span.begin <= at < span.end)


def _arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
    yield from merge(*(_of_office(each, span, draw) for each in range(OFFICES)), key=lambda arrival: arrival.at)


def _of_office(number: int, span: Presence, draw: Draw) -> Iterator[Arrival]:
    for index, (at, signs) in enumerate(_moments(draw.stream(f"office {number}"), span)):
        yield Arrival(at, session(draw.stream(f"{number} {index}"), number, 1 + index % 2, signs=signs))


def session(random: Random, number: int, exit_: int, *, signs: bool = False) -> Session:
    software = desktop_browser(random)
    visitor = Visitor(office(number, exit_, software.speaks), software)
    if signs and not (yield from sign_up(visitor, random, 0.0)):
        return
    yield from visit(visitor, random, pages_of_visit(random))


OFFICE: Final = Cohort(
    name="office", kind=CohortKind.LEGITIMATE, arrivals=_arrivals,
    about="Two offices of 60 people behind two addresses each: 40 first requests in a minute, 10 sign-ups in 15 minutes",
    source="2 addresses x 60 people, class start, sign-ups: operators' reports of wrongly limited offices",
)  # fmt: skip
