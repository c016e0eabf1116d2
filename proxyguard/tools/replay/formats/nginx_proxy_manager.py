"""The log of Nginx Proxy Manager: its `proxy` format for proxied hosts, and its `standard` one."""

from __future__ import annotations

import re
from typing import Final

from proxyguard.policy.model import FieldKind
from proxyguard.tools.replay.formats.format_type import LogSample
from proxyguard.tools.replay.formats.text import QUOTED, RESPONSE, agent_headers, common_time, number
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.logged_request import LineError, LogFormat, LoggedRequest, NoRequest
from proxyguard.tools.replay.requests import read_host, read_target, unescaped

_LINE: Final = re.compile(
    rb"\[([^\]]{20,35})\] (?:\S++ (?:[\d-]++(?:[,:] ?[\d-]++)*+) )?(\d{3}|-) - (\S*+) (\S*+) (\S*+) " + QUOTED
    + rb" \[Client ([^\]]++)\] \[Length ([^\]]++)\] \[Gzip [^\]]++\](?: \[Sent-to [^\]]*+\])? " + QUOTED + rb" " + QUOTED,
    re.DOTALL,
)  # fmt: skip

_KNOWLEDGE: Final = Knowledge(
    kinds=frozenset({FieldKind.QUERY, FieldKind.HOST, FieldKind.SCHEME}),
    headers=frozenset({"user-agent", "referer", "host"}),
    costs=RESPONSE,
)


def _parse(line: bytes) -> LoggedRequest:
    found = _LINE.match(line)
    if found is None:
        raise LineError("it is not a line of Nginx Proxy Manager")
    moment, status, method, scheme, host_field, uri, client, size, agent, referer = found.groups()
    if method in {b"", b"-"} or uri in {b"", b"-"}:
        raise NoRequest
    host = read_host(host_field)
    return LoggedRequest(
        common_time(moment), client, method, read_target(method, unescaped(uri)), b"1.1",
        ((b"Host", host), *agent_headers(agent, referer)),
        status=number(status), bytes_sent=number(size), referer=referer != b"-", host=host, scheme=scheme.lower(),
    )  # fmt: skip


def make_nginx_proxy_manager(_sample: LogSample) -> LogFormat:
    return LogFormat("nginx-proxy-manager", _KNOWLEDGE, _parse)
