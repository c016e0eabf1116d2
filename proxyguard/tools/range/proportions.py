"""The exact upper bound of a share that was counted (Clopper and Pearson, Biometrika 1934)."""

from __future__ import annotations

from math import exp, expm1, inf, lgamma, log, log1p
from typing import Final

CONFIDENCE: Final = 0.95
"""One-sided: the true share lies below the bound in 95 of 100 such experiments."""

STEPS: Final = 60


def upper_bound(hits: int, tries: int) -> float:
    """The share at which as few hits as this would be seen in one of twenty experiments. 1.0 where nothing was tried.

    No hit in n tries still leaves about 3/n.
    """
    if tries <= 0 or hits >= tries:
        return 1.0
    if not hits:
        return -expm1(log(1.0 - CONFIDENCE) / tries)
    low, high = hits / tries, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _at_most(hits, tries, middle) > 1.0 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _at_most(hits: int, tries: int, share: float) -> float:
    """The chance of at most so many hits. Summed from the largest term down, until a term adds nothing."""
    if share >= 1.0:
        return 0.0
    odds = log(share) - log1p(-share)
    term = lgamma(tries + 1) - lgamma(hits + 1) - lgamma(tries - hits + 1) + hits * odds + tries * log1p(-share)
    total, largest = 0.0, -inf
    for count in range(hits, -1, -1):
        total += exp(term)
        largest = max(largest, term)
        if term < largest - 40:
            break
        if count:
            term += log(count) - log(tries - count + 1) - odds
    return min(total, 1.0)
