"""HTTP/1 on one client connection: a mitmproxy layer that reads requests and runs an Exchange for each, in order.

A pure state machine: events in, commands out, the clock injected. It holds at most what one read brought: while a request is
being answered no later one is parsed, and the driver is asked to stop reading.
"""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import Final

from proxyguard.adapters.mitmproxy.common import Common, Link
from proxyguard.adapters.mitmproxy.exchange import Exchange, Phase
from proxyguard.adapters.mitmproxy.private import (
    CloseConnection,
    CloseTcpConnection,
    Command,
    ConnectionClosed,
    ConnectionState,
    Context,
    DataReceived,
    Event,
    Layer,
    SendData,
    Start,
)
from proxyguard.adapters.mitmproxy.signals import Abort, Decided, Detain, Drain, Expired, HoldReading, Leased, Writable
from proxyguard.client_address import Address
from proxyguard.decision import Tarpit
from proxyguard.http1 import serialise
from proxyguard.http1.faults import BadRequest
from proxyguard.http1.heads import Body, BodyKind, RequestEvent, RequestHead, ResponseHead
from proxyguard.http1.request_parser import RequestParser
from proxyguard.request import Headers, Request
from proxyguard.responses import TARPIT_HEADERS, Answer, error_page

PARSED_AT_ONCE: Final = 4096
"""Bytes of pipelined requests parsed ahead; the rest of a read waits as bytes. Room for any browser's head."""

LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 256 * 1024
"""After an answer that did not wait for the request's body: how long and how much is still read and thrown away, so that the
client gets to read the answer before a reset (RFC 9112 section 9.6)."""

SKIPPED_BODY_BYTES: Final = 64 * 1024
"""A refused request with a body up to this is read to its end and the connection kept."""


BOUND_OF_FAULT: Final = {
    "target-size": "target_bytes",
    "field-size": "field_bytes",
    "field-count": "header_count",
    "head-size": "head_bytes",
    "trailer-size": "field_bytes",
    "body-size": "body_bytes",
    "upgrade-backlog": "buffer_bytes",
}
"""Which of Bounds a refused request exceeded."""


class State(Enum):
    """What becomes of the client's bytes."""

    OPEN = 1
    SKIPPING = 2
    """Answered; the rest of that request's body is read and thrown away, then the next request may come."""
    LINGERING = 3
    """Answered and half-closed; all that comes is thrown away for a bounded while."""
    RELAYING = 4
    CLOSED = 5


