"""What the fields of an HTTP/2 request mean, held to what HTTP/1 would accept of the same request.

Follows RFC 9113 sections 8.2 and 8.3. The request is written down as HTTP/1 and read by the strict parser of `http1`: what comes
out unchanged is sound, anything else is refused for the reason that the parser gives. So both protocols have one set of rules.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

from proxyguard.core.request import Headers
from proxyguard.core.settings import Bounds
from proxyguard.http.claims import may_be_trailer
from proxyguard.http.http1.faults import Malformed
from proxyguard.http.http1.fields import read_fields
from proxyguard.http.http1.heads import RequestHead
from proxyguard.http.http1.request_head import LINE_SPARE_BYTES, RequestLine, read_line, understand
from proxyguard.http.http1.steady_fields import AroundReferer, is_address, only_referer
from proxyguard.http.http1.target import RequestTarget, read_authority
from proxyguard.http.http2.hpack import Field

_CONNECTION_FIELDS: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings",
})  # fmt: skip
"""RFC 9113 section 8.2.2: they do not exist here, so whoever sends one wants it to be read by someone else."""

_NEED_CARE: Final = _CONNECTION_FIELDS | {b"cookie", b"te"}
_SCHEMES: Final = frozenset({b"http", b"https"})
_UNKNOWN_LENGTH: Final = (b"transfer-encoding", b"chunked")


class _Pseudo(NamedTuple):
    method: bytes
    scheme: bytes
    path: bytes
    authority: bytes | None


class _Section:
    """A header section, and the head that it made: another that differs in method, path and Referer alone need not be read.

    `method` and `path` are as they were sent, `line_bytes` what they would be as a line of HTTP/1, `size` what the other fields
    would be. `place` is that of the only Referer among the fields, or -1; `around` is what is around it in the head.
    """

    __slots__ = ("around", "fields", "head", "line_bytes", "method", "path", "place", "size", "whole")

    def __init__(self, fields: list[Field], pseudo: _Pseudo, head: RequestHead, sizes: tuple[int, int], *, whole: bool) -> None:
        """`sizes` are those of the line and of all other fields."""
        self.fields = fields
        self.whole = whole
        self.method = pseudo.method
        self.path = pseudo.path
        self.line_bytes, self.size = sizes
        self.place = only_referer(fields)
        self.around: AroundReferer | None = None
        if self.place >= 0:
            around = self.around = AroundReferer(head.headers, only_referer(head.headers))
            head = head.with_fields(head.method, head.target, head.headers, around.fields, around.place)
        self.head = head

    def read(self, fields: list[Field], bounds: Bounds, *, whole: bool) -> RequestHead | None:
        """The head of a section that is alike; None for one that has to be read. Raises Malformed."""
        known = self.fields
        if fields is known and whole is self.whole:
            return self.head
        if len(fields) != len(known) or whole is not self.whole:
            return None
        method, path = self.method, self.path
        referer: Field | None = None
        ours: list[Any] = cast("list[Any]", fields)  # as Any: a pair would be made anew to be compared
        theirs: list[Any] = cast("list[Any]", known)
        for place in range(len(ours)):
            if ours[place] is theirs[place]:
                continue
            field = fields[place]
            name, value = field
            before_name, before_value = known[place]
            if name != before_name:
                return None
            if value == before_value:
                continue
            if name == b":path":
                path = value
            elif place == self.place and is_address(value):
                referer = field
            elif name == b":method":
                method = value
            else:
                return None
        return self._head_of(fields, method, path, referer, bounds)

    def _head_of(
        self, fields: list[Field], method: bytes, path: bytes, referer: Field | None, bounds: Bounds
    ) -> RequestHead | None:
        """The head with these parts, of which `referer` is None for that of the last; None where it may exceed a bound."""
        head = self.head
        target, headers, line_bytes, size = head.target, head.headers, self.line_bytes, self.size
        if path is not self.path or method is not self.method:
            line = _read_line(method, path, bounds)
            target, line_bytes = line.target.text, line.size
        if referer is not None and self.around is not None:
            size += len(referer[1]) - len(self.fields[self.place][1])
            if _field_bytes(referer) > bounds.field_bytes:
                return None
            headers = self.around.headers(referer)
        if line_bytes + size > bounds.head_bytes:
            return None
        self.fields, self.method, self.path, self.line_bytes, self.size = fields, method, path, line_bytes, size
        self.head = head = head.with_fields(method, target, headers, head.steady, head.referer_at)
        return head


class RequestReader:
    """One per connection. Clients repeat most of what they say, so what the last header section came to is remembered."""

    __slots__ = ("_bounds", "_last")

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._last: _Section | None = None

    def read(self, fields: list[Field], *, whole: bool) -> RequestHead:
        """The head that a header section makes. `whole`: no body follows. Raises Malformed.

        The head says version 1.1, as that is what its other half will be; `headers` begin with `host` unless the client sent
        one itself, and cookies that came in pieces are one field (RFC 9113 section 8.2.3).
        """
        bounds = self._bounds
        last = self._last
        if last is not None:
            known = last.read(fields, bounds, whole=whole)
            if known is not None:
                return known
        pseudo, start = _read_pseudo(fields)
        line = _read_line(pseudo.method, pseudo.path, bounds)
        head, size = _understand(pseudo, line, fields[start:], bounds, whole=whole)
        last = self._last = _Section(fields, pseudo, head, (line.size, size), whole=whole)
        return last.head


def _field_bytes(field: Field) -> int:
    """What bounds.field_bytes bounds of a field: its line in HTTP/1 without the end."""
    return len(field[0]) + len(field[1]) + 2


def _understand(
    pseudo: _Pseudo, line: RequestLine, fields: list[Field], bounds: Bounds, *, whole: bool
) -> tuple[RequestHead, int]:
    """The head, and the bytes that its fields would be in HTTP/1. But for the method and the path, it follows from the fields."""
    headers = _regular(fields)
    authority = None
    if pseudo.authority is not None:
        authority = read_authority(pseudo.authority)
        if not any(name == b"host" for name, _ in headers):
            headers.insert(0, (b"host", pseudo.authority))
    size = _check_fields(headers, bounds, line.size)
    line = RequestLine(line.method, RequestTarget(line.target.text, authority, pseudo.scheme), b"1.1", line.size)
    received = tuple(headers)
    head = understand(line, received)
    length = head.content_length
    if length is not None:
        if whole and length:
            raise Malformed("content-length")
        if bounds.body_bytes is not None and length > bounds.body_bytes:
            raise Malformed("body-size")
    elif not whole:
        head = understand(line, (*received, _UNKNOWN_LENGTH)).with_headers(received)
    return head, size


def read_trailers(fields: list[Field], bounds: Bounds) -> Headers:
    """A trailer section, without the fields that may not be there. Raises Malformed."""
    if len(fields) > bounds.header_count or sum(len(name) + len(value) + 4 for name, value in fields) > bounds.field_bytes:
        raise Malformed("trailer-size")
    _check_text(fields)
    if any(name in _CONNECTION_FIELDS for name, _ in fields):
        raise Malformed("connection-field")
    return tuple(field for field in fields if may_be_trailer(field[0]))


def _read_pseudo(fields: list[Field]) -> tuple[_Pseudo, int]:
    """The fields that begin with a colon, which come first and once each; and where the others begin."""
    found: dict[bytes, bytes] = {}
    start = 0
    for name, value in fields:
        if name[:1] != b":":
            break
        if name in found:
            raise Malformed("pseudo-field")
        found[name] = value
        start += 1
    method, scheme, path = found.get(b":method"), found.get(b":scheme"), found.get(b":path")
    if method is None or scheme is None or path is None:
        raise Malformed("method-refused" if method == b"CONNECT" else "pseudo-field")
    authority = found.get(b":authority")
    if len(found) != (3 if authority is None else 4) or scheme not in _SCHEMES:
        raise Malformed("pseudo-field")
    return _Pseudo(method, scheme, path, authority), start


def _read_line(method: bytes, path: bytes, bounds: Bounds) -> RequestLine:
    """Method and target as a request line. What the parser does not read to the very end was not one line. Raises Malformed."""
    if len(path) > bounds.target_bytes:
        raise Malformed("target-size")
    text = b"%b %b HTTP/1.1\r\n" % (method, path)
    if len(text) > min(bounds.target_bytes + LINE_SPARE_BYTES, bounds.head_bytes):
        raise Malformed("target-size")
    line = read_line(text, 0, len(text) + 1, bounds.target_bytes)
    if line is None or line.size != len(text):
        raise Malformed("request-line")
    if path[:1] != b"/" and path != b"*":
        raise Malformed("target")
    return line


def _regular(fields: list[Field]) -> list[Field]:
    """The fields without a colon, cookie pieces joined where the first of them was."""
    headers: list[Field] = []
    crumbs: list[bytes] = []
    place = 0
    for field in fields:
        name, value = field
        if name in _NEED_CARE:
            if name == b"cookie":
                if not crumbs:
                    place = len(headers)
                    headers.append(field)
                crumbs.append(value)
                continue
            if name != b"te":
                raise Malformed("connection-field")
            if value.lower() != b"trailers":
                raise Malformed("connection-field")
        headers.append(field)
    if len(crumbs) > 1:
        headers[place] = (b"cookie", b"; ".join(crumbs))
    return headers


def _check_fields(headers: list[Field], bounds: Bounds, line_bytes: int) -> int:
    """Raise Malformed unless HTTP/1 would read the same fields, within the same bounds; returns their bytes."""
    size = _check_text(headers)
    if len(headers) > bounds.header_count:
        raise Malformed("field-count")
    if size + line_bytes > bounds.head_bytes:
        raise Malformed("head-size")
    if size > bounds.field_bytes and max(len(name) + len(value) for name, value in headers) + 2 > bounds.field_bytes:
        raise Malformed("field-size")
    return size


def _check_text(fields: list[Field]) -> int:
    """Raise Malformed unless the fields are read from a header section as they were put into it; returns its bytes."""
    if not fields:
        return 0
    text = b"".join([b"%b: %b\r\n" % field for field in fields])
    if any(name != name.lower() for name, _ in fields):
        raise Malformed("field-name")
    if read_fields(text, 0, len(text)) != fields:
        raise Malformed("field-value")
    return len(text)
