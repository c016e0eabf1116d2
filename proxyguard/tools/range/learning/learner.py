"""Learns cohorts from the requests of an access log: sessions of clients, put together by what software they say they are.

A session is a client under one user agent without a pause of half an hour. Addresses and user agents are held in memory while
their session is open, and go nowhere; samples and counters are bounded, so that memory does not grow with the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal, cast

from proxyguard.policy.model import Field, FieldKind
from proxyguard.tools.range.learning.families import NUMBER, WORD, Vocabulary
from proxyguard.tools.range.learning.learned import (
    MAX_COHORTS,
    MAX_FAMILIES,
    MAX_REQUESTS,
    MAX_SESSIONS,
    MAX_SOFTWARE,
    QUANTILES,
    LearnedCohort,
    LearnedFamily,
    LearnedReading,
    LearnedSoftware,
    LearnedTraffic,
)
from proxyguard.tools.range.learning.software import group_of, label_of
from proxyguard.tools.range.values import DAY_SECONDS, HOUR_SECONDS
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.logged_request import LoggedRequest
from proxyguard.tools.replay.traits import is_asset

PAUSE_SECONDS: Final = 1_800.0
"""A client that was silent for so long begins a new session: the usual definition of web statistics."""

MAX_OPEN: Final = 100_000
"""Sessions that are open at a time; beyond, the one that was silent longest ends."""

MAX_COUNTED: Final = 5_000
"""Different families, and readings of a cohort, that are counted; others are left out."""

SAMPLE: Final = 10_000
MIN_SESSIONS: Final = 5
"""A cohort of fewer says nothing of anybody but these few."""

FIELDS: Final = ("referer", "accept", "accept-language", "accept-encoding", "cookie")
METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
REFUSALS: Final = frozenset({0, 401, 403, 408, 429, 444, 499, 500, 502, 503, 504})
"""What a server in front or in trouble said: it is not how the site answers."""

type FamilyAndMethod = tuple[str, str]
"""Family and method."""


class NumberSample:
    """A uniform sample of numbers that come one after the other (Vitter's algorithm R), the same for the same numbers."""

    __slots__ = ("_random", "_seen", "values")

    def __init__(self) -> None:
        self.values: list[float] = []
        self._seen = 0
        self._random = Random(1)  # noqa: S311 - the same log is learned the same way

    def add(self, value: float) -> None:
        self._seen += 1
        if len(self.values) < SAMPLE:
            self.values.append(value)
        elif (at := self._random.randrange(self._seen)) < SAMPLE:
            self.values[at] = value

    def quantiles(self) -> tuple[float, ...]:
        """From the smallest to the largest; zeros when there was none."""
        ordered = sorted(self.values) or [0.0]
        return tuple(round(ordered[round(at * (len(ordered) - 1) / (QUANTILES - 1))], 2) for at in range(QUANTILES))


@dataclass(slots=True)
class _Open:
    """A session that goes on."""

    cohort: _CohortSums
    last: float
    requests: int = 0


@dataclass(slots=True)
class _CohortSums:
    sessions: int = 0
    addresses: int = 0
    today: set[bytes] = field(default_factory=set)
    hours: list[int] = field(default_factory=lambda: [0] * 24)
    requests: NumberSample = field(default_factory=NumberSample)
    waits: NumberSample = field(default_factory=NumberSample)
    software: Counter[str] = field(default_factory=Counter)
    first: Counter[FamilyAndMethod] = field(default_factory=Counter)
    following: Counter[FamilyAndMethod] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    asked: int = 0


@dataclass(slots=True)
class _FamilySums:
    count: int = 0
    answered: int = 0
    bytes: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


class Learner:
    """Takes the requests of a log in the order of time."""

    def __init__(self, vocabulary: Vocabulary, knowledge: Knowledge) -> None:
        self._vocabulary = vocabulary
        self._fields = [
            name for name in FIELDS
            if name in knowledge.presence or knowledge.knows_field(Field(FieldKind.HEADER, name))
        ]  # fmt: skip
        self._open: dict[tuple[bytes, bytes | None], _Open] = {}
        self._cohorts: dict[str, _CohortSums] = {}
        self._families: dict[str, _FamilySums] = {}
        self._day = -1
        self._begin: float | None = None
        self._end = 0.0
        self.requests = 0

    def learn(self, entries: Iterable[LoggedRequest]) -> None:
        """Count every request."""
        for entry in entries:
            self._count(entry)

    def _count(self, entry: LoggedRequest) -> None:
        self.requests += 1
        self._begin = entry.time if self._begin is None else self._begin
        self._end = max(self._end, entry.time)
        if entry.time // DAY_SECONDS != self._day:
            self._day = int(entry.time // DAY_SECONDS)
            for each in self._cohorts.values():
                each.today.clear()
        agent = next((value for name, value in entry.headers if name.lower() == b"user-agent"), None)
        key = (entry.client, agent)
        session = self._open.pop(key, None)
        if session is not None and entry.time - session.last > PAUSE_SECONDS:
            self._close(session)
            session = None
        begins = session is None
        if session is None:
            session = self._begun(entry, label_of(agent))
        else:
            session.cohort.waits.add(max(0.0, entry.time - session.last))
        session.last = entry.time
        session.requests += 1
        self._open[key] = session  # the last in the dictionary: the first is the one that was silent longest
        if len(self._open) > MAX_OPEN:
            self._close(self._open.pop(next(iter(self._open))))
        self._asked(entry, session.cohort, begins=begins)

    def _begun(self, entry: LoggedRequest, label: str) -> _Open:
        cohort = self._cohorts.setdefault(group_of(label), _CohortSums())
        cohort.sessions += 1
        cohort.hours[int(entry.time % DAY_SECONDS // HOUR_SECONDS)] += 1
        if label in cohort.software or len(cohort.software) < MAX_COUNTED:
            cohort.software[label] += 1
        if entry.client not in cohort.today and len(cohort.today) < MAX_SESSIONS:
            cohort.today.add(entry.client)
            cohort.addresses += 1
        return _Open(cohort, entry.time)

    def _close(self, session: _Open) -> None:
        session.cohort.requests.add(min(session.requests, MAX_REQUESTS))

    def _asked(self, entry: LoggedRequest, cohort: _CohortSums, *, begins: bool) -> None:
        path = entry.target.partition(b"?")[0]
        method = entry.method.decode() if entry.method in METHODS else "GET"
        name = self._vocabulary.family(path)
        counter = cohort.first if begins else cohort.following
        if (name, method) in counter or len(counter) < MAX_COUNTED:
            counter[name, method] += 1
        cohort.asked += 1
        names = {each.lower() for each, _ in entry.headers}
        cohort.fields.update(each for each in self._fields if each.encode() in names or (each == "referer" and entry.referer))
        family = self._families.get(name)
        if family is None:
            if len(self._families) >= MAX_COUNTED:
                return
            family = self._families[name] = _FamilySums()
        family.count += 1
        if entry.status not in REFUSALS:
            family.answered += 1
            family.bytes += entry.bytes_sent
            family.statuses[entry.status] += 1

    def learned(self, prefix: str, kind: Literal["legitimate", "adversary"]) -> LearnedTraffic:
        """What the log said. Ends the sessions that are open."""
        for session in self._open.values():
            self._close(session)
        self._open.clear()
        days = max((self._end - (self._begin or 0.0)) / DAY_SECONDS, 1.0)
        chosen = sorted(self._families, key=lambda name: (-self._families[name].count, name))[:MAX_FAMILIES]
        numbers = {name: at for at, name in enumerate(chosen)}
        kept = sorted(
            (item for item in self._cohorts.items() if item[1].sessions >= MIN_SESSIONS), key=lambda item: -item[1].sessions
        )
        cohorts = [_cohort(f"{prefix}-{group}", kind, sums, days, numbers, self._fields) for group, sums in kept[:MAX_COHORTS]]
        return LearnedTraffic(
            tuple(_family(name, self._families[name]) for name in chosen), tuple(each for each in cohorts if each.first)
        )


def _cohort(
    name: str,
    kind: Literal["legitimate", "adversary"],
    sums: _CohortSums,
    days: float,
    numbers: dict[str, int],
    fields: Sequence[str],
) -> LearnedCohort:
    named = sums.software.most_common(MAX_SOFTWARE)
    total = sum(count for _, count in named)
    return LearnedCohort(
        name=name,
        kind=kind,
        sessions_a_day=min(max(1, round(sums.sessions / days)), MAX_SESSIONS),
        addresses_a_day=min(max(1, round(sums.addresses / days)), MAX_SESSIONS),
        hours=tuple(sums.hours),
        requests=sums.requests.quantiles(),
        waits=sums.waits.quantiles(),
        software=tuple(LearnedSoftware(label, round(count / total, 4)) for label, count in named),
        first=_readings(sums.first, numbers),
        following=_readings(sums.following, numbers),
        fields={cast("Literal['referer']", each): round(sums.fields[each] / sums.asked, 4) for each in fields},
    )


def _readings(counter: Counter[FamilyAndMethod], numbers: dict[str, int]) -> tuple[LearnedReading, ...]:
    there = [(reading, count) for reading, count in counter.most_common() if reading[0] in numbers][:MAX_FAMILIES]
    total = sum(count for _, count in there)
    return tuple(
        LearnedReading(numbers[family], round(count / total, 4), cast("Literal['GET']", method))
        for (family, method), count in there
    )


def _family(name: str, sums: _FamilySums) -> LearnedFamily:
    status = sums.statuses.most_common(1)[0][0] if sums.statuses else 200
    status = 200 if status == 304 or not 200 <= status <= 599 else status
    is_item = status == 200 and (NUMBER in name or WORD in name) and not is_asset(name.encode())
    return LearnedFamily(name, status, sums.bytes // sums.answered if sums.answered else 10_000, int(is_item))


def words_kept(learned: LearnedTraffic) -> Iterator[str]:
    """The words of paths that a file has, for the operator to look at."""
    words = {segment for family in learned.site for segment in family.path.split("/")}
    return iter(sorted(word for word in words if word and "{" not in word))
