"""Pages opened inside of apps: WebViews that keep no cookie between pages."""

from __future__ import annotations

from random import Random
from typing import Final

from proxyguard.tools.range.browsers import webview
from proxyguard.tools.range.draw import AWAKE, pages_of_visit, spread
from proxyguard.tools.range.networks import mobile
from proxyguard.tools.range.people import visit
from proxyguard.tools.range.values import Cohort, CohortKind, Session
from proxyguard.tools.range.visitor import Visitor

SESSIONS: Final = 400


def _session(random: Random) -> Session:
    software = webview(random)
    visitor = Visitor(mobile(random, software.speaks), software, keeps_cookies=False, sends_referer=random.random() < 0.3)
    yield from visit(visitor, random, pages_of_visit(random, 2.0, 12.0), assets=(4, 20))


WEBVIEW: Final = Cohort(
    name="webview", kind=CohortKind.LEGITIMATE, arrivals=spread(SESSIONS, AWAKE, _session),
    about="In-app views and old phones without cookies, behind carrier NAT",
    source="400 sessions a day without a cookie jar: lab on aggregate limits",
)  # fmt: skip
