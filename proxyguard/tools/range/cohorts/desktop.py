"""People at desktops, on home lines."""

from __future__ import annotations

from random import Random
from typing import Final

from proxyguard.tools.range.browsers import desktop_browser
from proxyguard.tools.range.draw import AWAKE, pages_of_visit, spread
from proxyguard.tools.range.networks import residential
from proxyguard.tools.range.people import log_in, sign_up, visit
from proxyguard.tools.range.values import Cohort, CohortKind, Session
from proxyguard.tools.range.visitor import Visitor

SESSIONS: Final = 1_500
LOG_IN_SHARE: Final = 0.10
SIGN_UP_SHARE: Final = 0.01


def _session(random: Random) -> Session:
    software = desktop_browser(random)
    visitor = Visitor(residential(random, software.speaks), software)
    kind = random.random()
    if kind < LOG_IN_SHARE:
        if not (yield from log_in(visitor, random, 0.0)):
            return
    elif kind < LOG_IN_SHARE + SIGN_UP_SHARE and not (yield from sign_up(visitor, random, 0.0)):
        return
    yield from visit(visitor, random, pages_of_visit(random))


DESKTOP: Final = Cohort(
    name="desktop", kind=CohortKind.LEGITIMATE, arrivals=spread(SESSIONS, AWAKE, _session),
    about="People at desktops on home lines: pages with assets, cookies, some log in",
    source="pages ~ lognormal, median 6; gaps ~ lognormal, median 20 s; 8-40 assets in 2 s; 5 % a year old: published logs",
)  # fmt: skip
