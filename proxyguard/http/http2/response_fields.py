"""A response's head as HTTP/2 fields: lower-case names, without what belongs to a connection of HTTP/1."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.request import Headers
from proxyguard.http.claims import MAX_NAME_BYTES
from proxyguard.http.http1.heads import ResponseHead
from proxyguard.http.http1.names import RESPONSE_HOP_BY_HOP
from proxyguard.http.http2.hpack import Field

_DROPPED: Final = RESPONSE_HOP_BY_HOP | {b"content-length", b"http2-settings"}
_WITHOUT_LENGTH: Final = frozenset({204})

MAX_REMEMBERED: Final = 1024
"""Names that are remembered as they are passed on; sites use a few dozen. Then they are looked at anew."""

_passed: Final[dict[bytes, bytes]] = {}
"""Names in lower case by those received; empty for fields that are not passed on."""


def response_fields(head: ResponseHead) -> list[Field]:
    """The fields that pass an upstream's head on."""
    nominated = head.nominated
    fields = [_status(head.status)]
    for name, value in head.headers:
        lower = _passed.get(name)
        if lower is None:
            lower = _look_at(name)
        if lower and not (nominated and lower in nominated):
            fields.append((lower, value))
    if head.content_length is not None and head.status >= 200 and head.status not in _WITHOUT_LENGTH:
        fields.append((b"content-length", b"%d" % head.content_length))
    return fields


def _look_at(name: bytes) -> bytes:
    lower = name.lower()
    if lower in _DROPPED:
        lower = b""
    if len(name) <= MAX_NAME_BYTES:
        keep_at_hand(_passed, MAX_REMEMBERED, name, lower)
    return lower


def own_fields(status: int, headers: Iterable[Field]) -> list[Field]:
    """The fields of an answer of our own."""
    return [_status(status), *[(_lower(name), value) for name, value in headers]]


def trailer_fields(trailers: Headers) -> list[Field]:
    return [(_lower(name), value) for name, value in trailers]


@lru_cache(maxsize=1024)
def _lower(name: bytes) -> bytes:
    return name.lower()


@lru_cache(maxsize=256)
def _status(status: int) -> Field:
    return (b":status", b"%d" % status)
