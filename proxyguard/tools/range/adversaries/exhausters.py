"""Those who are after resources rather than data: the firewall's tables, its tarpits, pages without end, sockets."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import PYTHON_REQUESTS, chrome, desktop_browser, program
from proxyguard.tools.range.draw import EVEN, spread
from proxyguard.tools.range.networks import hosting_line, residential
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Fetch, Presence, Session
from proxyguard.tools.range.visitor import Visitor

EXHAUSTERS: Final = 2_000
KEYS: Final = 50
"""Of each address: requests under another user agent, cookie and path each time, 100,000 keys in all."""

ABUSERS: Final = 500
HELD: Final = 10
"""Requests of each that are held at once, 5,000 in all."""

PATIENCE_SECONDS: Final = 120.0
CALENDAR_PAGES: Final = 20_000
SLOW: Final = 100
SLOW_REQUESTS: Final = 20
DRIP_SECONDS: Final = 60.0
"""How long a slow sender takes for its header fields: longer than most servers wait."""


def _keys(random: Random) -> Session:
    source = residential(random)
    for _ in range(KEYS):
        word = b"%x" % random.getrandbits(64)
        agent = b"Mozilla/5.0 (%s) Gecko/20100101 Firefox/145.0" % word
        software = program(agent, "go", (b"User-Agent", agent), (b"Cookie", b"session=known-%s; jar=%s" % (word, word)))
        visitor = Visitor(source, software, keeps_cookies=False, follows=False)
        yield visitor.fetch(random.random() * 20, b"/profiles/%s?%s=%s" % (word, word, word))


def _held(span: Presence, draw: Draw) -> Iterator[Arrival]:
    for index in range(span.count(ABUSERS)):
        for hand in range(HELD):
            yield Arrival(span.begin, _hold(draw.stream(f"{index} {hand}"), index, span.end))


def _hold(random: Random, index: int, until: float) -> Session:
    """Ask the form until it is held, and stay as long as it holds."""
    visitor = Visitor(hosting_line(index, "python", 9), PYTHON_REQUESTS, keeps_cookies=False, follows=False)
    visitor.patience = PATIENCE_SECONDS
    while True:
        body = b"name=t%d" % random.randrange(10**9)
        answer = yield visitor.fetch(60.0 * random.random(), b"/signup", method=b"POST", body=body)
        if answer.at >= until:
            return


def _calendar(span: Presence, draw: Draw) -> Iterator[Arrival]:
    yield Arrival(span.begin, _leaf(draw.stream(), span.count(CALENDAR_PAGES)))


def _leaf(random: Random, pages: int) -> Session:
    visitor = Visitor(hosting_line(1, "python", 8), chrome(143, b"X11; Linux x86_64", b'"Linux"'), sends_referer=False)
    for number in range(pages):
        yield from visitor.get(0.1 + random.random() * 0.1, b"/calendar/%d/%d" % (2026 + number // 12, number % 12 + 1))


def _slow(random: Random) -> Session:
    visitor = Visitor(residential(random), desktop_browser(random), keeps_cookies=False)
    visitor.patience = PATIENCE_SECONDS
    for _ in range(SLOW_REQUESTS):
        fetch: Fetch = visitor.fetch(random.random(), b"/")
        yield fetch._replace(drip_seconds=DRIP_SECONDS)


STATE_EXHAUSTER: Final = Cohort(
    name="state-exhauster", kind=CohortKind.ADVERSARY, arrivals=spread(EXHAUSTERS, EVEN, _keys),
    about="2,000 home addresses with 100,000 user agents, cookies and paths, none of them twice",
    source="tables that fill up: HAProxy stops limiting, nginx refuses everybody",
)  # fmt: skip
TARPIT_ABUSER: Final = Cohort(
    name="tarpit-abuser", kind=CohortKind.ADVERSARY, arrivals=_held,
    about="500 rented addresses that have themselves held, ten requests at once each",
    source="5,000 tarpitted sockets on purpose: the notes on the range",
)  # fmt: skip
CALENDAR_CRAWLER: Final = Cohort(
    name="calendar-crawler", kind=CohortKind.ADVERSARY, arrivals=_calendar,
    about="One address that turns a calendar without end, seven pages a second", source="wikis' and forges' reports",
)  # fmt: skip
SLOW_SENDERS: Final = Cohort(
    name="slow-senders", kind=CohortKind.ADVERSARY, arrivals=spread(SLOW, EVEN, _slow),
    about="100 sockets whose header fields come in one minute (a wait, on the virtual clock)", source="slowloris",
)  # fmt: skip
