"""The bodies of an exchange that wait: of the request for an upstream to be worth asking for, of the response for the client.

A slow client must not hold one of the site's workers. So a small request body is held until it is whole, a longer one has to
come at a least rate, and of a response the upstream is read at its own pace while the client takes it at another. What the client
could take now is never delayed. Decisions, answers and ends are the exchange's.
"""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import Final

from proxyguard.adapters.mitmproxy.buffering.request_body import RequestBody
from proxyguard.adapters.mitmproxy.buffering.response_spool import ResponseSpool, is_streamed
from proxyguard.adapters.mitmproxy.codec import Codec
from proxyguard.adapters.mitmproxy.forwarded_fields import first_value
from proxyguard.adapters.mitmproxy.masking_process import MaskResult
from proxyguard.adapters.mitmproxy.messages import HoldUpstream, Outbox
from proxyguard.adapters.mitmproxy.phase import Phase
from proxyguard.adapters.mitmproxy.services import ClientState, FrontServices, Route
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamServer
from proxyguard.adapters.mitmproxy.upstream_request import UpstreamRequest
from proxyguard.core.decision import Mask, Uniform
from proxyguard.core.request import Headers, Request
from proxyguard.core.settings import Buffering
from proxyguard.guard.interfaces import Forwarding, Ticket
from proxyguard.http.http1.heads import BodyKind, RequestHead, ResponseHead

CONSENT_SECONDS: Final = 0.3
"""How long an upstream may take to consent to a body that its client holds back (`Expect: 100-continue`); then we do. curl waits
for a second, others for ever."""

GRPC: Final = b"application/grpc"
"""How content types of gRPC begin: client and site take turns, so a site that speaks HTTP/2 gets each message as it comes."""

CONTINUE: Final = ResponseHead(100, b"Continue", (), b"1.1", BodyKind.NONE, None, True, ())  # noqa: FBT003 - a head's fields


class Consent(Enum):
    """What has become of `Expect: 100-continue`."""

    NONE = 1
    """Nothing was expected, or the upstream has consented."""
    AWAITED = 2
    GIVEN = 3
    """By us, so the upstream's is not passed on any more."""


class Altered:
    """What has come of one answer. `body` is held only to be masked."""

    __slots__ = ("action", "body", "head", "until")

    def __init__(self, action: Mask | Uniform) -> None:
        self.action = action
        self.head: ResponseHead | None = None
        self.body = bytearray()
        self.until = inf


