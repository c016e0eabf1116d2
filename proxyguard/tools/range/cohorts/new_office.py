"""An office that the site has never seen, whose people all come on its first day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxyguard.tools.range.cohorts.office import session
from proxyguard.tools.range.draw import OFFICE_HOURS, arrivals
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence

SESSIONS: Final = 120
NUMBER: Final = 200
"""Of the office: none of the others has its networks."""


def _arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
    for index, at in enumerate(arrivals(draw.stream(), span.count(SESSIONS), span, OFFICE_HOURS)):
        yield Arrival(at, session(draw.stream(index), NUMBER, 1))


NEW_OFFICE: Final = Cohort(
    name="new-office", kind=CohortKind.LEGITIMATE, arrivals=_arrivals,
    about="An office without any history at the site, all behind one address",
    source="120 sessions on its first day: lab on aggregate limits, where baselines by network hurt it most",
)  # fmt: skip
