"""Limits, spans of time and moments in words of a language. English is written here, the rest by CLDR's rules through Babel."""

from __future__ import annotations

from datetime import UTC
from math import ceil
from typing import Final

from proxyguard.core.decision import EndTime, Quota
from proxyguard.core.units import date_of
from proxyguard.http.languages import FALLBACK, Language
from proxyguard.http.ratelimit_fields import ending_text, format_wait, limit_text, wait_in_units

UNITS: Final = {"second": "duration-second", "minute": "duration-minute", "hour": "duration-hour", "day": "duration-day"}

_PERIODS: Final = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


def wait_phrase(seconds: int, language: Language) -> str:
    """`10 minutes` in a language, rounded up to what a person waits for."""
    if language.code == FALLBACK:
        return format_wait(seconds)
    return _amount(*wait_in_units(seconds), language)


def limit_phrase(quota: Quota, language: Language) -> str:
    """`300 requests a day` in a language."""
    if language.code == FALLBACK:
        return limit_text(quota)
    from babel.numbers import format_decimal  # noqa: PLC0415 - a tenth of a second and 20 MB that many sites never need

    seconds = max(1, round(quota.period_seconds))
    unit, size = next((unit, size) for unit, size in _PERIODS if seconds % size == 0)
    period = _amount(seconds // size, unit, language)
    count = language.counts.get(quota.unit, language.counts["requests"])
    return f"{count}: {format_decimal(quota.limit, locale=language.code)} / {period}"


def ending_phrase(ends: EndTime, language: Language) -> str:
    """`4 July 2023, 18:00 UTC (in 3 hours)` in a language."""
    if language.code == FALLBACK:
        return ending_text(ends)
    from babel.dates import format_skeleton  # noqa: PLC0415 - as above

    moment = date_of(ceil(ends.at / 60) * 60)
    day = format_skeleton("yMMMMd", moment, tzinfo=UTC, locale=language.code)
    wait = wait_phrase(max(1, ceil(ends.seconds_left)), language)
    return language.words["ends_in"].format(moment=f"{day} {moment:%H:%M}", wait=wait)


def _amount(count: int, unit: str, language: Language) -> str:
    from babel.units import format_unit  # noqa: PLC0415 - as above

    return format_unit(count, UNITS[unit], locale=language.code)
