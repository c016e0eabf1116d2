"""Companies whose proxy takes header fields out: client hints, fetch metadata, Accept-Encoding."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import ClientSoftware, Engine, desktop_browser
from proxyguard.tools.range.draw import OFFICE_HOURS, arrivals, pages_of_visit
from proxyguard.tools.range.networks import office
from proxyguard.tools.range.people import visit
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Fetch, Presence, Session
from proxyguard.tools.range.visitor import Visitor

SESSIONS: Final = 200
COMPANIES: Final = 10
"""Half of the sessions are of the first one, whose people come one after the other from one address with one browser."""

FIRST: Final = 100

STRIPPED: Final = (b"sec-",)
ANTIVIRUS_SHARE: Final = 0.4
"""Of companies whose proxy takes Accept-Encoding out as well, to read pages uncompressed."""


class StrippedVisitor(Visitor):
    """A visitor behind a proxy that strips fields, adds Via and terminates TLS."""

    __slots__ = ("strips_encoding",)

    strips_encoding: bool

    def fetch(self, *args: object, **options: object) -> Fetch:
        """As a visitor's, without what the proxy takes out."""
        made = super().fetch(*args, **options)  # type: ignore[arg-type]  # handed through as they are
        kept = tuple(
            (name, value) for name, value in made.headers
            if not name.lower().startswith(STRIPPED) and not (self.strips_encoding and name.lower() == b"accept-encoding")
        )  # fmt: skip
        return made._replace(headers=(*kept, (b"Via", b"1.1 proxy")))


def _arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
    browsers = [_browser(draw.stream(f"company {company}")) for company in range(COMPANIES)]
    for index, at in enumerate(arrivals(draw.stream(), span.count(SESSIONS), span, OFFICE_HOURS)):
        company = index % COMPANIES if index % 2 else 0
        yield Arrival(at, _session(draw.stream(index), company, browsers[company]))


def _browser(random: Random) -> ClientSoftware:
    """What the company has on all of its machines."""
    software = desktop_browser(random)
    while software.engine is Engine.SAFARI:
        software = desktop_browser(random)
    return software


def _session(random: Random, company: int, software: ClientSoftware) -> Session:
    visitor = StrippedVisitor(office(FIRST + company, 1, "middlebox"), software)
    visitor.strips_encoding = company < COMPANIES * ANTIVIRUS_SHARE
    yield from visit(visitor, random, pages_of_visit(random))


CORPORATE_PROXY: Final = Cohort(
    name="corporate-proxy", kind=CohortKind.LEGITIMATE, arrivals=_arrivals,
    about="Browsers whose company's proxy or antivirus strips header fields and speaks TLS itself",
    source="sec-* always, Accept-Encoding at 40 % of companies: measured on antivirus proxies",
)  # fmt: skip
