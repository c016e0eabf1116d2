"""Counters of one process, cheap to increment and bounded in number, and their Prometheus exposition.

Counting is adding to plain numbers, so that it costs a request next to nothing; prometheus-client writes the exposition. A
snapshot is plain data, so that the numbers of several workers can be added up. Label values come from rule files and fixed
token sets, never from a client; past MAX_SERIES a rule's decisions are counted under `other`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from operator import add
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

MAX_SERIES: Final = 5000
"""Distinct (rule, action, mode) combinations that are exported."""

SECONDS_BOUNDS: Final[tuple[float, ...]] = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip

MERGED: Final[dict[str, Callable[[float, float], float]]] = {
    "certificate_end_timestamp_seconds": min,
    "one_client_suspected": max,
    "store_bans": max,
    "store_changed_timestamp_seconds": max,
    "store_outages": max,
    "store_up": min,
    "upstreams_out": max,
}
"""How the values of several workers become one, for families that each of them has as a whole: what is not here is added up.

Of a state the worst counts: a store is up when it is for all."""

type Labels = tuple[tuple[str, str], ...]
type Sample = tuple[str, Labels, float]
type Family = tuple[str, str, str, list[Sample]]
"""Name, Prometheus type, help text, samples (name suffix, labels, value)."""

logger = logging.getLogger(__name__)


class Histogram:
    """Counts by upper bound in seconds."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self) -> None:
        self._bounds: tuple[float, ...] = SECONDS_BOUNDS
        self.counts = [0] * (len(SECONDS_BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        at = 0
        for bound in self._bounds:  # most lie among the first, and compiled this is a tenth of a bisection
            if seconds <= bound:
                break
            at += 1
        self.counts[at] += 1
        self.total += seconds

    def samples(self) -> list[Sample]:
        samples: list[Sample] = []
        running = 0
        for bound, count in zip((*map(str, SECONDS_BOUNDS), "+Inf"), self.counts, strict=True):
            running += count
            samples.append(("_bucket", (("le", bound),), running))
        return [*samples, ("_count", (), running), ("_sum", (), self.total)]


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
        self.decisions: Counter[tuple[str, str, str]] = Counter()
        self.classes: Counter[str] = Counter()
        self.responses: Counter[int] = Counter()
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
        self.bounds: Counter[str] = Counter()
        self.bad_requests: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.internal_errors: Counter[str] = Counter()
        self.audit_dropped = 0
        self.audit_summed = 0
        self.reloads: Counter[str] = Counter({"applied": 0, "refused": 0, "failed": 0})
        self.rollbacks: Counter[str] = Counter()
        self.policy: tuple[str, float] = ("", 0.0)
        """Digest of the rules in force, and when they were put in force (Unix seconds)."""
        self.rules: Counter[str] = Counter()
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}

    def decided(self, rule: str, action: str, mode: str) -> None:
        """Count one decision, or what a shadow rule would have done (mode `shadow`)."""
        key = (rule, action, mode)
        if key not in self.decisions and len(self.decisions) >= MAX_SERIES:
            key = ("other", action, mode)
        self.decisions[key] += 1

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
            _labelled("bounds_exceeded_total", "Bounds exceeded, by bound.", "bound", self.bounds),
            _labelled("bad_requests_total", "Requests refused as malformed.", "reason", self.bad_requests),
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
        ]  # fmt: skip
        families += [_single(name, "gauge", text, read()) for name, (text, read) in self.gauges.items()]
        return families


def _single(name: str, kind: str, text: str, value: float) -> Family:
    return name, kind, text, [("", (), value)]


def _histogram(name: str, text: str, counts: Histogram) -> Family:
    return name, "histogram", text, counts.samples()


def _labelled(name: str, text: str, label: str, counts: Mapping[str, int] | Mapping[int, int]) -> Family:
    return name, "counter", text, [("", ((label, str(key)),), value) for key, value in counts.items()]


def merge(snapshots: Iterable[list[Family]]) -> list[Family]:
    """Add up the snapshots of several workers, sample by sample; of states and times, see MERGED."""
    families: dict[str, tuple[str, str, dict[tuple[str, Labels], float]]] = {}
    for snapshot in snapshots:
        for name, kind, text, samples in snapshot:
            merged = families.setdefault(name, (kind, text, {}))[2]
            join: Callable[[float, float], float] = MERGED.get(name, add)
            for suffix, labels, value in samples:
                key = (suffix, tuple((label, content) for label, content in labels))
                known = merged.get(key)
                merged[key] = value if known is None else join(known, value)
    return [
        (name, kind, text, [(suffix, labels, value) for (suffix, labels), value in samples.items()])
        for name, (kind, text, samples) in families.items()
    ]


def exposition(families: Iterable[Family]) -> bytes:
    """The Prometheus text format, every name prefixed with `proxyguard_`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for name, kind, text, samples in self._families:
            full = f"proxyguard_{name}"
            metric = Metric(full.removesuffix("_total"), text, kind)
            for suffix, labels, value in samples:
                metric.add_sample(full + suffix, dict(labels), value)
            yield metric
