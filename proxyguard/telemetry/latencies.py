"""Quantiles of what took how long within the last minutes, from the counts of histograms.

Histograms count from the start on; their counts are remembered every few seconds, and the difference is what came since.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from proxyguard.telemetry.metric_families import SECONDS_BOUNDS

LOOK_SECONDS: Final = 15.0
"""Between two remembered counts."""

LOOKS: Final = 20
"""Remembered counts: five minutes."""

SHOWN: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


class RecentCounts:
    """The counts of some histograms, by bucket, as they were up to five minutes ago."""

    def __init__(self, names: Iterable[str]) -> None:
        nothing = [0] * (len(SECONDS_BOUNDS) + 1)
        self._looks: deque[tuple[float, dict[str, list[int]]]] = deque([(0.0, dict.fromkeys(names, nothing))], LOOKS + 1)

    def look(self, now: float, counts: Mapping[str, list[int]]) -> None:
        """Remember the counts, unless that was done a moment ago. `now` is of any clock that never goes back."""
        if now - self._looks[-1][0] >= LOOK_SECONDS:
            self._looks.append((now, {name: [*buckets] for name, buckets in counts.items()}))

    def within(self, now: float, counts: Mapping[str, list[int]]) -> dict[str, list[int]]:
        """What was counted since the first look that is not older than five minutes."""
        since = next((then for at, then in self._looks if now - at <= LOOK_SECONDS * LOOKS), self._looks[-1][1])
        if len(self._looks) <= LOOKS and self._looks[0][0] == 0.0:
            since = self._looks[0][1]  # it has not run for longer
        return {
            name: [count - before for count, before in zip(buckets, since[name], strict=True)] for name, buckets in counts.items()
        }


def quantiles(several: Iterable[Mapping[str, list[int]]]) -> dict[str, dict[str, float]]:
    """Quantiles in seconds by histogram, of what several workers counted; nothing of one that counted nothing.

    Within a bucket values count as evenly spread; what is beyond the last bound counts as the last bound.
    """
    summed: dict[str, list[int]] = {}
    for counts in several:
        for name, buckets in counts.items():
            known = summed.get(name)
            summed[name] = [*buckets] if known is None else [mine + more for mine, more in zip(known, buckets, strict=True)]
    return {
        name: {label: round(quantile(buckets, share), 6) for label, share in SHOWN}
        for name, buckets in summed.items()
        if any(buckets)
    }


def quantile(buckets: list[int], share: float) -> float:
    """The value that a share of all lies below, in seconds."""
    rank, below, lower = share * sum(buckets), 0, 0.0
    for bound, count in zip(SECONDS_BOUNDS, buckets, strict=False):
        if count and below + count >= rank:
            return lower + (bound - lower) * (rank - below) / count
        below += count
        lower = bound
    return SECONDS_BOUNDS[-1]
