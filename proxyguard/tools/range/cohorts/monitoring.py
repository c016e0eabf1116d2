"""Probes that look every minute whether the site is there."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import program
from proxyguard.tools.range.draw import EVEN, arrivals
from proxyguard.tools.range.networks import hosting_line
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

SESSIONS: Final = 96
"""Four probes; an hour of one is a session."""

PROBES: Final = (
    b"Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    b"Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
    (
        b"Better Stack Better Uptime Bot Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 "
        b"(KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"
    ),
    b"Blackbox Exporter/0.27.0",
)  # fmt: skip


def _arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
    for index, at in enumerate(arrivals(draw.stream(), span.count(SESSIONS), span, EVEN)):
        yield Arrival(at, _session(draw.stream(index), index % len(PROBES)))


def _session(random: Random, probe: int) -> Session:
    visitor = Visitor(hosting_line(probe * 300, "go", 7), program(PROBES[probe], "go"), keeps_cookies=False)
    for number in range(60):
        yield from visitor.get(60.0 if number else random.random(), b"/" if probe % 2 else b"/healthz")


MONITORING: Final = Cohort(
    name="monitoring", kind=CohortKind.LEGITIMATE, arrivals=_arrivals,
    about="Four monitoring probes, once a minute each",
    source="user agents of four services; an interval of a minute is their default",
)  # fmt: skip
