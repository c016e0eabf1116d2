"""Access logs that are lines of text: the common and combined formats of nginx and Apache, and Envoy's default.

Fields after a combined line are ignored, except the X-Forwarded-For with which nginx's own `main` format ends. Patterns
never try a byte twice (possessive repetition), because clients choose what is in a log.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from proxyguard.core.request import Headers
from proxyguard.limits.limit import CountKind
from proxyguard.policy.model import FieldKind
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.logged_request import LineError, LogFormat, LoggedRequest, NoRequest
from proxyguard.tools.replay.moments import CommonLogTimes, read_moment
from proxyguard.tools.replay.requests import last_address, read_host, read_request_line, read_target, unescaped

_QUOTED: Final = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_HEAD: Final = rb"(\S++) \S++ (.*?) \[([^\]]{20,26})\] " + _QUOTED + rb" (\d{3}|-) (\d++|-)"

_COMMON: Final = re.compile(_HEAD)
_COMBINED: Final = re.compile(_HEAD + rb" " + _QUOTED + rb" " + _QUOTED)
_VHOST: Final = re.compile(rb"(\S++) " + _HEAD + rb"(?: " + _QUOTED + rb" " + _QUOTED + rb")?")
_NEXT_QUOTED: Final = re.compile(rb" " + _QUOTED)

_ENVOY: Final = re.compile(
    rb"\[([^\]]{20,35})\] " + _QUOTED + rb' (\d{1,3}) ([^"]*+)(?:' + _QUOTED + rb' ([0-9][^"]*+))?'
    + rb" ".join([_QUOTED] * 5)
)  # fmt: skip

_NOBODY: Final = frozenset({b"-", b"", b'""'})

_REQUEST_LINE: Final = frozenset({FieldKind.QUERY, FieldKind.HTTP_VERSION})
_RESPONSE: Final = frozenset({CountKind.STATUSES, CountKind.BYTES})
COMMON_KNOWLEDGE: Final = Knowledge(kinds=_REQUEST_LINE, costs=_RESPONSE)
COMBINED_KNOWLEDGE: Final = replace(COMMON_KNOWLEDGE, headers=frozenset({"user-agent", "referer"}))
ENVOY_KNOWLEDGE: Final = Knowledge(
    kinds=_REQUEST_LINE | {FieldKind.HOST},
    headers=frozenset({"user-agent", "host", "x-request-id"}),
    costs=_RESPONSE | {CountKind.UPSTREAM_SECONDS},
)


def common_format() -> LogFormat:
    """`%h %l %u %t "%r" %>s %b`: neither user agent nor referer."""
    times = CommonLogTimes()
    find = _COMMON.match

    def parse(line: bytes) -> LoggedRequest:
        found = find(line)
        if found is None:
            raise LineError("it is not a line of the common log format")
        client, user, moment, request, status, size = found.groups()
        method, target, version = read_request_line(unescaped(request))
        return LoggedRequest(_time(times, moment), client, method, target, version, (),
                     status=_number(status), bytes_sent=_number(size), user=user not in _NOBODY)  # fmt: skip

    return LogFormat("common", COMMON_KNOWLEDGE, parse)


def combined_format(*, forwarded: bool = False) -> LogFormat:
    """The format of nginx and Apache with referer and user agent. `forwarded`: the client is in the field after those."""
    times = CommonLogTimes()
    find = _COMBINED.match

    def parse(line: bytes) -> LoggedRequest:
        found = find(line)
        if found is None:
            raise LineError("it is not a line of the combined log format")
        client, user, moment, request, status, size, referer, agent = found.groups()
        if forwarded:
            client = _forwarded(line, found.end()) or client
        method, target, version = read_request_line(unescaped(request))
        headers = _headers(agent, referer)
        return LoggedRequest(
            _time(times, moment), client, method, target, version, headers,
            status=_number(status), bytes_sent=_number(size), user=user not in _NOBODY, referer=referer != b"-",
        )  # fmt: skip

    return LogFormat("combined", COMBINED_KNOWLEDGE, parse)


def vhost_format(*, agents: bool) -> LogFormat:
    """Apache's `vhost_combined`: the host and its port before a combined line; without `agents`, before a common one."""
    times = CommonLogTimes()
    find = _VHOST.match
    knowledge = (COMBINED_KNOWLEDGE if agents else COMMON_KNOWLEDGE).given(FieldKind.HOST)

    def parse(line: bytes) -> LoggedRequest:
        found = find(line)
        if found is None or (agents and found[9] is None):
            raise LineError("it is not a line of the vhost_combined log format")
        host, client, user, moment, request, status, size, referer, agent = found.groups()
        if b"." not in client and b":" not in client:
            raise LineError("no address follows the host")
        method, target, version = read_request_line(unescaped(request))
        host = read_host(host)
        headers = ((b"Host", host), *(_headers(agent, referer) if agents else ()))
        return LoggedRequest(
            _time(times, moment), client, method, target, version, headers,
            status=_number(status), bytes_sent=_number(size), user=user not in _NOBODY,
            referer=agents and referer != b"-", host=host,
        )  # fmt: skip

    return LogFormat("vhost-combined" if agents else "vhost-common", knowledge, parse)


