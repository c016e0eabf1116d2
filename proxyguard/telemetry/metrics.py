"""Counters of one process, cheap to increment and bounded in number.

Counting is adding to plain numbers, so that it costs a request next to nothing; not to a Counter, where it costs three times as
much. A snapshot is plain data, so that the numbers of several workers can be added up and written as Prometheus reads them
(`metric_families`). Label values come from rule files and fixed token sets, never from a client; past MAX_SERIES a rule's
decisions are counted under `other`.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any, Final

from proxyguard.telemetry.latencies import RecentCounts
from proxyguard.telemetry.metric_families import SECONDS_BOUNDS, Exemplar, Family, Sample, kind_of_gauge

MAX_SERIES: Final = 5000
"""Distinct (rule, action, mode) combinations that are exported."""

TIMED: Final = ("check_seconds", "request_seconds", "upstream_seconds", "upstream_head_seconds")
"""The histograms, which `status` has quantiles of."""

_OF_MAZES: Final = (
    ("maze_pages_total", "Pages made for clients in mazes."),
    ("maze_bytes_total", "Bytes of these pages."),
    ("maze_cpu_seconds_total", "Processor time that making them took."),
    ("maze_held_seconds_total", "Seconds that clients waited for them."),
)

logger = logging.getLogger(__name__)


class Bucket:
    """How often something took up to `bound` seconds, and the reference, seconds and time of what was recorded last of it; an
    empty reference: nothing was."""

    __slots__ = ("bound", "count", "reference", "seconds", "time")

    def __init__(self, bound: float) -> None:
        self.bound = bound
        self.count = 0
        self.reference = ""
        self.seconds = 0.0
        self.time = 0.0


class Histogram:
    """Counts by upper bound in seconds."""

    __slots__ = ("_beyond", "buckets", "total")

    def __init__(self) -> None:
        self._beyond = Bucket(inf)
        self.buckets = [*map(Bucket, SECONDS_BOUNDS), self._beyond]
        self.total = 0.0

    @property
    def counts(self) -> list[int]:
        """How many each bucket has."""
        return [bucket.count for bucket in self.buckets]

    def observe(self, seconds: float) -> None:
        self.bucket(seconds).count += 1
        self.total += seconds

    def bucket(self, seconds: float) -> Bucket:
        """The bucket that counts it."""
        for bucket in self.buckets:  # most lie among the first, and compiled this is a tenth of a bisection
            if seconds <= bucket.bound:
                return bucket
        return self._beyond

    def samples(self) -> list[Sample]:
        samples: list[Sample] = []
        running = 0
        for bound, count in zip((*map(str, SECONDS_BOUNDS), "+Inf"), self.counts, strict=True):
            running += count
            samples.append(("_bucket", (("le", bound),), running))
        return [*samples, ("_count", (), running), ("_sum", (), self.total)]


class _Decided:
    """How often a rule decided so, and the reference and time of what was recorded last of it; empty: nothing was."""

    __slots__ = ("action", "count", "mode", "reference", "rule", "time")

    def __init__(self, rule: str, action: str, mode: str) -> None:
        self.rule = rule
        self.action = action
        self.mode = mode
        self.count = 0
        self.reference = ""
        self.time = 0.0


class _Answered:
    """How often a status was the answer's."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class LastMinute:
    """How often something happened within the last minute, to the second."""

    __slots__ = ("_counts", "_second")

    def __init__(self) -> None:
        self._counts = [0] * 60
        self._second = 0

    def add(self, now: float) -> None:
        """Count one more; `now` never goes back."""
        self._advance(int(now))
        self._counts[self._second % 60] += 1

    def total(self, now: float) -> int:
        self._advance(int(now))
        return sum(self._counts)

    def _advance(self, second: int) -> None:
        for passed in range(max(self._second + 1, second - 59), second + 1):
            self._counts[passed % 60] = 0
        self._second = max(self._second, second)


