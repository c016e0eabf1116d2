"""HAProxy's HTTP log ("option httplog" or "httpslog"), with captured headers and without.

"HTTP log format" of its configuration manual. Captured headers have no names in the log: `--fields user_agent=1,referer=2`
says which header of the first braces is which. The accept date has no zone, and is taken as UTC.
"""

from __future__ import annotations

import re
from typing import Final

from proxyguard.limits.limit import CountKind
from proxyguard.policy.model import FieldKind
from proxyguard.tools.replay.formats.field_map import FieldMap
from proxyguard.tools.replay.formats.format_type import LogSample
from proxyguard.tools.replay.formats.text import QUOTED, REQUEST_LINE, RESPONSE, common_time, number, without_port
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.logged_request import LineError, LogFormat, LoggedRequest
from proxyguard.tools.replay.requests import last_address, read_host, read_request_line

_TIMERS: Final = rb"[\d+-]++/[\d+-]++/[\d+-]++/([\d+-]++)/[\d+-]++"
_LINE: Final = re.compile(
    rb"(\S++) \[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d)\.\d{3}\] \S++ \S++ " + _TIMERS
    + rb" (-1|\d{3}) \+?(\d++) \S++ \S++ \S{4} [\d+/-]++ [\d/-]++ (?:\{([^}]*+)\} )?(?:\{[^}]*+\} )?" + QUOTED,
    re.DOTALL,
)  # fmt: skip
_ENCODED: Final = re.compile(rb"#([0-9A-F]{2})")

NAMES: Final = {"user_agent": b"User-Agent", "referer": b"Referer", "host": b"Host", "cookies": b"Cookie"}
"""Parts of a request that a captured header may hold, besides `header.NAME` and `forwarded_for`."""


def _plain(text: bytes) -> bytes:
    """A value without HAProxy's encoding of delimiters as `#7C`."""
    return _ENCODED.sub(lambda found: bytes((int(found[1], 16),)), text) if b"#" in text else text


def _columns(fields: FieldMap) -> tuple[tuple[tuple[int, bytes], ...], int | None]:
    """Which captured header is which, counted from 0, and which one is X-Forwarded-For."""
    named: list[tuple[int, bytes]] = []
    forwarded: int | None = None
    for part, where in fields.parts.items():
        if not where[0].key.isdigit() or not 1 <= int(where[0].key) <= 100:
            continue
        column = int(where[0].key) - 1
        if part in {"forwarded_for", "client"}:
            forwarded = column
        elif part in NAMES:
            named.append((column, NAMES[part]))
        elif part.startswith("header."):
            named.append((column, part[7:].encode()))
    return tuple(named), forwarded


def make_haproxy(sample: LogSample) -> LogFormat:
    columns, forwarded = _columns(sample.fields)
    names = frozenset(name.decode().lower() for _, name in columns)
    knowledge = Knowledge(
        kinds=REQUEST_LINE | ({FieldKind.HOST} if "host" in names else set()), headers=names,
        cookies=None if "cookie" in names else frozenset(), costs=RESPONSE | {CountKind.UPSTREAM_SECONDS},
    )  # fmt: skip

    def parse(line: bytes) -> LoggedRequest:
        found = _LINE.match(line)
        if found is None:
            raise LineError("it is not a line of HAProxy's HTTP log")
        peer, moment, response_time, status, size, captured, request = found.groups()
        method, target, version = read_request_line(_plain(request))
        values = captured.split(b"|") if captured else []
        headers = tuple((name, _plain(values[at])) for at, name in columns if at < len(values) and values[at])
        client = without_port(peer)
        if forwarded is not None and forwarded < len(values) and values[forwarded]:
            client = last_address(_plain(values[forwarded]))
        host = next((read_host(value) for name, value in headers if name == b"Host"), b"")
        upstream = number(response_time) / 1000 if response_time.isdigit() else None
        return LoggedRequest(
            common_time(moment), client, method, target, version, headers, status=number(status), bytes_sent=number(size),
            upstream_seconds=upstream, referer=any(name == b"Referer" for name, _ in headers), host=host,
        )  # fmt: skip

    return LogFormat("haproxy", knowledge, parse, notes=lambda: _notes(sample, knowledge))


def _notes(sample: LogSample, knowledge: Knowledge) -> list[str]:
    captured = [found[6] for line in sample.lines if (found := _LINE.search(line)) is not None and found[6]]
    if not captured or knowledge.headers:
        return []
    example = captured[0][:80].decode("utf-8", "backslashreplace")
    return [f"the log has captured headers, such as {{{example}}}: say which they are with --fields user_agent=1,host=2"]
