"""Caddy's access log: JSON with every header of the request, but for the values of cookies and credentials.

Caddy leaves those out unless told otherwise ("log_credentials" in its documentation).
"""

from __future__ import annotations

from typing import Final

import msgspec

from proxyguard.limits.limit import CountKind
from proxyguard.policy.model import FieldKind
from proxyguard.tools.replay.formats.format_type import LogSample
from proxyguard.tools.replay.formats.json_objects import as_bytes
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.logged_request import LineError, LogFormat, LoggedRequest, NotAnEntry
from proxyguard.tools.replay.moments import read_moment
from proxyguard.tools.replay.requests import VERSIONS, read_address, read_host, read_target

CADDY_REDACTED: Final = frozenset({"cookie", "set-cookie", "authorization", "proxy-authorization"})
"""Headers whose values Caddy leaves out of its logs unless told otherwise."""


class _CaddyRequest(msgspec.Struct):
    method: str
    uri: str
    proto: str = "HTTP/1.1"
    host: str = ""
    remote_ip: str = ""
    client_ip: str = ""
    remote_addr: str = ""
    headers: dict[str, list[str]] = {}
    tls: msgspec.Raw = msgspec.Raw(b"")


class _CaddyLine(msgspec.Struct):
    ts: float | str
    status: int = 0
    size: int = 0
    request: _CaddyRequest | None = None
    user_id: str = ""


_KNOWLEDGE: Final = Knowledge(
    kinds=frozenset({FieldKind.QUERY, FieldKind.HTTP_VERSION, FieldKind.HOST, FieldKind.SCHEME}),
    headers=None,
    presence=CADDY_REDACTED,
    costs=frozenset({CountKind.STATUSES, CountKind.BYTES}),
)


_decode = msgspec.json.Decoder(_CaddyLine).decode


def _parse(line: bytes) -> LoggedRequest:
    try:
        found = _decode(line)
    except (ValueError, RecursionError) as error:
        raise LineError(f"it is not a line of Caddy's access log: {error}") from error
    request = found.request
    if request is None:  # Caddy logs about other things too
        raise NotAnEntry
    client = request.client_ip or request.remote_ip or request.remote_addr
    if not client:
        raise LineError("it names no client address")
    host = read_host(as_bytes(request.host))
    headers = [(b"Host", host)]
    headers += [(as_bytes(name), as_bytes(value)) for name, values in request.headers.items() for value in values]
    method = as_bytes(request.method)
    try:
        time = read_moment(found.ts)
    except (ValueError, OverflowError) as error:
        raise LineError("the time in 'ts' cannot be read") from error
    return LoggedRequest(
        time, read_address(as_bytes(client)), method, read_target(method, as_bytes(request.uri)),
        VERSIONS.get(as_bytes(request.proto), b"1.1"), tuple(headers),
        status=found.status, bytes_sent=found.size, user=bool(found.user_id), referer="Referer" in request.headers, host=host,
        scheme=b"http" if bytes(request.tls) in {b"", b"null"} else b"https",
    )  # fmt: skip


def make_caddy(_sample: LogSample) -> LogFormat:
    """The same for every log: each line says what it has."""
    return LogFormat("caddy", _KNOWLEDGE, _parse)
