"""One request from its head to its end: checked, then refused, held or forwarded, its response passed back, and settled.

A state machine between a codec, which speaks with the client (HTTP/1 lane, HTTP/2 stream), and an upstream connection, which is
always HTTP/1.1. Commands for the driver go onto the codec's list. No I/O; `now` is an argument.
"""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import structs

from proxyguard.adapters.mitmproxy.private import Command, SendData
from proxyguard.adapters.mitmproxy.signals import AwaitTicket, EndLease, GiveUp, Lease
from proxyguard.adapters.mitmproxy.upstream import UpstreamServer
from proxyguard.client_address import Address
from proxyguard.decision import Allow, Delay, Drop, Pass, Reject, Tarpit
from proxyguard.http1 import serialise
from proxyguard.http1.faults import BadResponse
from proxyguard.http1.heads import Body, BodyKind, RequestHead, ResponseHead
from proxyguard.ports import Forwarding, Served, Ticket
from proxyguard.request import Headers, Request
from proxyguard.responses import Answer, error_page, render

if TYPE_CHECKING:
    from proxyguard.adapters.mitmproxy.common import Common, Link, Route

RETRIED_METHODS: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
"""Idempotent methods (RFC 9110 section 9.2.2) that may be sent again when a kept-alive connection turns out to be closed."""

RETRY_AFTER_SECONDS: Final = 5.0
"""What an error page of ours asks for; upstreams that restart are back within seconds."""

CLIENT_GONE: Final = 499
"""The status that is recorded when nothing was answered because the client left (nginx's number for it)."""


class Phase(Enum):
    """What an exchange waits for."""

    CHECKING = 1
    DELAYED = 2
    LEASING = 3
    FORWARDING = 4
    """The upstream has the request, or is getting it; its response may have begun."""
    RELAYING = 5
    """Upgraded: bytes pass both ways."""
    OVER = 6


class Codec(Protocol):
    """How an exchange speaks with its client."""

    commands: list[Command]

    def send_interim(self, head: ResponseHead) -> None:
        """Pass on a 1xx response."""
        ...

    def send_head(self, head: ResponseHead) -> None:
        """Begin the response."""
        ...

    def send_body(self, data: bytes) -> None:
        """Pass on some of the response's body."""
        ...

    def send_end(self, trailers: Headers) -> None:
        """End the response; the exchange is over."""
        ...

    def send_answer(self, answer: Answer) -> None:
        """Send an answer of our own, whole; the exchange is over, whatever of the request is still to come."""
        ...

    def send_switch(self, head: ResponseHead) -> bytes:
        """Pass on a 101; gives what the client already sent in the new protocol."""
        ...

    def send_raw(self, data: bytes) -> None:
        """Pass on bytes of the upgraded protocol."""
        ...

    def cut(self, *, flush: bool) -> None:
        """End without an answer, or in the middle of one; the exchange is over. `flush`: send first what was written."""
        ...

    def detain(self, tarpit: Tarpit, client: Address) -> bool:
        """Tarpit the client; the exchange is over. False when there is no room for it."""
        ...