class Metrics:
    """All counts of one process. Implements `interfaces.FrontEvents`; the guard and the reloader add their own."""

    def __init__(self) -> None:
        self.requests = 0
        self._decided: list[_Decided] = []
        self._by_rule: dict[str, list[_Decided]] = {}
        self.classes: defaultdict[str, int] = defaultdict(int)
        self.items: Callable[[], dict[tuple[str, str, str], int]] = dict
        """Items that the site answered with 200, by class of client, heat and the state of its jar."""
        self._answered: dict[int, _Answered] = {}
        self.check_seconds = Histogram()
        self.upstream_seconds = Histogram()
        self.upstream_head_seconds = Histogram()
        self.site_answers = 0
        self.site_errors = 0
        self.recent_errors = LastMinute()
        self.restriction_changes: Counter[str] = Counter()
        self.request_seconds = Histogram()
        self.bytes_sent = 0
        self.bytes_received = 0
        self.connections = 0
        self.connections_opened = 0
        self.refused_connections: Callable[[], int] = lambda: 0
        self.tarpits = 0
        self.tarpit_seconds: Callable[[], float] = lambda: 0.0
        self.mazes: Callable[[], tuple[int, int, float, float]] = lambda: (0, 0, 0.0, 0.0)
        """Pages of mazes, their bytes, the processor time of making them, and the seconds that clients waited for them."""
        self.upstream_states: Callable[[], list[dict[str, Any]]] = list
        self.refusals: defaultdict[str, int] = defaultdict(int)
        self.refused_bytes = 0
        self.bounds: defaultdict[str, int] = defaultdict(int)
        self.bad_requests: defaultdict[str, int] = defaultdict(int)
        self.faults: defaultdict[str, int] = defaultdict(int)
        self.internal_errors: Counter[str] = Counter()
        self.audit_dropped = 0
        self.audit_summed = 0
        self.reloads: Counter[str] = Counter({"applied": 0, "refused": 0, "failed": 0})
        self.rollbacks: Counter[str] = Counter()
        self.policy: tuple[str, float] = ("", 0.0)
        """Digest of the rules in force, and when they were put in force (Unix seconds)."""
        self.rules: Counter[str] = Counter()
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self.recent = RecentCounts(TIMED)

    @property
    def responses(self) -> dict[int, int]:
        """Answers so far by status."""
        return {status: each.count for status, each in self._answered.items()}

    @property
    def decisions(self) -> dict[tuple[str, str, str], int]:
        """Decisions so far by rule, action and mode."""
        return {(each.rule, each.action, each.mode): each.count for each in self._decided}

    def decided(self, rule: str, action: str, mode: str) -> None:
        """Count one decision, or what a shadow rule would have done (mode `shadow`)."""
        found = self._find(rule, action, mode)
        if found is None:
            known = rule if len(self._decided) < MAX_SERIES else "other"
            found = self._find(known, action, mode)
            if found is None:
                found = _Decided(known, action, mode)
                self._decided.append(found)
                self._by_rule.setdefault(known, []).append(found)
        found.count += 1

    def _find(self, rule: str, action: str, mode: str) -> _Decided | None:
        """By the rule first: a rule has few actions, and a key of three texts takes four times as long to find."""
        series = self._by_rule.get(rule)
        if series is not None:
            for each in series:
                if each.action == action and each.mode == mode:
                    return each
        return None

    def refused(self, fault: str, status: int) -> None:
        """Count an answer of the front's own, which no check stands behind."""
        self.refusals[fault] += 1
        self.answered(status)

    def answered(self, status: int) -> None:
        """Count an answer."""
        found = self._answered.get(status)
        if found is None:
            found = self._answered[status] = _Answered()
        found.count += 1

    def recorded(self, rule: str, action: str, reference: str, seconds: float, time: float, *, forwarded: bool) -> None:
        """Keep the reference of a request that is in the audit log as the exemplar of what it was counted in.

        `seconds` is what the exchange took, of a refusal what the check did; `time` is Unix seconds.
        """
        found = self._find(rule, action, "enforce")
        if found is not None:  # else it counted under `other`
            found.reference = reference
            found.time = time
        histogram = self.request_seconds if forwarded else self.check_seconds
        bucket = histogram.bucket(seconds)
        bucket.reference = reference
        bucket.seconds = seconds
        bucket.time = time

    def exemplars(self) -> list[Exemplar]:
        """The last recorded request of each rule's action and of each bucket; as many as series at most."""
        bounds = (*map(str, SECONDS_BOUNDS), "+Inf")
        found: list[Exemplar] = []
        for each in self._decided:
            if each.reference:
                labels = (("rule", each.rule), ("action", each.action), ("mode", each.mode))
                found.append(("decisions_total", "", labels, each.reference, 1.0, each.time))
        for name, histogram in (("check_seconds", self.check_seconds), ("request_seconds", self.request_seconds)):
            for bound, bucket in zip(bounds, histogram.buckets, strict=True):
                if bucket.reference:
                    found.append((name, "_bucket", (("le", bound),), bucket.reference, bucket.seconds, bucket.time))
        return found

    def look(self, now: float) -> None:
        """Take note of how far the histograms are; called now and then, so that there are quantiles of the last minutes."""
        self.recent.look(now, self._bucket_counts())

    def latencies(self, now: float) -> dict[str, list[int]]:
        """What each histogram counted within the last minutes, by bucket: for `latencies.quantiles`."""
        return self.recent.within(now, self._bucket_counts())

    def _bucket_counts(self) -> dict[str, list[int]]:
        histograms = (self.check_seconds, self.request_seconds, self.upstream_seconds, self.upstream_head_seconds)
        return {name: histogram.counts for name, histogram in zip(TIMED, histograms, strict=True)}

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Export a number that is read at each scrape. `name` is without the prefix."""
        self.gauges[name] = (text, read)

    def show(self, gauges: Iterable[tuple[str, str, Callable[[], float]]]) -> None:
        """Export several numbers; see `gauge`."""
        for name, text, read in gauges:
            self.gauge(name, text, read)

    def bound_exceeded(self, bound: str) -> None:
        self.bounds[bound] += 1

    def bad_request(self, reason: str) -> None:
        self.bad_requests[reason] += 1

    def connection_opened(self) -> None:
        self.connections += 1
        self.connections_opened += 1

    def connection_closed(self) -> None:
        self.connections -= 1

    def tarpits_held(self, count: int) -> None:
        self.tarpits = count

    def internal_error(self, where: str, error: BaseException) -> None:
        self.internal_errors[where] += 1
        if self.internal_errors[where] <= 10 or self.internal_errors[where] % 1000 == 0:
            logger.error("internal error in %s (%d so far)", where, self.internal_errors[where], exc_info=error)

    def audit_records_dropped(self, count: int) -> None:
        self.audit_dropped += count

    def audit_record_summed(self) -> None:
        self.audit_summed += 1

    def snapshot(self) -> list[Family]:
        """Every family as plain data; see `Family`."""
        families: list[Family] = [
            _single("requests_total", "counter", "Requests whose head was read and checked.", self.requests),
            (
                "decisions_total", "counter",
                "Decisions by rule, action and mode; mode shadow is what a shadow rule would have done.",
                [("", (("rule", rule), ("action", action), ("mode", mode)), count)
                 for (rule, action, mode), count in self.decisions.items()],
            ),
            _labelled("class_requests_total", "Requests by class of client, as the rules define them.", "class", self.classes),
            (
                "items_total", "counter", "Items that the site answered with 200, by class of client, heat and state of its jar.",
                [("", (("class", class_), ("heat", heat), ("jar", jar)), count)
                 for (class_, heat, jar), count in self.items().items()],
            ),
            _labelled("responses_total", "Answers by status.", "status", self.responses),
            _histogram("check_seconds", "Time to decide.", self.check_seconds),
            _histogram("upstream_seconds", "Time from the request to the upstream until the end of its response.",
                       self.upstream_seconds),
            _histogram("request_seconds", "From a request's head to its answer's end.", self.request_seconds),
            _histogram("upstream_head_seconds", "Time to the head of the upstream's response.", self.upstream_head_seconds),
            _single("site_answers_total", "counter", "Requests that the upstream answered, or should have.", self.site_answers),
            _single("site_errors_total", "counter", "Requests the upstream answered with 5xx or did not answer.",
                    self.site_errors),
            _labelled("restriction_changes_total", "Restrictions by what became of them.", "change", self.restriction_changes),
            _single("response_bytes_total", "counter", "Body bytes sent to clients.", self.bytes_sent),
            _single("request_bytes_total", "counter", "Body bytes received from clients.", self.bytes_received),
            _single("connections", "gauge", "Client connections open.", self.connections),
            _single("connections_total", "counter", "Client connections accepted.", self.connections_opened),
            ("refused_connections_total", "counter", "Client connections closed before they could ask for anything.",
             [("", (("reason", "banned"),), self.refused_connections())]),
            _single("tarpits", "gauge", "Clients held in tarpits.", self.tarpits),
            _single("tarpit_seconds_total", "counter", "Seconds that clients have been held in tarpits.", self.tarpit_seconds()),
            _single("refused_bytes_total", "counter", "Body bytes sent to clients refused or held.", self.refused_bytes),
            _labelled("bounds_exceeded_total", "Bounds exceeded, by bound.", "bound", self.bounds),
            _labelled("bad_requests_total", "Requests refused as malformed.", "reason", self.bad_requests),
            _labelled("refusals_total", "Answers of our own that no check stands behind, by fault.", "fault", self.refusals),
            _labelled("faults_total", "Exchanges that ended badly, by fault.", "fault", self.faults),
            _labelled("internal_errors_total", "Faults of ours, by place.", "where", self.internal_errors),
            _single("audit_dropped_total", "counter", "Audit records lost.", self.audit_dropped),
            _single("audit_summed_total", "counter", "Refusals summed instead of recorded one by one.", self.audit_summed),
            _labelled("reloads_total", "Reloads of the rules, by result.", "result", self.reloads),
            _labelled("rollbacks_total", "Promoted rules that went back to shadow by themselves.", "rule", self.rollbacks),
            ("policy_info", "gauge", "1 for the digest of the rules in force.",
             [("", (("digest", self.policy[0]),), 1)] if self.policy[0] else []),
            _single("policy_timestamp_seconds", "gauge", "When the rules in force were put in force, Unix seconds.",
                    self.policy[1]),
            ("rules", "gauge", "Rules in force, by mode.", [("", (("mode", k),), v) for k, v in self.rules.items()]),
            _upstream_up(self.upstream_states()),
        ]  # fmt: skip
        made = zip(_OF_MAZES, self.mazes(), strict=True)
        families += [_single(name, "counter", text, value) for (name, text), value in made]
        families += [_single(name, kind_of_gauge(name), text, read()) for name, (text, read) in self.gauges.items()]
        return families


def _single(name: str, kind: str, text: str, value: float) -> Family:
    return name, kind, text, [("", (), value)]


def _histogram(name: str, text: str, counts: Histogram) -> Family:
    return name, "histogram", text, counts.samples()


def _labelled(name: str, text: str, label: str, counts: Mapping[str, int] | Mapping[int, int]) -> Family:
    return name, "counter", text, [("", ((label, str(key)),), value) for key, value in counts.items()]


def _upstream_up(states: list[dict[str, Any]]) -> Family:
    """Of each upstream in the settings, by its name there: whether any of its addresses accepts connections."""
    up: dict[str, float] = {}
    for state in states:
        name = str(state["upstream"])
        up[name] = max(up.get(name, 0.0), 1.0 if state["state"] == "up" else 0.0)
    text = "1 while any address of an upstream is up, in every process."
    return "upstream_up", "gauge", text, [("", (("upstream", name),), value) for name, value in up.items()]
