"""What a request line and header section mean: target, host, framing, connection options, and every reason to refuse them.

Follows RFC 9112 sections 3, 6 and 9 and RFC 9110 sections 7 and 10; where they let a server choose between repair and
refusal, this refuses. Works on complete lines and sections; knows nothing of how bytes arrive.
"""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.request import Headers
from proxyguard.http.http1.faults import Malformed
from proxyguard.http.http1.fields import TOKEN, list_tokens
from proxyguard.http.http1.heads import BodyKind, RequestHead
from proxyguard.http.http1.names import END_TO_END, FRAMING, MISSPELT_FRAMING
from proxyguard.http.http1.target import (
    FEW_PARAMETER_BYTES,
    RequestTarget,
    check_query,
    read_authority,
    read_path,
    read_target,
    same_authority,
)

LINE_SPARE_BYTES: Final = 64
"""What a request line may have besides its target: a method of at most 32 bytes, two spaces, the version, CRLF."""

MAX_LINES: Final = 1024
MAX_LINE_BYTES: Final = 200
"""Request lines that are remembered, and bytes of each: under a megabyte with what they mean. Without their query, which tells
one request from another and may name a person."""

MAX_NAMES: Final = 256
MAX_NAME_BYTES: Final = 32
"""Names of fields that are remembered, and bytes of each: clients send a few dozen."""

UPGRADES: Final = frozenset({b"websocket"})
"""Protocols that a connection may change to. h2c is not one: it would carry requests past the rules."""

_LINE: Final = re.compile(rb"([A-Z][A-Z0-9_-]{0,31}) ([!\"$-~]++) HTTP/1\.([01])\r\n")
_MODERN: Final = b" HTTP/1.1"
_QUERY: Final = re.compile(rb"[!\"$-~]*+")
_LINE_SHAPE: Final = re.compile(rb"(" + TOKEN + rb"+) ([^ ]+) (HTTP/[0-9]\.[0-9])\r\n")
_TWO_READINGS: Final = re.compile(rb"[%\\]|/\.")
"""What a path may have to be looked at for."""
_METHOD: Final = re.compile(rb"[A-Z][A-Z0-9_-]{0,31}")
_TOKEN_BYTE: Final = re.compile(TOKEN)
_PREFACE: Final = b"PRI * HTTP/2.0\r\n"
_REFUSED_METHODS: Final = frozenset({b"CONNECT", b"TRACE"})
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")
_VERSIONS: Final = {b"0": b"1.0", b"1": b"1.1"}
_MEANT: Final = FRAMING | {b"expect", b"upgrade", b"te"}
_LOOKED_AT: Final = _MEANT | MISSPELT_FRAMING
_CONNECTION_OPTIONS: Final = frozenset({b"close", b"keep-alive", b"upgrade", b"te"})


class RequestLine:
    """A request line that was accepted; `size` is its bytes with the CRLF."""

    __slots__ = ("method", "size", "target", "version")

    def __init__(self, method: bytes, target: RequestTarget, version: bytes, size: int) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.size = size


_lines: dict[bytes, RequestLine] = {}
"""By a line without a query."""

_beginnings: dict[bytes, RequestLine] = {}
"""By what a line with a query has up to the question mark and with it."""


def read_line(text: bytes | bytearray, start: int, limit: int, target_bytes: int) -> RequestLine | None:
    """Read the request line at `start`, which must end before `limit`; None while it is not complete. Raises Malformed.

    Lines that come again are read once. What a line means is in its bytes alone, so anybody may have sent it.
    """
    if isinstance(text, bytes):
        end = text.find(b"\r\n", start, min(limit, start + MAX_LINE_BYTES))
        if end >= 0:
            line = _lines.get(text[start:end])
            if line is None:
                mark = text.find(b"?", start, end)
                known = None if mark < 0 else _beginnings.get(text[start : mark + 1])
                line = None if known is None else _with_query(known, text, start, mark, end)
            if line is not None and len(line.target.text) <= target_bytes:
                return line
    match = _LINE.match(text, start, limit)
    if match is None:
        if text[start] == 0x0A:
            raise Malformed("bare-lf")
        if _TOKEN_BYTE.match(text, start) is None:  # a TLS hello, say: no need to wait for a line
            raise Malformed("request-line")
        stop = text.find(b"\n", start, limit) + 1
        if stop:
            raise Malformed(_line_fault(bytes(text[start:stop])))
        if len(text) >= limit:
            raise Malformed("target-size")
        return None
    method, target, minor = match.groups() if isinstance(text, bytes) else map(bytes, match.groups())
    if len(target) > target_bytes:
        raise Malformed("target-size")
    if method in _REFUSED_METHODS:
        raise Malformed("method-refused")
    if target.startswith(b"/"):
        if _TWO_READINGS.search(target) is not None:
            target = read_path(target)
        if len(target) >= FEW_PARAMETER_BYTES:
            check_query(target)
        line = RequestLine(method, RequestTarget(target), _VERSIONS[minor], match.end() - start)
        if line.size <= MAX_LINE_BYTES and isinstance(text, bytes):
            if len(_lines) + len(_beginnings) >= MAX_LINES:
                _lines.clear()
                _beginnings.clear()
            mark = target.find(b"?")
            if mark < 0:
                _lines[text[start : match.end() - 2]] = line
            else:
                before = RequestLine(method, RequestTarget(target[:mark]), b"1.1", 0)
                _beginnings[text[start : text.find(b"?", start) + 1]] = before
        return line
    return RequestLine(method, read_target(method, target), _VERSIONS[minor], match.end() - start)


