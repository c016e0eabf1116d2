"""One request from its head to its end: checked, then refused, held or forwarded, its response passed back, and settled.

A state machine between a codec, which speaks with the client, and the request as its upstream gets it, which is always HTTP/1.1:
what is done with decisions, with answers, and when time runs out. Commands for the driver go into the layer's Outbox. No I/O;
`now` is an argument.
"""

from __future__ import annotations

from math import inf
from typing import Final, assert_never

from proxyguard.adapters.mitmproxy.altered_answer import AlteredAnswer
from proxyguard.adapters.mitmproxy.bad_requests import error_page, languages_of, refusal, unchecked
from proxyguard.adapters.mitmproxy.forwarded_fields import dated, dressed, without
from proxyguard.adapters.mitmproxy.messages import AwaitTicket, EndLease, GiveUp, Lease
from proxyguard.adapters.mitmproxy.phase import Phase
from proxyguard.adapters.mitmproxy.under_way import TOO_MANY
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamServer
from proxyguard.adapters.mitmproxy.upstream.group import named
from proxyguard.adapters.mitmproxy.waiting_bodies import CONTINUE, Consent
from proxyguard.core.decision import Allow, Delay, Drop, Mask, Maze, Pass, Prove, Reject, Tarpit, Uniform
from proxyguard.core.request import Headers
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.http.http1.faults import BadResponse
from proxyguard.http.http1.heads import Body, ResponseEvent, ResponseHead
from proxyguard.http.method_override import is_method_unclear
from proxyguard.http.responses import Answer, to_https

RETRY_AFTER_SECONDS: Final = 5.0
"""What our error pages ask for; upstreams that restart are back within seconds."""

CLIENT_GONE: Final = 499
"""The status that is recorded when nothing was answered because the client left (nginx's number for it)."""

_GIVEN_UP: Final = frozenset({"upstream-timeout", "client-gone"})
"""Faults of who waits for an upstream no longer: so long it would have taken at least."""


