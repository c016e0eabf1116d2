"""Reads logs of one JSON object a line by a map of fields.

The first lines show which of the map's fields the log has: servers write every field of their format into every line, or at
least into some of the first. An empty text, `-` and null stand for a field that the request did not have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from proxyguard.limits.limit import CountKind
from proxyguard.policy.model import FieldKind
from proxyguard.tools.replay.formats.field_map import FieldMap, Path, Paths, is_there, value_at
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.logged_request import LineError, LogFormat, LoggedRequest, NoRequest, Parse
from proxyguard.tools.replay.moments import read_moment
from proxyguard.tools.replay.requests import (
    VERSIONS,
    escaped_target,
    host_of_url,
    is_url,
    last_address,
    read_address,
    read_host,
    read_request_line,
    read_target,
    scheme_of_url,
)

MAX_PREFIXED: Final = 200
"""Header fields that are read by a prefix: where every header is logged, clients choose their names."""

REDACTED: Final = "REDACTED"
"""What Traefik and Caddy write in place of a value that is not for logs."""

_NOTHING: Final = frozenset({"", "-"})
_ESCAPE: Final = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|.)", re.DOTALL)
_NUMBER: Final = re.compile(r"\d{1,15}(?:\.\d{1,9})?")

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
    text = _ESCAPE.sub(_as_json, line).decode("utf-8", "surrogateescape")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LineError("it is not JSON") from error


def _as_json(escape: re.Match[bytes]) -> bytes:
    r"""`\xe9` as JSON can say it: a byte beyond ASCII is a lone surrogate, from which `as_bytes` makes the byte again."""
    byte = escape[1]
    if byte is None:
        return escape[0]
    return (rb"\u00" if byte < b"8" else rb"\udc") + byte


def as_bytes(value: object) -> bytes:
    """A value as the bytes that were sent. Raises LineError for half of a surrogate pair."""
    try:
        return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise LineError("it is not UTF-8") from error


def figure(value: object) -> float:
    """A number, also as text; nginx writes several upstreams' times as `0.1, 0.2`: their sum. Else 0."""
    if isinstance(value, str):
        return sum(figure(float(part)) for part in _NUMBER.findall(value[:200])[:8])
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e18 else 0.0


def pick(found: dict[str, Any], where: Paths) -> Any:
    """The first value that is there, None if none is."""
    for path in where:
        value = value_at(found, path)
        if isinstance(value, list) and value:
            value = value[0]
        if value is not None and not (isinstance(value, str) and value in _NOTHING):
            return value
    return None


class Layout:
    """Where the parts of a request are in the objects of one log."""

    def __init__(self, wanted: FieldMap, samples: Sequence[dict[str, Any]], *, forwarded: bool) -> None:
        self._wanted = wanted
        self.parts: dict[str, Paths] = {}
        for part, where in wanted.parts.items():
            there = tuple(path for path in where if any(is_there(sample, path) for sample in samples))
            if there:
                self.parts[part] = there
        self.missing = tuple(part for part in wanted.parts if part not in self.parts)
        self.prefers_forwarded = forwarded and "forwarded_for" in self.parts
        self.decoded = wanted.decoded
        self.headers = tuple(self._headers(samples))
        self.cookies = tuple((part[7:].encode(), where) for part, where in self.parts.items() if part.startswith("cookie."))
        targets = [pick(sample, self.parts.get("path", ())) for sample in samples]
        self.has_urls = any(isinstance(target, str) and is_url(target.encode("utf-8", "replace")) for target in targets)
        lacks_query = "path" in self.parts and self.parts["path"][0].key in wanted.without_query and "query" not in self.parts
        self.has_query = not lacks_query or any("?" in target for target in targets if isinstance(target, str))
        self._redacted = {
            name.decode().lower() for where, name in self.headers if any(pick(sample, where) == REDACTED for sample in samples)
        }

    def lacks(self) -> list[str]:
        """What a request cannot be made without, and is in none of the samples."""
        found = self.parts.keys()
        lacking = [] if "time" in found else ["time"]
        lacking += [] if found & {"client", "forwarded_for"} else ["client"]
        if "request" not in found:
            lacking += [part for part in ("method", "path") if part not in found]
        return lacking

    @property
    def knowledge(self) -> Knowledge:
        has = self.parts.__contains__
        recorded = (
            (FieldKind.QUERY, self.has_query), (FieldKind.HTTP_VERSION, has("http_version") or has("request")),
            (FieldKind.HOST, has("host") or self.has_urls), (FieldKind.SCHEME, has("scheme") or self.has_urls),
        )  # fmt: skip
        kinds = frozenset(kind for kind, there in recorded if there)
        names = {name.decode().lower() for _, name in self.headers}
        if FieldKind.HOST in kinds:
            names.add("host")
        counted = (
            (CountKind.STATUSES, "status"), (CountKind.BYTES, "bytes_sent"), (CountKind.UPSTREAM_SECONDS, "upstream_time"),
        )  # fmt: skip
        return Knowledge(
            kinds=kinds,
            headers=frozenset(names),
            cookies=None if "cookie" in names else frozenset(name.decode() for name, _ in self.cookies),
            presence=frozenset(self._redacted),
            costs=frozenset(kind for kind, part in counted if has(part)),
        )

    def _headers(self, samples: Sequence[dict[str, Any]]) -> Iterator[tuple[Paths, bytes]]:
        """Where header fields are, with their names."""
        named = {"user_agent": b"User-Agent", "referer": b"Referer", "cookies": b"Cookie"}
        for part, where in self.parts.items():
            if part in named:
                yield where, named[part]
            elif part.startswith("header."):
                yield where, part[7:].encode()
        prefix = self._wanted.header_prefix
        if prefix:
            taken = {path.key for where in self.parts.values() for path in where}
            keys = dict.fromkeys(key for sample in samples for key in sample if key.startswith(prefix))
            for key in list(keys)[:MAX_PREFIXED]:
                if key not in taken and len(key) > len(prefix):
                    yield (Path(key, (key,)),), key.removeprefix(prefix).replace("_", "-").encode("utf-8", "replace")


