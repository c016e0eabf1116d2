"""Interprets a client's frames in the order they come, and enforces every rule of RFC 9113 that they can break.

Knows which streams there were, and holds a field block until it is whole. What the open ones do is theirs: see `Streams`. Does
no more at a time than belongs in one turn of the loop; what is left then waits, as if it had come later.
"""

from __future__ import annotations

from typing import Final, Protocol, cast

from proxyguard.core.connection_facts import ConnectionFacts
from proxyguard.core.settings import Bounds
from proxyguard.http.http2 import frames
from proxyguard.http.http2.budget import (
    BYTES_PER_WORK,
    FRAMES_PER_BYTE,
    FRAMES_PER_REQUEST,
    WORK_PER_REQUEST,
    WORK_PER_TURN,
    FrameBudget,
    ResetBudget,
)
from proxyguard.http.http2.errors import BoundExceeded, ConnectionFault, ErrorCode, StreamFault
from proxyguard.http.http2.frames import DEFAULT_WINDOW, MAX_WINDOW, Frame, Http2FrameReader
from proxyguard.http.http2.hpack import Field, FieldDecoder
from proxyguard.http.http2.noting import MAX_NOTED, note_priority, note_request
from proxyguard.http.http2.receiving import ReceiveWindow, stream_window
from proxyguard.http.http2.sending import Sender

RECEIVE_BUFFERS: Final = 2
"""What all streams of a connection may have sent that was not passed on, in `buffer_bytes`: one that stands still leaves room for
others. Where a trusted proxy has the connection, so many times the windows of all its streams: those of one client that stand
still leave room for everybody else's."""

SMALL_DATA_BYTES: Final = 5
"""A piece of a body below this, but for the last one, counts as a frame without content. A gRPC message takes no less, and a
stream may have thousands a second. A trusted proxy hands on the pieces that its clients make, and is not to pay for them."""

OVERSIZE: Final = 2
"""Heads up to so many times `head_bytes` are read, to be answered 431; beyond it the connection ends."""

MAX_FIELDS: Final = 2048
"""Fields of a block, cookie pieces each counted; beyond it the connection ends."""

REMEMBERED_RESETS: Final = 256
"""Streams that we reset, whose frames may still be on their way."""

_WITH_FIELDS: Final = frozenset({frames.HEADERS, frames.CONTINUATION})

GOAWAY_PING: Final = b"goodbye\0"
"""The PING that follows our first GOAWAY; once it is acknowledged, the client has read the GOAWAY."""


class Streams(Protocol):
    """The streams of a connection. Each method may raise Http2Fault; the streams are open ones, but for `begin` and `fail`."""

    def __contains__(self, number: object) -> bool:
        """Whether a stream is open."""
        ...

    def begin(self, number: int, fields: list[Field], *, whole: bool) -> None:
        """A request; `whole` when no body follows."""
        ...

    def take_data(self, number: int, payload: bytes, size: int, *, end: bool) -> None:
        """Some of a body, which took `size` from the window."""
        ...

    def take_trailers(self, number: int, fields: list[Field], *, whole: bool) -> None:
        """Another section of fields; in order only when `whole`."""
        ...

    def take_window(self, number: int, increment: int) -> None:
        """WINDOW_UPDATE: the client takes more of a response."""
        ...

    def touch_held(self) -> None:
        """WINDOW_UPDATE for the connection: streams that waited for it may go on."""
        ...

    def take_initial_window(self, size: int) -> None:
        """Apply a new SETTINGS_INITIAL_WINDOW_SIZE to future and open streams (RFC 9113 section 6.9.2)."""
        ...

    def take_reset(self, number: int) -> bool:
        """RST_STREAM: the client cancels the request. False when it was answered, and the client only stops sending its body."""
        ...

    def fail(self, number: int, code: ErrorCode) -> None:
        """Reset a stream whose rules the client broke."""
        ...


_NONE_OPEN: Final = cast("Streams", frozenset())
"""Stands for the streams once the connection is over; never called."""


