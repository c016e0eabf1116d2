"""What was seen lately is known until its time is over, and no number of things makes it more or less."""

from __future__ import annotations

from random import Random

from proxyguard.core.number64 import Number64
from proxyguard.limits.recent import TURNS, Recent

SECONDS = 1_800.0
ONE = Number64.of(1)


def test_what_was_seen_is_known_for_its_time_and_a_third_more_at_most() -> None:
    recent = Recent(SECONDS, 100)
    recent.add(ONE, 0.0)
    assert [recent.has(ONE, at) for at in (0.0, SECONDS - 1, SECONDS * 4 / 3 + 1)] == [True, True, False]
    assert not recent.has(Number64.of(2), 0.0)


def test_after_a_long_silence_nothing_is_left() -> None:
    recent = Recent(SECONDS, 100)
    recent.add(ONE, 0.0)
    assert not recent.has(ONE, 1e9)
    assert len(recent) == 0


def test_of_many_the_last_are_known_and_memory_does_not_grow() -> None:
    random = Random(1)
    recent = Recent(SECONDS, 1_000)
    numbers = [Number64.of(random.getrandbits(64)) for _ in range(20_000)]
    for number in numbers:
        recent.add(number, 0.0)
    assert all(recent.has(number, 0.0) for number in numbers[-TURNS * 1_000 :])
    assert sum(recent.has(number, 0.0) for number in numbers[:10_000]) < 20
    assert len(recent) <= (TURNS + 1) * 1_000
    assert sum(map(len, recent._filters)) <= (TURNS + 1) * 4 * 1_024


def test_of_what_was_not_seen_hardly_any_seems_to_have_been() -> None:
    random = Random(2)
    recent = Recent(SECONDS, 32_768)
    for at in range(4 * 32_768):
        recent.add(Number64.of(random.getrandbits(64)), at * SECONDS / TURNS / 32_768)
    assert sum(recent.has(Number64.of(random.getrandbits(64)), SECONDS) for _ in range(100_000)) < 40


def test_what_comes_again_takes_no_more_room() -> None:
    recent = Recent(SECONDS, 10)
    for _ in range(1_000):
        recent.add(ONE, 0.0)
    assert len(recent) == 1
