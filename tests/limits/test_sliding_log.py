"""The sliding log: against a list of times, its bounds, and a clock that does not go on evenly."""

from __future__ import annotations

import struct
from fractions import Fraction
from math import inf, nan

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxyguard.limits.charge import Usage
from proxyguard.limits.limit import Limit, Window
from proxyguard.limits.sliding_log import MAX_AMOUNT, UNSEEN, amount_of, charge, end_of, is_log, is_sound

NOW = 1_800_000_000.0


def limit(amount: int, period_seconds: float = 60.0) -> Limit:
    return Limit(amount, period_seconds, amount, (), window=Window.SLIDING_LOG)


class NaiveLog:
    """All times there ever were, in milliseconds, and the rule as it is said: at most so many within any period."""

    def __init__(self, amount: int, period: int) -> None:
        self.amount, self.period = amount, period
        self.times: list[int] = []

    def charge(self, now: int) -> Usage:
        recent = [time for time in self.times if time > now - self.period]
        exceeded = len(recent) >= self.amount
        if exceeded:
            return Usage(exceeded, 0, (recent[-self.amount] + self.period - now) / 1000)
        self.times.append(now)
        return Usage(exceeded, self.amount - len(recent) - 1, 0.0)


@given(
    amount=st.integers(1, 12),
    period=st.integers(100, 3_000),
    steps=st.lists(st.one_of(st.integers(0, 40), st.integers(0, 3_500)), max_size=120),
)
@example(amount=1, period=2027, steps=[0, 2027])
def test_it_equals_a_list_of_times(amount: int, period: int, steps: list[int]) -> None:
    naive, state, at, checked = NaiveLog(amount, period), UNSEEN, 0, limit(amount, period / 1000)
    for step in steps:
        at += step
        state, usage = charge(state, NOW + at / 1000, checked)
        wanted = naive.charge(at)
        assert (usage.exceeded, usage.remaining) == (wanted.exceeded, wanted.remaining)
        assert usage.retry_after_seconds == pytest.approx(wanted.retry_after_seconds, abs=1e-6)


@given(amount=st.integers(1, 4), steps=st.lists(st.floats(0.0, 0.7), min_size=20, max_size=80))
def test_no_period_holds_more_than_the_amount_wherever_it_begins(amount: int, steps: list[float]) -> None:
    """Times as exact fractions: rounding to milliseconds never lets one in early, but for the rounding of doubles."""
    state, now, passed, checked = UNSEEN, NOW, list[Fraction](), limit(amount, 1.0)
    for step in steps:
        now += step
        state, usage = charge(state, now, checked)
        if not usage.exceeded:
            passed.append(Fraction(now))
    for first, last in zip(passed, passed[amount:], strict=False):
        assert last - first >= 1 - Fraction(3, 1_000_000)


def test_who_waits_as_long_as_it_says_passes() -> None:
    state, now, checked = UNSEEN, NOW + 0.1234567, limit(3, 7.3)
    for _ in range(200):
        state, usage = charge(state, now, checked)
        if usage.exceeded:
            now += usage.retry_after_seconds
            state, usage = charge(state, now, checked)
            assert not usage.exceeded
        now += 0.7654321


@pytest.mark.parametrize("amount", [1, 64, MAX_AMOUNT])
def test_it_is_exact_and_bounded_up_to_the_largest_amount(amount: int) -> None:
    state, checked = UNSEEN, limit(amount, 31 * 86_400.0)
    for number in range(amount + 50):
        state, usage = charge(state, NOW + number, checked)
        assert usage.exceeded == (number >= amount)
        assert len(state) <= 19 + 4 * amount
    assert is_sound(state)
    assert (amount_of(state), is_log(state)) == (amount, True)
    assert end_of(state) == NOW + amount - 1 + 31 * 86_400.0


def test_a_key_in_use_for_years_is_counted_on() -> None:
    """Far beyond what 32 bits of milliseconds hold, without a pause in which all of it is given back."""
    state, month = UNSEEN, 31 * 86_400.0
    for number in range(200):
        state, usage = charge(state, NOW + number * month / 2, limit(2, month))
        assert not usage.exceeded
        assert charge(state, NOW + number * month / 2, limit(2, month))[1].exceeded == (number > 0)


def test_a_look_changes_nothing() -> None:
    state, usage = charge(UNSEEN, NOW, limit(1), 0.0)
    assert (state, usage) == (UNSEEN, Usage(exceeded=False, remaining=1, retry_after_seconds=0.0))
    full, _ = charge(UNSEEN, NOW, limit(1))
    state, usage = charge(full, NOW + 10, limit(1), 0.0)
    assert (state, usage) == (full, Usage(exceeded=True, remaining=0, retry_after_seconds=50.0))


