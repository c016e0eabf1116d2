"""What the readers of text lines share: quoted values, numbers, times, headers that a `-` stands for."""

from __future__ import annotations

from typing import Final

from proxyguard.core.request import Headers
from proxyguard.limits.limit import CountKind
from proxyguard.policy.model import FieldKind
from proxyguard.tools.replay.logged_request import LineError
from proxyguard.tools.replay.moments import read_common_log_time, read_moment
from proxyguard.tools.replay.requests import unescaped

QUOTED: Final = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
"""A value in quotes with its escapes. Never tries a byte twice, because clients choose what is in a log."""

NOBODY: Final = frozenset({b"-", b"", b'""', b"- -"})
"""What stands for no user. `- -`: two fields before the time, where a log has one more than usual."""

REQUEST_LINE: Final = frozenset({FieldKind.QUERY, FieldKind.HTTP_VERSION})
RESPONSE: Final = frozenset({CountKind.STATUSES, CountKind.BYTES})


def agent_headers(agent: bytes, referer: bytes) -> Headers:
    """User agent and referer as headers. `-` stands for a header that was not sent."""
    if b"\\" in agent or b"\\" in referer:
        agent, referer = unescaped(agent), unescaped(referer)
    if agent == b"-":
        return () if referer == b"-" else ((b"Referer", referer),)
    if referer == b"-":
        return ((b"User-Agent", agent),)
    return ((b"User-Agent", agent), (b"Referer", referer))


def number(text: bytes) -> int:
    """A number, 0 for `-` and what is none."""
    return int(text) if text.isdigit() and len(text) < 20 else 0


def seconds(text: bytes) -> float | None:
    """A duration in seconds such as `0.012`, None for `-` and `-1`."""
    try:
        found = float(text[:20])
    except ValueError:
        return None
    return found if 0 <= found < 1e9 else None


def common_time(text: bytes) -> float:
    """Unix seconds of common log time, or of any other that `read_moment` knows. Raises LineError."""
    try:
        return read_common_log_time(text)
    except ValueError:
        return moment(text)


def moment(text: bytes) -> float:
    """Unix seconds of RFC 3339 or a number. Raises LineError."""
    try:
        return read_moment(text.decode("ascii", "replace"))
    except (ValueError, OverflowError) as error:
        raise LineError(f"the time {text.decode('utf-8', 'backslashreplace')!r} cannot be read") from error


def without_port(text: bytes) -> bytes:
    """The address of `192.0.2.1:4711`, `[2001:db8::1]:4711` or `2001:db8::1:4711`: a port always follows."""
    return text.rpartition(b":")[0].strip(b"[]")
