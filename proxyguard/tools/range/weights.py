"""Draws of an index by weights that do not change."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from random import Random


def cumulated(weights: Iterable[float]) -> tuple[float, ...]:
    """What `index_by` draws from: the share of the total that each weight reaches with those before it."""
    sums = list(accumulate(weights))
    return tuple(each / sums[-1] for each in sums)


def index_by(random: Random, reached: Sequence[float]) -> int:
    """An index, each as often as its weight says."""
    return min(bisect_left(reached, random.random()), len(reached) - 1)
