"""The busiest keys: exact for who stays, and nobody who made more than `unseen` is left out."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from proxyguard.core.busiest import Busiest, joined

KEYS = st.lists(st.integers(0, 40), max_size=400)


def counted(keys: list[int], capacity: int = 4) -> Busiest:
    busiest = Busiest(capacity)
    for key in keys:
        busiest.add(key, key % 2, key, 1)
    return busiest


def test_few_keys_are_counted_exactly() -> None:
    busiest = counted([1, 2, 1, 3, 1])
    assert [(key, counts.row) for key, counts in busiest.top(2)] == [(1, [3, 3, 3, 3, 0]), (2, [1, 0, 2, 1, 0])]
    assert busiest.unseen == 0


def holds(busiest: Busiest, true: Counter[int], capacity: int) -> None:
    assert len(busiest.counts) <= 2 * capacity
    for key, number in true.items():
        counts = busiest.counts.get(key)
        if counts is None:
            assert number <= busiest.unseen
        else:
            assert counts.requests <= number <= counts.at_most


@given(KEYS)
def test_whoever_is_left_out_made_few_requests(keys: list[int]) -> None:
    holds(counted(keys), Counter(keys), 4)


@given(KEYS, KEYS, KEYS)
def test_joined_ones_promise_the_same(first: list[int], second: list[int], third: list[int]) -> None:
    parts = [counted(keys) for keys in (first, second, third)]
    before = [{key: counts.row for key, counts in part.counts.items()} for part in parts]
    holds(joined(parts, 4), Counter(first + second + third), 4)
    assert [{key: counts.row for key, counts in part.counts.items()} for part in parts] == before


def test_one_that_talks_most_cannot_be_pushed_out_by_names_made_up() -> None:
    busiest = Busiest(8)
    for number in range(2000):
        busiest.add(f"made up {number}", 0, 0, 0)
        if number % 4 == 0:
            busiest.add("scraper", 1, 10, 0)
    (name, counts), *_ = busiest.top(1)
    assert name == "scraper"
    assert counts.at_most >= 500
    busiest.trim()
    assert len(busiest.counts) == 8
