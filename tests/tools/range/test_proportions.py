"""Upper bounds of shares, against figures of the literature and against their definition."""

from __future__ import annotations

from math import comb

import pytest

from proxyguard.tools.range.proportions import upper_bound


@pytest.mark.parametrize(
    ("hits", "tries", "bound"),
    [(0, 1, 0.95), (0, 10, 0.2589), (1, 10, 0.3942), (5, 10, 0.7776), (0, 5_000, 0.000599), (10, 10, 1.0), (0, 0, 1.0)],
)
def test_it_is_the_exact_bound_of_clopper_and_pearson(hits: int, tries: int, bound: float) -> None:
    assert upper_bound(hits, tries) == pytest.approx(bound, abs=1e-4)


@pytest.mark.parametrize(("hits", "tries"), [(1, 30), (7, 300), (200, 1_000)])
def test_as_few_hits_as_this_come_in_one_of_twenty_experiments(hits: int, tries: int) -> None:
    share = upper_bound(hits, tries)
    chance = sum(comb(tries, count) * share**count * (1 - share) ** (tries - count) for count in range(hits + 1))
    assert chance == pytest.approx(0.05, rel=1e-6)


def test_no_hit_still_leaves_three_in_n() -> None:
    assert upper_bound(0, 120) == pytest.approx(3 / 120, rel=0.02)


def test_large_counts_are_no_matter() -> None:
    assert 0.5 < upper_bound(500_000, 1_000_000) < 0.502
