"""The events that a message is read as: a head, body bytes, an end. Values only."""

from __future__ import annotations

from enum import Enum
from typing import Final

from proxyguard.core.request import Headers
from proxyguard.core.value import Value


class BodyKind(Enum):
    """How the end of a body is known."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until-close"
    """Responses only."""


class RequestHead(Value):
    """One request head that can be read in one way only.

    `target` is origin-form as received, or `*`. `authority` is what Host says, as to be forwarded: lower case, port as
    received, no trailing dot; empty for an HTTP/1.0 request without Host. `host` is the same without the port (IPv6 in its
    brackets). `headers` are as received, order and case, every field included. `version` is `1.0` or `1.1`.
    `content_length` is None unless the field was there. `nominated` are the lower-case names of fields that Connection
    makes hop-by-hop. `upgrade` is `websocket` or None: other offers are ignored, as RFC 9110 section 7.8 allows. `steady` and
    `referer_at` say what its fields have in common with other heads: see `core.request.Request`.
    """

    __slots__ = (
        "authority", "body", "content_length", "expect_continue", "headers", "host", "keep_alive", "method", "nominated",
        "referer_at", "steady", "target", "te_trailers", "upgrade", "version",
    )  # fmt: skip

    def __init__(
        self, method: bytes, target: bytes, authority: bytes, host: bytes, headers: Headers, version: bytes, body: BodyKind,
        content_length: int | None, keep_alive: bool, expect_continue: bool, upgrade: bytes | None,  # noqa: FBT001 - made by position
        nominated: tuple[bytes, ...], te_trailers: bool,  # noqa: FBT001 - likewise
        steady: Headers | None = None, referer_at: int = -1,
    ) -> None:  # fmt: skip
        self.method = method
        self.target = target
        self.authority = authority
        self.host = host
        self.headers = headers
        self.version = version
        self.body = body
        self.content_length = content_length
        self.keep_alive = keep_alive
        self.expect_continue = expect_continue
        self.upgrade = upgrade
        self.nominated = nominated
        self.te_trailers = te_trailers
        self.steady = headers if steady is None else steady
        self.referer_at = referer_at

    def held(self) -> tuple[object, ...]:
        return (
            self.method, self.target, self.authority, self.host, self.headers, self.version, self.body, self.content_length,
            self.keep_alive, self.expect_continue, self.upgrade, self.nominated, self.te_trailers,
        )  # fmt: skip

    def with_line(self, method: bytes, target: bytes) -> RequestHead:
        """The same head of another request line; its `headers` are the same object."""
        return self.with_fields(method, target, self.headers, self.steady, self.referer_at)

    def with_fields(self, method: bytes, target: bytes, headers: Headers, steady: Headers, referer_at: int) -> RequestHead:
        """The same head of another request line and with other fields, which say the same of its framing."""
        return RequestHead(
            method, target, self.authority, self.host, headers, self.version, self.body, self.content_length, self.keep_alive,
            self.expect_continue, self.upgrade, self.nominated, self.te_trailers, steady, referer_at,
        )  # fmt: skip

    def with_headers(self, headers: Headers) -> RequestHead:
        """The same head with other fields, which say the same of its framing."""
        return self.with_fields(self.method, self.target, headers, headers, -1)

    def without_expectation(self) -> RequestHead:
        """The same head of a request that waits for no 100."""
        return RequestHead(
            self.method, self.target, self.authority, self.host, self.headers, self.version, self.body, self.content_length,
            self.keep_alive, False, self.upgrade, self.nominated, self.te_trailers, self.steady, self.referer_at,  # noqa: FBT003 - a field
        )  # fmt: skip


class ResponseHead(Value):
    """One response head; a status below 200 is an interim one and another head follows (but for 101).

    `content_length` of a response to HEAD or of a 304 is what the body would have had; `body` is NONE then. `is_dated` says that
    there is a Date. `base` is the head with the first of these fields, to which the others were added; None for no such.
    """

    __slots__ = (
        "base", "body", "content_length", "headers", "is_dated", "keep_alive", "nominated", "reason", "status", "version",
    )  # fmt: skip

    def __init__(
        self, status: int, reason: bytes, headers: Headers, version: bytes, body: BodyKind, content_length: int | None,
        keep_alive: bool, nominated: tuple[bytes, ...], is_dated: bool = True,  # noqa: FBT001, FBT002 - made by position
        base: ResponseHead | None = None,
    ) -> None:  # fmt: skip
        self.status = status
        self.reason = reason
        self.headers = headers
        self.version = version
        self.body = body
        self.content_length = content_length
        self.keep_alive = keep_alive
        self.nominated = nominated
        self.is_dated = is_dated
        self.base = base

    def held(self) -> tuple[object, ...]:
        return (
            self.status, self.reason, self.headers, self.version, self.body, self.content_length, self.keep_alive,
            self.nominated, self.is_dated,
        )  # fmt: skip

    def with_headers(self, headers: Headers) -> ResponseHead:
        """The same head with other fields, which say the same of its framing."""
        return ResponseHead(
            self.status, self.reason, headers, self.version, self.body, self.content_length, self.keep_alive, self.nominated,
            self.is_dated,
        )  # fmt: skip

    def with_added(self, added: Headers) -> ResponseHead:
        """The same head with more fields, which say nothing of its framing."""
        return ResponseHead(
            self.status, self.reason, self.headers + added, self.version, self.body, self.content_length, self.keep_alive,
            self.nominated, self.is_dated, self,
        )  # fmt: skip


class Body(Value):
    """Some bytes of a body, decoded from chunks; never empty."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def held(self) -> tuple[object, ...]:
        return (self.data,)


class End(Value):
    """The message is complete. `trailers` are without the fields that may not be there."""

    __slots__ = ("trailers",)

    def __init__(self, trailers: Headers = ()) -> None:
        self.trailers = trailers

    def held(self) -> tuple[object, ...]:
        return (self.trailers,)


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
