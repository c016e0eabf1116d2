"""A flow's request held to what the front would accept, and its fields as the front would send them to the site.

mitmproxy has read the head already, and more leniently. So it is written down again and read by the strict parser: what comes
out unchanged is sound, anything else is refused for the reason that the parser gives. What mitmproxy has tidied up before any
hook (spaces in the request line, bare LF) cannot be seen here.
"""

from __future__ import annotations

from typing import Final

from proxyguard.adapters.mitmproxy_addon.public import FlowRequest, HTTPFlow
from proxyguard.core.request import Headers
from proxyguard.core.settings import Bounds
from proxyguard.http.forwarded import HeaderChanges
from proxyguard.http.http1 import serialise
from proxyguard.http.http1.faults import BadRequest, Malformed
from proxyguard.http.http1.heads import BodyKind, RequestHead
from proxyguard.http.http1.request_parser import RequestParser
from proxyguard.http.http1.target import without_current
from proxyguard.http.http2.request_fields import RequestReader

BODY_METHODS: Final = frozenset({b"POST", b"PUT", b"PATCH"})
"""Whose bodies a site reads. mitmproxy writes one without a length behind the head as it is, as if it were the next request."""

_OF_HTTP1: Final = frozenset({b"host", b"connection", b"upgrade", b"te", b"transfer-encoding"})
"""Fields of a head for the site that HTTP/2 and HTTP/3 have other means for."""


def version_of(flow: HTTPFlow) -> bytes:
    """The version of HTTP that a client's connection speaks, whatever a request line says: `1.0`, `1.1`, `2` or `3`."""
    alpn = flow.client_conn.alpn or b""
    if alpn == b"h2":
        return b"2"
    if alpn == b"h3" or alpn.startswith(b"h3-"):
        return b"3"
    return b"1.0" if flow.request.data.http_version == b"HTTP/1.0" else b"1.1"


def is_multiplexed(version: bytes) -> bool:
    """Whether requests are streams: then a body may come although the head does not say so."""
    return version in (b"2", b"3")


def read_head(flow: HTTPFlow, version: bytes, bounds: Bounds) -> RequestHead:
    """The head of a flow's request. Raises Malformed."""
    scheme = b"https" if flow.client_conn.tls_established else b"http"
    if is_multiplexed(version):
        return _of_stream(flow.request, scheme, bounds)
    return _of_http1(flow.request, scheme, bounds)


def _of_http1(request: FlowRequest, scheme: bytes, bounds: Bounds) -> RequestHead:
    data = request.data
    fields = tuple(request.headers.fields)
    target = scheme + b"://" + data.authority + data.path if data.authority else data.path
    lines = [b"%b %b %b\r\n" % (data.method, target, data.http_version), *[b"%b: %b\r\n" % field for field in fields], b"\r\n"]
    try:
        events = RequestParser(bounds).feed(b"".join(lines))
    except BadRequest as fault:
        raise Malformed(fault.reason) from None
    head = events[0] if events else None
    if not isinstance(head, RequestHead):
        raise Malformed("request-line")
    if (head.method, head.headers) != (data.method, fields):
        raise Malformed("field-value")
    if head.target != without_current(data.path):
        raise Malformed("target")
    return head


def _of_stream(request: FlowRequest, scheme: bytes, bounds: Bounds) -> RequestHead:
    data = request.data
    fields = [(b":method", data.method), (b":scheme", scheme), (b":path", data.path)]
    if data.authority:
        fields.append((b":authority", data.authority))
    return RequestReader(bounds).read([*fields, *request.headers.fields], whole=False)


def is_unframed(head: RequestHead, version: bytes) -> bool:
    """Whether a stream may have a body whose length its head does not say."""
    return is_multiplexed(version) and head.content_length is None


def upstream_fields(head: RequestHead, version: bytes, changes: HeaderChanges, authority: bytes, *, chunked: bool) -> Headers:
    """The fields of a request as the site gets them: what the front would send, in what mitmproxy needs for the framing.

    `chunked` is for a stream whose body goes to the site by HTTP/1.
    """
    drop, keep, add = changes
    text = serialise.request_head(head, add=add, drop=drop, keep=keep, authority=authority)
    lines = [line.partition(b": ") for line in text.split(b"\r\n")[1:-2]]
    fields = tuple((name, value) for name, _, value in lines)
    if is_multiplexed(version):
        fields = tuple((name.lower(), value) for name, value in fields if name.lower() not in _OF_HTTP1)
        return (*fields, (b"transfer-encoding", b"chunked")) if chunked else fields
    if not head.keep_alive and head.version == b"1.1":
        return (*fields, (b"Connection", b"close"))  # mitmproxy closes the client's connection by it
    return fields


def may_have_body(head: RequestHead | None, version: bytes) -> bool:
    """Whether bytes of a body may follow a head; of one that is not understood they may."""
    if head is None or is_multiplexed(version):
        return True
    return head.body is BodyKind.CHUNKED or bool(head.content_length)
