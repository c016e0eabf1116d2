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
from proxyguard.tools.replay.moments import read_common_log_time, read_moment
from proxyguard.tools.replay.requests import last_address, read_host, read_request_line, read_target, unescaped

_QUOTED: Final = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_HEAD: Final = rb"(\S++) \S++ (.*?) \[([^\]]{20,26})\] " + _QUOTED + rb" (\d{3}|-) (\d++|-)"

_COMMON: Final = re.compile(_HEAD)
_COMBINED: Final = re.compile(_HEAD + rb" " + _QUOTED + rb" " + _QUOTED)
_VHOST_COMMON: Final = re.compile(rb"(\S++) " + _COMMON.pattern)
_VHOST_COMBINED: Final = re.compile(rb"(\S++) " + _COMBINED.pattern)
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
    return _apache_format("common", _COMMON, "it is not a line of the common log format", COMMON_KNOWLEDGE)


def combined_format(*, forwarded: bool = False) -> LogFormat:
    """The format of nginx and Apache with referer and user agent. `forwarded`: the client is in the field after those."""
    fault = "it is not a line of the combined log format"
    return _apache_format("combined", _COMBINED, fault, COMBINED_KNOWLEDGE, forwarded=forwarded)


def vhost_format(*, agents: bool) -> LogFormat:
    """Apache's `vhost_combined`: the host and its port before a combined line; without `agents`, before a common one."""
    name, knowledge = ("vhost-combined", COMBINED_KNOWLEDGE) if agents else ("vhost-common", COMMON_KNOWLEDGE)
    pattern = _VHOST_COMBINED if agents else _VHOST_COMMON
    fault = "it is not a line of the vhost_combined log format"
    return _apache_format(name, pattern, fault, knowledge.given(FieldKind.HOST), has_host=True)


def _apache_format(
    name: str, pattern: re.Pattern[bytes], fault: str, knowledge: Knowledge, *, has_host: bool = False, forwarded: bool = False
) -> LogFormat:
    """Lines that the pattern finds: the host, if there is one, the fields of _HEAD, then referer and agent, if there are any."""
    find = pattern.match

    def parse(line: bytes) -> LoggedRequest:
        found = find(line)
        if found is None:
            raise LineError(fault)
        host, fields = (read_host(found[1]), found.groups()[1:]) if has_host else (b"", found.groups())
        client, user, moment, request, status, size, *named = fields
        if has_host and b"." not in client and b":" not in client:
            raise LineError("no address follows the host")
        if forwarded:
            client = _forwarded(line, found.end()) or client
        method, target, version = read_request_line(unescaped(request))
        referer, agent = named or (b"-", b"-")
        headers = _headers(agent, referer) if named else ()
        return LoggedRequest(
            _time(moment), client, method, target, version, ((b"Host", host), *headers) if has_host else headers,
            status=_number(status), bytes_sent=_number(size), user=user not in _NOBODY, referer=referer != b"-", host=host,
        )  # fmt: skip

    return LogFormat(name, knowledge, parse)


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


def _time(text: bytes) -> float:
    try:
        return read_common_log_time(text)
    except ValueError as error:
        raise LineError(f"the time {_shown(text)} cannot be read") from error


def _shown(text: bytes) -> str:
    return repr(text.decode("utf-8", "backslashreplace"))
