"""How long people wait for the site: the same requests at a site that scrapers keep busy, and at one that they do not.

The queue stands beside the run and does not feed back into it, so that a cohort does the same whoever else is there.
"""

from __future__ import annotations

from collections import Counter
from heapq import heapreplace
from math import ceil, log2
from typing import Final

SITE_CORES: Final = 2
"""Of the site: one request takes one core for as long as its page costs."""

STEPS: Final = 8
"""Of a histogram, for each doubling: a figure is right to nine percent."""

SHORTEST_SECONDS: Final = 1e-5


class SiteQueue:
    """The site's cores. Requests come in the order of time, and wait for the first core that is free."""

    __slots__ = ("_free",)

    def __init__(self) -> None:
        self._free = [0.0] * SITE_CORES

    def answer_seconds(self, now: float, seconds: float) -> float:
        """How long a request takes that needs so many seconds of a core, its wait included."""
        end = max(now, self._free[0]) + seconds
        heapreplace(self._free, end)
        return end - now


class Latencies:
    """A histogram of seconds, in memory that does not grow."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        self._counts[ceil(log2(max(seconds, SHORTEST_SECONDS) / SHORTEST_SECONDS) * STEPS)] += 1

    def merge(self, other: Latencies) -> None:
        self._counts.update(other._counts)

    def below(self, share: float) -> float | None:
        """The seconds that this share of all stays below; None of nothing."""
        wanted = sum(self._counts.values()) * share
        reached = 0
        for step in sorted(self._counts):
            reached += self._counts[step]
            if reached >= wanted:
                return SHORTEST_SECONDS * float(2.0 ** (step / STEPS))
        return None
