"""Windows by the calendar against a reference that asks the wall clock minute by minute, and the count inside them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.limits.calendar_window import Span, charge, is_calendar_period, span_at, span_of
from proxyguard.limits.gcra import UNSEEN
from proxyguard.limits.limit import Limit, Window

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Antarctica/Troll",
)
PERIODS = (60.0, 900.0, 1600.0, 1800.0, 2400.0, 2700.0, 3600.0, 5400.0, 21_600.0, 43_200.0, 86_400.0, 604_800.0)


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def on_the_wall(now: float, period: float, zone: str) -> tuple[int, int]:
    """The day (for a week: its Monday) and the number of the window in it, as a wall clock shows it."""
    local = datetime.fromtimestamp(now, ZoneInfo(zone))
    seconds = local.hour * 3600 + local.minute * 60 + local.second
    day = local.date().toordinal()
    if period == 604_800.0:
        return day - local.weekday(), 0
    return day, int(seconds // min(period, 86_400.0))


def edges(span: Span) -> tuple[float, float]:
    return span.start, span.end


def utc_offset(now: float, zone: str) -> timedelta | None:
    return datetime.fromtimestamp(now, ZoneInfo(zone)).utcoffset()


@pytest.mark.parametrize(
    ("now", "period", "zone", "start", "end"),
    [
        ("2026-07-01 12:34:56", 60.0, "UTC", "2026-07-01 12:34:00", "2026-07-01 12:35:00"),
        ("2026-07-01 12:34:56", 86_400.0, "Europe/Berlin", "2026-07-01 00:00:00", "2026-07-02 00:00:00"),
        ("2026-07-01 00:00:00", 86_400.0, "Asia/Kathmandu", "2026-07-01 00:00:00", "2026-07-02 00:00:00"),
        ("2026-07-01 12:34:56", 604_800.0, "Europe/Berlin", "2026-06-29 00:00:00", "2026-07-06 00:00:00"),
        ("2026-07-01 12:34:56", 21_600.0, "America/New_York", "2026-07-01 12:00:00", "2026-07-01 18:00:00"),
        ("2026-03-29 12:00:00", 86_400.0, "Europe/Berlin", "2026-03-29 00:00:00", "2026-03-30 00:00:00"),
        ("2026-03-29 03:10:00", 3600.0, "Europe/Berlin", "2026-03-29 03:00:00", "2026-03-29 04:00:00"),
        ("2026-03-29 01:10:00", 21_600.0, "Europe/Berlin", "2026-03-29 00:00:00", "2026-03-29 06:00:00"),
    ],
)
def test_windows_begin_and_end_where_the_wall_clock_says(now: str, period: float, zone: str, start: str, end: str) -> None:
    assert edges(span_at(at(now, zone), period, zone)) == (at(start, zone), at(end, zone))


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29 12:00", 23), ("2026-10-25 12:00", 25), ("2026-07-01 12:00", 24)])
def test_the_days_on_which_clocks_change_have_23_and_25_hours(day: str, hours: int) -> None:
    span = span_at(at(day, "Europe/Berlin"), 86_400.0, "Europe/Berlin")
    assert span.end - span.start == hours * 3600.0


@pytest.mark.parametrize(
    ("now", "period", "zone", "start", "end"),
    [
        ("2026-11-01 05:40", 5400.0, "America/New_York", "2026-11-01 05:30", "2026-11-01 08:00"),
        ("2026-11-01 06:40", 5400.0, "America/New_York", "2026-11-01 05:30", "2026-11-01 08:00"),
        ("2026-11-01 06:10", 2700.0, "America/New_York", "2026-11-01 05:30", "2026-11-01 07:15"),
        ("2026-10-25 00:40", 5400.0, "Europe/Berlin", "2026-10-24 23:30", "2026-10-25 02:00"),
        ("2026-10-25 01:10", 3600.0, "Antarctica/Troll", "2026-10-25 00:00", "2026-10-25 03:00"),
        ("2026-03-29 01:10", 1600.0, "Europe/Berlin", "2026-03-29 01:06:40", "2026-03-29 01:33:20"),
    ],
)
def test_windows_in_an_hour_that_clocks_show_twice_or_skip(now: str, period: float, zone: str, start: str, end: str) -> None:
    span = span_at(at(now), period, zone)
    assert edges(span) == (at(start), at(end)), [datetime.fromtimestamp(edge, UTC) for edge in edges(span)]


@given(
    now=st.one_of(
        st.floats(1.7e9, 2.0e9),
        st.floats(at("2026-03-28"), at("2026-03-31")),
        st.floats(at("2026-10-24"), at("2026-10-27")),
        st.floats(at("2026-04-04"), at("2026-04-06")),
        st.floats(at("2026-11-01"), at("2026-11-02")),
    ),
    period=st.sampled_from(PERIODS),
    zone=st.sampled_from(ZONES),
)
def test_windows_follow_each_other_and_are_what_the_wall_clock_shows(now: float, period: float, zone: str) -> None:
    span = span_at(now, period, zone)
    assert span.start <= now < span.end < span.next_end
    assert edges(span_at(span.start, period, zone)) == edges(span)
    assert span_at(span.end, period, zone).start == span.end
    assert span_at(span.end, period, zone).end == span.next_end
    steps = 40
    seen = {on_the_wall(span.start + (span.end - span.start) * step / steps, period, zone) for step in range(steps)}
    clocks_change = utc_offset(span.start, zone) != utc_offset(span.end - 1.0, zone)
    assert len(seen) == 1 or clocks_change


@pytest.mark.parametrize(
    ("period", "possible"),
    [(1.0, True), (60.0, True), (900.0, True), (7 * 60.0, False), (86_400.0, True), (604_800.0, True), (172_800.0, False),
     (0.5, False), (90.0, True), (1.5, False), (50_000.0, False)],
)  # fmt: skip
def test_the_calendar_has_windows_of_parts_of_a_day_days_and_weeks(period: float, possible: bool) -> None:
    assert is_calendar_period(period) is possible


def test_spans_are_found_again_until_they_end() -> None:
    limit = Limit(5, 3600.0, 5, (), window=Window.CALENDAR)
    first = span_of(limit, at("2026-07-01 12:10"))
    assert span_of(limit, at("2026-07-01 12:59")) is first
    assert span_of(limit, at("2026-07-01 13:00")).start == first.end
    assert edges(span_of(limit, at("2026-07-01 12:30"))) == edges(first)
    elsewhere = Limit(7, 3600.0, 7, (), window=Window.CALENDAR, time_zone="Asia/Kathmandu")
    assert span_of(elsewhere, at("2026-07-01 12:30")).start == first.start + 900.0


@given(amount=st.integers(1, 20), steps=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 5), st.booleans()), max_size=150))
def test_the_count_in_a_window_equals_a_list_of_what_was_admitted(amount: int, steps: list[tuple[int, int, bool]]) -> None:
    """The reference keeps every admitted cost with its time and adds up those of the current hour."""
    limit = Limit(amount, 3600.0, amount, (), window=Window.CALENDAR)
    state, now, admitted = UNSEEN, int(at("2026-07-01 11:50")), list[tuple[int, int]]()
    for wait, cost, owed in steps:
        now += wait
        end = span_at(now, 3600.0, "UTC").end
        used = sum(cost for when, cost in admitted if when >= end - 3600.0)
        asked = cost if owed else min(cost or 1, amount)
        state, usage = charge(state, float(now), end, limit, float(cost), owed)
        assert usage.exceeded == (used + asked > amount)
        if cost and (owed or not usage.exceeded):
            admitted.append((now, asked))
            used += asked
        assert usage.remaining == max(0, amount - used)
        assert usage.retry_after_seconds == (end - now if usage.exceeded else 0.0)


def test_the_reference_zone_data_is_there() -> None:
    assert datetime.fromtimestamp(at("2026-07-01 12:00", "Asia/Kathmandu"), UTC).hour == 6
