"""A request's head as the fields that an HTTP/2 upstream gets: what it would get in HTTP/1, without what belongs there."""

from __future__ import annotations

from typing import Final

from proxyguard.http.http1.heads import RequestHead
from proxyguard.http.http1.names import HOP_BY_HOP
from proxyguard.http.http2.hpack import ENTRY_BYTES, Field

_DROPPED: Final = HOP_BY_HOP | {b"host"}


def forwarded_fields(head: RequestHead, scheme: bytes) -> list[Field]:
    """The fields of a head, whose Host becomes `:authority`. An offer to upgrade is left out (RFC 9113 section 8.6)."""
    fields = [(b":method", head.method), (b":scheme", scheme), (b":authority", head.authority), (b":path", head.target)]
    for name, value in head.headers:
        lower = name.lower()
        if lower not in _DROPPED and lower not in head.nominated:
            fields.append((lower, value))
    if head.te_trailers:
        fields.append((b"te", b"trailers"))
    return fields


def list_bytes(fields: list[Field]) -> int:
    """What the fields count against SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113 section 6.5.2)."""
    return sum([len(name) + len(value) + ENTRY_BYTES for name, value in fields])