def test_the_newest_is_given_back_and_never_more_than_there_is() -> None:
    state, _ = charge(UNSEEN, NOW, limit(2))
    state, _ = charge(state, NOW + 30, limit(2))
    state, usage = charge(state, NOW + 31, limit(2), -1.0, owed=True)
    assert usage.remaining == 1
    assert end_of(state) == NOW + 60
    state, usage = charge(state, NOW + 32, limit(2), -5.0, owed=True)
    assert usage.remaining == 2
    assert end_of(state) == NOW + 32
    assert charge(state, NOW + 33, limit(2), -1.0, owed=True)[0] is state
    assert not charge(state, NOW + 33, limit(2), 2.0)[1].exceeded


def test_what_is_owed_beyond_the_amount_takes_the_place_of_the_oldest() -> None:
    state = UNSEEN
    for second in range(5):
        state, _ = charge(state, NOW + second, limit(3), owed=True)
    _, usage = charge(state, NOW + 5, limit(3))
    assert usage == Usage(exceeded=True, remaining=0, retry_after_seconds=57.0)
    state, usage = charge(UNSEEN, NOW, limit(3), 1e9, owed=True)
    assert usage == Usage(exceeded=False, remaining=0, retry_after_seconds=0.0)


@given(
    amount=st.integers(1, 5),
    steps=st.lists(
        st.tuples(st.one_of(st.floats(-2.0, 2.0), st.floats(-1e6, 1e6)), st.sampled_from((0.0, 1.0, -1.0))), max_size=60
    ),
)
def test_a_clock_that_jumps_keeps_nobody_out_for_more_than_two_periods(amount: int, steps: list[tuple[float, float]]) -> None:
    state, now, checked = UNSEEN, NOW, limit(amount, 10.0)
    for step, cost in steps:
        now += step
        state, usage = charge(state, now, checked, cost, owed=cost < 0)
        assert 0 <= usage.remaining <= amount
        assert 0.0 <= usage.retry_after_seconds <= 20.002
        assert state == UNSEEN or is_sound(state)


def test_a_clock_set_back_a_little_stands_still() -> None:
    """Callers that share a store come in another order than they read their clocks: that gives nothing back early."""
    state, checked = UNSEEN, limit(500)
    for number in range(500):
        state, usage = charge(state, NOW + (number * 7 % 10) / 1000, checked)
        assert not usage.exceeded
    for later in (0.0, 59.0, 59.999):
        assert charge(state, NOW + later, checked)[1].exceeded
    assert charge(state, NOW + 60.010, checked, 500.0)[1].exceeded is False


def test_a_clock_set_back_far_takes_the_log_with_it() -> None:
    state, _ = charge(UNSEEN, NOW, limit(1))
    assert charge(state, NOW - 86_400, limit(1))[1].retry_after_seconds == 60.0
    assert charge(state, NOW - 59, limit(1))[1].retry_after_seconds == 119.0


@pytest.mark.parametrize(
    "state",
    [
        b"\0",
        struct.pack("<ddHB", NOW, NOW * 1000, 1, 2),
        struct.pack("<ddHB", NOW, NOW * 1000, 1, 1) + bytes(8),
        struct.pack("<ddHB", NOW, NOW * 1000, 1001, 1),
        struct.pack("<ddHB", NOW, NOW * 1000, 3, 1) + bytes(6),
        struct.pack("<ddHBII", NOW, NOW * 1000, 3, 1, 2, 1),
        struct.pack("<ddHB", nan, NOW * 1000, 1, 1),
        struct.pack("<ddHB", NOW, nan, 1, 1),
        struct.pack("<ddHB", NOW, inf, 1, 1),
        struct.pack("<ddHB", NOW, -1.0, 1, 1),
    ],
)
def test_bytes_that_are_no_log_are_told(state: bytes) -> None:
    assert not is_sound(state)


@given(times=st.lists(st.integers(0, 2**32 - 1), max_size=20), base=st.floats(0.0, 9e14), step=st.floats(-1e7, 1e7))
def test_any_sound_state_is_counted_on_without_a_fault(times: list[int], base: float, step: float) -> None:
    """A damaged file may hold any times: they are wrong, and never more than that."""
    state = struct.pack("<ddHB", NOW, base, 20, 1) + b"".join(struct.pack("<I", time) for time in sorted(times))
    assert is_sound(state)
    for cost in (1.0, 0.0, -2.0):
        after, usage = charge(state, NOW + step, limit(20), cost, owed=cost < 0)
        assert 0 <= usage.remaining <= 20
        assert after == b"" or len(after) <= 19 + 4 * 20
