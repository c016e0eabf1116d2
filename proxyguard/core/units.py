"""Durations, sizes and times as operators write and read them: `90s`, `32KiB`, `2026-07-08 18:00 UTC`. All times are UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}

UNIT_BYTES: Final = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

DURATION_HINT: Final = "a number and a unit, such as 500ms, 30s, 5m, 1.5h or 7d"
SIZE_HINT: Final = "a number of bytes, or a number and a unit: 512B, 32KiB, 1MiB, 2GiB"

_DURATION: Final = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d|w)", re.ASCII)
_SIZE: Final = re.compile(r"(\d{1,15})(B|KiB|MiB|GiB)?", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds. Raises ValueError when it is not a number and a unit."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return float(match[1]) * UNIT_SECONDS[match[2]]


def parse_size(text: str) -> int:
    """Bytes. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * UNIT_BYTES[match[2] or "B"]


def duration_text(seconds: float) -> str:
    """The shortest way to write a duration: the largest unit that needs no fraction."""
    for unit in ("w", "d", "h", "m", "s"):
        amount = seconds / UNIT_SECONDS[unit]
        if amount >= 1 and amount == int(amount):
            return f"{int(amount)}{unit}"
    return f"{seconds:g}s" if seconds >= 1 or not seconds else f"{seconds * 1000:g}ms"


def span_text(seconds: float) -> str:
    """A length of time in words that say enough: `3 h 12 min`."""
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size_text(size: int) -> str:
    """The shortest way to write a size."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % UNIT_BYTES[unit] == 0:
            return f"{size // UNIT_BYTES[unit]}{unit}"
    return f"{size}B"


def format_size(size: float) -> str:
    """A size for people, with two or three digits that count: `812 B`, `1.4 MiB`."""
    for unit, factor in reversed(UNIT_BYTES.items()):
        if size >= factor > 1:
            return f"{size / factor:.{1 if size < 10 * factor else 0}f} {unit}"
    return f"{size:.0f} B"


_LAST: Final = 253_402_300_799.0
"""Unix seconds of the last second that has a date, of the year 9999."""


def date_of(at: float) -> datetime:
    """The date (UTC) of Unix seconds; of what has none the first or the last that there is."""
    return datetime.fromtimestamp(min(_LAST, max(0.0, at)), UTC)


def format_time(at: float) -> str:
    """`2026-07-08 18:00:07`, of Unix seconds. The caller writes the zone, UTC, unless a table has no room for it."""
    return date_of(at).strftime("%Y-%m-%d %H:%M:%S")


def format_minute(at: float) -> str:
    """`2026-07-08 18:00 UTC`."""
    return date_of(at).strftime("%Y-%m-%d %H:%M UTC")


def format_iso_time(at: float) -> str:
    """`2026-07-08T18:00:07Z`, rounded down."""
    return date_of(at).strftime("%Y-%m-%dT%H:%M:%SZ")


def counted(count: int, noun: str) -> str:
    """`1 line`, `1,200 lines`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
