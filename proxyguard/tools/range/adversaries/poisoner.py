"""Attacks from behind an office, and from beside it, to have the office refused."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import PYTHON_REQUESTS
from proxyguard.tools.range.networks import office
from proxyguard.tools.range.scraping import check_names
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

RATE: Final = 10.0


def _arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
    """One infected machine in office 0: it floods the sign-up form and crawls through the same exit as 60 people."""
    count = int((span.end - span.begin) * RATE)
    yield Arrival(span.begin, _flood(draw.stream(1), count, span.end))
    yield Arrival(span.begin, _crawl(draw.stream(2), count, span.end))


def _flood(random: Random, count: int, until: float) -> Session:
    visitor = Visitor(office(0, 1, "python"), PYTHON_REQUESTS, keeps_cookies=False, follows=False, patience=1.0)
    yield from check_names(visitor, random, 1.0 / RATE, count, b"p", until)


def _crawl(random: Random, count: int, until: float) -> Session:
    visitor = Visitor(office(0, 1, "python"), PYTHON_REQUESTS, keeps_cookies=False)
    for _ in range(count):
        answer = yield visitor.fetch(2.0 / RATE * random.random(), b"/profiles/%d" % random.randrange(1, 50_001))
        if answer.at >= until:
            return


POISONER: Final = Cohort(
    name="poisoner", kind=CohortKind.ADVERSARY, arrivals=_arrivals,
    about="A machine behind an office's address floods sign-up and crawls under a library's name",
    source="shared exits that were banned for one infected machine: operators' reports",
)  # fmt: skip
