"""Fits the points of signs: arithmetic alone, without data and without rules. Deterministic.

The line is 75 points, and 25 points stand for a factor of ten: to be stopped, a thousand to one must speak against a request.
So a sign may have at most 25 points for each factor of ten by which people show it seldom, by the upper bound of that rate. Signs
have common causes, so the sum of what people show together is bounded as well: MOST_OF_PEOPLE, a step under the line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

LINE: Final = 75
STEP: Final = 5
MOST_OF_PEOPLE: Final = LINE - STEP
POINTS_OF_TEN: Final = 25
CONFIDENCE: Final = 0.95

Signs = frozenset[str]


def upper_bound(hits: int, of: int) -> float:
    """The largest rate that so few hits are still likely for (one-sided, exact: Clopper and Pearson)."""
    if hits >= of:
        return 1.0
    low, high = hits / of, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _at_most(hits, of, middle) > 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _at_most(hits: int, of: int, rate: float) -> float:
    """The chance of that many hits or fewer."""
    if rate >= 1:
        return 0.0
    whole = math.lgamma(of + 1)
    terms = (
        whole - math.lgamma(k + 1) - math.lgamma(of - k + 1) + k * math.log(rate) + (of - k) * math.log1p(-rate)
        for k in range(hits + 1)
    )  # fmt: skip
    return sum(math.exp(term) for term in terms)


def most_points(rate: float) -> int:
    """The most points of a sign that people show at this rate."""
    return max(STEP, STEP * math.floor(POINTS_OF_TEN * math.log10(1 / rate) / STEP))


def score(signs: Signs, points: Mapping[str, int]) -> int:
    return sum(points.get(sign, 0) for sign in signs)


def fit(
    most: Mapping[str, int], fixed: Mapping[str, int], people: Iterable[Signs], scrapers: Sequence[Sequence[Signs]]
) -> dict[str, int]:
    """The points of the signs in `most`: raised from STEP by the step that brings scrapers nearest to the line, until none does.

    `fixed` has the points of other signs. Each group of scrapers counts alike, however many it has.
    """
    points = dict(fixed) | dict.fromkeys(most, STEP)
    bounded = set(people)
    groups = [(Counted(group), len(group)) for group in scrapers]
    while True:
        best, gain = "", 1e-9
        for sign in sorted(most, key=lambda each: (-most[each], each)):
            if points[sign] + STEP > most[sign]:
                continue
            tried = points | {sign: points[sign] + STEP}
            if any(sign in each and score(each, tried) > MOST_OF_PEOPLE for each in bounded):
                continue
            found = sum(counted.gain(sign, points, tried) / size for counted, size in groups)
            if found > gain:
                best, gain = sign, found
        if not best:
            return {sign: points[sign] for sign in most}
        points[best] += STEP


class Counted:
    """How often each set of signs comes in a group."""

    def __init__(self, group: Iterable[Signs]) -> None:
        self._sets: dict[Signs, int] = {}
        for signs in group:
            self._sets[signs] = self._sets.get(signs, 0) + 1

    def gain(self, sign: str, before: Mapping[str, int], after: Mapping[str, int]) -> float:
        """What a step brings: the share of the way to the line, and a whole for each request that reaches it."""
        found = 0.0
        for signs, count in self._sets.items():
            if sign in signs:
                found += count * (_worth(score(signs, after)) - _worth(score(signs, before)))
        return found


def _worth(points: int) -> float:
    return min(points, LINE) / LINE + (points >= LINE)
