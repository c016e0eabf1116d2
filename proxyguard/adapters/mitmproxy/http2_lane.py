"""HTTP/2 on one client connection: a mitmproxy layer that reads frames and runs an Exchange for each stream.

A pure state machine like the HTTP/1 lane: events in, commands out, the clock injected, one write for each event. Upstreams are
spoken to in HTTP/1.1. What a stream holds is bounded by its windows, what all hold together by `buffer_bytes`, and what a client
may do besides asking by `http2.budget`.
"""

from __future__ import annotations

from math import inf
from typing import Final

from proxyguard.adapters.mitmproxy.common import Common, Link
from proxyguard.adapters.mitmproxy.exchange import Exchange
from proxyguard.adapters.mitmproxy.http2_stream import Http2Stream
from proxyguard.adapters.mitmproxy.lane import BOUND_OF_FAULT
from proxyguard.adapters.mitmproxy.private import (
    CloseConnection,
    Command,
    ConnectionClosed,
    Context,
    DataReceived,
    Event,
    Layer,
    SendData,
    Start,
)
from proxyguard.adapters.mitmproxy.signals import (
    Abort,
    Decided,
    Drain,
    Expired,
    HoldReading,
    HoldUpstream,
    Leased,
    TurnEnds,
    UpstreamPace,
    Writable,
)
from proxyguard.http1.faults import Malformed
from proxyguard.http1.heads import RequestHead
from proxyguard.http2 import frames
from proxyguard.http2.budget import FRAMES_PER_ANSWER, FRAMES_PER_BYTE, FRAMES_PER_REQUEST, FrameBudget, ResetBudget
from proxyguard.http2.errors import (
    REASONS,
    REQUEST_FAULTS,
    BoundExceeded,
    ConnectionFault,
    ErrorCode,
    Http2Fault,
    StreamFault,
)
from proxyguard.http2.frames import DEFAULT_WINDOW, Frame, FrameReader
from proxyguard.http2.hpack import Field, FieldDecoder
from proxyguard.http2.receiving import Window, stream_window
from proxyguard.http2.request_fields import RequestReader, read_trailers
from proxyguard.http2.sending import Sender
from proxyguard.request import Request
from proxyguard.responses import error_page

RECEIVE_BUFFERS: Final = 2
"""What all streams of a connection may have sent that was not passed on, in `buffer_bytes`: one that stands still leaves room for
others. In the other direction it is one, and what was read last."""

STALLED_BYTES: Final = 64 * 1024
"""What may be written to a client that takes nothing before nothing more is read from it: answers need no window."""

SMALL_DATA_BYTES: Final = 32
"""A piece of a body below this, but for the last one, counts as a frame without content."""

GATHERED_BYTES: Final = 32 * 1024
"""Bodies that may wait for the end of a turn of the loop."""

OVERSIZE: Final = 4
"""Heads up to so many times `head_bytes` are read and answered 431; beyond it the connection ends."""

MAX_FIELDS: Final = 2048
"""Fields of a block, cookie pieces each counted; beyond it the connection ends."""

PROXY_ALLOWANCE: Final = 20
"""How many times `http2_resets` a trusted proxy may reset: many people share its connection."""

REMEMBERED_RESETS: Final = 256
"""Streams that we reset, whose frames may still be on their way."""


