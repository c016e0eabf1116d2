"""Access logs that are JSON, one object a line: nginx and Envoy with the usual field names, Caddy, and our own audit log.

The first lines show which fields the log has, because nginx and Envoy write every field of their format into every line.
An empty text, `-` and null stand for a field that the request did not have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from proxyguard.limits.limit import CountKind
from proxyguard.policy.model import FieldKind
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.logged_request import LineError, LogFormat, LoggedRequest, NoRequest
from proxyguard.tools.replay.moments import read_moment
from proxyguard.tools.replay.requests import VERSIONS, last_address, read_address, read_host, read_request_line, read_target

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "time": ("time_iso8601", "msec", "@timestamp", "timestamp", "time", "time_local", "start_time", "ts"),
    "client": (
        "client_ip", "remote_addr", "remote_ip", "clientip", "client", "client_address", "downstream_remote_address",
        "downstream_direct_remote_address",
    ),
    "forwarded": ("http_x_forwarded_for", "x_forwarded_for", "xff"),
    "request": ("request",),
    "method": ("request_method", "method", "http_method", "verb"),
    "target": ("request_uri", "x_envoy_original_path", "path", "uri", "url", "request_url", "request_path"),
    "query": ("args", "query_string", "query"),
    "version": ("server_protocol", "protocol", "request_protocol", "http_version"),
    "host": ("http_host", "host", "authority", "server_name", "vhost", "domain", "request_host"),
    "scheme": ("scheme", "x_forwarded_proto", "http_x_forwarded_proto"),
    "user": ("remote_user", "user", "user_id"),
    "agent": ("http_user_agent", "user_agent", "agent", "useragent"),
    "referer": ("http_referer", "http_referrer", "referer", "referrer"),
    "status": ("status", "response_code", "status_code", "code"),
    "bytes_sent": ("body_bytes_sent", "bytes_sent", "bytes", "size"),
    "upstream": ("upstream_response_time", "upstream_service_time"),
    "cookies": ("http_cookie",),
}  # fmt: skip
"""The keys that may hold each part of a request, the most usual first."""

_NOT_HEADERS: Final = frozenset(
    key for part in ("agent", "referer", "host", "version", "method", "cookies") for key in KEYS[part]
)
_AUDIT_KEYS: Final = frozenset({"reference", "rule", "action", "client", "path"})
_NOTHING: Final = frozenset({"", "-"})
_HEX_ESCAPE: Final = re.compile(rb"\\x([0-9A-Fa-f]{2})")
_UNSAFE_IN_TARGET: Final = re.compile(rb"[^!$&'()*+,./0-9:;=@A-Z_a-z~-]")

CADDY_REDACTED: Final = frozenset({"cookie", "set-cookie", "authorization", "proxy-authorization"})
"""Headers whose values Caddy leaves out of its logs unless told otherwise."""

_decode = msgspec.json.Decoder().decode


def read_object(line: bytes) -> dict[str, Any]:
    r"""The object on a line. nginx without `escape=json` writes `\x22`, which is not JSON but clear. Raises LineError."""
    try:
        found = _decode(line)
    except (ValueError, RecursionError):
        found = _read_odd(line)
    if not isinstance(found, dict):
        raise LineError("it is not a JSON object")
    return found


def _read_odd(line: bytes) -> Any:
    text = _HEX_ESCAPE.sub(rb"\\u00\1", line).decode("utf-8", "surrogateescape")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LineError("it is not JSON") from error


def _text(value: object) -> bytes:
    """A value as the bytes that were sent."""
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "surrogateescape")


class _Layout:
    """The keys of an object that hold the parts of a request, found once from the first lines."""

    def __init__(self, keys: Mapping[str, object], *, forwarded: bool) -> None:
        found = {part: next((name for name in names if name in keys), None) for part, names in KEYS.items()}
        self.time, self.client, self.forwarded = found["time"], found["client"], found["forwarded"]
        self.request = None if isinstance(keys.get("request"), dict) else found["request"]
        self.method, self.target, self.query = found["method"], found["target"], found["query"]
        self.version, self.host, self.scheme = found["version"], found["host"], found["scheme"]
        self.user, self.agent, self.referer = found["user"], found["agent"], found["referer"]
        self.status, self.bytes_sent, self.upstream = found["status"], found["bytes_sent"], found["upstream"]
        self.cookies = found["cookies"]
        self.prefers_forwarded = forwarded and self.forwarded is not None
        self.is_audit = keys.keys() >= _AUDIT_KEYS
        self.headers = tuple(self._headers(keys))
        self.cookie_keys = tuple(key for key in keys if key.startswith("cookie_"))

    @property
    def complete(self) -> bool:
        """Whether a request can be made of it."""
        has_client = self.client is not None or self.forwarded is not None
        has_request = self.request is not None or (self.method is not None and self.target is not None)
        return self.time is not None and has_client and has_request

    @property
    def knowledge(self) -> Knowledge:
        recorded = (
            (FieldKind.QUERY, not self.is_audit), (FieldKind.HTTP_VERSION, self.version is not None or self.request is not None),
            (FieldKind.HOST, self.host is not None), (FieldKind.SCHEME, self.scheme is not None),
        )  # fmt: skip
        kinds = frozenset(kind for kind, there in recorded if there)
        names = {name.decode().lower() for _, name in self.headers}
        if self.host is not None:
            names.add("host")
        cookies = None if self.cookies else frozenset(key.removeprefix("cookie_") for key in self.cookie_keys)
        if self.cookies:
            names.add("cookie")
        costs_by_key = (
            (CountKind.STATUSES, self.status), (CountKind.BYTES, self.bytes_sent), (CountKind.UPSTREAM_SECONDS, self.upstream),
        )  # fmt: skip
        costs = frozenset(kind for kind, key in costs_by_key if key is not None)
        return Knowledge(kinds=kinds, headers=frozenset(names), cookies=cookies, costs=costs)

    def _headers(self, keys: Mapping[str, object]) -> Iterable[tuple[str, bytes]]:
        """The keys that hold header fields, with the fields' names."""
        if self.agent is not None:
            yield self.agent, b"User-Agent"
        if self.referer is not None:
            yield self.referer, b"Referer"
        for key in keys:
            if key.startswith("http_") and key not in _NOT_HEADERS:
                yield key, key.removeprefix("http_").replace("_", "-").encode()
        if self.cookies is not None:
            yield self.cookies, b"Cookie"


