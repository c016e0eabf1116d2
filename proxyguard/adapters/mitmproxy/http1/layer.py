"""HTTP/1 on one client connection: a mitmproxy layer that runs an Exchange for each request, in order.

A pure state machine: events in, commands out, the clock injected. What comes in waits in a Pipeline, what goes out is written by
an Http1Codec; this module sequences events, requests, deadlines and shutdown.
"""

from __future__ import annotations

from math import inf

from proxyguard.adapters.mitmproxy.bad_requests import HEAD_TIMEOUT, HOST_UNKNOWN, PLAIN_HTTP, count_fault, error_answer
from proxyguard.adapters.mitmproxy.exchange import Exchange
from proxyguard.adapters.mitmproxy.http1.codec import ExchangeEnd, Http1Codec
from proxyguard.adapters.mitmproxy.http1.connection_state import REQUESTS_AT_ONCE, State
from proxyguard.adapters.mitmproxy.http1.pipeline import SKIPPED_BODY_BYTES, Pipeline
from proxyguard.adapters.mitmproxy.messages import (
    Arrived,
    Awaited,
    Drain,
    Expired,
    Heard,
    HoldReading,
    Order,
    Outbox,
    TurnEnds,
    Writable,
)
from proxyguard.adapters.mitmproxy.phase import Phase
from proxyguard.adapters.mitmproxy.private import (
    CloseTcpConnection,
    ConnectionClosed,
    ConnectionState,
    Context,
    DataReceived,
    Event,
    Layer,
    Start,
)
from proxyguard.adapters.mitmproxy.reading import LINGER_BYTES, LINGER_SECONDS
from proxyguard.adapters.mitmproxy.routing import open_exchange
from proxyguard.adapters.mitmproxy.services import ClientState, FrontServices
from proxyguard.core.request import Request
from proxyguard.http.http1.faults import BadRequest
from proxyguard.http.http1.heads import Body, End, RequestHead


