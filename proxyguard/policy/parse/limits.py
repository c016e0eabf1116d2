"""Limits: the `limit` of a rule, from nodes to the value. Knows nothing of how limits are counted."""

from __future__ import annotations

import re
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from proxyguard.core.problems import Report, nearest, quoted
from proxyguard.core.units import duration_text, parse_duration
from proxyguard.core.yaml.nodes import Node, Scalar
from proxyguard.core.yaml.values import (
    complain,
    read_choice,
    read_integer,
    read_keys,
    read_mapping,
    read_scalar,
    read_truth,
)
from proxyguard.limits.calendar_window import is_calendar_period
from proxyguard.limits.limit import REQUESTS, Count, CountKind, KeyKind, KeyPart, Limit, Missing, Window
from proxyguard.policy.parse.counts import (
    MAX_AMOUNT,
    MAX_AMOUNTS,
    NOUNS,
    RATE_HINT,
    RATE_HINTS,
    amount_of,
    read_count,
    unit_hint,
)
from proxyguard.policy.parse.keys import read_per

MAX_PERIOD_SECONDS: Final = 31 * 86_400
"""A month; counters are kept in memory for about that long."""
MIN_PERIOD_SECONDS: Final = 0.1

LIMIT_KEYS: Final = ("rate", "count", "burst", "window", "time_zone", "per", "missing", "announce")

PERIODS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}

_RATE: Final = re.compile(r"(\d{1,15}(?:[A-Za-z]{1,3})?)/([a-z0-9.]{1,20})", re.ASCII)

_TIME_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]{1,30}(/[A-Za-z0-9_+-]{1,30}){0,2}", re.ASCII)

_CALENDAR_HINT: Final = "a calendar has minutes, hours, days, weeks and whole parts of a day: 500/6h, 1000/day, 5000/7d"

_MEANT: Final = {
    **dict.fromkeys(("key", "by", "keys", "group_by", "for_each"), "did you mean 'per'?"),
    **dict.fromkeys(("requests", "max", "amount", "limit", "threshold"), f"did you mean 'rate'? {RATE_HINT}"),
    **dict.fromkeys(("period", "interval", "within"), f"the period is part of the rate: {RATE_HINT}"),
    **dict.fromkeys(("timezone", "tz", "zone"), "did you mean 'time_zone'?"),
}

_MEANT_WINDOW: Final = {
    **dict.fromkeys(("fixed", "calender", "daily"), "did you mean 'calendar'?"),
    **dict.fromkeys(("rolling", "gcra", "moving"), "did you mean 'sliding'?"),
}

UTC: Final = "UTC"

_DEFAULT_PER: Final = (KeyPart(KeyKind.CLIENT),)


def read_limit(node: Node, report: Report) -> Limit | None:
    """A mapping with `rate` and perhaps `burst`, `per` and `missing`. None when a problem was reported."""
    example = "limit: {rate: 10/minute, burst: 5, per: [client]}"
    if isinstance(node, Scalar) and _RATE.fullmatch(node.text):
        example = f"did you mean limit: {{rate: {node.text}}}?"
    mapping = read_mapping(node, report, "limit", example)
    if mapping is None:
        return None
    values = read_keys(mapping, LIMIT_KEYS, report, "limit", _MEANT)
    count = read_count(values["count"], report) if "count" in values else REQUESTS
    rate = None
    if "rate" in values:
        rate = None if count is None else _rate(values["rate"], report, count)
    else:
        complain(report, node, "the limit has no rate", example)
    window, time_zone = _window(values, report, None if rate is None else rate[1])
    burst = 0 if count is None else _burst(values, report, count, window)
    per = read_per(values["per"], report) if "per" in values else _DEFAULT_PER
    missing = Missing.SHARED
    if "missing" in values:
        word = read_choice(values["missing"], report, "missing", tuple(Missing))
        if word is None:
            return None
        missing = Missing(word)
    announce = read_truth(values["announce"], report, "announce") if "announce" in values else False
    if rate is None or count is None or window is None or time_zone is None:
        return None
    if burst is None or per is None or announce is None:
        return None
    return Limit(rate[0], rate[1], burst or rate[0], per, missing, count, window, time_zone, announce=announce)