class Exchange(AlteredAnswer):
    """Takes one request from its check to its settlement. `deadline` is when `expired` is to be called, inf for never."""

    __slots__ = ()

    # -- from the client -------------------------------------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """Check the request and act on the decision, or wait for it. One that belongs to https is sent there, unchecked."""
        if self._link.redirects and self.request.scheme == b"http":
            if self._head.host:
                self._answer(to_https(self._head.method, self._head.host, self._head.target), now, "")
            else:
                self.fail(400, "host-missing", now)
            return
        if self._route.keeps_override and is_method_unclear(self._head):
            self.fail(400, "method-override", now)
            return
        checked = self._services.checker.check(self.request)
        if isinstance(checked, Ticket):
            self.decided(checked, now)
        else:
            self._outbox.commands.append(AwaitTicket(self, checked))

    def end(self, trailers: Headers, now: float) -> None:
        """The request is whole."""
        self._end_body(without(trailers, self._hidden), now)

    def fail(self, status: int, fault: str, now: float) -> None:
        """Answer with an error page, or cut a response that has begun. `fault` is a token for the audit record."""
        if self._responded:
            self._cut(now, fault)
            return
        if self._evens_out(fault, now):
            return
        services, ticket = self._services, self._ticket
        reference = unchecked(services, self.request, status, fault) if ticket is None else ticket.reference
        self._blame(fault)
        wait = RETRY_AFTER_SECONDS if status >= 500 or status == 429 else None
        self._answer(error_page(services, status, reference, self._head.headers, wait), now, fault)

    def on_client_left(self, now: float) -> None:
        """The client left."""
        if self.phase is not Phase.OVER:
            self._finish(now, "" if self.phase is Phase.RELAYING else "client-gone", reusable=False)

    # -- from the guard and the clock ------------------------------------------------------------------------------------

    def decided(self, ticket: Ticket, now: float) -> None:
        """Act on a decision."""
        self._ticket = ticket
        if ticket.forwarding is not None:
            self._forwarding = ticket.forwarding
            self._hidden = ticket.forwarding.hide
        if self.phase is Phase.OVER:  # the client did not wait
            self._settle(now, "client-gone")
            return
        action = ticket.decision.action
        match action:
            case Reject() | Prove():
                self._reject(now)
            case Pass() | Allow():
                if not self._answered(now) and self._enter(now):
                    self._forward(now)
            case Tarpit():
                if self._codec.detain(action, ticket.request.client, ticket.reference, languages_of(ticket.request)):
                    self._status = 200
                    self._finish(now, "")
                else:
                    self._services.events.bound_exceeded("tarpit")
                    self._reject(now)
            case Drop():
                self._finish(now, "")
                self._codec.cut(flush=False)
            case Delay():
                if self._enter(now):
                    self._delay(action.seconds, now)
            case Maze():
                if self._enter(now):
                    self._delay(action.wait_seconds, now)
            case Mask() | Uniform():
                if self._enter(now):
                    self._alter(action, now)
            case _:
                assert_never(action)

    def expired(self, now: float) -> None:
        """The deadline has passed."""
        self.deadline = inf
        bounds = self._services.events.bound_exceeded
        match self.phase:
            case Phase.DELAYED:
                if not self._answered(now):
                    self._services.under_way.resume(self.request.client)
                    self._forward(now)
            case Phase.FORWARDING if self._responded:
                bounds("upstream_gap_seconds")
                self.fail(504, "upstream-timeout", now)
            case Phase.FORWARDING if self.upstream.is_whole:
                bounds("upstream_first_byte_seconds")
                self.fail(504, "upstream-timeout", now)
            case Phase.FORWARDING | Phase.HOLDING:
                self._check_body(now)
            case Phase.RELAYING:
                bounds("upgrade_idle_seconds")
                self._cut(now, "")
            case Phase.ALTERING:
                bounds("masking")
                self.fail(503, "mask-busy", now)

    def writable(self, now: float) -> None:
        """The client takes bytes again: the upstream could not send meanwhile, so its deadline begins anew."""
        self.pump(now)
        if self.phase is Phase.FORWARDING and self._responded:
            self.deadline = now + self._services.bounds.upstream_gap_seconds
        elif self.phase is Phase.RELAYING:
            self.deadline = now + self._services.bounds.upgrade_idle_seconds

    # -- from the upstream -----------------------------------------------------------------------------------------------

    def lease(self, now: float) -> None:
        """Take an idle connection and send the request on it, or ask for a new one. Does nothing if it is too late for either."""
        if self.phase is not Phase.READY or self._is_incomplete(now):
            return
        upstreams = self._link.upstreams
        server = None if upstreams is None else upstreams.take(self._route.group, is_repeatable=self.upstream.is_repeatable)
        if server is None:
            self._connect(fresh=not self.upstream.is_repeatable)
        else:
            self._send_request(server, now)

    def leased(self, server: UpstreamServer | None, fault: str, now: float) -> None:
        """Handle the answer to Lease: a connection, or None with a fault token."""
        if self.phase is not Phase.LEASING:
            if server is not None:
                self._outbox.commands.append(EndLease(server, reusable=True))
        elif server is None:
            self.fail(503, fault, now)
        else:
            self._send_request(server, now)

    def _send_request(self, server: UpstreamServer, now: float) -> None:
        self.phase = Phase.FORWARDING
        server.exchange = self
        services = self._services
        upstream = self.upstream
        upstream.server = server
        head = services.upstream_head(self._head, self.request, self._route, self._link, self._forwarding)
        if not head:
            services.events.bound_exceeded("loop")
            self.fail(508, "loop", now)
            return
        upstream.begin(server, head, now)
        if not self._buffering.response_bytes:
            self._share_pace(server)
        self._await_body(now)

    def received(self, data: bytes, now: float) -> None:
        """Bytes of the response."""
        server = self.upstream.server
        if server is None:
            return
        if self.phase is Phase.RELAYING:
            self.bytes_sent += len(data)
            self.deadline = now + self._services.bounds.upgrade_idle_seconds
            self._codec.send_raw(data)
            return
        try:
            events = server.parser.feed(data)
        except BadResponse as bad:
            for event in bad.events:
                self._pass_on(event, now)
            if self.phase is Phase.OVER:
                return
            if bad.reset is not None and self._responded:
                self._cut(now, "upstream-reset", bad.reset)
            else:
                self.fail(502, "upstream-response", now)
            return
        for event in events:
            self._pass_on(event, now)

    def upstream_closed(self, now: float) -> None:
        """The upstream closed the connection."""
        upstream = self.upstream
        server = upstream.server
        if server is None:
            return
        if self.phase is Phase.RELAYING:
            self._cut(now, "")
            return
        if upstream.repeat():
            self._connect(fresh=True)
            return
        try:
            events = server.parser.eof()
        except BadResponse as bad:
            self.fail(502, "upstream-response" if bad.reason != "no-response" else "upstream-closed", now)
            return
        for event in events:
            self._pass_on(event, now)

    def relay(self, data: bytes, now: float) -> None:
        """Bytes of the upgraded protocol from the client."""
        if self.upstream.server is not None:
            self._bytes_received += len(data)
            self.deadline = now + self._services.bounds.upgrade_idle_seconds
            self.upstream.relay(data)

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _pass_on(self, event: ResponseEvent, now: float) -> None:
        if self.phase is Phase.OVER:
            return
        if self._altered is not None and self._collect(event, now):
            return
        codec = self._codec
        if isinstance(event, ResponseHead):
            if self._forwarding is not None:
                event = dressed(event, self._forwarding)
            if event.status >= 200:
                self._response = event
                self.upstream.answered(event.status, now)
                self._status = event.status
                self._responded = True
                self.deadline = now + self._services.bounds.upstream_gap_seconds
                codec.send_head(event if event.is_dated else dated(event, self._services.date()))
            elif event.status == 101:
                self._switch(event, now)
            elif event.status != CONTINUE.status:
                codec.send_interim(event)
            elif self._consent is not Consent.GIVEN:
                self._consented(event, now)
        elif isinstance(event, Body):
            self.deadline = now + self._services.bounds.upstream_gap_seconds
            if self._spool is None and not codec.is_behind:
                self.bytes_sent += len(event.data)
                codec.send_body(event.data)
            else:
                self._hold_back(event.data)
        else:
            self.upstream.until = now
            trailers = without(event.trailers, self._hidden)
            if self._spool is None:
                self.complete(trailers, now)
            else:
                self._complete_later(self._spool, trailers)

    def _switch(self, head: ResponseHead, now: float) -> None:
        server = self.upstream.server
        assert server is not None  # noqa: S101 - its parser made the event
        self._status = 101
        self._responded = True
        self.phase = Phase.RELAYING
        self.deadline = now + self._services.bounds.upgrade_idle_seconds
        self._share_pace(server)
        early = self._codec.send_switch(head)
        rest = server.parser.rest()
        if rest:
            self.bytes_sent += len(rest)
            self._codec.send_raw(rest)
        if early:
            self.relay(early, now)

    def complete(self, trailers: Headers, now: float) -> None:
        self._finish(now, "")
        self._codec.send_end(trailers)

    def _connect(self, *, fresh: bool) -> None:
        self.phase = Phase.LEASING
        self.deadline = inf
        self._outbox.commands.append(Lease(self, self._route.group, fresh=fresh))

    def _answered(self, now: float) -> bool:
        """Give the answer of our own that stands in place of the site's, if there is one."""
        answer = None if self._forwarding is None else self._forwarding.answer
        if answer is not None:
            self._answer(answer, now, "")
        return answer is not None

    def _delay(self, seconds: float, now: float) -> None:
        if self._services.under_way.delay(self.request.client):
            self.phase = Phase.DELAYED
            self.deadline = now + seconds
        else:
            self._refuse("delay", now)

    def _enter(self, now: float) -> bool:
        """Count the request in; it is refused if that would exceed a bound."""
        bound = self._services.under_way.enter(self.request.client, self._route.group.slots.per_network)
        if bound:
            self._refuse(bound, now)
        self._counted = not bound
        return self._counted

    def _refuse(self, bound: str, now: float) -> None:
        self._services.events.bound_exceeded(bound)
        self._codec.close_after()
        self.fail(503 if bound == TOO_MANY else 429, bound.replace("_", "-"), now)

    def _reject(self, now: float) -> None:
        assert self._ticket is not None  # noqa: S101 - only called for a decision
        self._answer(refusal(self._services.pages, self._ticket), now, "")

    def _answer(self, answer: Answer, now: float, fault: str) -> None:
        self._status = answer.status
        self.bytes_sent = 0 if self._head.method == b"HEAD" else len(answer.body)
        self._finish(now, fault, reusable=False)
        self._codec.send_answer(answer)

    def _cut(self, now: float, fault: str, reset: int | None = None) -> None:
        """End a response that has begun, or what is relayed."""
        self._blame(fault)
        self._finish(now, fault, reusable=False)
        self._codec.cut(flush=True, reset=reset)

    def _blame(self, fault: str) -> None:
        """Take note of which upstream a fault is about, while it is known."""
        if fault.startswith("upstream"):
            server = self.upstream.server
            self._blamed = named(self._route.site.upstreams) if server is None else server.connection.target.name

    def _finish(self, now: float, fault: str, *, reusable: bool = True) -> None:
        """Release everything, and settle. What is still to be sent to the client is the caller's to send."""
        phase, self.phase = self.phase, Phase.OVER
        self.deadline = inf
        upstream = self.upstream
        if upstream.server is not None:
            upstream.release(reusable=reusable, flush=phase is Phase.RELAYING)
        elif phase is Phase.LEASING:
            self._outbox.commands.append(GiveUp(self))
        elif phase is Phase.DELAYED:
            self._services.under_way.resume(self.request.client)
        if self._counted:
            self._counted = False
            self._services.under_way.leave(self.request.client, self._route.group.slots.per_network)
        self._release_bodies()
        if self._ticket is not None:
            self._settle(now, fault)

    def _settle(self, now: float, fault: str) -> None:
        ticket = self._ticket
        assert ticket is not None  # noqa: S101 - the callers look
        upstream = self.upstream
        upstream_seconds = headed = None
        since = upstream.since
        if since is not None:
            upstream_seconds = (upstream.until or now) - since
            if upstream.asked is not None and (upstream.headed is not None or fault in _GIVEN_UP):
                headed = max(0.0, (upstream.headed or now) - upstream.asked)
        status, took = self._status or (CLIENT_GONE if fault == "client-gone" else 0), now - self._started
        sent, received, blamed = self.bytes_sent, self._bytes_received, self._blamed
        served = Served(status, sent, received, upstream_seconds, took, fault, headed, blamed)
        self._services.checker.settle(ticket, served)
