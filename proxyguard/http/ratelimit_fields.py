"""Formats limits and their ends for clients: as header fields for programs, in words for people.

The fields are RateLimit-Policy and RateLimit of draft-ietf-httpapi-ratelimit-headers-10. Times are UTC. Knows nothing of pages or
of how a limit is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

from proxyguard.core.decision import EndTime, Quota
from proxyguard.core.request import Headers
from proxyguard.core.units import date_of, duration_text, format_iso_time, size_text

PERIODS: Final = {1.0: "a second", 60.0: "a minute", 3600.0: "an hour", 86_400.0: "a day", 604_800.0: "a week"}

NOUNS: Final = {
    "requests": ("request", "requests"),
    "upstream_seconds": ("second of the site's work", "seconds of the site's work"),
    "statuses": ("request without success", "requests without success"),
    "distinct": ("different request", "different requests"),
}
"""What is counted, in words: one, several."""

UNITS: Final = {
    "requests": b"",
    "bytes": b';qu="content-bytes"',
    "upstream_seconds": b';qu="upstream-seconds"',
    "statuses": b';qu="matching-responses"',
    "distinct": b';qu="distinct-values"',
}
"""The quota unit of the policy field. The first two are the draft's; requests are its default."""

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
"""In English whatever the locale of the process: the rest of the page is."""


def quota_fields(quotas: Sequence[Quota]) -> Headers:
    """The header fields that announce limits, () without limits. Structured lists (RFC 9651) with one item for each limit."""
    if not quotas:
        return ()
    policies = b", ".join(
        b'"%b";q=%d;w=%d%b' % (quota.name.encode(), quota.limit, max(1, round(quota.period_seconds)), UNITS[quota.unit])
        for quota in quotas
    )
    states = b", ".join(b'"%b";r=%d;t=%d' % (quota.name.encode(), quota.remaining, ceil(quota.reset_seconds)) for quota in quotas)
    return ((b"RateLimit-Policy", policies), (b"RateLimit", states))


def limit_text(quota: Quota) -> str:
    """`300 requests a day`, `20 requests in 90s`, `10GiB a day`."""
    period = PERIODS.get(quota.period_seconds) or f"in {duration_text(quota.period_seconds)}"
    if quota.unit == "bytes":
        return f"{size_text(quota.limit)} {period}"
    one, many = NOUNS.get(quota.unit, NOUNS["requests"])
    return f"{quota.limit:,} {one if quota.limit == 1 else many} {period}"


def ending_text(ends: EndTime) -> str:
    """`4 July 2023, 18:00 UTC (in 3 hours)`."""
    moment = date_of(ceil(ends.at / 60) * 60)
    day = f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"
    return f"{day}, {moment:%H:%M} UTC (in {format_wait(max(1, ceil(ends.seconds_left)))})"


def iso_time(at: float) -> str:
    """`2023-07-04T18:00:00Z`, rounded up."""
    return format_iso_time(ceil(at))


def format_wait(seconds: int) -> str:
    """`45 seconds`, `10 minutes`, `25 hours`, `9 days`: rounded up to what a person waits for."""
    count, unit = wait_in_units(seconds)
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def wait_in_units(seconds: int) -> tuple[int, str]:
    """A span as a number of `second`, `minute`, `hour` or `day`, rounded up."""
    if seconds < 120:
        return seconds, "second"
    minutes = ceil(seconds / 60)
    if minutes < 120:
        return minutes, "minute"
    hours = ceil(minutes / 60)
    return (hours, "hour") if hours < 72 else (ceil(hours / 24), "day")
