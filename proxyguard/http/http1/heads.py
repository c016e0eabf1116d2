"""The events that a message is read as: a head, body bytes, an end. Values only."""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct

from proxyguard.core.request import Headers


class BodyKind(Enum):
    """How the end of a body is known."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until-close"
    """Responses only."""


class RequestHead(Struct, frozen=True, gc=False):
    """One request head that can be read in one way only.

    `target` is origin-form as received, or `*`. `authority` is what Host says, as to be forwarded: lower case, port as
    received, no trailing dot; empty for an HTTP/1.0 request without Host. `host` is the same without the port (IPv6 in its
    brackets). `headers` are as received, order and case, every field included. `version` is `1.0` or `1.1`.
    `content_length` is None unless the field was there. `nominated` are the lower-case names of fields that Connection
    makes hop-by-hop. `upgrade` is `websocket` or None: other offers are ignored, as RFC 9110 section 7.8 allows.
    """

    method: bytes
    target: bytes
    authority: bytes
    host: bytes
    headers: Headers
    version: bytes
    body: BodyKind
    content_length: int | None
    keep_alive: bool
    expect_continue: bool
    upgrade: bytes | None
    nominated: tuple[bytes, ...]
    te_trailers: bool


class ResponseHead(Struct, frozen=True, gc=False):
    """One response head; a status below 200 is an interim one and another head follows (but for 101).

    `content_length` of a response to HEAD or of a 304 is what the body would have had; `body` is NONE then. `is_dated` says that
    there is a Date.
    """

    status: int
    reason: bytes
    headers: Headers
    version: bytes
    body: BodyKind
    content_length: int | None
    keep_alive: bool
    nominated: tuple[bytes, ...]
    is_dated: bool = True


class Body(Struct, frozen=True, gc=False):
    """Some bytes of a body, decoded from chunks; never empty."""

    data: bytes


class End(Struct, frozen=True, gc=False):
    """The message is complete. `trailers` are without the fields that may not be there."""

    trailers: Headers = ()


END: Final = End()
"""The end of a message without trailers."""


def read_piece(data: bytes, start: int, left: int, events: list[RequestEvent] | list[ResponseEvent]) -> int:
    """Read on in a body of known length, of which `left` bytes are to come; returns how many of `data[start:]` were its."""
    piece = data if not start and len(data) <= left else data[start : start + left]
    size = len(piece)
    events.append(Body(piece))
    if size == left:
        events.append(END)
    return size


RequestEvent = RequestHead | Body | End
ResponseEvent = ResponseHead | Body | End
