"""Parses the times of access logs into Unix seconds. Knows nothing else of logs.

Names of months are English whatever the locale, as servers write them.
"""

from __future__ import annotations

from calendar import timegm
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}

_REMEMBERED: Final = 4096
"""Minutes in the cache: a log has thousands of lines a minute, and mostly only the second is parsed."""

MAX_TEXT: Final = 64
"""Characters of a time that are looked at."""

EARLIEST: Final = 631_152_000.0
"""1990: no web server is older."""

LATEST: Final = 7_258_118_400.0
"""2200."""


def read_common_log_time(text: bytes) -> float:
    """Unix seconds of `23/Nov/2026:09:15:07 +0000`. Raises ValueError."""
    if len(text) < 20:
        raise ValueError(text)
    return _minute_start(text[:18], text[20:]) + int(text[18:20])


@lru_cache(_REMEMBERED)
def _minute_start(text: bytes, zone: bytes) -> float:
    month = _MONTHS.get(text[3:6].title())
    if month is None or text[2:3] != b"/" or text[11:12] != b":":
        raise ValueError(text)
    day, year, hour, minute = int(text[:2]), int(text[7:11]), int(text[12:14]), int(text[15:17])
    moment = datetime(year, month, day, hour, minute, tzinfo=UTC)
    zone = zone.strip() or b"+0000"
    if len(zone) != 5 or zone[:1] not in b"+-":
        raise ValueError(zone)
    offset = int(zone[1:3]) * 3600 + int(zone[3:]) * 60
    return timegm(moment.timetuple()) - (offset if zone[:1] == b"+" else -offset)


def read_moment(value: object) -> float:
    """A time in JSON: a number of (milli-, micro-, nano-)seconds, such a number as text, ISO 8601, or common log time.

    A time without a zone is taken as UTC. Raises ValueError.
    """
    if isinstance(value, bool) or value is None:
        raise ValueError(value)
    if isinstance(value, int | float):
        return _scaled(float(value))
    text = str(value)[:MAX_TEXT].strip("[] ")
    try:
        return _scaled(float(text))
    except ValueError:
        pass
    if text[2:3] == "/":
        return read_common_log_time(text.encode())
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _scaled(number: float) -> float:
    for unit in (1.0, 1e3, 1e6, 1e9):
        if EARLIEST <= number / unit < LATEST:
            return number / unit
    raise ValueError(number)
