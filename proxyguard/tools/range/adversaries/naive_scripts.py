"""Scripts that do not pretend: python-requests, Go and curl, an address each, ten requests a second."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import CURL, GO_CLIENT, PYTHON_REQUESTS, ClientSoftware
from proxyguard.tools.range.networks import hosting_line
from proxyguard.tools.range.scraping import WorkQueue, harvest
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

PAGES: Final = 3_000
SCRIPTS: Final[tuple[ClientSoftware, ...]] = (PYTHON_REQUESTS, GO_CLIENT, CURL)


def _arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
    for index, software in enumerate(SCRIPTS):
        yield Arrival(span.begin, _session(draw.stream(index), software, index, span.count(PAGES)))


def _session(random: Random, software: ClientSoftware, index: int, pages: int) -> Session:
    visitor = Visitor(hosting_line(index * 254, software.speaks), software, follows=False, keeps_cookies=False)
    yield from harvest(visitor, random, WorkQueue(), 0.1, pages)


NAIVE_SCRIPTS: Final = Cohort(
    name="naive-scripts", kind=CohortKind.ADVERSARY, arrivals=_arrivals,
    about="python-requests, Go and curl under their own names, one address and 10 requests a second each",
    source="the default fields of the three libraries",
)  # fmt: skip
