"""How often things were read lately: never too low, forgotten by halves, in memory that no number of things can grow."""

from __future__ import annotations

from array import array
from random import Random

import pytest

from proxyguard.core.number64 import Number64
from proxyguard.core.units import parse_duration
from proxyguard.limits.heat import CELLS, GENERATIONS, MEASURE_EVERY, ROWS, Heat

LIFE = 100.0
ONE = Number64.of(1)


def test_reads_count_and_lose_half_a_half_life_later() -> None:
    heat = Heat(LIFE)
    for _ in range(8):
        heat.add(ONE, 0.0)
    assert [heat.reads(ONE, at * LIFE) for at in range(4)] == [8.0, 4.0, 2.0, 0.0]
    assert heat.reads(Number64.of(2), 0.0) == 0.0


def test_new_reads_are_added_to_what_is_left_of_old_ones() -> None:
    heat = Heat(LIFE)
    for at in (0.0, 0.0, LIFE, 2 * LIFE):
        heat.add(ONE, at)
    assert heat.reads(ONE, 2 * LIFE) == 1.0 + 1 / 2 + 2 / 4


def test_after_a_long_silence_nothing_is_left() -> None:
    heat = Heat(LIFE)
    heat.add(ONE, 0.0)
    assert heat.reads(ONE, 1000 * LIFE) == 0.0


def test_it_is_never_too_low_and_seldom_too_high() -> None:
    random = Random(5)
    numbers = [Number64.of(random.getrandbits(64)) for _ in range(20_000)]
    heat = Heat(LIFE)
    for at, number in enumerate(numbers):
        for _ in range(at % 3):
            heat.add(number, 0.0)
    errors = [heat.reads(number, 0.0) - at % 3 for at, number in enumerate(numbers)]
    assert min(errors) == 0.0
    assert sum(error > 0 for error in errors) < 200


def test_a_count_stays_at_its_most() -> None:
    heat = Heat(LIFE)
    for _ in range(70_000):
        heat.add(ONE, 0.0)
    assert heat.reads(ONE, 0.0) == 65_535
    assert len(heat._tables) <= GENERATIONS


def test_a_flood_of_things_that_nobody_has_heats_nothing_else_and_cools_nothing() -> None:
    """A site that answers 200 to any id, and a swarm that asked for a million of them: 16 to a cell, give or take 4."""
    random = Random(6)
    heat = Heat(LIFE)
    heat._probes = [Number64.of(random.getrandbits(64)) for _ in heat._probes]
    heat._tables[0] = array("H", random.choices(range(9, 24), k=ROWS * CELLS))
    read, unread = [[Number64.of(random.getrandbits(64)) for _ in range(200)] for _ in range(2)]
    for number in read:
        for _ in range(30):
            heat.add(number, 0.0)
    for _ in range(MEASURE_EVERY):
        heat.add(Number64.of(random.getrandbits(64)), 0.0)
    assert sum(heat.reads(number, 0.0) >= 8 for number in unread) <= 2
    assert sum(heat.reads(number, 0.0) >= 8 for number in read) == 200
    later = LIFE + 1.0
    assert sum(heat.reads(number, later) >= 4 for number in unread) <= 2
    assert sum(heat.reads(number, later) >= 4 for number in read) == 200


@pytest.mark.parametrize("half_life", ["0.7d", "16.8h", "1.4d", "2d"])
def test_it_forgets_by_half_whatever_the_half_life(half_life: str) -> None:
    """0.7 days are 60,479.99999999999 seconds: a multiple of that divided by it is a little less than whole."""
    seconds = parse_duration(half_life)
    heat = Heat(seconds)
    begun = 1.8e9 // seconds * seconds + 10
    heat.add(ONE, begun, 16)
    assert [heat.reads(ONE, begun + turn * seconds) for turn in range(4)] == [16.0, 8.0, 4.0, 0.0]
