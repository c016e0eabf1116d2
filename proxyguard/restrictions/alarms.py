"""What alarms look at: totals of the workers become signals about the last seconds, and signals exceed thresholds or do not.

Knows no clock and no restriction; what follows from an alarm is decided by `monitor`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from proxyguard.policy.model import Alarm

WINDOW_TICKS: Final = 10
"""Alarms look at so many ticks: short enough to act within seconds, long enough that one slow page is no alarm."""

MIN_ANSWERS: Final = 20
"""Answers of the upstream in the window below which their times and errors say nothing."""


class Totals(NamedTuple):
    """What was counted since the start. `answers` are the upstream's; `within`, how many came within each bound of `Meter` (the
    last is beyond all)."""

    requests: int = 0
    answers: int = 0
    errors: int = 0
    within: tuple[int, ...] = ()

    def plus(self, other: Totals) -> Totals:
        """The sum of two processes."""
        size = max(len(self.within), len(other.within))
        padded = [(*each.within, *[0] * (size - len(each.within))) for each in (self, other)]
        within = tuple(sum(pair) for pair in zip(*padded, strict=True))
        return Totals(self.requests + other.requests, self.answers + other.answers, self.errors + other.errors, within)


class Signals(NamedTuple):
    """What alarms look at. None: too little to say."""

    requests_per_second: float = 0.0
    upstream_p95_seconds: float | None = None
    upstream_error_share: float | None = None


class Meter:
    """Turns totals, one each tick, into signals about the last WINDOW_TICKS."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` are the upper bounds, in seconds, of the times that `Totals.within` counts."""
        self._bounds = tuple(bounds)
        self._workers = 1
        self._seen: deque[tuple[float, Totals]] = deque(maxlen=WINDOW_TICKS + 1)

    def feed(self, totals: Totals, now: float, workers: int = 1) -> Signals:
        """The signals at this tick. Totals that shrink (a process was replaced), or of more or fewer workers, begin anew."""
        if workers != self._workers:
            self._workers = workers
            self._seen.clear()
        if self._seen and (totals.requests < self._seen[-1][1].requests or totals.answers < self._seen[-1][1].answers):
            self._seen.clear()
        self._seen.append((now, totals))
        since, first = self._seen[0]
        if now <= since:
            return Signals()
        answers = totals.answers - first.answers
        rate = (totals.requests - first.requests) / (now - since)
        if answers < MIN_ANSWERS:
            return Signals(rate)
        padded = (*first.within, *[0] * (len(totals.within) - len(first.within)))
        counts = [after - before for after, before in zip(totals.within, padded, strict=False)]
        return Signals(rate, self._percentile(counts, 0.95), (totals.errors - first.errors) / answers)

    def _percentile(self, counts: Sequence[int], share: float) -> float | None:
        """The time within which this share came, evenly spread between two bounds; beyond the last one, that."""
        wanted = share * sum(counts)
        if wanted <= 0:
            return None
        passed, low = 0, 0.0
        for count, bound in zip(counts, self._bounds, strict=False):
            if count and passed + count >= wanted:
                return low + (bound - low) * (wanted - passed) / count
            passed, low = passed + count, bound
        return self._bounds[-1]


def is_over(alarm: Alarm, signals: Signals, part: float = 1.0) -> bool:
    """Whether any threshold, or this part of it, is exceeded."""
    pairs = (
        (signals.requests_per_second, alarm.requests_per_second),
        (signals.upstream_p95_seconds, alarm.upstream_p95_seconds),
        (signals.upstream_error_share, alarm.upstream_error_share),
    )
    return any(value is not None and bound is not None and value > bound * part for value, bound in pairs)
