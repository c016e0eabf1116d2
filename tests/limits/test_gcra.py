"""GCRA against a token bucket in exact fractions, and against what operators are promised in words."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.limits.charge import Usage
from proxyguard.limits.gcra import UNSEEN, charge
from proxyguard.limits.limit import TOLERANCE, Limit

START = 1_700_000_000.0


def limit(amount: int, period: float, burst: int) -> Limit:
    return Limit(amount, period, burst, ())


def admitted(limit: Limit, times: list[float], cost: float = 1.0) -> list[bool]:
    state, out = UNSEEN, []
    for now in times:
        state, usage = charge(state, now, limit, cost)
        out.append(not usage.exceeded)
    return out


def test_three_a_minute_with_burst_three_lets_three_through_and_stops_the_fourth() -> None:
    assert admitted(limit(3, 60.0, 3), [START] * 5) == [True, True, True, False, False]


def test_a_unit_comes_back_every_period_divided_by_amount() -> None:
    times = [START, START, START, START + 19.9, START + 20.0, START + 20.1, START + 40.0]
    assert admitted(limit(3, 60.0, 3), times) == [True, True, True, False, True, False, True]


def test_burst_one_spaces_requests_evenly() -> None:
    assert admitted(limit(60, 60.0, 1), [START, START + 0.5, START + 1.0, START + 1.5]) == [True, False, True, False]


@pytest.mark.parametrize(
    ("amount", "period"), [(1, 1.0), (3, 60.0), (7, 60.0), (10, 1.0), (6000, 86_400.0), (100_000, 1.0), (99_991, 7.0)]
)
def test_exactly_the_burst_passes_at_one_instant(amount: int, period: float) -> None:
    for now in (0.1, START + 0.123456, 3e9 + 1 / 3):
        assert sum(admitted(limit(amount, period, amount), [now] * (amount + 3))) == amount


def test_waiting_exactly_retry_after_is_enough() -> None:
    for amount in (1, 3, 7, 11, 300):
        state, now = UNSEEN, START + 0.1
        checked = limit(amount, 60.0, amount)
        for _ in range(amount):
            state, usage = charge(state, now, checked)
        state, refused = charge(state, now, checked)
        assert refused.exceeded
        assert refused.retry_after_seconds == pytest.approx(60.0 / amount, abs=1e-6)
        _, usage = charge(state, now + refused.retry_after_seconds, checked)
        assert not usage.exceeded


def test_remaining_counts_down_whole_units() -> None:
    state, left = UNSEEN, []
    for _ in range(4):
        state, usage = charge(state, START, limit(3, 60.0, 3))
        left.append(usage.remaining)
    assert left == [2, 1, 0, 0]


def test_a_look_changes_nothing_and_says_whether_one_more_would_fit() -> None:
    state, _ = charge(UNSEEN, START, limit(2, 60.0, 2))
    same, usage = charge(state, START, limit(2, 60.0, 2), 0.0)
    assert same is state
    assert usage == Usage(exceeded=False, remaining=1, retry_after_seconds=0.0)
    state, _ = charge(state, START, limit(2, 60.0, 2))
    same, usage = charge(state, START, limit(2, 60.0, 2), 0.0)
    assert same is state
    assert usage == Usage(exceeded=True, remaining=0, retry_after_seconds=30.0)


def test_a_charge_that_does_not_fit_is_not_counted() -> None:
    state, _ = charge(UNSEEN, START, limit(2, 60.0, 2), 2.0)
    assert charge(state, START, limit(2, 60.0, 2))[0] is state


def test_a_cost_above_the_burst_takes_the_whole_burst() -> None:
    state, usage = charge(UNSEEN, START, limit(10, 60.0, 5), 50.0)
    assert usage == Usage(exceeded=False, remaining=0, retry_after_seconds=0.0)
    assert charge(state, START, limit(10, 60.0, 5), 50.0)[1] == Usage(exceeded=True, remaining=0, retry_after_seconds=30.0)


def test_an_owed_cost_is_counted_though_it_does_not_fit_and_its_debt_is_bounded() -> None:
    bytes_an_hour = limit(1_000_000, 3600.0, 1_000_000)
    state, usage = charge(UNSEEN, START, bytes_an_hour, 1_500_000.0, owed=True)
    assert usage.exceeded
    _, look = charge(state, START, bytes_an_hour, 0.0)
    assert look.retry_after_seconds == pytest.approx(1800.0, abs=0.01)
    state, _ = charge(state, START, bytes_an_hour, 1e12, owed=True)
    _, look = charge(state, START, bytes_an_hour, 0.0)
    assert look.retry_after_seconds == pytest.approx(3600.0, abs=0.01)


def test_units_are_given_back_as_far_as_there_are_any() -> None:
    terms = limit(3, 60.0, 3)
    state, _ = charge(UNSEEN, START, terms)
    state, usage = charge(state, START, terms, -5.0, True)  # noqa: FBT003 - as its callers do
    assert usage == Usage(exceeded=False, remaining=3, retry_after_seconds=0.0)
    assert charge(state, START, terms, -1.0, True) == (state, usage)  # noqa: FBT003
    assert charge(state, START, terms, 3.0)[1] == Usage(exceeded=False, remaining=0, retry_after_seconds=0.0)


def test_an_operator_who_shortens_the_period_frees_clients_within_two_new_bursts() -> None:
    state, _ = charge(UNSEEN, START, limit(100, 86_400.0, 100), 100.0)
    _, usage = charge(state, START, limit(10, 60.0, 10))
    assert usage.exceeded
    assert usage.retry_after_seconds <= 66.1


def test_a_clock_set_back_a_year_frees_clients_within_two_bursts() -> None:
    state, _ = charge(UNSEEN, START, limit(10, 60.0, 10))
    _, usage = charge(state, START - 31_536_000.0, limit(10, 60.0, 10))
    assert usage.retry_after_seconds <= 66.1


STEPS = st.lists(st.tuples(st.one_of(st.just(0), st.integers(0, 1024 * 30)), st.integers(1, 5)), min_size=1, max_size=120)


@given(amount=st.integers(1, 50), period=st.integers(1, 600), burst=st.integers(1, 60), steps=STEPS)
def test_gcra_equals_a_token_bucket_in_exact_fractions(
    amount: int, period: int, burst: int, steps: list[tuple[int, int]]
) -> None:
    """The reference fills `amount / period` tokens a second up to `burst`; times are 1/1024 s, exact in both."""
    checked, state, now = limit(amount, float(period), burst), UNSEEN, Fraction(int(START))
    rate, tokens, last = Fraction(amount, period), Fraction(burst), Fraction(int(START))
    for wait, cost in steps:
        now += Fraction(wait, 1024)
        tokens, last = min(Fraction(burst), tokens + (now - last) * rate), now
        asked = min(cost, burst)
        state, usage = charge(state, float(now), checked, float(cost))
        if -2 * TOLERANCE < tokens - asked < 0:  # within the tolerance either answer is right: follow it
            if not usage.exceeded:
                tokens -= asked
            continue
        assert usage.exceeded == (tokens < asked)
        if tokens >= asked:
            tokens -= asked
        else:
            assert usage.retry_after_seconds == pytest.approx(float((asked - tokens) / rate), rel=1e-6, abs=1e-3 * period)


@given(amount=st.integers(1, 20), burst=st.integers(1, 20), waits=st.lists(st.floats(0, 20), min_size=2, max_size=150))
def test_no_span_of_time_admits_more_than_burst_plus_rate(amount: int, burst: int, waits: list[float]) -> None:
    times, now = [], START
    for wait in waits:
        now += wait
        times.append(now)
    passed = [t for t, ok in zip(times, admitted(limit(amount, 60.0, burst), times), strict=True) if ok]
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            allowed = burst + (passed[last] - passed[first]) * amount / 60.0 + TOLERANCE * 2
            assert last - first + 1 <= allowed
    if burst == 1:
        assert all(later - earlier >= 60.0 / amount * (1 - 2 * TOLERANCE) for earlier, later in pairwise(passed))


@pytest.mark.long
@pytest.mark.thorough
def test_a_million_small_steps_add_up_exactly() -> None:
    state, busy = UNSEEN, limit(1_000_000, 1.0, 1_000_000)
    passed, now = 0, START + 0.1
    for _ in range(1_000_100):
        state, usage = charge(state, now, busy)
        passed += not usage.exceeded
    assert passed == 1_000_000
