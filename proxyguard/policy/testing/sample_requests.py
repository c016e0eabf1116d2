"""Requests described in words: by a test in a rule file, on a command line, or as a line of JSON.

Turns the description into the Request that a front would have built; knows nothing of rules or decisions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from proxyguard.core.address import Address
from proxyguard.core.jar import ASKED_JAR, FOLLOWED_JAR, NO_JAR, Jar, JarState
from proxyguard.core.problems import Fault
from proxyguard.core.request import Headers, Request
from proxyguard.policy.fields.connection import stated
from proxyguard.policy.fields.origin import ROWS as ORIGIN
from proxyguard.policy.fields.origin import read_origin
from proxyguard.policy.fields.robots import ROWS as ROBOTS
from proxyguard.policy.fields.robots import read_robots
from proxyguard.policy.model import SampleRequest

MAX_LINE_BYTES: Final = 1 << 20
"""Of one JSON line: several times what a front takes of a request head."""


def request_from_sample(sample: SampleRequest) -> Request:
    """The request that a client would have sent; a Host field is added when the sample has none. Raises ValueError."""
    headers = _headers(sample.headers)
    if not any(name.lower() == b"host" for name, _ in headers):
        headers = ((b"Host", _bytes(sample.host)), *headers)
    return _request(sample, headers)


def parse_batch_line(line: bytes | str) -> Request:
    """One line of `explain --batch`: a JSON object whose keys are those of SampleRequest, `path` with the query.

    Header fields are taken as they stand, in order and case; Host is the `host` of a line that has none. Raises ValueError with
    what is wrong.
    """
    raw = line.encode() if isinstance(line, str) else line
    if len(raw) > MAX_LINE_BYTES:
        raise ValueError(f"the line has {len(raw)} bytes; at most {MAX_LINE_BYTES}")
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the line is not JSON: {error}") from error
    if not isinstance(fields, dict):
        example = '{"client": "192.0.2.1", "path": "/"}'
        raise ValueError(f"the line is not a JSON object, such as {example}")  # noqa: TRY004 - a fault of the line's author
    unknown = sorted(fields.keys() - _READERS.keys() - _FACTS)
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; keys: {', '.join((*_READERS, *sorted(_FACTS)))}")
    sample = SampleRequest(**{name: read(name, fields[name]) for name, read in _READERS.items() if name in fields})
    if "host" not in fields:
        sample = sample._replace(host=host_field(sample.headers) or sample.host)
    try:
        facts = {name: _word(fields[name]) for name in _FACTS if name in fields}
        sample = sample._replace(origin=read_origin(facts), robots=read_robots(facts))
    except Fault as fault:
        raise ValueError(f"{fault.message}; {fault.hint}") from fault
    return _request(sample, _headers(sample.headers))


def host_field(headers: Sequence[tuple[str, str]]) -> str | None:
    """The value of the first Host field."""
    return next((value for name, value in headers if name.lower() == "host"), None)


def _request(sample: SampleRequest, headers: Headers) -> Request:
    if not sample.path.startswith("/") and sample.path != "*":
        raise ValueError(f"path must begin with /, not {sample.path[:60]!r}")
    request = Request(
        Address.parse(sample.client),
        _bytes(sample.method),
        _bytes(sample.scheme),
        _bytes(_host_without_port(sample.host)),
        _bytes(sample.path),
        headers,
        _bytes(sample.http_version),
    )
    request.account = _bytes(sample.account) or None
    request.jar = _jar(sample.jar)
    request.visitor = sample.visitor.encode()
    request.connection = stated(sample.connection)
    request.origin = sample.origin
    request.robots = sample.robots
    return request


def _jar(state: str) -> Jar:
    if state == "none":
        return NO_JAR
    if state in (JarState.ASKED, JarState.FOLLOWED):
        return ASKED_JAR if state == JarState.ASKED else FOLLOWED_JAR
    return Jar("sample-jar", (_bytes(state),))


def _headers(headers: tuple[tuple[str, str], ...]) -> Headers:
    return tuple((_bytes(name), _bytes(value)) for name, value in headers)


def _bytes(text: str) -> bytes:
    """UTF-8; a byte that is not, written as a lone surrogate, is that byte again."""
    return text.encode("utf-8", "surrogateescape")


def _host_without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    is_port = bool(colon) and (port.isdecimal() or not port) and (":" not in name or name.endswith("]"))
    return (name if is_port else host).lower().removesuffix(".")


def _word(value: object) -> str:
    """A fact of the origin or of robots.txt: JSON has words of its own for some."""
    return value if isinstance(value, str) else json.dumps(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, not {type(value).__name__}")  # noqa: TRY004 - a fault of the line's author
    return value


def _pairs(name: str, value: object) -> tuple[tuple[str, str], ...]:
    pairs = list(value.items()) if isinstance(value, dict) else value
    if not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs):
        raise ValueError(f'{name} must be a list of pairs, such as [["User-Agent", "curl/8.5.0"]]')
    return tuple((pair[0], pair[1]) for pair in pairs)


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair)


_READERS: Final[dict[str, Callable[[str, object], Any]]] = {
    name: _pairs if name in ("headers", "connection") else _text
    for name in SampleRequest._fields
    if name not in ("origin", "robots")
}
_FACTS: Final = frozenset(row.kind for row in (*ORIGIN, *ROBOTS))