def json_format(name: str, samples: Iterable[dict[str, Any]], *, forwarded: bool = False) -> LogFormat | None:
    """A reader for objects with the keys of `samples`; None when no request can be made of them."""
    keys: dict[str, object] = {}
    for sample in samples:
        keys.update({key: value for key, value in sample.items() if key not in keys or value is not None})
    layout = _Layout(keys, forwarded=forwarded)
    return LogFormat(name, layout.knowledge, _reader(layout)) if layout.complete else None


def _reader(layout: _Layout) -> Any:
    def value_of(found: dict[str, Any], key: str | None) -> bytes | None:
        value = found.get(key) if key is not None else None
        return None if value is None or (isinstance(value, str) and value in _NOTHING) else _text(value)

    def parse(line: bytes) -> LoggedRequest:
        found = read_object(line)
        client = _client(layout, found, value_of)
        method, target, version = _request(layout, found, value_of)
        try:
            time = read_moment(found.get(layout.time or ""))
        except (ValueError, OverflowError) as error:
            raise LineError(f"the time in {layout.time!r} cannot be read") from error
        host = read_host(value_of(found, layout.host) or b"")
        headers = [] if layout.host is None else [(b"Host", host)]
        referer = False
        for key, name in layout.headers:
            value = value_of(found, key)
            if value is not None:
                headers.append((name, value))
                referer = referer or name == b"Referer"
        if layout.cookie_keys and layout.cookies is None:
            cookies = [(key, value_of(found, key)) for key in layout.cookie_keys]
            pairs = [b"%b=%b" % (key[7:].encode(), value) for key, value in cookies if value is not None]
            headers += [(b"Cookie", b"; ".join(pairs))] if pairs else []
        return LoggedRequest(
            time, client, method, target, version, tuple(headers),
            status=int(_figure(found.get(layout.status or ""))),
            bytes_sent=int(_figure(found.get(layout.bytes_sent or ""))),
            upstream_seconds=_upstream_seconds(layout.upstream, found),
            user=value_of(found, layout.user) is not None,
            referer=referer,
            host=host,
            scheme=(value_of(found, layout.scheme) or b"").lower(),
        )  # fmt: skip

    return parse


