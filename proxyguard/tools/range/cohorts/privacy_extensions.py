"""People with privacy extensions: no referer, no cookies of the site, pages fetched ahead."""

from __future__ import annotations

from random import Random
from typing import Final

from proxyguard.tools.range.browsers import desktop_browser
from proxyguard.tools.range.draw import AWAKE, page_target, pages_of_visit, spread
from proxyguard.tools.range.networks import residential
from proxyguard.tools.range.people import visit
from proxyguard.tools.range.values import Cohort, CohortKind, Session
from proxyguard.tools.range.visitor import Visitor

SESSIONS: Final = 300
PREFETCH_SHARE: Final = 0.3


def _session(random: Random) -> Session:
    software = desktop_browser(random)
    visitor = Visitor(residential(random, software.speaks), software, keeps_cookies=random.random() < 0.4, sends_referer=False)
    if random.random() < PREFETCH_SHARE:
        yield from visitor.get(0.0, b"/")
        for _ in range(8):
            yield from visitor.get(0.1, page_target(random), extra=((b"Sec-Purpose", b"prefetch"),))
    yield from visit(visitor, random, pages_of_visit(random), assets=(3, 20))


PRIVACY_EXTENSIONS: Final = Cohort(
    name="privacy-extensions", kind=CohortKind.LEGITIMATE, arrivals=spread(SESSIONS, AWAKE, _session),
    about="Browsers with privacy extensions or prefetch: no referer, 60 % without cookies, 30 % fetch eight links ahead",
    source="what the common extensions strip; prefetch of links in view: their documentation",
)  # fmt: skip
