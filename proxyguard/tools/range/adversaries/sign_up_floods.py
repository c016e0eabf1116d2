"""Enumeration through the sign-up form: each answer is one bit, whether a name has an account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxyguard.tools.range.browsers import PYTHON_REQUESTS, SYSTEMS, chrome, desktop_browser
from proxyguard.tools.range.networks import hosting_line, residential
from proxyguard.tools.range.scraping import check_names
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence
from proxyguard.tools.range.visitor import Visitor

FLOODERS: Final = 4
PARALLEL: Final = 5
"""Connections of each address: a held one does not hold up the others."""

RATE: Final = 25.0
FLOOD_SECONDS: Final = 3_600.0

SWARM: Final = 5_000
SWARM_GAP_SECONDS: Final = 600.0


def _flood(span: Presence, draw: Draw) -> Iterator[Arrival]:
    seconds = min(span.end - span.begin, FLOOD_SECONDS) * min(span.size, 1.0)
    for index in range(FLOODERS * PARALLEL):
        software = PYTHON_REQUESTS if index % 2 else chrome(143, *SYSTEMS[0][:2])
        visitor = Visitor(
            hosting_line(index // PARALLEL, "python", 12), software, keeps_cookies=False, follows=False, patience=10.0
        )
        questions = int(seconds * RATE / PARALLEL)
        until = span.begin + seconds
        yield Arrival(span.begin, check_names(visitor, draw.stream(index), PARALLEL / RATE, questions, b"f%d-" % index, until))


def _swarm(span: Presence, draw: Draw) -> Iterator[Arrival]:
    questions = max(1, int((span.end - span.begin) / SWARM_GAP_SECONDS))
    for index in range(span.count(SWARM)):
        random = draw.stream(index)
        software = desktop_browser(random)
        visitor = Visitor(residential(random, software.speaks), software, keeps_cookies=False, follows=False)
        yield Arrival(span.begin, check_names(visitor, random, SWARM_GAP_SECONDS, questions, b"s%d-" % index, span.end))


SIGN_UP_FLOOD: Final = Cohort(
    name="sign-up-flood", kind=CohortKind.ADVERSARY, arrivals=_flood,
    about="Four addresses that ask the sign-up form 25 times a second each", source="the model case of 2023",
)  # fmt: skip
SIGN_UP_SWARM: Final = Cohort(
    name="sign-up-swarm", kind=CohortKind.ADVERSARY, arrivals=_swarm,
    about="5,000 home addresses that ask the sign-up form once in ten minutes each",
    source="lab on aggregate limits, adversary h",
)  # fmt: skip