class Http1Lane(Layer):
    """See the module. `misdirected` answers everything with 400: plain HTTP on a port that speaks TLS."""

    def __init__(self, context: Context, common: Common, link: Link, *, misdirected: bool = False) -> None:
        super().__init__(context)
        self.commands: list[Command] = []
        self._common = common
        self._link = link
        self._client = context.client
        self._misdirected = misdirected
        self._now = 0.0
        self._wait_until = inf
        self._parser = RequestParser(common.bounds)
        self._state = State.OPEN
        self._unparsed = b""
        self._backlog: list[RequestEvent] = []
        self._fault: BadRequest | None = None
        self._exchange: Exchange | None = None
        self._head: RequestHead | None = None
        self._whole = True
        self._body_left = 0
        self._thrown_away = 0
        self._requests = 0
        self._before: Request | None = None
        self._last = common.draining
        self._ended = False
        self._keep_alive = True
        self._chunked = False
        self._until_close = False
        self._reading_held = False
        self._to_client: list[bytes] = []

    # -- events ----------------------------------------------------------------------------------------------------------

    def handle_event(self, event: Event) -> list[Command]:  # type: ignore[override]  # a list is one kind of iterable
        """React to one event. The commands are to be carried out in order, before the next event. Never raises."""
        self._now = self._common.clock()
        try:
            self._react(event)
            self._proceed()
        except Exception as error:  # noqa: BLE001 - the one place where a fault of ours ends a request
            self._broken(error)
        return self._flush()

    def _react(self, event: Event) -> None:
        now = self._now
        match event:
            case DataReceived():
                if event.connection is self._client:
                    self._client_data(event.data)
                else:
                    exchange = self._exchange
                    if exchange is not None and exchange.upstream.server is event.connection:
                        exchange.received(event.data, now)
            case Leased():
                event.exchange.leased(event.server, reused=event.reused, fault=event.fault, now=now)
            case Decided():
                event.exchange.decided(event.ticket, now)
            case ConnectionClosed():
                self._closed(event)
            case Expired():
                self._expired()
            case Writable():
                if self._exchange is not None:
                    self._exchange.writable(now)
            case Drain():
                self._drain()
            case Start():
                self._wait(self._common.bounds.head_seconds)
            case _:
                pass

    def _handle_event(self, event: Event) -> list[Command]:  # type: ignore[override]  # what mitmproxy calls while it replays
        return self.handle_event(event)

    def _client_data(self, data: bytes) -> None:
        match self._state:
            case State.OPEN | State.SKIPPING:
                if self._exchange is None and self._parser.idle and not self._unparsed:
                    self._wait(self._common.bounds.head_seconds)
                elif self._state is State.SKIPPING:
                    self._wait_until = self._now + self._common.bounds.body_gap_seconds
                self._unparsed = self._unparsed + data if self._unparsed else data
            case State.RELAYING:
                if self._exchange is not None:
                    self._exchange.relay(data, self._now)
            case State.LINGERING:
                self._thrown_away += len(data)
                if self._thrown_away > LINGER_BYTES:
                    self._close()
            case State.CLOSED:
                pass

    def _closed(self, event: ConnectionClosed) -> None:
        exchange = self._exchange
        if event.connection is not self._client:
            if exchange is not None and exchange.upstream.server is event.connection:
                exchange.upstream_closed(self._now)
            return
        self._ended = True
        gone = not self._client.state & ConnectionState.CAN_WRITE
        if gone or self._state is State.RELAYING or self._state is State.LINGERING:
            self._leave()

    def _expired(self) -> None:
        bounds = self._common.events.bound_exceeded
        exchange = self._exchange
        if exchange is not None:
            if not self._whole and exchange.phase is not Phase.DELAYED:
                self._last = True  # whatever still comes of this body, nobody waits for it
            exchange.expired(self._now)
        elif self._state is State.OPEN and not self._parser.idle:
            bounds("head_seconds")
            self._keep_alive = False
            self._head = None
            self.send_answer(error_page(408, self._common.reference()))
        else:
            if self._state is State.OPEN:
                bounds("idle_seconds" if self._requests else "head_seconds")
            elif self._state is State.SKIPPING:
                bounds("body_gap_seconds")
            self._close()

    def _broken(self, error: Exception) -> None:
        """Count the fault; answer 500 if nothing was answered yet, else cut."""
        self._common.events.internal_error("lane", error)
        exchange = self._exchange
        self._last = True
        self._fault = None
        if self._state is not State.OPEN:
            self.cut(flush=False)
        elif exchange is not None:
            exchange.fail(500, "internal", self._now)
        else:
            self.cut(flush=False)

    def _drain(self) -> None:
        self._last = True
        if self._exchange is None and self._state is State.OPEN and self._parser.idle:
            self._close()

    # -- reading requests ------------------------------------------------------------------------------------------------

    def _proceed(self) -> None:
        """Parse and act for as long as the current exchange lets us."""
        while self._state is State.OPEN or self._state is State.SKIPPING:
            exchange = self._exchange
            if self._backlog:
                event = self._backlog[0]
                if exchange is not None and (
                    isinstance(event, RequestHead) or (isinstance(event, Body) and not exchange.takes_body)
                ):
                    return
                self._act(self._backlog.pop(0))
            elif exchange is not None and self._whole:
                return
            elif self._unparsed:
                self._parse()
            elif self._fault is not None:
                self._refuse(self._fault)
            elif self._ended:
                self._leave()
            else:
                return

    def _parse(self) -> None:
        """Parse a bounded piece of what was read: the rest of a body, or a few heads."""
        data = self._unparsed
        limit = max(PARSED_AT_ONCE, self._body_left)
        if len(data) > limit:
            data, self._unparsed = data[:limit], data[limit:]
        else:
            self._unparsed = b""
        try:
            self._backlog.extend(self._parser.feed(data))
        except BadRequest as fault:
            self._malformed(fault)

    def _malformed(self, fault: BadRequest) -> None:
        """What came before the fault is answered first."""
        self._backlog.extend(fault.events)
        self._fault = fault
        self._unparsed = b""

    def _refuse(self, fault: BadRequest) -> None:
        self._fault = None
        self._common.events.bad_request(fault.reason)
        bound = BOUND_OF_FAULT.get(fault.reason)
        if bound is not None:
            self._common.events.bound_exceeded(bound)
        self._keep_alive = False
        if self._exchange is not None:
            self._exchange.fail(fault.status, "client-malformed", self._now)
        elif self._state is State.SKIPPING:
            self._close()
        else:
            self._head = None
            self.send_answer(error_page(fault.status, self._common.reference()))

    def _act(self, event: RequestEvent) -> None:
        exchange = self._exchange
        if isinstance(event, RequestHead):
            self._begin(event)
        elif isinstance(event, Body):
            size = len(event.data)
            self._body_left = max(0, self._body_left - size)
            if exchange is not None:
                exchange.body(event.data, self._now)
            else:
                self._throw_away(size)
        else:
            self._whole = True
            if exchange is not None:
                exchange.end(event.trailers, self._now)
            else:
                self._next()

    def _throw_away(self, size: int) -> None:
        self._thrown_away += size
        if self._thrown_away > SKIPPED_BODY_BYTES:
            self._close()

    # -- requests --------------------------------------------------------------------------------------------------------

    def _begin(self, head: RequestHead) -> None:
        common = self._common
        self._head = head
        self._body_left = head.content_length or 0
        self._whole = head.body is not BodyKind.CHUNKED and not self._body_left
        if self._whole:
            self._backlog.pop(0)  # the End of a request without a body comes with its head
        self._thrown_away = 0
        self._requests += 1
        if self._requests >= common.bounds.requests_per_connection:
            self._last = True
        self._keep_alive = head.keep_alive
        if self._misdirected:
            self._answer_alone(head, 400, "plain-http")
            return
        route = common.routes.find(head.host)
        if route is None:
            self._answer_alone(head, 421, "host-unknown")
            return
        link = self._link
        client = common.resolver.resolve(link.peer, head.headers)
        scheme = common.resolver.scheme(link.peer, head.headers, link.scheme)
        request = Request(client, head.method, scheme, head.host, head.target, head.headers, head.version)
        if self._before is not None:
            request.take_after(self._before)
        self._before = request
        exchange = self._exchange = Exchange(common, link, self, head, route, self._now, whole=self._whole)
        exchange.begin(request, self._now)

    def _answer_alone(self, head: RequestHead, status: int, reason: str) -> None:
        """Answer a request that no exchange is made for."""
        self._common.events.bad_request(reason)
        accept = next((value for name, value in head.headers if name.lower() == b"accept"), b"")
        self.send_answer(error_page(status, self._common.reference(), accept=accept))

    def _rest_is_short(self) -> bool:
        """Whether what is still to come of the request can be read and thrown away for the connection's sake."""
        head = self._head
        if self._whole or head is None or head.body is BodyKind.NONE:
            return True
        return head.body is BodyKind.LENGTH and not head.expect_continue and self._body_left <= SKIPPED_BODY_BYTES

    def _over(self) -> None:
        """The answer is written: go on to the next request, or end the connection."""
        self._exchange = None
        if not self._keep_alive or not self._rest_is_short():
            unread = self._unparsed or self._backlog or not self._whole or not self._parser.idle
            if unread and not self._ended:
                self._linger()
            else:
                self._close()
            return
        head = self._head
        self._head = None
        bounds = self._common.bounds
        if not self._whole:
            self._state = State.SKIPPING
            self._wait_until = self._now + bounds.body_gap_seconds
            return
        if head is not None and head.upgrade is not None:
            try:
                self._backlog.extend(self._parser.resume())
            except BadRequest as fault:
                self._malformed(fault)
        self._next()

    def _next(self) -> None:
        """The connection is free for another request."""
        bounds = self._common.bounds
        self._state = State.OPEN
        self._wait(bounds.idle_seconds if self._parser.idle and not self._unparsed else bounds.head_seconds)

    def _wait(self, seconds: float) -> None:
        """For the client to say something; not as long when room for others gets scarce."""
        self._wait_until = self._now + seconds * self._common.admission.patience

    # -- ends ------------------------------------------------------------------------------------------------------------

    def _linger(self) -> None:
        self._flush_client()
        self.commands.append(CloseTcpConnection(self._client, half_close=True))
        self._state = State.LINGERING
        self._wait_until = self._now + LINGER_SECONDS
        self._thrown_away = 0
        self._forget_input()

    def _leave(self) -> None:
        """The client has gone, or half-closed where nothing is left to say."""
        exchange = self._exchange
        if exchange is not None:
            exchange.client_gone(self._now)
        self._close()

    def _close(self) -> None:
        if self._state is not State.CLOSED:
            self._flush_client()
            self.commands.append(CloseConnection(self._client))
            self._end()

    def _end(self) -> None:
        self._state = State.CLOSED
        self._exchange = None
        self._wait_until = inf
        self._forget_input()

    def _forget_input(self) -> None:
        self._unparsed = b""
        self._backlog.clear()
        self._fault = None

    # -- what an exchange asks for (see codec.Codec) ------------------------------------------------------------------

    def send_interim(self, head: ResponseHead) -> None:
        if self._version() == b"1.1":
            self._to_client.append(serialise.response_head(head))

    def send_head(self, head: ResponseHead) -> None:
        version = self._version()
        framing = serialise.body_to_client(head, version)
        self._chunked = framing is BodyKind.CHUNKED
        self._until_close = framing is BodyKind.UNTIL_CLOSE
        self._decide_keep_alive()
        if self._until_close:
            self._keep_alive = False
        self._to_client.append(serialise.response_head(head, version=version, keep_alive=self._keep_alive))

    def send_body(self, data: bytes) -> None:
        self._to_client.append(serialise.chunk(data) if self._chunked else data)

    def send_end(self, trailers: Headers) -> None:
        if self._chunked:
            self._to_client.append(serialise.last_chunk(trailers))
        self._over()

    def send_answer(self, answer: Answer) -> None:
        self._decide_keep_alive()
        head = self._head
        fields = (*answer.headers, (b"Date", self._common.date()), (b"Content-Length", b"%d" % len(answer.body)))
        self._to_client.append(
            serialise.own_head(answer.status, fields, version=self._version(), keep_alive=self._keep_alive)
        )
        if head is None or head.method != b"HEAD":
            self._to_client.append(answer.body)
        self._over()

    def send_switch(self, head: ResponseHead) -> bytes:
        self._state = State.RELAYING
        self._to_client.append(serialise.response_head(head))
        early = self._parser.take_rest() + self._unparsed
        self._forget_input()
        return early

    def send_raw(self, data: bytes) -> None:
        self._to_client.append(data)

    def cut(self, *, flush: bool) -> None:
        if flush and not self._until_close:
            self._close()
        elif self._state is not State.CLOSED:
            self._to_client.clear()
            self.commands.append(Abort(self._client))
            self._end()

    def detain(self, tarpit: Tarpit, client: Address) -> bool:
        network = client.network_key(self._common.settings.counting.prefixes)
        head = self._head
        if (head is not None and head.method == b"HEAD") or not self._common.dripper.has_room(network):
            return False
        fields = ((b"Date", self._common.date()), *TARPIT_HEADERS)
        start = serialise.own_head(200, fields, keep_alive=False)
        self._flush_client()
        self.commands.append(Detain(start, tarpit, network))
        self._end()
        return True

    def _version(self) -> bytes:
        return self._head.version if self._head is not None else b"1.1"

    def _decide_keep_alive(self) -> None:
        ended = self._ended and not self._backlog and not self._unparsed
        if self._last or ended or not self._rest_is_short():
            self._keep_alive = False

    # -- leaving the machine ---------------------------------------------------------------------------------------------

    def _flush_client(self) -> None:
        parts = self._to_client
        if parts:
            self.commands.append(SendData(self._client, parts[0] if len(parts) == 1 else b"".join(parts)))
            parts.clear()

    def _flush(self) -> list[Command]:
        self._flush_client()
        exchange = self._exchange
        held = exchange is not None and (
            bool(self._unparsed or self._backlog) if self._whole else not exchange.takes_body
        )
        if self._state is State.RELAYING:
            held = False
        if held is not self._reading_held:
            self._reading_held = held
            self.commands.append(HoldReading(held=held))
        self._link.due = self._wait_until if exchange is None else exchange.deadline
        commands, self.commands = self.commands, []
        return commands
