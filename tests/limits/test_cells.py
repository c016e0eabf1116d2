"""What parts of a site's traffic use by the hour: learned by cell, bounded, and left alone by who makes cells."""

from __future__ import annotations

import pytest

from proxyguard.limits.cells import MAX_CELLS, Cells
from proxyguard.limits.hourly import HOUR_SECONDS, HOURS, HourlyUse

DAY = HOURS * HOUR_SECONDS


def spend(cells: Cells, place: str, used: int, *, days: int = 4, begin: int = 0) -> float:
    """Days in which a cell used as much in each hour; the time after them."""
    rule = HourlyUse()
    for hour in range(begin * HOURS, (begin + days) * HOURS):
        now = hour * HOUR_SECONDS
        rule.turn(now, now)
        cells.observe(place, rule, float(used), now, now, is_refused=False)
    return (begin + days) * DAY


def test_each_cell_has_what_is_usual_in_it() -> None:
    cells = Cells()
    end = spend(cells, "a|1", 20)
    spend(cells, "a|2", 300)
    assert cells.usual("a|1", end, end) == pytest.approx(20.0)
    assert cells.usual("a|2", end, end) == pytest.approx(300.0)
    assert cells.usual("a|3", end, end) == 0.0


def test_what_is_refused_makes_no_cell_and_no_hour_usual() -> None:
    cells = Cells()
    end = spend(cells, "a|1", 20)
    rule = HourlyUse()
    for hour in range(3 * HOURS):
        now = end + hour * HOUR_SECONDS
        cells.observe("a|1", rule, 500.0, now, now, is_refused=False)
        cells.observe("a|1", rule, 500.0, now, now, is_refused=True)
        cells.observe("a|2", rule, 500.0, now, now, is_refused=True)
    later = end + 3 * DAY
    assert cells.usual("a|1", later, later) == pytest.approx(20.0)
    assert len(cells) == 1


def test_hours_in_which_learning_is_frozen_teach_nothing() -> None:
    cells = Cells()
    end = spend(cells, "a|1", 20)
    rule = HourlyUse()
    for hour in range(2 * HOURS):
        now = cells.frozen_at = end + hour * HOUR_SECONDS
        cells.observe("a|1", rule, 90.0, now, now, is_refused=False)
    cells.frozen_at = now + HOUR_SECONDS
    later = end + 2 * DAY
    assert cells.usual("a|1", later, later) == pytest.approx(20.0)


def test_who_makes_cells_pushes_nobody_out() -> None:
    cells = Cells()
    end = spend(cells, "a|office", 20)
    for number in range(MAX_CELLS + 500):
        cells.observe(f"a|{number}", HourlyUse(), 1.0, end, end, is_refused=False)
    assert len(cells) == MAX_CELLS
    assert cells.refusals == 501
    assert cells.usual("a|office", end, end) == pytest.approx(20.0)


def test_cells_of_a_day_that_is_long_over_make_room() -> None:
    cells = Cells()
    for number in range(MAX_CELLS):
        cells.observe(f"a|{number}", HourlyUse(), 1.0, 0.0, 0.0, is_refused=False)
    later = 3 * DAY
    for number in range(1_000):
        cells.observe(f"b|{number}", HourlyUse(), 1.0, later, later, is_refused=False)
    assert len(cells) <= MAX_CELLS
    assert cells.refusals < 600


def test_what_is_known_is_taken_over_and_of_what_is_wrong_nothing() -> None:
    cells, other = Cells(), Cells()
    end = spend(cells, "a|1", 20)
    other.restore(cells.as_data())
    assert other.usual("a|1", end, end) == pytest.approx(20.0)
    with pytest.raises(ValueError, match="24 hours"):
        other.restore({"a|1": [[1.0], [1], [0]]})
    assert len(other) == 1
