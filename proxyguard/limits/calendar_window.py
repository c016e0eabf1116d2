"""Limits by the calendar: windows that begin at the minute, hour, day or week of a time zone, and the count in one of them.

Pure: (state, now, end of the window, limit, cost) -> (state, usage). Windows follow the clock on the wall: the day on which
clocks change has 23 or 25 hours. Knows nothing of keys or tables.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from math import floor
from typing import Final
from zoneinfo import ZoneInfo

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.limits.charge import Usage, fitting
from proxyguard.limits.gcra import IMAG, State
from proxyguard.limits.limit import Limit

DAY_SECONDS: Final = 86_400
WEEK_SECONDS: Final = 7 * DAY_SECONDS

HALF_HOUR_SECONDS: Final = 1_800.0
"""Windows that are parts of it keep their edges when clocks change, because all clocks change by half hours or hours."""

MAX_SPANS: Final = 10_000
"""Windows remembered: periods times time zones, far above any policy."""

TOLERANCE: Final = 1e-9
"""Of the amount: the rounding of a sum of fractions."""


class Span:
    """One window, and where the next one ends; Unix seconds."""

    __slots__ = ("end", "next_end", "start")

    def __init__(self, start: float, end: float, next_end: float) -> None:
        self.start = start
        self.end = end
        self.next_end = next_end


_known: Final[dict[str, Span]] = {}
"""The window that each kind of limit was in last: finding one takes microseconds, and it lasts."""


def span_of(limit: Limit, now: float) -> Span:
    """The window of a limit by the calendar that `now` lies in. Raises zoneinfo.ZoneInfoNotFoundError."""
    span = _known.get(limit.windows)
    if span is None or not span.start <= now < span.end:
        span = keep_at_hand(_known, MAX_SPANS, limit.windows, span_at(now, limit.period_seconds, limit.time_zone))
    return span


def is_calendar_period(period_seconds: float) -> bool:
    """Whether a calendar has such windows: whole parts of a day from a second on, a day, or a week (which begins on Monday)."""
    if period_seconds in (DAY_SECONDS, WEEK_SECONDS):
        return True
    return period_seconds >= 1 and period_seconds == int(period_seconds) and DAY_SECONDS % int(period_seconds) == 0


def span_at(now: float, period_seconds: float, time_zone: str) -> Span:
    """The window that `now` lies in. Raises zoneinfo.ZoneInfoNotFoundError."""
    zone = ZoneInfo(time_zone)
    end = _edge(now, period_seconds, zone, after=True)
    return Span(_edge(now, period_seconds, zone, after=False), end, _edge(end, period_seconds, zone, after=True))


def charge(
    state: State,
    now: float,
    end: float,
    limit: Limit,
    cost: float = 1.0,
    owed: bool = False,  # noqa: FBT001, FBT002 - as in gcra
) -> tuple[State, Usage]:
    """As `gcra.charge`, in the window that ends at `end`. The state is the window's end and what was used in it.

    A store hands in, and keeps, a negative `end`, which tells times on the wall from those on the line; see `clock`.
    """
    until = state.real
    used = state.imag if abs(until) == abs(end) else 0.0
    amount = limit.amount
    most = amount * (1.0 + TOLERANCE)
    if cost == 1.0 and not owed:  # nearly all charges
        left = most - (used + 1.0)
        if left >= 0.0:
            return state + IMAG if until == end else end + IMAG * (used + 1.0), fitting(int(left))
    asked = min(cost or 1.0, amount) if not owed else cost
    exceeded = used + asked > most
    if cost < 0 and not used:
        return state, Usage(exceeded=False, remaining=limit.amount, retry_after_seconds=0.0)
    if cost and (owed or not exceeded):
        used = max(0.0, used + asked)
        state = complex(end, used)
    return state, Usage(exceeded, max(0, floor(most - used)), abs(end) - now if exceeded else 0.0)


def _edge(now: float, period_seconds: float, zone: ZoneInfo, *, after: bool) -> float:
    """The first edge after `now`, or the last one not after it."""
    local = datetime.fromtimestamp(now, zone)
    offset = local.utcoffset() or timedelta()
    if HALF_HOUR_SECONDS % period_seconds == 0:
        on_the_wall = now + offset.total_seconds()
        return (floor(on_the_wall / period_seconds) + after) * period_seconds - offset.total_seconds()
    midnight = datetime.combine(local.date(), time())
    if period_seconds == WEEK_SECONDS:
        midnight -= timedelta(days=local.weekday())
    span = timedelta(days=period_seconds // DAY_SECONDS) if period_seconds >= DAY_SECONDS else timedelta(seconds=period_seconds)
    steps = (local.replace(tzinfo=None, fold=0) - midnight) // span + 1
    edge = later = _instant(midnight + steps * span, zone)
    while edge <= now:  # an hour that clocks show again: its edges are where they were the first time
        steps += 1
        edge = _instant(midnight + steps * span, zone)
    while edge > now:
        later, steps = edge, steps - 1
        edge = _instant(midnight + steps * span, zone)
    return later if after else edge


def _instant(wall: datetime, zone: ZoneInfo) -> float:
    """When a clock on the wall shows a time first; a time that is skipped is when it is skipped."""
    return wall.replace(tzinfo=zone).timestamp()