class Http2Lane(Layer):
    """See the module. `now` is the time of the event that is being handled."""

    def __init__(self, context: Context, common: Common, link: Link) -> None:
        super().__init__(context)
        self.commands: list[Command] = []
        self.common = common
        self.bounds = bounds = common.bounds
        self.link = link
        self.now = common.clock()
        self.sender = Sender()
        self.tarpits = 0
        link.multiplexed = True
        self._client = context.client
        self._reader = FrameReader()
        self._decoder = FieldDecoder(OVERSIZE * bounds.head_bytes, MAX_FIELDS)
        self._request_reader = RequestReader(bounds)
        self._frames = FrameBudget(self.now)
        self._resets = ResetBudget(bounds.http2_resets * (PROXY_ALLOWANCE if common.resolver.trusts(link.peer) else 1))
        self._stream_window = stream_window(bounds.buffer_bytes)
        self._window = Window(max(self._stream_window, RECEIVE_BUFFERS * bounds.buffer_bytes))
        self._streams: dict[int, Http2Stream] = {}
        self._by_exchange: dict[Exchange, Http2Stream] = {}
        self._by_server: dict[int, Http2Stream] = {}
        self._touched: dict[Http2Stream, None] = {}
        self._reset_by_us: dict[int, None] = {}
        self._block: tuple[Frame, list[bytes], int] | None = None
        self._settled = False
        self._last_stream = 0
        self._requests = 0
        self._leaving = False
        self._deserted = False
        self._closed = False
        self._busy = False
        self._turn_awaited = False
        self._full = False
        self._reading_held = False
        self._unsent_bytes = 0
        self._wait_until = inf
        self._head_until = inf
        self._streams_due = inf

    # -- events ----------------------------------------------------------------------------------------------------------

    def handle_event(self, event: Event) -> list[Command]:  # type: ignore[override]  # a list is one kind of iterable
        """React to one event. The commands are to be carried out in order, before the next event. Never raises."""
        self.now = self.common.clock()
        self._busy = True
        try:
            self._react(event)
            if not self._waits_for_more(event):
                self._finish_turn()
        except (ConnectionFault, BoundExceeded) as fault:
            self._fail(fault)
        except Exception as error:  # noqa: BLE001 - the one place where a fault of ours ends a connection
            self._broken(error)
        self._busy = False
        commands = self.commands[:]
        self.commands.clear()
        return commands

    def _waits_for_more(self, event: Event) -> bool:
        """Whether what an upstream sent may wait for what others send in the same turn of the loop: one TLS record for all."""
        if event.__class__ is TurnEnds:
            self._turn_awaited = False
            return False
        if self._turn_awaited:
            return self.sender.queued < GATHERED_BYTES
        link = self.link
        if (
            event.__class__ is not DataReceived
            or event.connection is self._client
            or len(self._streams) < 2
            or link.wake_soon is None
        ):
            return False
        self._turn_awaited = True
        link.wake_soon()
        return self.sender.queued < GATHERED_BYTES

    def _handle_event(self, event: Event) -> list[Command]:  # type: ignore[override]  # what mitmproxy calls while it replays
        return self.handle_event(event)

    def _react(self, event: Event) -> None:
        match event:
            case DataReceived():
                if event.connection is self._client:
                    self._client_data(event.data)
                else:
                    stream = self._by_server.get(id(event.connection))
                    if stream is not None and stream.exchange is not None:
                        self._touched[stream] = None
                        stream.exchange.received(event.data, self.now)
            case Leased():
                self._leased(event)
            case Decided():
                stream = self._touch(event.exchange)
                event.exchange.decided(event.ticket, self.now)
                if stream is not None:
                    stream.pass_on()
            case ConnectionClosed():
                self._connection_closed(event)
            case Expired():
                self._expired()
            case Writable():
                for stream in self._streams.values():
                    self._touched[stream] = None
                    if stream.held and stream.server is not None:  # the driver has let all of them go on
                        self.commands.append(HoldUpstream(stream.server, held=True))
            case UpstreamPace():
                for stream in tuple(self._streams.values()):
                    stream.pass_on()
            case Drain():
                self._leave(ErrorCode.NO_ERROR)
            case Start():
                self._start()
            case _:
                pass

    def _start(self) -> None:
        bounds = self.bounds
        self._wait_until = self._after(bounds.head_seconds)
        ours = (
            (frames.MAX_CONCURRENT_STREAMS, bounds.http2_streams),
            (frames.INITIAL_WINDOW_SIZE, self._stream_window),
            (frames.MAX_HEADER_LIST_SIZE, bounds.head_bytes),
            (frames.NO_PRIORITIES, 1),
        )
        self.sender.parts.append(frames.settings(ours))
        if self._window.size > DEFAULT_WINDOW:
            self.sender.parts.append(frames.window_update(0, self._window.size - DEFAULT_WINDOW))
        if self.common.draining:
            self._leave(ErrorCode.NO_ERROR)

    def _leased(self, event: Leased) -> None:
        stream = self._touch(event.exchange)
        if stream is not None and event.server is not None:
            stream.server = event.server
            self._by_server[id(event.server)] = stream
        event.exchange.leased(event.server, reused=event.reused, fault=event.fault, now=self.now)
        if stream is not None:
            stream.pass_on()

    def _connection_closed(self, event: ConnectionClosed) -> None:
        if event.connection is self._client:  # half-closed or gone: HTTP/2 knows no difference
            self._close()
            return
        stream = self._by_server.pop(id(event.connection), None)
        if stream is not None:
            exchange = stream.exchange
            self._touched[stream] = None
            stream.held = False
            if exchange is not None:
                exchange.upstream_closed(self.now)
                if exchange.server is not event.connection:
                    stream.server = None

    def _touch(self, exchange: Exchange) -> Http2Stream | None:
        stream = self._by_exchange.get(exchange)
        if stream is not None:
            self._touched[stream] = None
        return stream

    # -- frames ----------------------------------------------------------------------------------------------------------

    def _client_data(self, data: bytes) -> None:
        if self._closed:
            return
        for frame in self._reader.feed(data):
            try:
                self._frame(frame)
            except StreamFault as fault:
                self._stream_fault(frame.stream, fault.code)
        if self._reader.is_inside or self._block is not None:
            if self._head_until == inf:
                bounds = self.bounds
                self._head_until = self._after(bounds.body_gap_seconds if self._streams else bounds.head_seconds)
        else:
            self._head_until = inf

    def _frame(self, frame: Frame) -> None:
        kind = frame.kind
        if self._block is not None and kind != frames.CONTINUATION:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
        if not self._settled:
            if kind != frames.SETTINGS or frame.flags & frames.ACK:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
            self._settled = True
        match kind:
            case frames.DATA:
                self._data(frame)
            case frames.HEADERS:
                self._headers(frame)
            case frames.CONTINUATION:
                self._continuation(frame)
            case frames.WINDOW_UPDATE:
                self._frames.spend(self.now)
                self._window_update(frame)
            case frames.RST_STREAM:
                self._rst_stream(frame)
            case frames.SETTINGS:
                self._frames.spend(self.now, 1 + len(frame.payload) // 6)
                if not frame.flags & frames.ACK:
                    self._settings(frame)
            case frames.PING:
                self._frames.spend(self.now)
                if not frame.flags & frames.ACK:
                    self.sender.parts.append(frames.ping_ack(frame.payload))
            case frames.GOAWAY:
                self._deserted = True
            case frames.PUSH_PROMISE:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
            case _:  # PRIORITY, and what extensions bring
                self._frames.spend(self.now)

    def _data(self, frame: Frame) -> None:
        size = frame.size
        end = bool(frame.flags & frames.END_STREAM)
        length = len(frame.payload)
        if length >= SMALL_DATA_BYTES:
            self._frames.earn(length * FRAMES_PER_BYTE)
        elif not end:
            self._frames.spend(self.now)
        if not self._window.take(size):
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR)
        stream = self._streams.get(frame.stream)
        if stream is None:
            self.acknowledge(size)
            self._late(frame)
            return
        self._touched[stream] = None
        try:
            fault = stream.data(frame.payload, size, end=end)
        except StreamFault:
            self.acknowledge(size)
            raise
        if fault:
            self._refuse(stream, fault)

    def _late(self, frame: Frame) -> None:
        """DATA or HEADERS of a stream that is not open. Raises ConnectionFault unless it may have crossed our reset."""
        if frame.stream > self._last_stream and not self._leaving:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
        if frame.stream not in self._reset_by_us and frame.stream <= self._last_stream:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED)
        self._frames.spend(self.now)

    def _headers(self, frame: Frame) -> None:
        block = frames.field_block(frame)
        if frame.flags & frames.END_HEADERS:
            self._section(frame, block)
        else:
            self._block = (frame, [block], len(block))

    def _continuation(self, frame: Frame) -> None:
        open_block = self._block
        if open_block is None or open_block[0].stream != frame.stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
        self._frames.spend(self.now)
        begun, parts, size = open_block
        size += len(frame.payload)
        if size > OVERSIZE * self.bounds.head_bytes:
            raise BoundExceeded("head_bytes")
        parts.append(frame.payload)
        self._block = (begun, parts, size)
        if frame.flags & frames.END_HEADERS:
            self._block = None
            self._section(begun, b"".join(parts))

    def _section(self, frame: Frame, block: bytes) -> None:
        """A whole header or trailer section."""
        fields = self._decoder.decode(block)
        number = frame.stream
        whole = bool(frame.flags & frames.END_STREAM)
        stream = self._streams.get(number)
        if stream is not None:
            self._trailers(stream, fields, whole=whole)
        elif number <= self._last_stream:
            self._late(frame)
        elif not number & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
        elif self._leaving:
            self._frames.spend(self.now)
        else:
            self._last_stream = number
            if len(self._streams) >= self.bounds.http2_streams:
                raise StreamFault(ErrorCode.REFUSED_STREAM)
            self._open(number, fields, whole=whole)

    def _trailers(self, stream: Http2Stream, fields: list[Field], *, whole: bool) -> None:
        if not stream.receiving:
            raise StreamFault(ErrorCode.STREAM_CLOSED)
        if not whole:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR)
        self._touched[stream] = None
        try:
            trailers = read_trailers(fields, self.bounds)
        except Malformed as fault:
            self._refuse(stream, fault.reason)
            return
        if stream.lacks_body:
            self._refuse(stream, "content-length")
            return
        stream.end(trailers)
        stream.pass_on()

    def _window_update(self, frame: Frame) -> None:
        increment = frames.number(frame.payload)
        if not frame.stream:
            self.sender.open_window(increment)
            return
        stream = self._streams.get(frame.stream)
        if stream is not None:
            self._touched[stream] = None
            self.sender.open_stream_window(stream.out, increment)
        elif frame.stream > self._last_stream and not self._leaving:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)

    def _rst_stream(self, frame: Frame) -> None:
        stream = self._streams.get(frame.stream)
        if stream is None:
            if frame.stream > self._last_stream and not self._leaving:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
            self._frames.spend(self.now)
            return
        self.sender.drop(stream.out)
        self._remove(stream)
        self._resets.spend(self.now)

    def _settings(self, frame: Frame) -> None:
        sender = self.sender
        for name, value in frames.read_settings(frame.payload):
            if name == frames.HEADER_TABLE_SIZE:
                sender.set_table_bytes(value)
            elif name == frames.INITIAL_WINDOW_SIZE:
                sender.set_initial_window(value, [stream.out for stream in self._streams.values()])
                self._touched.update(dict.fromkeys(self._streams.values()))
        sender.parts.append(frames.SETTINGS_ACK)

    # -- requests --------------------------------------------------------------------------------------------------------

    def _open(self, number: int, fields: list[Field], *, whole: bool) -> None:
        self._frames.earn(FRAMES_PER_REQUEST)
        self._requests += 1
        stream = self._streams[number] = Http2Stream(
            self, number, self.sender.open(number), window=self._stream_window, receiving=not whole
        )
        self._touched[stream] = None
        try:
            head = self._request_reader.read(fields, whole=whole)
        except Malformed as fault:
            stream.method = next((value for name, value in fields if name == b":method"), b"")
            self._refuse(stream, fault.reason)
        else:
            try:
                self._begin(stream, head)
            except Http2Fault:
                raise
            except Exception as error:  # noqa: BLE001 - a fault of ours in one request leaves the others alone
                self._broken_request(stream, error)
        if self._requests >= self.bounds.requests_per_connection:
            self._leave(ErrorCode.NO_ERROR)

    def _begin(self, stream: Http2Stream, head: RequestHead) -> None:
        common = self.common
        stream.head = head
        stream.method = head.method
        if stream.receiving:
            stream.expect(head.content_length)
        route = common.routes.find(head.host)
        if route is None:
            common.events.bad_request("host-unknown")
            self._answer_alone(stream, 421)
            return
        link = self.link
        client = common.resolver.resolve(link.peer, head.headers)
        scheme = common.resolver.scheme(link.peer, head.headers, link.scheme)
        request = Request(client, head.method, scheme, head.host, head.target, head.headers, b"2")
        exchange = stream.exchange = Exchange(common, link, stream, head, route, self.now, whole=not stream.receiving)
        self._by_exchange[exchange] = stream
        exchange.begin(request, self.now)

    def _refuse(self, stream: Http2Stream, reason: str) -> None:
        """Something is wrong with a request's form: an answer that says so, if none has begun."""
        events = self.common.events
        events.bad_request(reason)
        bound = BOUND_OF_FAULT.get(reason)
        if bound is not None:
            events.bound_exceeded(bound)
        status = REQUEST_FAULTS[reason]
        if stream.exchange is not None:
            stream.exchange.refuse(status, "client-malformed", self.now)
            stream.pass_on()
        elif not stream.out.ended:
            self._answer_alone(stream, status)
        self._resets.spend(self.now)

    def _answer_alone(self, stream: Http2Stream, status: int) -> None:
        """Answer a request that no exchange is made for."""
        head = stream.head
        accept = next((value for name, value in head.headers if name == b"accept"), b"") if head is not None else b""
        stream.send_answer(error_page(status, self.common.reference(), accept=accept))

    def _broken_request(self, stream: Http2Stream, error: Exception) -> None:
        self.common.events.internal_error("http2", error)
        exchange = stream.exchange
        if exchange is not None:
            exchange.refuse(500, "internal", self.now)
        elif not stream.out.ended:
            self._answer_alone(stream, 500)

    def _stream_fault(self, number: int, code: ErrorCode) -> None:
        """The client broke the rules on one stream; doing so often is an attack (CVE-2025-8671), as resetting often is."""
        stream = self._streams.get(number)
        if stream is not None:
            self.reset(stream, code)
        else:
            self._remember(number)
            self.sender.parts.append(frames.rst_stream(number, code))
        self._resets.spend(self.now)

    # -- what streams ask for --------------------------------------------------------------------------------------------

    def acknowledge(self, size: int) -> None:
        """So much of what the client sent needs no room any more."""
        increment = self._window.give_back(size)
        if increment and not self._closed:
            self.sender.parts.append(frames.window_update(0, increment))

    def open_window(self, number: int, increment: int) -> None:
        """Tell the client that a stream takes more."""
        self.sender.parts.append(frames.window_update(number, increment))

    def part(self, stream: Http2Stream) -> None:
        """A stream's exchange is over: nothing that happens to its upstream concerns the stream any more."""
        if stream.exchange is not None:
            self._by_exchange.pop(stream.exchange, None)
        if stream.server is not None:
            self._by_server.pop(id(stream.server), None)
            stream.server = None
        stream.held = False

    def drop(self, stream: Http2Stream) -> None:
        """End a stream without an answer. Who has that done over and over is cut."""
        self.reset(stream, ErrorCode.CANCEL)
        self._resets.spend(self.now)

    def reset(self, stream: Http2Stream, code: ErrorCode) -> None:
        """End a stream here and now."""
        if stream.number in self._streams:
            self._remember(stream.number)
            self.sender.reset(stream.out, code)
            self._remove(stream)

    def give_up(self, stream: Http2Stream) -> None:
        """The time of a held stream is over, and its window closed."""
        self.reset(stream, ErrorCode.CANCEL)

    def wake(self) -> None:
        """Something was written outside of an event."""
        if not self._busy and self.link.wake is not None:
            self.link.wake()

    # -- time ------------------------------------------------------------------------------------------------------------

    def _after(self, seconds: float) -> float:
        """When the client must have said something; sooner when room for others gets scarce."""
        return self.now + seconds * self.common.admission.patience

    def _expired(self) -> None:
        now = self.now
        bounds = self.common.events.bound_exceeded
        if self._closed:
            return
        if self._head_until <= now:
            bounds("body_gap_seconds" if self._streams else "head_seconds")
            raise ConnectionFault(ErrorCode.NO_ERROR)
        if not self._streams:
            if self._wait_until <= now:
                bounds("idle_seconds" if self._requests else "head_seconds")
                self._leave(ErrorCode.NO_ERROR)
            return
        for stream in tuple(self._streams.values()):
            self._touched[stream] = None
            if stream.deadline <= now:
                if stream.out.queued or stream.held:
                    bounds("send_gap_seconds")
                    self.reset(stream, ErrorCode.CANCEL)
                elif stream.exchange is not None:
                    stream.exchange.expired(now)
        self._streams_due = inf

    # -- the end of a turn -----------------------------------------------------------------------------------------------

    def _finish_turn(self) -> None:
        if self._closed:
            return
        sender = self.sender
        self._send()
        touched = self._touched
        self._check_fill()
        due = self._streams_due
        for stream in touched:
            if stream.number in self._streams:
                self._pace(stream)
                due = min(due, stream.deadline)
        touched.clear()
        if not self._streams:
            due = inf
            if self._leaving or self._deserted:
                self._close()
                return
        self._streams_due = due
        self.link.due = min(self._head_until, due if self._streams else self._wait_until)
        if self.link.stalled:
            held = self._unsent_bytes > STALLED_BYTES
        else:
            held = False
            self._unsent_bytes = 0
        if held is not self._reading_held:
            self._reading_held = held
            self.commands.append(HoldReading(held=held))
        if sender.tiny_frames:
            tiny, sender.tiny_frames = sender.tiny_frames, 0
            self._frames.spend(self.now, tiny)

    def _send(self) -> None:
        sender = self.sender
        sender.pump(self.now)
        if sender.data_frames:
            self._frames.earn(sender.data_frames * FRAMES_PER_ANSWER)
            sender.data_frames = 0
        if sender.finished:
            for number in sender.finished:
                stream = self._streams.get(number)
                if stream is None:
                    continue
                if stream.receiving:
                    self._remember(number)
                    sender.parts.append(frames.rst_stream(number, ErrorCode.NO_ERROR))
                self._remove(stream)
            sender.finished.clear()
        parts = sender.parts
        if parts:
            data = b"".join(parts)
            parts.clear()
            if self.link.stalled:
                self._unsent_bytes += len(data)
            self.commands.append(SendData(self._client, data))

    def _check_fill(self) -> None:
        """When all streams together hold too much, or no longer do, each of them is concerned."""
        full = self.sender.queued > self.bounds.buffer_bytes
        if full is not self._full:
            self._full = full
            self._touched.update(dict.fromkeys(self._streams.values()))

    def _pace(self, stream: Http2Stream) -> None:
        """Take from a stream's upstream only what its client takes."""
        server = stream.server
        if server is None:
            return
        held = bool(stream.out.queued) or self._full
        if held is not stream.held:
            stream.held = held
            stream.held_since = self.now
            self.commands.append(HoldUpstream(server, held=held))
            if not held and stream.exchange is not None:
                stream.exchange.writable(self.now)

    def _remove(self, stream: Http2Stream) -> None:
        self._streams.pop(stream.number, None)
        stream.gone()
        if not self._streams:
            self._wait_until = self._after(self.bounds.idle_seconds)

    def _remember(self, number: int) -> None:
        remembered = self._reset_by_us
        remembered[number] = None
        if len(remembered) > REMEMBERED_RESETS:
            del remembered[next(iter(remembered))]

    # -- ends ------------------------------------------------------------------------------------------------------------

    def _leave(self, code: ErrorCode) -> None:
        """Take no more requests; the connection closes with its last stream."""
        if not self._closed and not self._leaving:
            self.sender.parts.append(frames.goaway(self._last_stream, code))
        self._leaving = True

    def _fail(self, fault: ConnectionFault | BoundExceeded) -> None:
        """The connection cannot go on."""
        if self._closed:
            return
        events = self.common.events
        if isinstance(fault, BoundExceeded):
            events.bound_exceeded(fault.bound)
            code = ErrorCode.ENHANCE_YOUR_CALM
        else:
            code = fault.code
            if code in REASONS:
                events.bad_request(REASONS[code])
        try:
            self.sender.parts.append(frames.goaway(self._last_stream, code))
            self._close()
        except Exception as error:  # noqa: BLE001 - an exchange that cannot even be ended
            self._broken(error)

    def _broken(self, error: Exception) -> None:
        """A fault of ours: count it, and end the connection as far as that can be done."""
        self.common.events.internal_error("http2", error)
        if not self._closed:
            self._closed = True
            self.commands.append(Abort(self._client))
            for stream in tuple(self._streams.values()):
                try:
                    stream.gone()
                except Exception as other:  # noqa: BLE001 - the others are to be ended all the same
                    self.common.events.internal_error("http2", other)
            self._forget()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for stream in tuple(self._streams.values()):
            self.sender.drop(stream.out)
            stream.gone()
        parts = self.sender.parts
        if self.link.stalled:
            self.commands.append(Abort(self._client))
        else:
            if parts:
                self.commands.append(SendData(self._client, b"".join(parts)))
            self.commands.append(CloseConnection(self._client))
        self._forget()

    def _forget(self) -> None:
        self.sender.parts.clear()
        self._streams.clear()
        self._by_exchange.clear()
        self._by_server.clear()
        self._touched.clear()
        self._block = None
        self.link.due = inf