def _figure(value: object) -> float:
    """A number, also as text; nginx writes several upstreams' times as `0.1, 0.2`: their sum. Else 0."""
    if isinstance(value, str):
        return sum(_figure(float(part)) for part in re.findall(r"\d{1,15}(?:\.\d{1,9})?", value)[:8])
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e18 else 0.0


def _upstream_seconds(key: str | None, found: dict[str, Any]) -> float | None:
    value = found.get(key) if key is not None else None
    if value is None or (isinstance(value, str) and value in _NOTHING):
        return None
    return _figure(value) / 1000 if key == "upstream_service_time" else _figure(value)


def _client(layout: _Layout, found: dict[str, Any], value_of: Any) -> bytes:
    forwarded = value_of(found, layout.forwarded) if layout.prefers_forwarded or layout.client is None else None
    if forwarded is not None:
        return last_address(forwarded)
    client = value_of(found, layout.client)
    if client is None:
        raise LineError("it names no client address")
    return read_address(client)


def _request(layout: _Layout, found: dict[str, Any], value_of: Any) -> tuple[bytes, bytes, bytes]:
    if layout.method is None or layout.target is None:
        line = value_of(found, layout.request)
        if line is None:
            raise NoRequest
        return read_request_line(line)
    method, target = value_of(found, layout.method), value_of(found, layout.target)
    if method is None or target is None:
        raise NoRequest
    if layout.is_audit or (layout.target == "uri" and b"?" not in target):
        target = _UNSAFE_IN_TARGET.sub(lambda odd: b"%%%02X" % odd[0][0], target)  # it was decoded before it was logged
    query = value_of(found, layout.query)
    if query is not None and b"?" not in target:
        target = target + b"?" + query.removeprefix(b"?")
    version = VERSIONS.get(value_of(found, layout.version) or b"HTTP/1.1", b"1.1")
    return method, read_target(method, target), version


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


_CADDY_KNOWLEDGE: Final = Knowledge(
    kinds=frozenset({FieldKind.QUERY, FieldKind.HTTP_VERSION, FieldKind.HOST, FieldKind.SCHEME}),
    headers=None,
    presence=CADDY_REDACTED,
    costs=frozenset({CountKind.STATUSES, CountKind.BYTES}),
)


def caddy_format() -> LogFormat:
    """Caddy's access log: every header, but for the values of cookies and credentials."""
    decode = msgspec.json.Decoder(_CaddyLine).decode

    def parse(line: bytes) -> LoggedRequest:
        try:
            found = decode(line)
        except (ValueError, RecursionError) as error:
            raise LineError(f"it is not a line of Caddy's access log: {error}") from error
        request = found.request
        if request is None:
            raise NoRequest
        client = request.client_ip or request.remote_ip or request.remote_addr
        if not client:
            raise LineError("it names no client address")
        host = read_host(_text(request.host))
        headers = [(b"Host", host)]
        headers += [(_text(name), _text(value)) for name, values in request.headers.items() for value in values]
        method = _text(request.method)
        try:
            time = read_moment(found.ts)
        except (ValueError, OverflowError) as error:
            raise LineError("the time in 'ts' cannot be read") from error
        return LoggedRequest(
            time, read_address(_text(client)), method, read_target(method, _text(request.uri)),
            VERSIONS.get(_text(request.proto), b"1.1"), tuple(headers),
            status=found.status, bytes_sent=found.size, user=bool(found.user_id), referer="Referer" in request.headers, host=host,
            scheme=b"http" if bytes(request.tls) in {b"", b"null"} else b"https",
        )  # fmt: skip

    return LogFormat("caddy", _CADDY_KNOWLEDGE, parse)
