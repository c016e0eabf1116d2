"""The access logs of AWS load balancers: Application (ALB) and Classic (CLB).

"Access log entries" of their user guides. The request line has a whole URL, from which host and scheme come. An ALB writes a
line when it answers, so that times run backwards a little.
"""

from __future__ import annotations

import re
from typing import Final

from proxyguard.limits.limit import CountKind
from proxyguard.policy.model import FieldKind
from proxyguard.tools.replay.formats.format_type import Make
from proxyguard.tools.replay.formats.text import (
    QUOTED,
    REQUEST_LINE,
    RESPONSE,
    agent_headers,
    moment,
    number,
    seconds,
    without_port,
)
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.logged_request import LineError, LogFormat, LoggedRequest
from proxyguard.tools.replay.requests import host_of_url, read_request_line, scheme_of_url, unescaped

_ENTRY: Final = rb"(\d{4}-\S{10,30}) \S++ (\S++) \S++ \S++ (\S++) \S++ (\d{3}|-) \S++ \d++ (\d++) " + QUOTED + rb" " + QUOTED

_ALB: Final = re.compile(rb"(?:https?|h2|wss?|grpcs?) " + _ENTRY, re.DOTALL)
_CLB: Final = re.compile(_ENTRY, re.DOTALL)

_KNOWLEDGE: Final = Knowledge(
    kinds=REQUEST_LINE | {FieldKind.HOST, FieldKind.SCHEME},
    headers=frozenset({"user-agent", "host"}),
    costs=RESPONSE | {CountKind.UPSTREAM_SECONDS},
)


def _balancer(name: str, pattern: re.Pattern[bytes], called: str) -> Make:
    find = pattern.match

    def parse(line: bytes) -> LoggedRequest:
        found = find(line)
        if found is None:
            raise LineError(f"it is not a line of {called}")
        time, client, target_seconds, status, size, quoted_request, agent = found.groups()
        request = unescaped(quoted_request)
        method, target, version = read_request_line(request)
        url = request.partition(b" ")[2]
        host = host_of_url(url)
        headers = agent_headers(agent, b"-")
        return LoggedRequest(
            moment(time), without_port(client), method, target, version, ((b"Host", host), *headers) if host else headers,
            status=number(status), bytes_sent=number(size), upstream_seconds=seconds(target_seconds), host=host,
            scheme=scheme_of_url(url),
        )  # fmt: skip

    made = LogFormat(name, _KNOWLEDGE, parse)
    return lambda _sample: made


make_alb: Final = _balancer("aws-alb", _ALB, "an Application Load Balancer")
make_clb: Final = _balancer("aws-clb", _CLB, "a Classic Load Balancer")