class WaitingBodies:
    """What an Exchange is made of, and its bodies. `bytes_sent` are those of the response's body that went to the client."""

    __slots__ = (
        "_altered", "_blamed", "_body", "_bytes_received", "_codec", "_consent", "_counted", "_forwarding", "_head", "_hidden",
        "_link", "_outbox", "_responded", "_response", "_route", "_services", "_spool", "_started", "_status", "_ticket",
        "bytes_sent", "deadline", "phase", "request", "upstream",
    )  # fmt: skip

    def __init__(
        self,
        services: FrontServices,
        link: ClientState,
        outbox: Outbox,
        codec: Codec,
        head: RequestHead,
        request: Request,
        route: Route,
        now: float,
        *,
        whole: bool,
    ) -> None:
        self._services = services
        self._link = link
        self._outbox = outbox
        self._codec = codec
        self._head = head
        self.request = request
        self._route = route
        self._started = now
        self._ticket: Ticket | None = None
        self._forwarding: Forwarding | None = None
        self._hidden, self._counted, self._blamed = b"", False, ""
        self._status = 0
        self._altered: Altered | None = None
        self._bytes_received = 0
        self.bytes_sent = 0
        self._responded = False
        self._response: ResponseHead | None = None
        self._body: RequestBody | None = None
        self._spool: ResponseSpool | None = None
        self._consent = Consent.NONE
        self.phase = Phase.CHECKING
        self.deadline = inf
        self.upstream = UpstreamRequest(outbox, head, whole=whole)

    # -- what the exchange does ------------------------------------------------------------------------------------------

    def fail(self, status: int, fault: str, now: float) -> None:
        """Answer with an error page, or cut a response that has begun."""
        raise NotImplementedError

    def lease(self, now: float) -> None:
        """Take an idle connection and send the request on it, or ask for a new one. Does nothing if it is too late for either."""
        raise NotImplementedError

    def leased(self, server: UpstreamServer | None, fault: str, now: float) -> None:
        """Handle the answer to Lease: a connection, or None with a fault token."""
        raise NotImplementedError

    def decided(self, ticket: Ticket, now: float) -> None:
        """Act on a decision."""
        raise NotImplementedError

    def answer_ready(self, result: MaskResult | None, now: float) -> None:
        """Send the answer that was waited for; of one that was masked what is left, or a refusal."""
        raise NotImplementedError

    def complete(self, trailers: Headers, now: float) -> None:
        """End the response: the client has got all of it but that."""
        raise NotImplementedError

    # -- the request's body ----------------------------------------------------------------------------------------------

    def body(self, data: bytes, now: float) -> None:
        """More of the request's body. Call only while `takes_body`."""
        self._bytes_received += len(data)
        phase = self.phase
        if phase is Phase.SENDING:
            return
        pace = self._body
        if pace is not None:
            pace.arrived(len(data), now)
            if phase is Phase.HOLDING and not pace.hold(len(data)):
                self._services.events.bound_exceeded("buffering_memory")
                self.fail(503, "body-memory", now)
                return
        self.upstream.body(data)
        if phase is Phase.HOLDING and pace is not None:
            if pace.goes_on(now):
                self._ready()
            else:
                self.deadline = pace.due
        elif phase is Phase.FORWARDING and not self._responded:
            self._consent = Consent.NONE
            self.deadline = inf if pace is None else pace.due

    def _end_body(self, trailers: Headers, now: float) -> None:
        self.upstream.end(trailers, now)
        if self.phase is Phase.HOLDING:
            self._ready()
        elif self.phase is Phase.FORWARDING and not self._responded:
            self.deadline = now + self._services.bounds.upstream_first_byte_seconds

    @property
    def takes_body(self) -> bool:
        """Whether the client should go on sending its body; while we wait for something, one read of it is held."""
        return not self.upstream.held or self.moves_body

    @property
    def moves_body(self) -> bool:
        """Whether what is taken of the body is on its way: to the upstream, into what is held for it, or to nowhere."""
        phase = self.phase
        return phase is Phase.FORWARDING or phase is Phase.HOLDING or phase is Phase.SENDING

    @property
    def has_backlog(self) -> bool:
        """Whether some of the response waits for the client to take it."""
        return self._spool is not None

    def _ready(self) -> None:
        """Ask for an upstream once the event at hand has been handled."""
        self.phase = Phase.READY
        self.deadline = inf
        self._outbox.ready.append(self)

    def _forward(self, now: float) -> None:
        if self.upstream.is_whole:
            self._ready()
        else:
            self._hold_body(now)

    def _hold_body(self, now: float) -> None:
        """Wait for the request's body before an upstream is asked for, unless the site is to get it as it comes."""
        services = self._services
        buffering = self._buffering
        is_talk = self._route.is_http2 and first_value(self._head.headers, b"content-type").lower().startswith(GRPC)
        most = 0 if is_talk or buffering.excepts(self.request.path) else buffering.request_bytes
        most = max(most, self._least_held)
        pace = self._body = RequestBody(services.bounds, services.buffers.memory, self._network, most, now, is_talk=is_talk)
        if not most:
            self._ready()
            return
        self.phase = Phase.HOLDING
        self.deadline = pace.due
        if self._head.expect_continue:
            self._head = self._head.without_expectation()
            if not self._bytes_received:
                self._codec.send_interim(CONTINUE)
        held = len(self.upstream.held)
        if not pace.hold(held):
            services.events.bound_exceeded("buffering_memory")
            self.fail(503, "body-memory", now)
            return
        pace.arrived(held, now)
        if pace.goes_on(now):
            self._ready()

    def _await_body(self, now: float) -> None:
        """The upstream has what came of the request; set the time for what comes next."""
        pace = self._body
        if pace is not None:
            pace.let_go()
            pace.restart(now)
        if pace is None or self.upstream.is_whole:
            self.deadline = now + self._services.bounds.upstream_first_byte_seconds
        elif self._head.expect_continue and not self._bytes_received:
            self._consent = Consent.AWAITED
            self.deadline = now + CONSENT_SECONDS
        else:
            self.deadline = pace.due

    def _check_body(self, now: float) -> None:
        """The time is over within which some of the body should have come."""
        pace = self._body
        assert pace is not None  # noqa: S101 - made when a request is let pass whose body is to come
        if self._consent is Consent.AWAITED:
            self._consented(CONTINUE, now)
            self._consent = Consent.GIVEN
            return
        bounds = self._services.bounds
        upstream = self.upstream
        rate = bounds.request_rate if self.phase is Phase.HOLDING else 0 if upstream.is_blocked else bounds.upload_rate
        fault = pace.check(rate, now, excused=now if self._codec.is_starved else upstream.resumed)
        if not fault:
            self.deadline = pace.due
        elif upstream.is_blocked:
            self._services.events.bound_exceeded("upstream_first_byte_seconds")
            self.fail(504, "upstream-timeout", now)
        else:
            self._services.events.bound_exceeded(fault)
            self.fail(408, "client-timeout", now)

    def _consented(self, head: ResponseHead, now: float) -> None:
        """Pass on an interim response: the client may begin with its body."""
        self._codec.send_interim(head)
        self._consent = Consent.NONE
        if self._body is not None and not self.upstream.is_whole:
            self._body.restart(now)
            self.deadline = self._body.due

    @property
    def _least_held(self) -> int:
        """How much of a request's body is held whatever the settings say."""
        return 0

    @property
    def _buffering(self) -> Buffering:
        return self._route.site.buffering or self._services.settings.buffering

    @property
    def _network(self) -> str:
        return self.request.client.network_key(self._services.settings.counting.prefixes)

    # -- the response's body ---------------------------------------------------------------------------------------------

    def pump(self, now: float) -> None:
        """Send the client a piece of what waits for it, if it takes any."""
        spool = self._spool
        codec = self._codec
        if spool is None or codec.is_behind:
            return
        try:
            piece = spool.take()
        except OSError as error:
            self._services.events.internal_error("spool", error)
            self.fail(502, "internal", now)
            return
        self.bytes_sent += len(piece)
        codec.send_body(piece)
        server = self.upstream.server
        if spool.is_held and not spool.is_full and server is not None:
            spool.is_held = False
            self.deadline = now + self._services.bounds.upstream_gap_seconds
            self._outbox.commands.append(HoldUpstream(server, held=False))
        if spool.is_empty:
            self._spool = None
            if spool.trailers is not None:
                self.complete(spool.trailers, now)

    def _complete_later(self, spool: ResponseSpool, trailers: Headers) -> None:
        """The response is whole and the upstream free, but the client has not taken all of it."""
        spool.trailers = trailers
        self.upstream.release(reusable=True, flush=False)
        self.phase = Phase.SENDING
        self.deadline = inf

    def _hold_back(self, data: bytes) -> None:
        """Keep some of the response until the client takes it, or have the upstream wait."""
        server = self.upstream.server
        spool = self._spool
        assert server is not None  # noqa: S101 - its parser made the event
        if spool is None:
            buffering = self._buffering
            if is_streamed(buffering, self.request, self._response):
                self._share_pace(server)
                self.bytes_sent += len(data)
                self._codec.send_body(data)
                return
            spool = self._spool = ResponseSpool(self._services.buffers, buffering, self._network)
        spool.add(data)
        if spool.is_full and not spool.is_held:
            spool.is_held = True
            self.deadline = inf  # it is we who keep the upstream waiting; the client's pace is watched elsewhere
            self._outbox.commands.append(HoldUpstream(server, held=True))

    def _share_pace(self, server: UpstreamServer) -> None:
        """Have the upstream read no faster than the client takes."""
        if server.has_own_pace:
            server.has_own_pace = False
            if self._link.stalled:
                self._outbox.commands.append(HoldUpstream(server, held=True))

    def _forget_altered(self) -> None:
        altered, self._altered = self._altered, None
        if altered is not None:
            self._services.buffers.memory.give(self._network, len(altered.body))

    def _release_bodies(self) -> None:
        """Nothing that is held is wanted any more."""
        self._forget_altered()
        self.upstream.held = b""
        if self._body is not None:
            self._body.let_go()
        if self._spool is not None:
            self._spool.close()
            self._spool = None
