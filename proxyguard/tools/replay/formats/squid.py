"""Squid's native access log: no headers, and no query unless `strip_query_terms off`.

"logformat squid" of its reference: time, elapsed milliseconds, client, result/status, size, method, URL, user, peer, type.
"""

from __future__ import annotations

import re
from typing import Final

from proxyguard.policy.model import FieldKind
from proxyguard.tools.replay.formats.format_type import LogSample
from proxyguard.tools.replay.formats.text import NOBODY, RESPONSE, moment, number
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.logged_request import LineError, LogFormat, LoggedRequest, NoRequest
from proxyguard.tools.replay.requests import host_of_url, read_target, scheme_of_url

_LINE: Final = re.compile(rb" *+(\d{9,11}\.\d{3}) ++-?\d++ (\S++) [A-Z_]++/(\d{3}) (\d++) (\S++) (\S++) (\S++) [^ /]++/\S++ \S")
_QUERY: Final = re.compile(rb"\?[^ ]")


def _parse(line: bytes) -> LoggedRequest:
    found = _LINE.match(line)
    if found is None:
        raise LineError("it is not a line of Squid's native log")
    time, client, status, size, method, url, user = found.groups()
    if not method.isupper() or url.startswith(b"error:"):
        raise NoRequest
    host = host_of_url(url)
    return LoggedRequest(
        moment(time), client, method, read_target(method, url), b"1.1", ((b"Host", host),) if host else (),
        status=number(status), bytes_sent=number(size), user=user not in NOBODY, host=host, scheme=scheme_of_url(url),
    )  # fmt: skip


def make_squid(sample: LogSample) -> LogFormat:
    kinds = {FieldKind.HOST, FieldKind.SCHEME}
    if any(_QUERY.search(line) for line in sample.lines):
        kinds.add(FieldKind.QUERY)
    knowledge = Knowledge(kinds=frozenset(kinds), headers=frozenset({"host"}), costs=RESPONSE)
    return LogFormat("squid", knowledge, _parse)
