"""People with phones behind carrier NAT, whose address changes in the middle of a visit."""

from __future__ import annotations

from random import Random
from typing import Final

from proxyguard.tools.range.browsers import phone_browser
from proxyguard.tools.range.draw import AWAKE, gap, page_target, pages_of_visit, spread
from proxyguard.tools.range.networks import mobile
from proxyguard.tools.range.people import load_assets, read_page
from proxyguard.tools.range.values import Cohort, CohortKind, Session
from proxyguard.tools.range.visitor import Visitor

SESSIONS: Final = 1_200
ROAM_SHARE: Final = 0.08
"""Pages before which the phone got another exit of its carrier, or another network."""


def _session(random: Random) -> Session:
    software = phone_browser(random)
    visitor = Visitor(mobile(random, software.speaks), software)
    for number in range(pages_of_visit(random, 5.0)):
        if number and random.random() < ROAM_SHARE:
            visitor.source = mobile(random, software.speaks)
        if not (yield from read_page(visitor, random, gap(random) if number else 0.0, page_target(random))):
            return
        yield from load_assets(visitor, random, random.randrange(3) if number else random.randint(6, 24))


MOBILE: Final = Cohort(
    name="mobile", kind=CohortKind.LEGITIMATE, arrivals=spread(SESSIONS, AWAKE, _session),
    about="Phones: 20 carrier exits that all share, the address changes in the middle of a visit",
    source="20 carrier addresses; lognormal pages, median 5; a change before 8 % of pages: after carrier reports",
)  # fmt: skip