def _burst(values: dict[str, Node], report: Report, count: Count, window: Window | None) -> int | None:
    """In units of what is counted; 0: as much as the rate."""
    if "burst" not in values:
        return 0
    node = values["burst"]
    if count.kind is CountKind.DISTINCT or window is Window.CALENDAR:
        what = "on distinct values" if count.kind is CountKind.DISTINCT else "by the calendar"
        complain(
            report, node, f"burst has no meaning for a limit {what}", "all of it may be used at once: leave it out"
        )
        return None
    if count.kind not in RATE_HINTS:
        return read_integer(node, report, "burst", 1, MAX_AMOUNT)
    hint = (
        RATE_HINTS[count.kind].partition(" and")[0] + ": " + RATE_HINTS[count.kind].partition(": ")[2].partition("/")[0]
    )
    scalar = read_scalar(node, report, "burst", "an amount", hint)
    if scalar is None:
        return None
    try:
        amount = amount_of(scalar.text, count)
    except ValueError:
        complain(report, node, f"burst cannot be {quoted(scalar.text)}", unit_hint(scalar.text, count) or hint)
        return None
    most = MAX_AMOUNTS.get(count.kind, MAX_AMOUNT)
    if not 1 <= amount <= most:
        complain(report, node, f"burst is {amount} {NOUNS[count.kind]}", f"from 1 to {most}")
        return None
    return amount


def _window(values: dict[str, Node], report: Report, period_seconds: float | None) -> tuple[Window | None, str | None]:
    """The window and its time zone; None for what was reported."""
    window: Window | None = Window.SLIDING
    if "window" in values:
        node = values["window"]
        if isinstance(node, Scalar) and _period(node.text) is not None:
            hint = f"the period is part of the rate: {RATE_HINT}"
            complain(report, node, f"window cannot be {quoted(node.text)}", hint)
            return None, UTC
        word = read_choice(node, report, "window", tuple(Window), _MEANT_WINDOW)
        window = None if word is None else Window(word)
    if window is Window.CALENDAR and period_seconds is not None and not is_calendar_period(period_seconds):
        text = duration_text(period_seconds)
        complain(report, values["window"], f"no calendar has windows of {text}", _CALENDAR_HINT)
        window = None
    time_zone: str | None = UTC
    if "time_zone" in values:
        if window is Window.SLIDING:
            hint = "window: calendar; a sliding window begins with the first request"
            complain(report, values["time_zone"], "time_zone stands without a calendar", hint)
        time_zone = _zone(values["time_zone"], report)
    return window, time_zone


def _zone(node: Node, report: Report) -> str | None:
    hint = "a name of the tz database, such as UTC or Europe/Berlin"
    scalar = read_scalar(node, report, "time_zone", "a name", hint)
    if scalar is None:
        return None
    name = scalar.text
    try:
        if _TIME_ZONE.fullmatch(name):
            ZoneInfo(name)
            return name
    except (LookupError, ValueError, OSError):
        pass  # there is no such zone, or it is a folder of zones
    zones = available_timezones()
    close = None if any(zone.startswith(f"{name}/") for zone in zones) else nearest(name, zones)
    complain(report, node, f"there is no time zone {quoted(name)}", f"did you mean {quoted(close)}?" if close else hint)
    return None


def _rate(node: Node, report: Report, count: Count) -> tuple[int, float] | None:
    hint = RATE_HINTS.get(count.kind, RATE_HINT)
    scalar = read_scalar(node, report, "rate", hint.partition(":")[0], hint)
    if scalar is None:
        return None
    match = _RATE.fullmatch(scalar.text)
    if match is None:
        complain(report, node, f"rate cannot be {quoted(scalar.text)}", _rate_hint(scalar.text, hint))
        return None
    try:
        amount = amount_of(match[1], count)
    except ValueError:
        better = unit_hint(match[1], count) or _rate_hint(scalar.text, hint)
        complain(report, node, f"rate cannot be {quoted(scalar.text)}", better)
        return None
    seconds = _period(match[2])
    if seconds is None:
        complain(report, node, f"rate has the unknown period {quoted(match[2])}", _rate_hint(scalar.text, hint))
        return None
    if not MIN_PERIOD_SECONDS <= seconds <= MAX_PERIOD_SECONDS:
        hint = f"from {duration_text(MIN_PERIOD_SECONDS)} to {duration_text(MAX_PERIOD_SECONDS)}"
        complain(report, node, f"rate has a period of {match[2]}", hint)
        return None
    most = MAX_AMOUNTS.get(count.kind, MAX_AMOUNT)
    if not 1 <= amount <= most:
        hint = "to refuse every request, leave the limit out" if amount == 0 else f"at most {most}"
        complain(report, node, f"rate allows {amount} {NOUNS[count.kind]}", hint)
        return None
    return amount, seconds


def _period(text: str) -> float | None:
    if text in PERIODS:
        return PERIODS[text]
    try:
        return parse_duration(text)
    except ValueError:
        return None


_LOOSE_RATE: Final = re.compile(r"(\d+)\s*(?:/|per|every|r/|req/)?\s*([a-z]*)", re.ASCII | re.IGNORECASE)


def _rate_hint(text: str, otherwise: str) -> str:
    loose = _LOOSE_RATE.fullmatch(text.strip())
    if loose and loose[2]:
        unit = loose[2].lower()
        period = next((name for name in PERIODS if name.startswith(unit) or unit == f"{name}s"), None)
        if period:
            return f"did you mean {loose[1]}/{period}?"
    return otherwise
