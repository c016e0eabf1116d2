"""Counting different things: exact for a few, close for many, and joined counts equal the count of all."""

from __future__ import annotations

import json
from hashlib import blake2b
from random import Random
from statistics import fmean

import pytest

from proxyguard.core.distinct import EXACT_UP_TO, Distinct


def items(count: int, seed: int = 1) -> list[int]:
    random = Random(seed)
    return [random.getrandbits(64) for _ in range(count)]


def counted(values: list[int]) -> Distinct:
    made = Distinct()
    for value in values:
        made.add(value)
        made.add(value)
    return made


@pytest.mark.parametrize("count", [0, 1, EXACT_UP_TO])
def test_a_few_are_counted_exactly(count: int) -> None:
    assert counted(items(count)).count() == count


@pytest.mark.slow
@pytest.mark.parametrize("count", [EXACT_UP_TO + 1, 300, 1000, 3000, 30_000, 300_000])
def test_many_are_counted_to_within_a_tenth(count: int) -> None:
    assert counted(items(count)).count() == pytest.approx(count, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "share"), [(10, 0.0325), (12, 0.01625), (13, 0.0115)])
@pytest.mark.long
def test_the_standard_error_is_as_stated(bits: int, share: float) -> None:
    errors = []
    for seed in range(12):
        made = Distinct(bits=bits)
        for number in range(60_000):
            made.add(int.from_bytes(blake2b(b"%d %d" % (seed, number), digest_size=8).digest()))
        errors.append(made.count() / 60_000 - 1)
    assert fmean(error**2 for error in errors) ** 0.5 < 1.6 * share  # three of its own standard errors


@pytest.mark.parametrize(("one", "two"), [(3, 4), (10, 5000), (5000, 10), (2000, 3000)])
def test_a_join_is_the_count_of_all(one: int, two: int) -> None:
    first, second = items(one, 1), items(two, 2)
    joined = Distinct.joined([counted(first), counted([*second, *first[:2]])])
    assert joined.count() == counted(first + second).count()


@pytest.mark.parametrize("count", [5, 500])
def test_a_count_survives_the_trip_to_another_process(count: int) -> None:
    made = counted(items(count))
    there = Distinct.from_data(json.loads(json.dumps(made.as_data())))
    assert there.count() == made.count()
    there.add(2**64 - 1)
    assert there.count() >= made.count()
