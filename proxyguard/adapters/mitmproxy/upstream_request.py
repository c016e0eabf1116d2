"""One request as an upstream gets it: on which connection, what of it waits for one, and whether another may be tried.

Knows nothing of decisions, of time that runs out, or of what is done with the response.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from proxyguard.adapters.mitmproxy.messages import EndLease, Outbox, Send
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamServer
from proxyguard.core.request import Headers
from proxyguard.http.http1 import serialise
from proxyguard.http.http1.heads import BodyKind, RequestHead

RETRIED_METHODS: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
"""Idempotent methods (RFC 9110 section 9.2.2) that may be sent again when a kept-alive connection turns out to be closed."""

BODY_METHODS: Final = frozenset({b"POST", b"PUT", b"PATCH"})
"""Methods whose handlers read bodies. Simple servers leave the body of any other unread, and take it for the next request."""


class UpstreamRequest:
    """Writes one request to its upstream, as commands for the driver.

    `server` is the connection on lease, None without one. `is_whole` says that the client has sent all of the request, `held` is
    what of its body waits for a connection. `since` is when one was there, on the worker's clock, None before; from then on
    `asked`, `headed` and `until` are when it was given all of the request, and when the response's head and its end came, or
    None. `is_repeatable` says that the request does the same when it is sent twice, and that nothing of it is kept by the client
    alone.
    """

    __slots__ = (
        "_has_body", "_head", "_is_reused", "_is_suspect", "_outbox", "_trailers", "asked", "headed", "held", "is_repeatable",
        "is_whole", "server", "since", "until",
    )  # fmt: skip

    _is_reused: bool
    asked: float | None
    headed: float | None
    until: float | None

    def __init__(self, outbox: Outbox, head: RequestHead, *, whole: bool) -> None:
        self._outbox = outbox
        self._head = head
        self.held: bytes | bytearray = b""
        self._trailers: Headers = ()
        self.is_whole = whole
        self.server: UpstreamServer | None = None
        self.since: float | None = None
        self._is_suspect = False
        self._has_body = head.body is not BodyKind.NONE and head.content_length != 0
        self.is_repeatable = not self._has_body and head.upgrade is None and head.method in RETRIED_METHODS

    def begin(self, server: UpstreamServer, head: bytes, now: float) -> None:
        """Send the request's head, and with it what is held of the body."""
        server.parser.begin(self._head.method, upgrade=self._head.upgrade is not None)
        self._is_reused = server.connection.leases > 1
        self.since = now
        self.asked = now if self.is_whole else None
        self.headed = self.until = None
        self._is_suspect = False
        if self.held:
            held = bytes(self.held)
            head += serialise.chunk(held) if self._head.body is BodyKind.CHUNKED else held
            self.held = b""
        if self.is_whole and self._head.body is BodyKind.CHUNKED:
            head += serialise.last_chunk(self._trailers)
        self._outbox.commands.append(Send(server, head))

    def body(self, data: bytes) -> None:
        """More of the body; held while there is no connection."""
        if self.server is None:
            if not self.held:
                self.held = bytearray()
            self.held += data
            return
        if self._head.body is BodyKind.CHUNKED:
            data = serialise.chunk(data)
        self._outbox.commands.append(Send(self.server, data))

    def end(self, trailers: Headers, now: float) -> None:
        """The request is whole."""
        self.is_whole = True
        self.asked = now
        self._trailers = trailers
        if self.server is not None and self._head.body is BodyKind.CHUNKED:
            self._outbox.commands.append(Send(self.server, serialise.last_chunk(trailers)))

    def relay(self, data: bytes) -> None:
        """Send bytes of the upgraded protocol."""
        if self.server is not None:
            self._outbox.commands.append(Send(self.server, data))

    @property
    def is_blocked(self) -> bool:
        """Whether the upstream does not take what was written."""
        return self.server is not None and self.server.connection.is_blocked

    @property
    def resumed(self) -> float:
        """When the upstream last began to take again what was written, on the worker's clock."""
        return 0.0 if self.server is None else self.server.connection.resumed

    def repeat(self) -> bool:
        """Take the request back, to be sent on another connection: this one had been kept too long, and nothing has come of it.

        False when it may not be. Once: a request that ends the upstream's process is not to end one after the other.
        """
        server = self.server
        if not self.is_repeatable or not self._is_reused or server is None or server.parser.begun:
            return False
        self.server = None
        self.is_repeatable = False
        return True

    def answered(self, status: int, now: float) -> None:
        """The response's head has come. Judges whether the upstream may have lost count of where a message ends.

        It may when it leaves a body unread or writes one where there is none: after HEAD and an upgrade that it did not take,
        after a body that is unusual for the method or that it answered with anything but success, or before all had gone out.
        """
        self.headed = now
        head, server = self._head, self.server
        if server is None:
            return
        if self._has_body:
            self._is_suspect = (
                head.method not in BODY_METHODS
                or status >= HTTPStatus.MULTIPLE_CHOICES
                or not self.is_whole
                or server.connection.is_sending
            )
        elif head.method == b"HEAD" or head.upgrade is not None or server.parser.has_hidden_body:
            self._is_suspect = True

    def release(self, *, reusable: bool, flush: bool) -> None:
        """Give the connection back. It is kept only if both messages were whole and the site's `upstream_reuse` allows it."""
        server, self.server = self.server, None
        if server is not None:
            server.exchange = None
            reusable = (
                reusable
                and self.is_whole
                and server.parser.reusable
                and server.connection.may_be_kept(is_suspect=self._is_suspect)
            )
            self._outbox.commands.append(EndLease(server, reusable=reusable, flush=flush))
