"""HTTP/2 on one client connection: a mitmproxy layer that reads frames and runs an Exchange for each stream.

A pure state machine like the HTTP/1 layer: events in, commands out, the clock injected, one write for each event. Windows
bound what a stream holds, the setting bounds.buffer_size what all of them hold together, and `http2.budget` both the frames
without content that a client may send and the work done for it before others get their turn.
This module sequences events, turns of the loop, deadlines and shutdown.
"""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import Final

from proxyguard.adapters.mitmproxy.http2.deadlines import Deadlines
from proxyguard.adapters.mitmproxy.http2.pace import Pace
from proxyguard.adapters.mitmproxy.http2.stream import Http2Stream
from proxyguard.adapters.mitmproxy.http2.streams import Http2Streams
from proxyguard.adapters.mitmproxy.messages import (
    Abort,
    Arrived,
    Awaited,
    Drain,
    Expired,
    Heard,
    Order,
    Send,
    TurnEnds,
    UpstreamPace,
    Writable,
)
from proxyguard.adapters.mitmproxy.private import CloseConnection, ConnectionClosed, Context, DataReceived, Event, Layer, Start
from proxyguard.adapters.mitmproxy.services import ClientState, FrontServices
from proxyguard.http.http2 import frames
from proxyguard.http.http2.budget import FRAMES_PER_ANSWER
from proxyguard.http.http2.errors import REASONS, BoundExceeded, ConnectionFault, ErrorCode

GATHERED_BYTES: Final = 32 * 1024
"""Bodies that may wait for the end of a turn of the loop."""


MAX_REFUSED: Final = 32
"""Requests of one connection that are refused because too many are under way. Then GOAWAY: to ask again costs the client a
connection and a handshake, not a frame."""


class TurnState(Enum):
    """When what an event brings is sent."""

    SINGLE = 1
    """At the end of the event."""
    AWAITED = 2
    """With TurnEnds, which is to come: what upstreams send in one turn of the loop goes out together."""
    CLOSED = 3
    """Never: the connection is closed."""


