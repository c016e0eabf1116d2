"""Requests under way: as many as begin and do not end, by holder, and nothing for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxyguard.limits.charge import Usage
from proxyguard.limits.concurrent import UNSEEN, Holders, charge, end_of
from proxyguard.limits.limit import Count, CountKind, KeyKind, KeyPart, Limit

THREE = Limit(3, 30.0, 3, (KeyPart(KeyKind.CLIENT),), count=Count(CountKind.CONCURRENT))
NOW = 1_800_000_000.0


def begun(state: Holders, holder: str, now: float = NOW) -> tuple[Holders, bool]:
    state, usage = charge(state, now, THREE, holder)
    return state, not usage.exceeded


def test_a_fourth_waits_until_one_is_over() -> None:
    state = UNSEEN
    for expected in (True, True, True, False):
        state, fits = begun(state, "one")
        assert fits is expected
    assert charge(state, NOW, THREE, "one", 0.0)[1] == Usage(exceeded=True, remaining=0, retry_after_seconds=1.0)
    state, usage = charge(state, NOW, THREE, "one", -1.0, owed=True)
    assert usage == Usage(exceeded=False, remaining=1, retry_after_seconds=0.0)
    assert begun(state, "two")[1]


def test_what_a_dead_holder_had_is_over_with_its_lease_and_not_before() -> None:
    state = UNSEEN
    for _ in range(3):
        state, _ = begun(state, "dead")
    assert not begun(state, "alive", NOW + 29.0)[1]
    state, fits = begun(state, "alive", NOW + 30.0)
    assert fits
    assert state == (("alive", 1, NOW + 60.0),)
    assert end_of(state) == NOW + 60.0


def test_a_holder_that_lives_says_so_and_is_counted_on() -> None:
    state = UNSEEN
    for _ in range(3):
        state, _ = begun(state, "alive")
    for turn in range(1, 10):
        state, _ = charge(state, NOW + 10.0 * turn, THREE, "alive", 3.0, owed=True)
        assert not begun(state, "other", NOW + 10.0 * turn)[1]
    assert charge(state, NOW + 90.0, THREE, "alive", -9.0, owed=True)[0] == UNSEEN


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=60))
def test_it_equals_a_plain_count(steps: list[tuple[str, bool]]) -> None:
    state: Holders = UNSEEN
    plain = {"a": 0, "b": 0}
    for holder, begins in steps:
        if begins:
            state, fits = begun(state, holder)
            assert fits is (sum(plain.values()) < 3)
            plain[holder] += fits
        else:
            state, _ = charge(state, NOW, THREE, holder, -1.0, owed=True)
            plain[holder] = max(0, plain[holder] - 1)
        assert {name: count for name, count, _ in state} == {name: count for name, count in plain.items() if count}
