"""People behind Tor and VPN exits: 40 of them on eight addresses."""

from __future__ import annotations

from random import Random
from typing import Final

from proxyguard.tools.range.browsers import desktop_browser, firefox
from proxyguard.tools.range.draw import AWAKE, pages_of_visit, spread
from proxyguard.tools.range.networks import anonymiser
from proxyguard.tools.range.people import visit
from proxyguard.tools.range.values import Cohort, CohortKind, Session
from proxyguard.tools.range.visitor import Visitor

SESSIONS: Final = 160
EXITS: Final = 8


def _session(random: Random) -> Session:
    exit_ = random.randrange(EXITS)
    software = firefox(140, b"Windows NT 10.0; Win64; x64") if exit_ < 4 else desktop_browser(random)
    visitor = Visitor(anonymiser(exit_, software.speaks), software)
    yield from visit(visitor, random, pages_of_visit(random))


TOR_AND_VPN: Final = Cohort(
    name="tor-and-vpn", kind=CohortKind.LEGITIMATE, arrivals=spread(SESSIONS, AWAKE, _session),
    about="40 people at a time on eight Tor and VPN exits",
    source="40 users on 8 addresses; Tor Browser is a Firefox ESR for Windows",
)  # fmt: skip