class Exchange:
    """See the module. `deadline` is when `expired` is to be called, inf for never."""

    __slots__ = (
        "_bytes_received", "_bytes_sent", "_chunked", "_codec", "_common", "_fault", "_link", "_may_retry", "_pending",
        "_pending_bytes", "_responded", "_reused", "_upstream_headed", "_upstream_since", "_upstream_until", "deadline",
        "head", "phase", "request", "request_whole", "route", "server", "started", "status", "ticket",
    )  # fmt: skip

    request: Request

    def __init__(
        self, common: Common, link: Link, codec: Codec, head: RequestHead, route: Route, now: float, *, whole: bool
    ) -> None:
        self._common = common
        self._link = link
        self._codec = codec
        self.head = head
        self.route = route
        self.started = now
        self.deadline = inf
        self.phase = Phase.CHECKING
        self.ticket: Ticket | None = None
        self.server: UpstreamServer | None = None
        self.request_whole = whole
        self.status = 0
        self._chunked = head.body is BodyKind.CHUNKED
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._bytes_received = 0
        self._bytes_sent = 0
        self._responded = False
        self._reused = False
        self._may_retry = True
        self._upstream_since: float | None = None
        self._upstream_until: float | None = None
        self._upstream_headed: float | None = None

    # -- from the client -------------------------------------------------------------------------------------------------

    def begin(self, request: Request, now: float) -> None:
        """Check the request and act on the decision, or wait for it."""
        self.request = request
        checked = self._common.checker.check(request)
        if isinstance(checked, Ticket):
            self.decided(checked, now)
        else:
            self._codec.commands.append(AwaitTicket(self, checked))

    def body(self, data: bytes, now: float) -> None:
        """More of the request's body. Call only while `takes_body`."""
        self._bytes_received += len(data)
        if self._chunked:
            data = serialise.chunk(data)
        if self.phase is Phase.FORWARDING:
            self._to_upstream(data)
            if not self._responded:
                self.deadline = now + self._common.bounds.body_gap_seconds
        else:
            self._pending.append(data)
            self._pending_bytes += len(data)

    def end(self, trailers: Headers, now: float) -> None:
        """The request is whole."""
        self.request_whole = True
        if self._chunked:
            trailers = without(trailers, self._hidden)
            last = serialise.last_chunk(trailers)
            if self.phase is Phase.FORWARDING:
                self._to_upstream(last)
            else:
                self._pending.append(last)
        if self.phase is Phase.FORWARDING and not self._responded:
            self.deadline = now + self._common.bounds.upstream_first_byte_seconds

    @property
    def takes_body(self) -> bool:
        """Whether the client should go on sending its body; while we wait for something, one read of it is held."""
        return self._pending_bytes == 0 or self.phase is Phase.FORWARDING

    def refuse(self, status: int, fault: str, now: float) -> None:
        """Something is wrong with the rest of the request: answer with an error page, or cut a response that has begun."""
        self._fail(status, fault, now)

    def client_gone(self, now: float) -> None:
        """The client left."""
        if self.phase is not Phase.OVER:
            self._finish(now, "" if self.phase is Phase.RELAYING else "client-gone", reusable=False)

    # -- from the guard and the clock ------------------------------------------------------------------------------------

    def decided(self, ticket: Ticket, now: float) -> None:
        """Act on a decision."""
        self.ticket = ticket
        if self.phase is Phase.OVER:  # the client did not wait
            self._settle(now, "client-gone")
            return
        action = ticket.decision.action
        match action:
            case Allow() | Pass():
                self._lease(fresh=False)
            case Reject():
                self._reject(now)
            case Tarpit():
                if self._codec.detain(action, ticket.request.client):
                    self.status = 200
                    self._finish(now, "")
                else:
                    self._common.events.bound_exceeded("tarpit")
                    self._reject(now)
            case Drop():
                self._finish(now, "")
                self._codec.cut(flush=False)
            case Delay():
                self._delay(action, now)

    def expired(self, now: float) -> None:
        """The deadline has passed."""
        self.deadline = inf
        bounds = self._common.events.bound_exceeded
        match self.phase:
            case Phase.DELAYED:
                self._common.delayed -= 1
                self._lease(fresh=False)
            case Phase.FORWARDING if self._responded:
                bounds("upstream_gap_seconds")
                self._fail(504, "upstream-timeout", now)
            case Phase.FORWARDING if self.request_whole or (self.server is not None and self.server.carrier.is_blocked):
                bounds("upstream_first_byte_seconds")
                self._fail(504, "upstream-timeout", now)
            case Phase.FORWARDING:
                bounds("body_gap_seconds")
                self._fail(408, "client-timeout", now)
            case Phase.RELAYING:
                bounds("upgrade_idle_seconds")
                self._finish(now, "", reusable=False)
                self._codec.cut(flush=True)
            case _:
                pass

    def writable(self, now: float) -> None:
        """The client takes bytes again: the upstream could not send meanwhile, so its time begins anew."""
        if self.phase is Phase.FORWARDING and self._responded:
            self.deadline = now + self._common.bounds.upstream_gap_seconds
        elif self.phase is Phase.RELAYING:
            self.deadline = now + self._common.bounds.upgrade_idle_seconds

    # -- from the upstream -----------------------------------------------------------------------------------------------

    def leased(self, server: UpstreamServer | None, *, reused: bool, fault: str, now: float) -> None:
        """There is a connection to an upstream, or there is none to be had."""
        if self.phase is not Phase.LEASING:
            if server is not None:
                self._codec.commands.append(EndLease(server, reusable=True))
            return
        if server is None:
            self._fail(503, fault, now)
            return
        head = self.head
        server.parser.begin(head.method, upgrade=head.upgrade is not None)
        self.server = server
        self.phase = Phase.FORWARDING
        self._reused = reused
        self._upstream_since = now
        data = self._common.upstream_head(head, self.request, self.route, self._link, self._hidden)
        pending = self._pending
        if pending:
            self._may_retry = False
            data += b"".join(pending)
            self._pending = []
            self._pending_bytes = 0
        self._codec.commands.append(SendData(server, data))
        bounds = self._common.bounds
        self.deadline = now + (bounds.upstream_first_byte_seconds if self.request_whole else bounds.body_gap_seconds)

    def received(self, data: bytes, now: float) -> None:
        """Bytes of the response."""
        server = self.server
        if server is None:
            return
        if self.phase is Phase.RELAYING:
            self._bytes_sent += len(data)
            self.deadline = now + self._common.bounds.upgrade_idle_seconds
            self._codec.send_raw(data)
            return
        try:
            events = server.parser.feed(data)
        except BadResponse as bad:
            for event in bad.events:
                self._pass_on(event, now)
            if self.phase is not Phase.OVER:
                self._fail(502, "upstream-response", now)
            return
        for event in events:
            self._pass_on(event, now)

    def upstream_closed(self, now: float) -> None:
        """The upstream closed the connection."""
        server = self.server
        if server is None:
            return
        if self.phase is Phase.RELAYING:
            self._finish(now, "", reusable=False)
            self._codec.cut(flush=True)
            return
        if self._reused and self._may_retry and not server.parser.begun and self._is_repeatable():
            self.server = None
            self._lease(fresh=True)
            return
        try:
            events = server.parser.eof()
        except BadResponse as bad:
            self._fail(502, "upstream-response" if bad.reason != "no-response" else "upstream-closed", now)
            return
        for event in events:
            self._pass_on(event, now)

    def relay(self, data: bytes, now: float) -> None:
        """Bytes of the upgraded protocol from the client."""
        if self.server is not None:
            self._bytes_received += len(data)
            self.deadline = now + self._common.bounds.upgrade_idle_seconds
            self._to_upstream(data)

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _pass_on(self, event: object, now: float) -> None:
        if self.phase is Phase.OVER:
            return
        codec = self._codec
        if isinstance(event, ResponseHead):
            if self._forwarding is not None:
                event = self._dressed(event, self._forwarding)
            if event.status >= 200:
                self._upstream_headed = now
                self.status = event.status
                self._responded = True
                self.deadline = now + self._common.bounds.upstream_gap_seconds
                codec.send_head(event)
            elif event.status == 101:
                self._switch(event, now)
            else:
                codec.send_interim(event)
        elif isinstance(event, Body):
            self._bytes_sent += len(event.data)
            self.deadline = now + self._common.bounds.upstream_gap_seconds
            codec.send_body(event.data)
        else:
            self._upstream_until = now
            self._finish(now, "")
            codec.send_end(without(event.trailers, self._hidden))  # type: ignore[attr-defined]  # the parser's third kind of event: an End

    def _dressed(self, head: ResponseHead, forwarding: Forwarding) -> ResponseHead:
        """A response's head as the client may see it; what it says to us only is heard."""
        headers = head.headers
        hide = forwarding.hide
        if hide:
            kept = without(headers, hide)
            if len(kept) < len(headers) and forwarding.hear is not None and head.status >= 200:
                forwarding.hear(b"".join(value for name, value in headers if name.lower() == hide))
            headers = kept
        if head.status >= 200:
            headers += forwarding.add
        return head if headers is head.headers else structs.replace(head, headers=headers)

    @property
    def _forwarding(self) -> Forwarding | None:
        return None if self.ticket is None else self.ticket.forwarding

    @property
    def _hidden(self) -> bytes:
        """The header that passes in neither direction, if any."""
        forwarding = self._forwarding
        return forwarding.hide if forwarding is not None else b""

    def _switch(self, head: ResponseHead, now: float) -> None:
        server = self.server
        assert server is not None  # noqa: S101 - its parser made the event
        self.status = 101
        self._responded = True
        self.phase = Phase.RELAYING
        self.deadline = now + self._common.bounds.upgrade_idle_seconds
        early = self._codec.send_switch(head)
        rest = server.parser.rest()
        if rest:
            self._bytes_sent += len(rest)
            self._codec.send_raw(rest)
        if early:
            self.relay(early, now)

    def _lease(self, *, fresh: bool) -> None:
        self.phase = Phase.LEASING
        self.deadline = inf
        self._codec.commands.append(Lease(self, self.route.group, fresh=fresh))

    def _delay(self, action: Delay, now: float) -> None:
        if self._common.delayed >= self._common.max_delayed:
            self._common.events.bound_exceeded("delay")
            self._lease(fresh=False)
            return
        self._common.delayed += 1
        self.phase = Phase.DELAYED
        self.deadline = now + action.seconds

    def _reject(self, now: float) -> None:
        ticket = self.ticket
        assert ticket is not None  # noqa: S101 - only called for a decision
        accept = ticket.request.header_index.get(b"accept")
        answer = render(ticket.decision, ticket.reference, accept=accept[0] if accept else b"")
        self._answer(answer, now, "")

    def _fail(self, status: int, fault: str, now: float) -> None:
        if self._responded:
            self._finish(now, fault, reusable=False)
            self._codec.cut(flush=True)
            return
        reference = self.ticket.reference if self.ticket is not None else self._common.reference()
        accept = self.head_value(b"accept")
        wait = RETRY_AFTER_SECONDS if status >= 500 else None
        self._answer(error_page(status, reference, accept=accept, retry_after_seconds=wait), now, fault)

    def _answer(self, answer: Answer, now: float, fault: str) -> None:
        self.status = answer.status
        self._bytes_sent = len(answer.body)
        self._finish(now, fault, reusable=False)
        self._codec.send_answer(answer)

    def _finish(self, now: float, fault: str, *, reusable: bool = True) -> None:
        """Let go of everything, and settle. What is still to be said to the client is the caller's."""
        phase, self.phase = self.phase, Phase.OVER
        self.deadline = inf
        server, self.server = self.server, None
        if server is not None:
            reusable = reusable and self.request_whole and server.parser.reusable
            self._codec.commands.append(EndLease(server, reusable=reusable, flush=phase is Phase.RELAYING))
        elif phase is Phase.LEASING:
            self._codec.commands.append(GiveUp(self))
        elif phase is Phase.DELAYED:
            self._common.delayed -= 1
        self._pending = []
        if self.ticket is not None:
            self._settle(now, fault)

    def _settle(self, now: float, fault: str) -> None:
        ticket = self.ticket
        assert ticket is not None  # noqa: S101 - the callers look
        since = self._upstream_since
        upstream_seconds = None if since is None else (self._upstream_until or now) - since
        headed = None if since is None or self._upstream_headed is None else self._upstream_headed - since
        status = self.status or (CLIENT_GONE if fault == "client-gone" else 0)
        self._common.checker.settle(
            ticket,
            Served(status, self._bytes_sent, self._bytes_received, upstream_seconds, now - self.started, fault, headed),
        )

    def _to_upstream(self, data: bytes) -> None:
        self._may_retry = False
        server = self.server
        if server is not None:
            self._codec.commands.append(SendData(server, data))

    def _is_repeatable(self) -> bool:
        return self.head.method in RETRIED_METHODS and self.head.body is BodyKind.NONE and self.head.upgrade is None

    def head_value(self, wanted: bytes) -> bytes:
        """The first value of a field of the request, or nothing."""
        for name, value in self.head.headers:
            if name.lower() == wanted:
                return value
        return b""


def without(headers: Headers, hidden: bytes) -> Headers:
    """Header fields or trailers without the hidden one, the same object when there is nothing to hide."""
    if not hidden or not headers:
        return headers
    kept = tuple(field for field in headers if field[0].lower().replace(b"_", b"-") != hidden)
    return headers if len(kept) == len(headers) else kept
