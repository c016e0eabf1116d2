"""The common and combined formats of nginx and Apache, with what operators put before, into and after them.

Read beside the plain ones: a list of X-Forwarded-For as the first field, in quotes or not; a virtual host first; fields
without quotes between the size and the referer (Apache's %D); times in ISO 8601. Fields after the user agent are ignored,
except the X-Forwarded-For with which nginx's own `main` format ends.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final, NamedTuple

from proxyguard.core.address import address_number
from proxyguard.policy.model import FieldKind
from proxyguard.tools.replay.formats.format_type import LogSample, Make
from proxyguard.tools.replay.formats.text import NOBODY, QUOTED, REQUEST_LINE, RESPONSE, agent_headers, number
from proxyguard.tools.replay.formats.text import moment as any_time
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.logged_request import LineError, LogFormat, LoggedRequest
from proxyguard.tools.replay.moments import read_common_log_time
from proxyguard.tools.replay.requests import last_address, read_host, read_request_line, unescaped

_CLIENT: Final = rb"(?:- (?=[0-9A-Fa-f]*+[.:]))?+(\S++(?<!,)|(?:[^ ,]++, ?)++\S++)"
"""An address, or a list of them. `-` before it: a list of X-Forwarded-For that was not sent, and the peer."""

_REST: Final = rb" \S++ (.*?) \[([^\]]{10,35})\] " + QUOTED + rb" (\d{3}|-) (\d++|-)"
_AGENTS: Final = rb'(?: [^\s"]++)*+ ' + QUOTED + rb" " + QUOTED
_VHOST: Final = rb"(?!- )((?:[\w.*\x80-\xff-]++|\[[0-9A-Fa-f:.]++\])(?::\d*+)?) "
_FORWARDED: Final = rb'"([^"\\]*+)"(?: ([0-9A-Fa-f]*+[.:][0-9A-Fa-f.:]++))?+'

_NEXT_QUOTED: Final = re.compile(rb" " + QUOTED)
_SECOND_FIELD: Final = re.compile(rb"(?!- )[^ ,]++ (\S++) ")

COMMON_KNOWLEDGE: Final = Knowledge(kinds=REQUEST_LINE, costs=RESPONSE)
COMBINED_KNOWLEDGE: Final = replace(COMMON_KNOWLEDGE, headers=frozenset({"user-agent", "referer"}))


_NO_AGENTS: Final = (b"-", b"-")


class _Shape(NamedTuple):
    """What stands before the usual fields, and how lines that do not look so are called."""

    pattern: bytes
    extra_groups: int
    called: str


_PLAIN: Final = _Shape(_CLIENT, 0, "")
_WITH_HOST: Final = _Shape(_VHOST + _CLIENT, 1, "vhost_")
_FORWARDED_FIRST: Final = _Shape(_FORWARDED, 1, "forwarded-")


def combined(sample: LogSample) -> LogFormat:
    """The format of nginx and Apache with referer and user agent. `forwarded`: the client is in the field after those."""
    return _format("combined", _PLAIN, sample, agents=True)


def common(sample: LogSample) -> LogFormat:
    """`%h %l %u %t "%r" %>s %b`: neither user agent nor referer."""
    return _format("common", _PLAIN, sample, agents=False)


def vhost(name: str, *, agents: bool) -> Make:
    """Apache's `vhost_combined`: the host and its port before a combined line; without `agents`, before a common one."""
    return lambda sample: _format(name, _WITH_HOST, sample, agents=agents)


def forwarded_first(name: str, *, agents: bool) -> Make:
    """X-Forwarded-For in quotes before the line, and perhaps the peer's address after it."""
    return lambda sample: _format(name, _FORWARDED_FIRST, sample, agents=agents)


def _format(name: str, shape: _Shape, sample: LogSample, *, agents: bool) -> LogFormat:
    find = re.compile(shape.pattern + _REST + (_AGENTS if agents else b""), re.DOTALL).match
    fault = f"it is not a line of the {shape.called}{'combined' if agents else 'common'} log format"
    is_plain, has_host = shape is _PLAIN, shape is _WITH_HOST
    forwarded_last = sample.forwarded and agents and is_plain
    knowledge = COMBINED_KNOWLEDGE if agents else COMMON_KNOWLEDGE

    def parse(line: bytes) -> LoggedRequest:
        found = find(line)
        if found is None:
            raise LineError(fault)
        host = b""
        if is_plain:
            client, user, moment, request, status, size, *named = found.groups()
            if forwarded_last:
                client = _last_forwarded(line, found.end()) or client
        elif has_host:
            host, client, user, moment, request, status, size, *named = found.groups()
            host = read_host(host)
            if b"." not in client and b":" not in client:
                raise LineError("no address follows the host")
        else:
            listed, peer, user, moment, request, status, size, *named = found.groups()
            client = peer if listed in NOBODY else last_address(listed)
            if client is None:
                raise LineError("there is no X-Forwarded-For, and so no client address")
        if b"," in client:  # the last one was written by the server in front
            client = last_address(client)
        if b"\\" in request:
            request = unescaped(request)
        method, target, version = read_request_line(request)
        referer, agent = named or _NO_AGENTS
        headers = agent_headers(agent, referer) if named else ()
        try:
            time = read_common_log_time(moment)
        except ValueError:
            time = any_time(moment)
        return LoggedRequest(
            time, client, method, target, version, ((b"Host", host), *headers) if has_host else headers,
            status=0 if status == b"-" else int(status), bytes_sent=number(size), user=user not in NOBODY,
            referer=referer != b"-", host=host,
        )  # fmt: skip

    notes = _notes(sample) if is_plain else []
    return LogFormat(name, knowledge.given(FieldKind.HOST) if has_host else knowledge, parse, notes=lambda: notes)


def _last_forwarded(line: bytes, end: int) -> bytes | None:
    found = _NEXT_QUOTED.search(line, end)
    return None if found is None or found[1] in NOBODY else last_address(found[1])


def _notes(sample: LogSample) -> list[str]:
    """A warning when two addresses begin the lines, of which nobody says which one is the client's."""
    seconds = [found[1] for line in sample.lines if (found := _SECOND_FIELD.match(line)) is not None]
    addresses = sum(_is_address(text) for text in seconds if b"," not in text)
    if 2 * addresses <= len(sample.lines):
        return []
    return ["the second field is an address too: the first one was taken as the client's"]


def _is_address(text: bytes) -> bool:
    try:
        address_number(text.decode("ascii"))
    except ValueError:
        return False
    return True
