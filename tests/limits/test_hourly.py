"""The budget of the whole site by the hour."""

from __future__ import annotations

import pytest

from proxyguard.limits.hourly import HOUR_SECONDS, HOURS, MOST_SURGES, HourlyUse, budget


def spend_days(
    hours: HourlyUse, days: int, let_through: int, *, begin: int = 0, refused: int = 0, only: int | None = None
) -> float:
    """Days whose hours were all alike; the time after them."""
    for hour in range(begin * HOURS, (begin + days) * HOURS):
        now = hour * HOUR_SECONDS
        for at in range(let_through):
            hours.turn(now + at, now + at)
            hours.observe(at + 1.0, is_refused=False)
        for _ in range(refused):
            hours.observe(float(let_through), is_refused=True)
    end = (begin + days) * HOURS * HOUR_SECONDS
    hours.turn(end, end)
    return end


@pytest.mark.parametrize(("days", "usual"), [(1, -1.0), (2, -1.0), (3, 20.0), (5, 20.0)])
def test_three_days_are_to_be_known(days: int, usual: float) -> None:
    hours = HourlyUse()
    spend_days(hours, days, 20)
    assert hours.usual() == pytest.approx(usual)


def test_one_day_can_stand_for_a_week() -> None:
    hours = HourlyUse()
    spend_days(hours, 1, 20)
    hours.repeat_day(7)
    assert hours.usual() == pytest.approx(20.0)
    assert set(hours.days) == {7}


def test_what_came_while_something_was_refused_is_no_guide() -> None:
    hours = HourlyUse()
    spend_days(hours, 4, 20)
    spend_days(hours, 3, 300, begin=4, refused=10)
    assert hours.usual() == pytest.approx(20.0)


def test_after_a_week_it_is_how_things_are() -> None:
    hours = HourlyUse()
    spend_days(hours, 4, 20)
    spend_days(hours, MOST_SURGES + 3, 300, begin=4, refused=10)
    assert hours.usual() > 80.0


def test_hours_without_a_request_have_none() -> None:
    hours = HourlyUse()
    for day in range(6):
        for hour in (0, 23):
            now = (day * HOURS + hour) * HOUR_SECONDS + 1_200
            hours.turn(now, now)
            hours.observe(1.0, is_refused=False)
    hours.turn(now + HOUR_SECONDS * 13, now + HOUR_SECONDS * 13)
    assert hours.usual() == 0.0
    assert hours.days[12] >= 3


@pytest.mark.parametrize(("now", "days"), [(1.0, [1, 0, 0, 0]), (1.75, [1, 0, 0, 0]), (2.0, [1, 1, 0, 0]), (2.9, [1, 1, 0, 0])])
def test_an_hour_that_is_not_over_teaches_nothing(now: float, days: list[int]) -> None:
    hours = HourlyUse()
    hours.turn(0.0, 0.0)
    hours.observe(20.0, is_refused=False)
    hours.turn(now * HOUR_SECONDS, now * HOUR_SECONDS)
    assert hours.days[:4] == days
    assert hours.usual() == -1.0


@pytest.mark.parametrize("moved", [-1, 5, 24 * 40])
def test_a_clock_that_is_set_teaches_nothing(moved: int) -> None:
    hours = HourlyUse()
    end = spend_days(hours, 4, 20)
    known = list(hours.days)
    for minute in range(20):
        hours.turn(end + minute * 60, end + moved * HOUR_SECONDS * (minute % 2) + minute * 60)
    assert hours.days == known


def test_a_budget_is_above_chance() -> None:
    assert budget(0.0, 2.0) == 5.0
    assert budget(100.0, 2.0) == 245.0


def test_what_is_known_is_taken_over() -> None:
    hours, other = HourlyUse(), HourlyUse()
    end = spend_days(hours, 4, 20)
    other.restore(hours.as_data())
    other.turn(end, end)
    assert other.usual() == pytest.approx(20.0)
    with pytest.raises(ValueError, match="24 hours"):
        other.restore([[1.0], [1], [0]])