class Intake:
    """One per connection. `resets` counts what the client takes back, `frames` what it sends that carries nothing.

    `is_behind`: some of what was fed waits for `go_on`. `deserted`: the client sent GOAWAY. `parting`: we did, and still take
    requests until the client has acknowledged it; `leaving`: we take no more. `work_per_turn` is in units of `_work`. What the
    first frames and the coding of requests show is noted in `facts`.
    """

    __slots__ = (
        "_block", "_bounds", "_decoder", "_facts", "_is_settled", "_is_shared", "_next", "_reader", "_reset_by_us",
        "_sender", "_streams", "_unread", "_window", "deserted", "frames", "is_behind", "last_stream", "leaving", "parting",
        "resets", "work_per_turn",
    )  # fmt: skip

    def __init__(
        self, streams: Streams, sender: Sender, bounds: Bounds, now: float, *, resets: int,
        facts: ConnectionFacts | None = None, is_shared: bool = False,
    ) -> None:  # fmt: skip
        self._streams = streams
        self._sender = sender
        self._bounds = bounds
        self._reader = Http2FrameReader()
        self._next: Frame | None = None
        self._unread: list[bytes] = []
        self._decoder = FieldDecoder(OVERSIZE * bounds.head_bytes, MAX_FIELDS, remembers=True)
        window = max(stream_window(bounds.buffer_bytes), RECEIVE_BUFFERS * bounds.buffer_bytes)
        self._window = ReceiveWindow(min(MAX_WINDOW, window * bounds.http2_streams) if is_shared else window)
        self._block: tuple[Frame, list[bytes], int] | None = None
        self._is_settled = False
        self._is_shared = is_shared
        self._facts = facts
        if facts is not None:
            facts.is_http2 = True
        self._reset_by_us: dict[int, None] = {}
        self.frames = FrameBudget(now)
        self.resets = ResetBudget(resets)
        self.last_stream = 0
        self.work_per_turn = WORK_PER_TURN
        self.is_behind = False
        self.parting = False
        self.leaving = False
        self.deserted = False

    @property
    def room(self) -> int:
        """What the client may send of bodies, on all its streams together."""
        return self._window.left

    @property
    def is_inside(self) -> bool:
        """Whether the client is in the middle of something that is not a body."""
        return self._reader.is_inside or self._block is not None

    def greet(self) -> None:
        """Send our SETTINGS."""
        bounds = self._bounds
        ours = (
            (frames.MAX_CONCURRENT_STREAMS, bounds.http2_streams),
            (frames.INITIAL_WINDOW_SIZE, stream_window(bounds.buffer_bytes)),
            (frames.MAX_HEADER_LIST_SIZE, bounds.head_bytes),
            (frames.NO_PRIORITIES, 1),
        )
        self._sender.parts.append(frames.settings(ours))
        if self._window.size > DEFAULT_WINDOW:
            self._sender.parts.append(frames.window_update(0, self._window.size - DEFAULT_WINDOW))

    def part(self) -> None:
        """Send the first of two GOAWAYs (RFC 9113 section 6.8): requests on their way are still taken, until the client
        answers the PING or the caller stops waiting and calls `leave`."""
        if not self.parting:
            self.parting = True
            self._sender.parts += (frames.goaway(MAX_WINDOW, ErrorCode.NO_ERROR), frames.ping(GOAWAY_PING))

    def leave(self) -> None:
        """Send the GOAWAY that names the last request: later ones are not looked at, and clients may repeat them elsewhere."""
        if not self.leaving:
            self.parting = self.leaving = True
            self._sender.parts.append(frames.goaway(self.last_stream, ErrorCode.NO_ERROR))

    def feed(self, data: bytes, now: float) -> None:
        """Read on, as far as belongs in one turn. Raises ConnectionFault and BoundExceeded; nothing may be fed afterwards."""
        if self.is_behind:
            self._unread.append(data)
        else:
            self._reader.take(data)
            self.go_on(now)

    def go_on(self, now: float) -> None:
        """Handle more of the frames that wait: again what belongs in one turn, at least one. Raises as `feed` does."""
        left = self.work_per_turn
        first, self._next = self._next, None
        if first is not None:
            left -= _work(first)
            self._take_or_fail(first, now)
        reader = self._reader
        while True:
            frame = reader.next()
            if frame is not None:
                left -= _work(frame)
                if left < 0:
                    self._next = frame
                    self.is_behind = True
                    return
                self._take_or_fail(frame, now)
            elif self._unread:
                reader.take(self._unread.pop(0))
            else:
                self.is_behind = False
                return

    def end(self) -> None:
        """Release the streams, which refer to this, so that both are freed at once. Nothing may be fed afterwards."""
        self._streams = _NONE_OPEN
        self._reader.drop()
        self._unread.clear()

    def acknowledge(self, size: int) -> None:
        """Give `size` bytes of the connection's window back: what came is passed on or thrown away."""
        increment = self._window.give_back(size)
        if increment:
            self._sender.parts.append(frames.window_update(0, increment))

    def remember_reset(self, number: int) -> None:
        """Remember a stream that we reset: what still comes on it crossed the reset on its way."""
        remembered = self._reset_by_us
        remembered[number] = None
        if len(remembered) > REMEMBERED_RESETS:
            del remembered[next(iter(remembered))]

    def _take_or_fail(self, frame: Frame, now: float) -> None:
        try:
            self._take(frame, now)
        except StreamFault as fault:
            self.remember_reset(frame.stream)
            self._streams.fail(frame.stream, fault.code)
            self.resets.spend(now)

    def _take(self, frame: Frame, now: float) -> None:
        kind = frame.kind
        if self._block is not None and kind != frames.CONTINUATION:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
        if not self._is_settled:
            if kind != frames.SETTINGS or frame.flags & frames.ACK:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
            self._is_settled = True
            if self._facts is not None:
                self._facts.settings = frame.payload[: 6 * MAX_NOTED]
        match kind:
            case frames.DATA:
                self._data(frame, now)
            case frames.HEADERS:
                self._headers(frame, now)
            case frames.CONTINUATION:
                self._continuation(frame, now)
            case frames.RST_STREAM:
                self._rst_stream(frame, now)
            case frames.WINDOW_UPDATE:
                self.frames.spend(now)
                self._window_update(frame)
            case frames.SETTINGS:
                self.frames.spend(now, 1 + len(frame.payload) // 6)
                if not frame.flags & frames.ACK:
                    self._settings(frame)
            case frames.PING:
                self.frames.spend(now)
                if not frame.flags & frames.ACK:
                    self._sender.parts.append(frames.ping_ack(frame.payload))
                elif self.parting and frame.payload == GOAWAY_PING:
                    self.leave()
            case frames.GOAWAY:
                self.frames.spend(now)
                self.deserted = True
            case frames.PUSH_PROMISE:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
            case _:  # PRIORITY, and what extensions bring
                self.frames.spend(now)
                if kind == frames.PRIORITY and self._facts is not None and not self.last_stream:
                    note_priority(self._facts, frame)

    def _data(self, frame: Frame, now: float) -> None:
        size = frame.size
        end = bool(frame.flags & frames.END_STREAM)
        length = len(frame.payload)
        if length >= SMALL_DATA_BYTES:
            self.frames.earn(length * FRAMES_PER_BYTE)
        elif not end and not (length and self._is_shared):
            self.frames.spend(now)
        if not self._window.take(size):
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR)
        if frame.stream in self._streams:
            self._streams.take_data(frame.stream, frame.payload, size, end=end)
        else:
            self.acknowledge(size)
            self._late(frame, now)

    def _headers(self, frame: Frame, now: float) -> None:
        block = frames.field_block(frame)
        if frame.flags & frames.END_HEADERS:
            self._section(frame, block, now)
        else:
            self._block = (frame, [block], len(block))

    def _continuation(self, frame: Frame, now: float) -> None:
        begun = self._block
        if begun is None or begun[0].stream != frame.stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
        self.frames.spend(now)
        first, parts, size = begun
        size += len(frame.payload)
        if size > OVERSIZE * self._bounds.head_bytes:
            raise BoundExceeded("head_bytes")
        parts.append(frame.payload)
        self._block = (first, parts, size)
        if frame.flags & frames.END_HEADERS:
            self._block = None
            self._section(first, b"".join(parts), now)

    def _section(self, frame: Frame, block: bytes, now: float) -> None:
        """A whole header or trailer section. It is decoded in any case, to keep in step with the client."""
        fields = self._decoder.decode(block)
        number = frame.stream
        whole = bool(frame.flags & frames.END_STREAM)
        if number in self._streams:
            self._streams.take_trailers(number, fields, whole=whole)
        elif number <= self.last_stream:
            self._late(frame, now)
        elif not number & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
        elif self.leaving:
            self.frames.spend(now)
        else:
            if self._facts is not None:
                note_request(self._facts, self._decoder, fields, is_first=not self.last_stream)
            self.last_stream = number
            self.frames.earn(FRAMES_PER_REQUEST)
            self._streams.begin(number, fields, whole=whole)

    def _late(self, frame: Frame, now: float) -> None:
        """DATA or HEADERS of a stream that is not open. Raises ConnectionFault unless it may have crossed our reset."""
        self._check_begun(frame.stream)
        if frame.stream <= self.last_stream and frame.stream not in self._reset_by_us:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED)
        self.frames.spend(now)

    def _check_begun(self, number: int) -> None:
        """Raise ConnectionFault for a stream that nobody began; after our GOAWAY, streams may have begun unnoticed."""
        if number > self.last_stream and not self.leaving:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)

    def _rst_stream(self, frame: Frame, now: float) -> None:
        if frame.stream in self._streams:
            if self._streams.take_reset(frame.stream):
                self.resets.spend(now)
            else:
                self.frames.spend(now)
        else:
            self._check_begun(frame.stream)
            self.frames.spend(now)

    def _window_update(self, frame: Frame) -> None:
        increment = frames.number(frame.payload)
        if not frame.stream:
            self._sender.open_window(increment)
            self._streams.touch_held()
            if self._facts is not None and self._facts.window < 0 and not self.last_stream:
                self._facts.window = increment
        elif frame.stream in self._streams:
            self._streams.take_window(frame.stream, increment)
        else:
            self._check_begun(frame.stream)

    def _settings(self, frame: Frame) -> None:
        for name, value in frames.read_settings(frame.payload):
            if name == frames.HEADER_TABLE_SIZE:
                self._sender.set_table_bytes(value)
            elif name == frames.INITIAL_WINDOW_SIZE:
                self._streams.take_initial_window(value)
        self._sender.parts.append(frames.SETTINGS_ACK)


def _work(frame: Frame) -> int:
    """What a frame costs us, in units of one without content."""
    kind = frame.kind
    if kind in _WITH_FIELDS:
        return 1 + WORK_PER_REQUEST + len(frame.payload) // BYTES_PER_WORK
    return 1