def _with_query(known: RequestLine, text: bytes, start: int, mark: int, end: int) -> RequestLine | None:
    """The line `text[start:end]` with a query from `mark` on, given what the same is without it; None where it has to be read."""
    stop = end - len(_MODERN)
    if stop <= mark or text[stop:end] != _MODERN or _QUERY.fullmatch(text, mark, stop) is None:
        return None
    target = known.target.text + text[mark:stop]
    return RequestLine(known.method, RequestTarget(target), b"1.1", end + 2 - start)


def _line_fault(line: bytes) -> str:
    """Which reason a request line that is not accepted is refused for."""
    if not line.endswith(b"\r\n"):
        return "bare-lf"
    if line == _PREFACE:
        return "http2-preface"
    shape = _LINE_SHAPE.fullmatch(line)
    if shape is None:
        return "request-line"
    method, _, version = shape.groups()
    if version not in (b"HTTP/1.0", b"HTTP/1.1"):
        return "version"
    return "target" if _METHOD.fullmatch(method) is not None else "method-unknown"


class _FieldFacts:
    """The fields that matter here, each by itself."""

    __slots__ = ("chunked", "expect", "host", "length", "offers", "options", "te_trailers")

    def __init__(self) -> None:
        self.host: bytes | None = None
        self.length: int | None = None
        self.chunked = False
        self.expect = False
        self.te_trailers = False
        self.options: list[bytes] = []
        self.offers: list[bytes] = []


def understand(line: RequestLine, headers: Headers) -> RequestHead:
    """The head that a line and its well-formed fields make. Raises Malformed."""
    found = _collect(headers, line.version)
    modern = line.version == b"1.1"
    length, chunked, options = found.length, found.chunked, found.options
    if chunked:
        if length is not None:
            raise Malformed("length-and-encoding")
        if not modern:
            raise Malformed("transfer-encoding-http10")
    target = line.target
    authority, host = _authority(found.host, target, modern=modern)
    has_body = chunked or bool(length)
    upgrade = None
    if found.offers and modern and b"upgrade" in options and line.method == b"GET" and not has_body:
        upgrade = next((offer for offer in found.offers if offer in UPGRADES), None)
    keep_alive = modern
    nominated: tuple[bytes, ...] = ()
    if options:
        keep_alive = b"close" not in options and (modern or b"keep-alive" in options)
        nominated = tuple([o for o in options if o not in _CONNECTION_OPTIONS and o not in END_TO_END])
    return RequestHead(
        line.method,
        target.text,
        authority,
        host,
        headers,
        line.version,
        BodyKind.CHUNKED if chunked else BodyKind.NONE if length is None else BodyKind.LENGTH,
        length,
        keep_alive,
        found.expect and has_body,
        upgrade,
        nominated,
        found.te_trailers,
    )


def _authority(host: bytes | None, target: RequestTarget, *, modern: bool) -> tuple[bytes, bytes]:
    """The host of the request, with and without the port, on which Host and an absolute target agree. Raises Malformed."""
    if host is not None:
        named = read_authority(host)
        if target.authority is not None and not same_authority(target, named):
            raise Malformed("host-mismatch")
        return named
    if modern:
        raise Malformed("host-missing")
    return target.authority or (b"", b"")


def is_alike(head: RequestHead, line: RequestLine) -> bool:
    """Whether `head`, read from an origin-form target, is what `line` and the same fields would make, but for the target."""
    return line.method == head.method and line.version == head.version and line.target.authority is None


def with_target(head: RequestHead, target: bytes) -> RequestHead:
    """The same head with another target; its `headers` are the same object."""
    if target == head.target:
        return head
    return head.with_line(head.method, target)


_passed_over: set[bytes] = set()
"""Names, as they were spelled, of fields that mean nothing here."""


def _collect(headers: Headers, version: bytes) -> _FieldFacts:
    found = _FieldFacts()
    for received, value in headers:
        if received in _passed_over:
            continue
        name = received.lower()
        if name not in _LOOKED_AT:
            if len(received) <= MAX_NAME_BYTES:
                if len(_passed_over) >= MAX_NAMES:
                    _passed_over.clear()
                _passed_over.add(received)
            continue
        match name:
            case b"host":
                if found.host is not None:
                    raise Malformed("host-repeated")
                found.host = value
            case b"connection":
                found.options += list_tokens(value)
            case b"content-length":
                if found.length is not None:
                    raise Malformed("content-length-repeated")
                if _DIGITS.fullmatch(value) is None:
                    raise Malformed("content-length")
                found.length = int(value)
            case b"transfer-encoding":
                if found.chunked or value.lower() != b"chunked":
                    raise Malformed("transfer-encoding")
                found.chunked = True
            case b"expect":
                if version == b"1.1":  # RFC 9110 section 10.1.1: from HTTP/1.0 it is to be ignored
                    if value.lower() != b"100-continue":
                        raise Malformed("expect")
                    found.expect = True
            case b"upgrade":
                found.offers += _members(value)
            case b"te":
                found.te_trailers = found.te_trailers or b"trailers" in _members(value)
            case _:
                raise Malformed("field-name")
    return found


def _members(value: bytes) -> list[bytes]:
    return [member.strip(b" \t").lower() for member in value.split(b",")]