def object_format(
    name: str, wanted: FieldMap, samples: Sequence[dict[str, Any]], *, forwarded: bool = False, named: Iterable[str] = ()
) -> LogFormat | None:
    """A reader for objects like `samples`; None when no request can be made of them.

    `named`: parts that the operator named; a note says which of their fields are in none of the samples.
    """
    layout = Layout(wanted, samples, forwarded=forwarded)
    if layout.lacks():
        return None
    absent = [part for part in named if part in layout.missing]
    notes = [f"--fields: {', '.join(absent)} {'is' if len(absent) == 1 else 'are'} in none of the first lines"] if absent else []
    return LogFormat(name, layout.knowledge, _parser(layout), notes=lambda: notes)


def _parser(layout: Layout) -> Parse:
    parts = layout.parts
    time, status, size = parts["time"], parts.get("status", ()), parts.get("bytes_sent", ())
    upstream, user, scheme = parts.get("upstream_time", ()), parts.get("user", ()), parts.get("scheme", ())
    host_paths = parts.get("host", ())

    def parse(line: bytes) -> LoggedRequest:
        found = read_object(line)
        client = _client(layout, found)
        method, target, version, url = _request(layout, found)
        moment = _moment(found, time)
        value = pick(found, host_paths)
        host = read_host(as_bytes(value)) if value is not None else host_of_url(url)
        headers = [(b"Host", host)] if host else []
        referer = False
        for where, name in layout.headers:
            value = pick(found, where)
            if value is not None:
                headers.append((name, as_bytes(value)))
                referer = referer or name == b"Referer"
        if layout.cookies:
            pairs = [(name, pick(found, where)) for name, where in layout.cookies]
            sent = [b"%b=%b" % (name, as_bytes(value)) for name, value in pairs if value is not None]
            headers += [(b"Cookie", b"; ".join(sent))] if sent else []
        value = pick(found, scheme)
        return LoggedRequest(
            moment, client, method, target, version, tuple(headers),
            status=int(figure(pick(found, status))),
            bytes_sent=int(figure(pick(found, size))),
            upstream_seconds=_upstream_seconds(found, upstream),
            user=pick(found, user) is not None,
            referer=referer,
            host=host,
            scheme=as_bytes(value).lower() if value is not None else scheme_of_url(url),
        )  # fmt: skip

    return parse


def _moment(found: dict[str, Any], where: Paths) -> float:
    for path in where:
        value = value_at(found, path)
        if value is None or value == "":
            continue
        try:
            return read_moment(value) if path.seconds is None else read_moment(float(value) * path.seconds)
        except (ValueError, TypeError, OverflowError) as error:
            raise LineError(f"the time in {path.key!r} cannot be read") from error
    raise LineError(f"the time in {where[0].key!r} cannot be read")


def _upstream_seconds(found: dict[str, Any], where: Paths) -> float | None:
    for path in where:
        value = pick(found, (path,))
        if value is not None:
            return figure(value) * (path.seconds or 1.0)
    return None


def _client(layout: Layout, found: dict[str, Any]) -> bytes:
    client_paths = layout.parts.get("client", ())
    forwarded = None
    if layout.prefers_forwarded or not client_paths:
        forwarded = pick(found, layout.parts.get("forwarded_for", ()))
    value = forwarded if forwarded is not None else pick(found, client_paths)
    if value is None:
        raise LineError("it names no client address")
    text = as_bytes(value)
    return last_address(text) if b"," in text or forwarded is not None else read_address(text)


def _request(layout: Layout, found: dict[str, Any]) -> tuple[bytes, bytes, bytes, bytes]:
    """Method, target in origin form, version, and the path as it was logged."""
    parts = layout.parts
    if "method" not in parts or "path" not in parts:
        line = pick(found, parts["request"])
        if line is None:
            raise NoRequest
        return *read_request_line(as_bytes(line)), b""
    method, value = pick(found, parts["method"]), pick(found, parts["path"])
    if method is None or value is None:
        raise NoRequest
    url = as_bytes(value)
    if layout.decoded and b"?" not in url and any(path.key in layout.decoded for path in parts["path"]):
        url = escaped_target(url)
    query = pick(found, parts.get("query", ()))
    if query is not None and b"?" not in url:
        text = as_bytes(query)
        url += text if text.startswith(b"?") else b"?" + text
    logged = pick(found, parts.get("http_version", ()))
    version = VERSIONS.get(as_bytes(logged).upper(), b"1.1") if logged is not None else b"1.1"
    verb = as_bytes(method)
    return verb, read_target(verb, url), version, url
