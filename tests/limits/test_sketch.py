"""Distinct values: against a set while exact, within the stated error above, and bounded in size always."""

from __future__ import annotations

from hashlib import blake2b
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.limits.charge import Usage
from proxyguard.limits.limit import Count, CountKind, Limit
from proxyguard.limits.sketch import EXACT_UP_TO, UNSEEN, charge, end_of, is_sound

NOW = 1_800_000_000.0
END = NOW + 3600.0


def limit(amount: int) -> Limit:
    return Limit(amount, 3600.0, amount, (), count=Count(CountKind.DISTINCT))


def hashed(value: object) -> bytes:
    return blake2b(str(value).encode(), digest_size=8).digest()


def admitted_before_the_first_refusal(amount: int, seed: int) -> int:
    state, checked = UNSEEN, limit(amount)
    for number in range(amount * 2):
        state, usage = charge(state, NOW, END, checked, hashed((seed, number)))
        if usage.exceeded:
            return number
    raise AssertionError


@given(amount=st.integers(1, 8), values=st.lists(st.integers(0, 12), max_size=40))
def test_small_limits_equal_a_set(amount: int, values: list[int]) -> None:
    state, seen, checked = UNSEEN, set[int](), limit(amount)
    for value in values:
        fits = value in seen or len(seen) < amount
        state, usage = charge(state, NOW, END, checked, hashed(value))
        if fits:
            seen.add(value)
        assert usage == Usage(exceeded=not fits, remaining=amount - len(seen), retry_after_seconds=0.0 if fits else 3600.0)


def test_the_largest_exact_limit_is_exact() -> None:
    assert [admitted_before_the_first_refusal(EXACT_UP_TO, seed) for seed in range(20)] == [EXACT_UP_TO] * 20


def test_a_hash_that_stands_across_two_others_is_not_seen() -> None:
    first, second = b"\x01" * 8, b"\x02" * 8
    state, _ = charge(UNSEEN, NOW, END, limit(5), first)
    state, _ = charge(state, NOW, END, limit(5), second)
    _, usage = charge(state, NOW, END, limit(5), b"\x01" * 4 + b"\x02" * 4)
    assert usage.remaining == 2


@pytest.mark.long
@pytest.mark.parametrize("amount", [EXACT_UP_TO + 1, 500, 2500, 3000, 10_000])
def test_large_limits_keep_the_stated_error(amount: int) -> None:
    """Standard error 3.25 %: twenty sketches stay within three of it, and on average within one."""
    errors = [admitted_before_the_first_refusal(amount, seed) / amount - 1 for seed in range(20)]
    assert max(map(abs, errors)) <= 0.0975
    assert abs(fmean(errors)) <= 0.0325
    assert stdev(errors) <= 0.0325 * 1.5


@pytest.mark.parametrize("amount", [1, EXACT_UP_TO, EXACT_UP_TO + 1, 1_000_000])
def test_a_state_never_grows_beyond_its_bound(amount: int) -> None:
    state, checked = UNSEEN, limit(amount)
    for number in range(3000):
        state, _ = charge(state, NOW, END, checked, hashed(number), 1.0, owed=number % 2 == 0)
        assert is_sound(state)
    assert len(state) <= 1042


def test_a_look_changes_nothing_and_says_whether_one_more_would_fit() -> None:
    state = UNSEEN
    for number in range(2):
        same, usage = charge(state, NOW, END, limit(2), hashed("new"), 0.0)
        assert (same, usage) == (state, Usage(exceeded=False, remaining=2 - number, retry_after_seconds=0.0))
        state, _ = charge(state, NOW, END, limit(2), hashed(number))
    assert charge(state, NOW, END, limit(2), hashed("new"), 0.0) == (
        state,
        Usage(exceeded=True, remaining=0, retry_after_seconds=3600.0),
    )


@pytest.mark.parametrize("amount", [3, 300])
def test_a_window_begins_with_its_first_value_and_lasts_until_its_end(amount: int) -> None:
    state, _ = charge(UNSEEN, NOW, END, limit(amount), hashed("a"))
    state, _ = charge(state, NOW + 1800.0, END + 1800.0, limit(amount), hashed("b"))
    assert end_of(state) == END
    state, usage = charge(state, END, END + 3600.0, limit(amount), hashed("c"))
    assert (end_of(state), usage.remaining) == (END + 3600.0, amount - 1 - (amount > EXACT_UP_TO))


def test_a_look_after_the_end_leaves_the_old_state_to_be_forgotten() -> None:
    state, _ = charge(UNSEEN, NOW, END, limit(2), hashed("a"))
    assert charge(state, END, END + 3600.0, limit(2), hashed("a"), 0.0) == (
        state,
        Usage(exceeded=False, remaining=2, retry_after_seconds=0.0),
    )


@pytest.mark.parametrize("data", [b"", b"\0" * 8, b"\0" * 15, b"\0" * (8 + 129 * 8), b"\0" * 1041])
def test_bytes_that_are_no_state_are_noticed(data: bytes) -> None:
    assert not is_sound(data)


@pytest.mark.parametrize(("first", "then"), [(90, 141), (141, 90), (EXACT_UP_TO, EXACT_UP_TO + 1)])
def test_a_limit_that_learned_goes_on_counting_what_it_counted_with_another_amount(first: int, then: int) -> None:
    """Two workers need not agree on what is usual of a key, and its amount changes where a day ends within the window."""
    state = UNSEEN
    for number in range(40):
        state, _ = charge(state, NOW, END, limit(first if number % 2 else then), hashed(number))
        assert is_sound(state)
    _, again = charge(state, NOW, END, limit(then), hashed(7))
    state, other = charge(state, NOW, END, limit(first), hashed(40))
    assert not again.exceeded
    assert abs(then - again.remaining - 40) <= 2
    assert abs(first - other.remaining - 41) <= 2
    assert end_of(state) == END


def test_a_look_with_another_amount_leaves_the_values_as_they_are() -> None:
    state, _ = charge(UNSEEN, NOW, END, limit(90), hashed(1))
    assert charge(state, NOW, END, limit(141), hashed(2), 0.0)[0] is state
