"""Envoy's default text format, and Istio's, which has three fields more. The client is the last X-Forwarded-For."""

from __future__ import annotations

import re
from typing import Final

from proxyguard.limits.limit import CountKind
from proxyguard.policy.model import FieldKind
from proxyguard.tools.replay.formats.format_type import LogSample
from proxyguard.tools.replay.formats.text import QUOTED, REQUEST_LINE, RESPONSE, moment, number
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.logged_request import LineError, LogFormat, LoggedRequest, NoRequest
from proxyguard.tools.replay.requests import last_address, read_host, read_target, unescaped

_LINE: Final = re.compile(
    rb"\[([^\]]{20,35})\] " + QUOTED + rb' (\d{1,3}) ([^"]*+)(?:' + QUOTED + rb' ([0-9][^"]*+))?'
    + rb" ".join([QUOTED] * 5)
)  # fmt: skip

_VERSIONS: Final = {b"HTTP/1.0": b"1.0", b"HTTP/1.1": b"1.1", b"HTTP/2": b"2", b"HTTP/3": b"3"}

_KNOWLEDGE: Final = Knowledge(
    kinds=REQUEST_LINE | {FieldKind.HOST},
    headers=frozenset({"user-agent", "host", "x-request-id"}),
    costs=RESPONSE | {CountKind.UPSTREAM_SECONDS},
)


def _parse(line: bytes) -> LoggedRequest:
    found = _LINE.match(line)
    if found is None:
        raise LineError("it is not a line of Envoy's default format")
    start, request, status, flags, _, numbers, forwarded, agent, request_id, authority, _ = found.groups()
    figures = (numbers or flags.partition(b" ")[2]).split()  # bytes received, bytes sent, duration, upstream's time
    method, _, rest = unescaped(request).partition(b" ")
    target, _, protocol = rest.rpartition(b" ")
    version = _VERSIONS.get(protocol)
    if version is None or target == b"-":
        raise NoRequest
    if forwarded == b"-":
        raise LineError("there is no X-Forwarded-For, and so no client address; Envoy needs use_remote_address: true")
    headers = tuple(
        (name, unescaped(value))
        for name, value in ((b"Host", authority), (b"User-Agent", agent), (b"X-Request-Id", request_id))
        if value != b"-"
    )
    return LoggedRequest(
        moment(start), last_address(forwarded), method, read_target(method, target), version, headers,
        status=int(status),
        bytes_sent=number(figures[1]) if len(figures) > 1 else 0,
        upstream_seconds=number(figures[3]) / 1000 if len(figures) > 3 and figures[3] != b"-" else None,
        host=read_host(unescaped(authority)),
    )  # fmt: skip


def make_envoy(_sample: LogSample) -> LogFormat:
    return LogFormat("envoy", _KNOWLEDGE, _parse)
