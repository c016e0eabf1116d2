"""Parses the times of access logs into Unix seconds. Knows nothing else of logs.

Names of months are English whatever the locale, as servers write them.
"""

from __future__ import annotations

from calendar import timegm
from datetime import UTC, datetime
from typing import Final

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}

_REMEMBERED: Final = 4096
"""Minutes in the cache: a log has thousands of lines a minute."""

EARLIEST: Final = 631_152_000.0
"""1990: no web server is older."""

LATEST: Final = 7_258_118_400.0
"""2200."""


class CommonLogTimes:
    """Parses `23/Nov/2026:09:15:07 +0000`. Minutes are cached, so that mostly only the second is parsed."""

    __slots__ = ("_minutes",)

    def __init__(self) -> None:
        self._minutes: dict[bytes, float] = {}

    def read(self, text: bytes) -> float:
        """Unix seconds. Raises ValueError."""
        minute = text[:18] + text[20:]
        start = self._minutes.get(minute)
        if start is None:
            if len(self._minutes) >= _REMEMBERED:
                self._minutes.clear()
            start = self._minutes[minute] = _minute_start(text)
        return start + int(text[18:20])


def _minute_start(text: bytes) -> float:
    month = _MONTHS.get(text[3:6].title())
    if len(text) < 20 or month is None or text[2:3] != b"/" or text[11:12] != b":":
        raise ValueError(text)
    day, year, hour, minute = int(text[:2]), int(text[7:11]), int(text[12:14]), int(text[15:17])
    moment = datetime(year, month, day, hour, minute, tzinfo=UTC)
    zone = text[20:].strip() or b"+0000"
    if len(zone) != 5 or zone[:1] not in b"+-":
        raise ValueError(text)
    offset = int(zone[1:3]) * 3600 + int(zone[3:]) * 60
    return timegm(moment.timetuple()) - (offset if zone[:1] == b"+" else -offset)


_COMMON_LOG_TIMES: Final = CommonLogTimes()


def read_moment(value: object) -> float:
    """A time in JSON: a number of (milli-, micro-, nano-)seconds, such a number as text, ISO 8601, or common log time.

    A time without a zone is taken as UTC. Raises ValueError.
    """
    if isinstance(value, bool) or value is None:
        raise ValueError(value)
    if isinstance(value, int | float):
        return _scaled(float(value))
    text = str(value)
    try:
        return _scaled(float(text))
    except ValueError:
        pass
    if text[2:3] == "/":
        return _COMMON_LOG_TIMES.read(text.encode())
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _scaled(number: float) -> float:
    for unit in (1.0, 1e3, 1e6, 1e9):
        if EARLIEST <= number / unit < LATEST:
            return number / unit
    raise ValueError(number)