class Http2Layer(Layer):
    """Serves one HTTP/2 client connection."""

    def __init__(self, context: Context, services: FrontServices, link: ClientState) -> None:
        super().__init__(context)
        link.multiplexed = True
        self.streams = streams = Http2Streams(services, link)
        self._connection = streams.connection
        self._outbox = streams.connection.outbox
        self._intake = streams.intake
        self._sender = streams.sender
        self._services = services
        self._bounds = services.bounds
        self._link = link
        self._client = context.client
        self._turn = TurnState.SINGLE
        self._deadlines = Deadlines(streams.connection)
        self._pace = Pace(streams)
        self._idle_since = 0.0

    # -- events ----------------------------------------------------------------------------------------------------------

    def handle_event(self, event: Heard) -> list[Order]:  # type: ignore[override]  # a list is one kind of iterable
        """React to one event. The commands are to be carried out in order, before the next event. Never raises."""
        connection = self._connection
        connection.now = self._services.clock()
        connection.is_busy = True
        try:
            self._react(event)
            if self._outbox.ready:
                self._lease()
            if not self._waits_for_more(event):
                self._finish_turn()
        except (ConnectionFault, BoundExceeded) as fault:
            self._fail(fault)
        except Exception as error:  # noqa: BLE001 - the one place where a fault of ours ends a connection
            self._broken(error)
        connection.is_busy = False
        return self._outbox.take()

    def _handle_event(self, event: Event) -> list[Order]:  # type: ignore[override]  # what mitmproxy calls while it replays
        return self.handle_event(event)

    def _react(self, event: Heard) -> None:
        streams = self.streams
        if isinstance(event, Arrived):
            server = event.server
            if server is None:
                self._client_data(event.data)
                return
            stream = streams.of_server(server)
            if stream is not None and stream.exchange is not None:
                stream.exchange.received(event.data, self._connection.now)
            return
        match event:
            case DataReceived():  # the first of a connection
                self._client_data(event.data)
            case Awaited():
                self._waited_for(event)
            case ConnectionClosed():
                self._connection_closed(event)
            case Expired():
                self._expired()
            case TurnEnds():
                if self._turn is TurnState.AWAITED:
                    self._turn = TurnState.SINGLE
                self._read_on()
            case Writable():
                self._pace.hold_upstreams_again()
                self._read_on()
            case UpstreamPace():
                for stream in tuple(streams.open.values()):
                    stream.pass_on()
            case Drain():
                self._leave()
            case Start():
                self._deadlines.idle = self._deadlines.after(self._bounds.head_seconds)
                self._intake.greet()
                if self._services.draining:
                    self._leave()
            case _:
                pass

    def _client_data(self, data: bytes) -> None:
        if self._turn is TurnState.CLOSED:
            return
        self._intake.feed(data, self._connection.now)
        self._deadlines.time_head(is_idle=not self.streams.open)

    def _read_on(self) -> None:
        """Go on with what the client sent, unless it takes none of what that brings."""
        if self._intake.is_behind and self._turn is not TurnState.CLOSED and not self._pace.is_choked:
            self._intake.go_on(self._connection.now)
            self._deadlines.time_head(is_idle=not self.streams.open)

    def _lease(self) -> None:
        """Find connections for the requests that are to be forwarded."""
        ready = self._outbox.ready
        while ready:
            exchange = ready.pop(0)
            stream = self.streams.of_exchange(exchange)
            exchange.lease(self._connection.now)
            if stream is not None:
                stream.pass_on()

    def _waited_for(self, event: Awaited) -> None:
        """Hand an exchange what it waited for, and then what of its body came meanwhile."""
        stream = self.streams.of_exchange(event.exchange)
        event.hand_over(self._connection.now)
        if stream is not None:
            stream.pass_on()

    def _connection_closed(self, event: ConnectionClosed) -> None:
        if event.connection is self._client:  # half-closed or gone: HTTP/2 knows no difference
            self._close(gone=True)
            return
        stream = self.streams.of_server(event.connection)
        if stream is not None:
            stream.held = False
            if stream.exchange is not None:
                stream.exchange.upstream_closed(self._connection.now)

    # -- the end of a turn -----------------------------------------------------------------------------------------------

    def _waits_for_more(self, event: Heard) -> bool:
        """Whether what an upstream sent may wait for what others send in the same turn of the loop: one TLS record for all."""
        if self._pace.is_due:
            return False
        if self._turn is TurnState.AWAITED:
            return self._sender.queued < GATHERED_BYTES
        if not isinstance(event, Arrived) or event.server is None or len(self.streams.open) < 2:
            return False
        self._await_turn()
        return self._sender.queued < GATHERED_BYTES

    def _await_turn(self) -> None:
        """Have TurnEnds follow, once."""
        wake_soon = self._link.wake_soon
        if wake_soon is not None and self._turn is TurnState.SINGLE:
            self._turn = TurnState.AWAITED
            wake_soon()

    def _finish_turn(self) -> None:
        if self._turn is TurnState.CLOSED:
            return
        streams = self.streams
        self._send()
        if self._connection.refused >= MAX_REFUSED and not self._intake.leaving:
            self._intake.leave()
            self._send()
        if streams.backlog and streams.refill():
            self._send()
            self._await_turn()
        self._pace.check_fill()
        deadlines = self._deadlines
        due = deadlines.streams
        touched = streams.touched
        for stream in touched:
            if stream.number in streams.open:
                self._pace.hold_upstream(stream)
                if stream.exchange is not None and stream.exchange.has_backlog:
                    streams.backlog[stream] = None
                    if not stream.is_behind:
                        self._await_turn()
                due = min(due, stream.deadline)
        touched.clear()
        if streams.open:
            deadlines.streams = due
        else:
            if self._intake.leaving or (self._intake.deserted and not self._intake.is_behind):
                self._close()
                return
            if streams.last_ended != self._idle_since:
                self._idle_since = streams.last_ended
                deadlines.idle = self._deadlines.after(self._bounds.idle_seconds)
            deadlines.streams = inf
        deadlines.time_goaway()
        is_idle = not (streams.open or self._intake.parting or self._intake.is_behind)
        self._link.due = deadlines.next(is_idle=is_idle)
        self._pace.hold_reading()
        tiny, self._sender.tiny_frames = self._sender.tiny_frames, 0
        if tiny:
            self._intake.frames.spend(self._connection.now, tiny)
        if self._intake.is_behind and not self._pace.is_choked:
            self._await_turn()

    def _send(self) -> None:
        sender = self._sender
        sender.pump(self._connection.now)
        if sender.data_frames:
            self._intake.frames.earn(sender.data_frames * FRAMES_PER_ANSWER)
            sender.data_frames = 0
        if sender.finished:
            for number in sender.finished:
                self._finished(number)
            sender.finished.clear()
        parts = sender.parts
        if parts:
            data = b"".join(parts)
            parts.clear()
            if self._link.stalled:
                self._pace.unsent_bytes += len(data)
            self._outbox.commands.append(Send(None, data))

    def _finished(self, number: int) -> None:
        """A stream has been answered to the end. What is still to come of its request is of no use, but not refused at once."""
        stream = self.streams.open.get(number)
        if stream is not None:
            if stream.receiving:
                stream.begin_draining()
                self.streams.touched[stream] = None
            else:
                self.streams.remove(stream)

    # -- time ------------------------------------------------------------------------------------------------------------

    def _expired(self) -> None:
        if self._turn is TurnState.CLOSED:
            return
        streams = self.streams
        deadlines = self._deadlines
        now = self._connection.now
        bounds = self._services.events.bound_exceeded
        if deadlines.head <= now:
            bounds("body_gap_seconds" if streams.open else "head_seconds")
            raise ConnectionFault(ErrorCode.NO_ERROR)
        if deadlines.goaway <= now:
            self._intake.leave()
        if not streams.open:
            if deadlines.idle <= now and not self._intake.parting and not self._intake.is_behind:
                bounds("idle_seconds" if streams.requests else "head_seconds")
                if self._intake.is_inside:  # of the preface: it would not understand a GOAWAY
                    raise ConnectionFault(ErrorCode.NO_ERROR)
                self._leave()
            return
        streams.touch_all()
        for stream in tuple(streams.open.values()):
            if stream.deadline <= now:
                if stream.drained_until <= now:
                    streams.reset(stream, ErrorCode.NO_ERROR)
                elif stream.out.queued or stream.held:
                    self._check_rate(stream)
                elif stream.exchange is not None:
                    stream.exchange.expired(now)
                    stream.pass_on()  # what came of a body during a delay is taken from now on
        deadlines.streams = inf

    def _check_rate(self, stream: Http2Stream) -> None:
        """Reset a stream whose client has taken less of the response than it should have within the time."""
        bounds = self._bounds
        now = self._connection.now
        out = stream.out
        if not out.queued or out.moved + bounds.send_gap_seconds <= now:
            fault = "send_gap_seconds"
        elif out.look(now, int(bounds.response_rate * bounds.send_gap_seconds)):
            return
        else:
            fault = "response_rate"
        self._services.events.bound_exceeded(fault)
        self.streams.reset(stream, ErrorCode.CANCEL)

    # -- ends ------------------------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        """Send GOAWAY. Once it is acknowledged no more requests are taken; the connection closes with its last stream."""
        if self._turn is not TurnState.CLOSED:
            self._intake.part()

    def _fail(self, fault: ConnectionFault | BoundExceeded) -> None:
        """The connection cannot go on."""
        if self._turn is TurnState.CLOSED:
            return
        events = self._services.events
        if isinstance(fault, BoundExceeded):
            events.bound_exceeded(fault.bound)
            code = ErrorCode.ENHANCE_YOUR_CALM
        else:
            code = fault.code
            if code in REASONS:
                events.bad_request(REASONS[code])
        try:
            self._close(code)
        except Exception as error:  # noqa: BLE001 - an exchange that cannot even be ended
            self._broken(error)

    def _broken(self, error: Exception) -> None:
        """A fault of ours: count it, and end the connection as far as that can be done."""
        self._services.events.internal_error("http2", error)
        if self._turn is TurnState.CLOSED and not self.streams.open:
            return
        self._turn = TurnState.CLOSED
        for stream in tuple(self.streams.open.values()):
            try:
                self.streams.remove(stream)
            except Exception as other:  # noqa: BLE001 - the others are to be ended all the same
                self._services.events.internal_error("http2", other)
        self._outbox.commands.append(Abort(self._client))
        self._forget()

    def _close(self, code: ErrorCode | None = None, *, gone: bool = False) -> None:
        """Send what was written, with a GOAWAY if there is a `code` for one, and close."""
        if self._turn is TurnState.CLOSED:
            return
        self._turn = TurnState.CLOSED
        parts = self._sender.parts
        if code is not None:
            parts.append(frames.goaway(self._intake.last_stream, code))
        unsent = b"".join(parts)
        for stream in tuple(self.streams.open.values()):
            self._sender.drop(stream.out)
            self.streams.remove(stream)
        if self._link.stalled and (gone or code is not None):
            self._outbox.commands.append(Abort(self._client))
        else:
            if unsent:
                self._outbox.commands.append(Send(None, unsent))
            self._outbox.commands.append(CloseConnection(self._client))
        self._forget()

    def _forget(self) -> None:
        self._intake.end()
        self._sender.parts.clear()
        self._outbox.ready.clear()
        self.streams.touched.clear()
        self._link.due = inf