class Http1Layer(Layer):
    """Serves one HTTP/1 client connection. `misdirected` answers everything with 400: plain HTTP on a port that speaks TLS."""

    def __init__(self, context: Context, services: FrontServices, link: ClientState, *, misdirected: bool = False) -> None:
        super().__init__(context)
        self._pipeline = pipeline = Pipeline(services.bounds)
        self._outbox = outbox = Outbox()
        self._codec = Http1Codec(services, link, context.client, pipeline, outbox)
        self._services = services
        self._link = link
        self._client = context.client
        self._misdirected = misdirected
        self._now = 0.0
        self._wait_until = inf
        self._head_begins = False
        self._state = State.OPEN
        self._exchange: Exchange | None = None
        self._thrown_away = 0
        self._requests = 0
        self._begun = 0
        self._before: Request | None = None
        self._reading_held = False
        self._turn_awaited = False
        self._left_at = inf
        self._bytes_then = 0

    # -- events ----------------------------------------------------------------------------------------------------------

    def handle_event(self, event: Heard) -> list[Order]:  # type: ignore[override]  # a list is one kind of iterable
        """React to one event. The commands are to be carried out in order, before the next event. Never raises."""
        self._now = self._services.clock()
        self._begun = 0
        try:
            self._react(event)
            self._proceed()
            while self._outbox.ready:
                self._lease()
        except Exception as error:  # noqa: BLE001 - the one place where a fault of ours ends a request
            self._broken(error)
        return self._flush()

    def _lease(self) -> None:
        """Find a connection for the request at hand, and pass on what waited for it."""
        self._outbox.ready.clear()
        exchange = self._exchange
        if exchange is not None:
            exchange.lease(self._now)
            if self._codec.ending is not None or not self._pipeline.is_whole:
                self._proceed()

    def _react(self, event: Heard) -> None:
        now = self._now
        if isinstance(event, Arrived):
            server = event.server
            if server is None:
                self._client_data(event.data)
            else:
                exchange = self._exchange
                if exchange is not None and exchange.upstream.server is server:
                    exchange.received(event.data, now)
            return
        match event:
            case DataReceived():  # the first of a connection
                self._client_data(event.data)
            case Awaited():
                event.hand_over(now)
            case ConnectionClosed():
                self._closed(event)
            case Expired():
                self._expired()
            case Writable():
                if self._exchange is not None:
                    self._exchange.writable(now)
                elif self._reading_held:
                    self._wait(self._services.bounds.head_seconds)
            case TurnEnds():
                self._turn_awaited = False
                if self._exchange is not None:
                    self._exchange.pump(now)
            case Drain():
                self._drain()
            case Start():
                self._wait(self._services.bounds.head_seconds)

    def _handle_event(self, event: Event) -> list[Order]:  # type: ignore[override]  # what mitmproxy calls while it replays
        return self.handle_event(event)

    def _client_data(self, data: bytes) -> None:
        match self._state:
            case State.OPEN | State.SKIPPING:
                begins = self._pipeline.add(data)
                if begins and self._exchange is None:
                    self._head_begins = True
                elif self._state is State.SKIPPING:
                    self._wait_until = self._now + self._services.bounds.body_gap_seconds
            case State.RELAYING:
                if self._exchange is not None:
                    self._exchange.relay(data, self._now)
            case State.LINGERING:
                self._thrown_away += len(data)
                if self._thrown_away > LINGER_BYTES:
                    self._close()

    def _closed(self, event: ConnectionClosed) -> None:
        exchange = self._exchange
        if event.connection is not self._client:
            if exchange is not None and exchange.upstream.server is event.connection:
                exchange.upstream_closed(self._now)
            return
        self._pipeline.is_ended = True
        gone = not self._client.state & ConnectionState.CAN_WRITE
        if gone or self._state is State.RELAYING or self._state is State.LINGERING:
            self._leave()
        else:
            self._doubt()

    def _doubt(self) -> None:
        """The client will send no more: unless it gets something of a response soon, it is taken to have left altogether."""
        if self._exchange is not None:
            self._left_at = self._now + self._services.bounds.half_close_seconds
            self._bytes_then = self._exchange.bytes_sent

    def _expired(self) -> None:
        bounds = self._services.events.bound_exceeded
        exchange = self._exchange
        if exchange is not None:
            if self._left_at <= self._now:
                if exchange.bytes_sent == self._bytes_then and exchange.phase is not Phase.SENDING:
                    bounds("half_close_seconds")
                    self._leave()
                    return
                self._doubt()
            if exchange.deadline <= self._now:
                last = self._codec.last
                if not self._pipeline.is_whole:
                    self._codec.last = True  # whatever still comes of this body is not waited for
                exchange.expired(self._now)
                if exchange.phase is not Phase.OVER:
                    self._codec.last = last
        elif self._state is State.OPEN and not self._pipeline.is_idle:
            bounds("head_seconds")
            self._codec.keep_alive = False
            self._codec.send_answer(error_answer(self._services, self._link, 408, HEAD_TIMEOUT))
        else:
            if self._state is State.OPEN:
                bounds("idle_seconds" if self._requests else "head_seconds")
            elif self._state is State.SKIPPING:
                bounds("body_gap_seconds")
            self._close()

    def _broken(self, error: Exception) -> None:
        """Count the fault; answer 500 if nothing was answered yet, else cut."""
        self._services.events.internal_error("lane", error)
        codec = self._codec
        exchange = self._exchange
        codec.last = True
        self._outbox.ready.clear()
        if self._state is State.OPEN and exchange is not None and codec.ending is None:
            exchange.fail(500, "internal", self._now)
        elif self._state is not State.CLOSED:
            codec.cut(flush=False)
        self._conclude()

    def _drain(self) -> None:
        self._codec.last = True
        if self._exchange is None and self._state is State.OPEN and self._pipeline.is_idle:
            self._close()

    # -- reading requests ------------------------------------------------------------------------------------------------

    def _proceed(self) -> None:
        """Act on what the client sent, as far as the exchange at hand takes it."""
        codec = self._codec
        pipeline = self._pipeline
        while True:
            if codec.ending is not None:
                self._conclude()
            if self._state is not State.OPEN and self._state is not State.SKIPPING:
                return
            exchange = self._exchange
            if exchange is not None and pipeline.is_whole:
                return
            if exchange is None and self._is_ahead and not pipeline.is_empty:
                return
            event = pipeline.take(exchange)
            if event is not None:
                if isinstance(event, RequestHead):
                    self._begin(event)
                elif isinstance(event, BadRequest):
                    self._refuse(event)
                else:
                    self._act(event)
            elif exchange is not None and not pipeline.is_empty:
                return
            elif pipeline.is_ended:
                self._leave()
            else:
                if self._head_begins:
                    self._head_begins = False
                    self._wait(self._services.bounds.head_seconds)
                return

    @property
    def _is_ahead(self) -> bool:
        """Whether the next request has to wait: the client takes no answers, or others are to have their turn."""
        return self._link.stalled or self._begun >= REQUESTS_AT_ONCE

    def _refuse(self, fault: BadRequest) -> None:
        """Answer bytes that are no request, or no body of the one at hand."""
        count_fault(self._services.events, fault.reason)
        codec = self._codec
        codec.keep_alive = False
        if self._exchange is not None:
            self._exchange.fail(fault.status, fault.reason, self._now)
        elif self._state is State.SKIPPING:
            self._close()
        else:
            codec.send_answer(error_answer(self._services, self._link, fault.status, fault.reason))

    def _act(self, event: Body | End) -> None:
        exchange = self._exchange
        if isinstance(event, Body):
            if exchange is not None:
                exchange.body(event.data, self._now)
            else:
                self._throw_away(len(event.data))
        elif exchange is not None:
            exchange.end(event.trailers, self._now)
        else:
            self._next()

    def _throw_away(self, size: int) -> None:
        self._thrown_away += size
        if self._thrown_away > SKIPPED_BODY_BYTES:
            self._close()

    def _begin(self, head: RequestHead) -> None:
        services = self._services
        codec = self._codec
        self._head_begins = False
        self._thrown_away = 0
        self._requests += 1
        self._begun += 1
        if self._requests >= services.requests_per_connection:
            codec.last = True
        codec.keep_alive = head.keep_alive
        if self._misdirected:
            services.events.bad_request(PLAIN_HTTP)
            codec.send_answer(error_answer(services, self._link, 400, PLAIN_HTTP, head))
            return
        now, before, whole = self._now, self._before, self._pipeline.is_whole
        exchange = open_exchange(services, self._link, self._outbox, codec, head, head.version, before, now, whole=whole)
        if exchange is None:
            codec.send_answer(error_answer(services, self._link, 421, HOST_UNKNOWN, head))
            return
        self._exchange = exchange
        self._before = exchange.request
        if self._pipeline.is_ended:
            self._doubt()
        exchange.begin(now)

    def _conclude(self) -> None:
        """Act on how the exchange ended: go on to the next request, change the protocol, or end the connection."""
        codec = self._codec
        ending, codec.ending = codec.ending, None
        if ending is ExchangeEnd.ANSWERED:
            self._exchange = None
            self._left_at = inf
            pipeline = self._pipeline
            if codec.keep_alive:
                pipeline.close_head()
                if pipeline.is_whole:
                    self._next()
                else:
                    self._state = State.SKIPPING
                    self._wait_until = self._now + self._services.bounds.body_gap_seconds
            elif pipeline.is_done or pipeline.is_ended:
                self._close()
            else:
                self._linger()
        elif ending is ExchangeEnd.SWITCHED:
            self._state = State.RELAYING
        elif ending is ExchangeEnd.GONE:
            self._end()

    def _next(self) -> None:
        """The connection is free for another request."""
        self._state = State.OPEN
        if self._codec.last and self._pipeline.is_idle and self._pipeline.is_empty:
            self._close()
            return
        services = self._services
        self._wait(services.idle_seconds if self._pipeline.is_idle else services.bounds.head_seconds)

    def _wait(self, seconds: float) -> None:
        """Give the client so long to send something; less when room for others gets scarce."""
        self._wait_until = self._now + seconds * self._services.admission.patience

    # -- ends ------------------------------------------------------------------------------------------------------------

    def _linger(self) -> None:
        codec = self._codec
        codec.flush()
        self._outbox.commands.append(CloseTcpConnection(self._client, half_close=True))
        self._state = State.LINGERING
        self._wait_until = self._now + LINGER_SECONDS
        self._thrown_away = 0
        self._pipeline.forget()

    def _leave(self) -> None:
        """The client has gone, or half-closed where nothing is left to be sent."""
        exchange = self._exchange
        if exchange is not None:
            exchange.on_client_left(self._now)
        self._close()

    def _close(self) -> None:
        if self._state is not State.CLOSED:
            self._codec.close()
            self._conclude()

    def _end(self) -> None:
        self._state = State.CLOSED
        self._exchange = None
        self._wait_until = inf
        self._pipeline.forget()

    def _flush(self) -> list[Order]:
        self._codec.flush()
        exchange = self._exchange
        if self._state is State.RELAYING:
            held = False
        elif exchange is None or self._pipeline.is_whole:
            held = not self._pipeline.is_empty
        else:
            held = not exchange.takes_body
        if held is not self._reading_held:
            self._reading_held = held
            self._outbox.commands.append(HoldReading(held=held))
        if exchange is None:
            self._link.due = self._wait_until
            if held and not self._turn_awaited and not self._link.stalled:
                self._await_turn()
        else:
            self._link.due = min(exchange.deadline, self._left_at)
            if exchange.has_backlog and not self._turn_awaited and not self._link.stalled:
                self._await_turn()
        return self._outbox.take()

    def _await_turn(self) -> None:
        """Go on with what the client has not taken when others have had their turn."""
        if self._link.wake_soon is not None:
            self._turn_awaited = True
            self._link.wake_soon()
