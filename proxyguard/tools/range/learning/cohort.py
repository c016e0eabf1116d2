"""Makes cohorts and a site of what was learned, to be let loose beside those that are built in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Final

from proxyguard.core.request import Headers
from proxyguard.tools.range.browsers import ClientSoftware, Destination, Engine
from proxyguard.tools.range.draw import arrivals
from proxyguard.tools.range.learning.families import family_pattern, target_of
from proxyguard.tools.range.learning.learned import LearnedCohort, LearnedFamily, LearnedReading, LearnedTraffic
from proxyguard.tools.range.learning.software import software_of
from proxyguard.tools.range.networks import RangeSource, hosting, residential
from proxyguard.tools.range.people import is_refusal
from proxyguard.tools.range.scenarios import Scenario
from proxyguard.tools.range.site import NOT_FOUND, SiteAnswer, SiteFunction, answer
from proxyguard.tools.range.values import DAY_SECONDS, Arrival, Cohort, CohortKind, Draw, Fetch, Presence, Session
from proxyguard.tools.range.visitor import Visitor
from proxyguard.tools.range.weights import cumulated, index_by

SOURCE: Final = "an access log, by proxyguard range learn"
SITE_SECONDS: Final = 0.006
"""CPU of a page that is learned: that of a profile of the built-in site; logs rarely have it."""

DESTINATIONS: Final = {
    b"css": Destination.STYLE, b"js": Destination.SCRIPT, b"mjs": Destination.SCRIPT, b"json": Destination.FETCH,
} | dict.fromkeys((b"png", b"jpg", b"jpeg", b"gif", b"webp", b"avif", b"svg", b"ico"), Destination.IMAGE)  # fmt: skip


class LearnedVisitor(Visitor):
    """A visitor that leaves out header fields as the log says."""

    __slots__ = ("missing",)

    missing: frozenset[bytes]

    def fetch(self, *args: object, **options: object) -> Fetch:
        """As a visitor's, without the fields that are missing."""
        made = super().fetch(*args, **options)  # type: ignore[arg-type]  # handed through as they are
        if not self.missing:
            return made
        kept: Headers = tuple(each for each in made.headers if each[0].lower() not in self.missing)
        return made._replace(headers=kept)


class _Readings:
    """What is asked for, drawn by share."""

    def __init__(self, readings: Sequence[LearnedReading], site: Sequence[LearnedFamily]) -> None:
        self._reached = cumulated(max(each.share, 1e-9) for each in readings)
        self._families = [(site[each.family].path, each.method.encode()) for each in readings]

    def draw(self, random: Random) -> tuple[bytes, bytes]:
        """A method and a target."""
        family, method = self._families[index_by(random, self._reached)]
        return method, target_of(family, random)


def cohort_of(learned: LearnedCohort, site: Sequence[LearnedFamily]) -> Cohort:
    """The cohort that behaves as the log's did."""
    first = _Readings(learned.first, site)
    following = _Readings(learned.following or learned.first, site)
    labels = [software_of(each.label) for each in learned.software]
    shares = cumulated(max(each.share, 1e-9) for each in learned.software)
    leaves = learned.kind == "legitimate"

    def arrivals_of(span: Presence, draw: Draw) -> Iterator[Arrival]:
        count = span.count(learned.sessions_a_day)
        for index, at in enumerate(arrivals(draw.stream(), count, span, learned.hours)):
            yield Arrival(at, session(draw.stream(index), draw))

    def session(random: Random, draw: Draw) -> Session:
        software = labels[index_by(random, shares)]
        line = draw.stream(f"line {random.randrange(learned.addresses_a_day)}")
        visitor = LearnedVisitor(_source(software, line), software)
        visitor.missing = frozenset(name.encode() for name, share in learned.fields.items() if random.random() >= share)
        readings = first
        for number in range(max(1, round(_quantile(learned.requests, random)))):
            method, target = readings.draw(random)
            wait = _quantile(learned.waits, random) if number else 0.0
            body = b"name=%d" % random.randrange(10**9) if method in {b"POST", b"PUT", b"PATCH"} else b""
            seen = yield from visitor.get(wait, target, _destination(target), method=method, body=body)
            if leaves and is_refusal(seen):
                return
            readings = following

    return Cohort(
        name=learned.name, kind=CohortKind(learned.kind), about=f"{learned.sessions_a_day:,} sessions a day as in a log",
        source=SOURCE, arrivals=arrivals_of,
    )  # fmt: skip


def _source(software: ClientSoftware, line: Random) -> RangeSource:
    """Where a client comes from: browsers from homes, programs from rented machines."""
    return (hosting if software.engine is Engine.PROGRAM else residential)(line, software.speaks)


def _destination(target: bytes) -> Destination:
    return DESTINATIONS.get(target.rpartition(b".")[2], Destination.DOCUMENT)


def _quantile(values: Sequence[float], random: Random) -> float:
    """A draw between two quantiles that lie side by side."""
    at = random.random() * (len(values) - 1)
    low = int(at)
    return values[low] + (values[low + 1] - values[low]) * (at - low)


def learned_site(families: Sequence[LearnedFamily]) -> SiteFunction:
    """The built-in site with the families of paths that were learned."""
    exact = {family.path.encode(): _answer(family) for family in families if "{" not in family.path}
    patterns = [(family_pattern(family.path), _answer(family)) for family in families if "{" in family.path]

    def answering(method: bytes, target: bytes, headers: Headers, body: bytes, now: float) -> SiteAnswer:
        found = answer(method, target, headers, body, now)
        if found is not NOT_FOUND:
            return found
        path = target.partition(b"?")[0]
        known = exact.get(path)
        if known is not None:
            return known
        return next((made for pattern, made in patterns if pattern.fullmatch(path)), NOT_FOUND)

    return answering


def _answer(family: LearnedFamily) -> SiteAnswer:
    return SiteAnswer(family.status, family.items if family.status == 200 else 0, family.bytes, SITE_SECONDS)


def with_learned(scenario: Scenario, files: Sequence[LearnedTraffic]) -> Scenario:
    """The scenario with these cohorts beside its own, for as long as it lasts, and their paths in the site. Raises ValueError."""
    site = [family for each in files for family in each.site]
    begin = min((span.begin for _, span in scenario.members), default=0.0)
    span = Presence(begin, scenario.seconds, (scenario.seconds - begin) / DAY_SECONDS)
    added = [(cohort_of(cohort, each.site), span) for each in files for cohort in each.cohorts]
    names = [cohort.name for cohort, _ in (*scenario.members, *added)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two cohorts are called {twice!r}; learn one of them again with another --name")
    return replace(scenario, members=(*scenario.members, *added), site=learned_site(site))