def envoy_format() -> LogFormat:
    """Envoy's default text format, and Istio's, which has three fields more. The client is the last X-Forwarded-For."""

    def parse(line: bytes) -> LoggedRequest:
        found = _ENVOY.match(line)
        if found is None:
            raise LineError("it is not a line of Envoy's default format")
        moment, request, status, flags, _, numbers, forwarded, agent, request_id, authority, _ = found.groups()
        figures = (numbers or flags.partition(b" ")[2]).split()  # bytes received, bytes sent, duration, upstream's time
        method, _, rest = unescaped(request).partition(b" ")
        target, _, protocol = rest.rpartition(b" ")
        version = _ENVOY_VERSIONS.get(protocol)
        if version is None or target == b"-":
            raise NoRequest
        if forwarded == b"-":
            raise LineError("there is no X-Forwarded-For, and so no client address; Envoy needs use_remote_address: true")
        host = read_host(unescaped(authority))
        headers = tuple(
            (name, unescaped(value))
            for name, value in ((b"Host", authority), (b"User-Agent", agent), (b"X-Request-Id", request_id))
            if value != b"-"
        )
        try:
            time = read_moment(moment.decode("ascii", "replace"))
        except ValueError as error:
            raise LineError(f"the time {_shown(moment)} cannot be read") from error
        return LoggedRequest(
            time, last_address(forwarded), method, read_target(method, target), version, headers,
            status=int(status),
            bytes_sent=_number(figures[1]) if len(figures) > 1 else 0,
            upstream_seconds=_number(figures[3]) / 1000 if len(figures) > 3 and figures[3] != b"-" else None,
            host=host,
        )  # fmt: skip

    return LogFormat("envoy", ENVOY_KNOWLEDGE, parse)


_ENVOY_VERSIONS: Final = {b"HTTP/1.0": b"1.0", b"HTTP/1.1": b"1.1", b"HTTP/2": b"2", b"HTTP/3": b"3"}


def _headers(agent: bytes, referer: bytes) -> Headers:
    """`-` stands for a header that was not sent."""
    if b"\\" in agent or b"\\" in referer:
        agent, referer = unescaped(agent), unescaped(referer)
    if agent == b"-":
        return () if referer == b"-" else ((b"Referer", referer),)
    if referer == b"-":
        return ((b"User-Agent", agent),)
    return ((b"User-Agent", agent), (b"Referer", referer))


def _number(text: bytes) -> int:
    return int(text) if text.isdigit() and len(text) < 20 else 0


def _forwarded(line: bytes, end: int) -> bytes | None:
    found = _NEXT_QUOTED.search(line, end)
    return None if found is None or found[1] in _NOBODY else last_address(found[1])


def _time(times: CommonLogTimes, text: bytes) -> float:
    try:
        return times.read(text)
    except ValueError as error:
        raise LineError(f"the time {_shown(text)} cannot be read") from error


def _shown(text: bytes) -> str:
    return repr(text.decode("utf-8", "backslashreplace"))
