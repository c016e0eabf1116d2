"""One HTTP/2 connection to a server, from the client's side (RFC 9113): reads the server's frames, begins and ends streams.

An upstream is the operator's own, but may be broken, or not what it was taken for. So every rule that it can break ends a stream
or the connection, and what it may make us hold or do is bounded. Bytes to be sent are left in `sender.parts`.
"""

from __future__ import annotations

from typing import Final

from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import Malformed
from proxyguard.http.http2 import frames
from proxyguard.http.http2.budget import FRAMES_PER_ANSWER, FRAMES_PER_BYTE, FRAMES_PER_REQUEST, FrameBudget
from proxyguard.http.http2.errors import BoundExceeded, ConnectionFault, ErrorCode, StreamFault
from proxyguard.http.http2.frames import DEFAULT_WINDOW, MAX_WINDOW, Frame, Http2FrameReader
from proxyguard.http.http2.hpack import Field, FieldDecoder
from proxyguard.http.http2.receiving import ReceiveWindow, stream_window
from proxyguard.http.http2.sending import Outgoing, Sender
from proxyguard.http.http2.stream_response import StreamResponse

STREAMS: Final = 100
"""Requests on one connection at most, whatever the server allows: what happens to it happens to all of them."""

CONNECTION_WINDOW: Final = 4
"""What all streams of a connection may receive in one round trip, in windows of a stream."""

OVERSIZE: Final = 2
"""Heads up to so many times `response_head_bytes` cost their stream, beyond it the connection."""

MAX_FIELDS: Final = 2048
"""Fields of a section; beyond it the connection ends."""

PING: Final = b"isalive?"

_ON_REQUESTS: Final = frozenset({
    frames.DATA, frames.HEADERS, frames.RST_STREAM, frames.WINDOW_UPDATE, frames.CONTINUATION, frames.PUSH_PROMISE,
})  # fmt: skip


class RequestStream:
    """One request on a connection. `owner` is whose request it is; nothing here looks at it.

    `window` is what the server may send of the response's body, `received` what came of it, padding included, and was not given
    back. `is_refused`: the server has not looked at the request and never will, so it may be sent elsewhere.
    """

    __slots__ = ("is_refused", "out", "owner", "received", "response", "window")

    def __init__(self, out: Outgoing, response: StreamResponse, owner: object, window: int) -> None:
        self.out = out
        self.response = response
        self.owner = owner
        self.window = ReceiveWindow(window)
        self.received = 0
        self.is_refused = False


class Http2Client:
    """The streams of a connection, and what the server says of it.

    `is_settled`: the server's SETTINGS have come. `is_leaving`: no more requests go to it. `touched` are streams that frames have
    come for since it was last emptied. `is_pinged`: nothing has come since a PING of ours.
    """

    __slots__ = (
        "_block", "_bounds", "_decoder", "_frames", "_next", "_reader", "_window", "is_leaving", "is_pinged", "is_settled",
        "max_list_bytes", "max_streams", "sender", "streams", "touched",
    )  # fmt: skip

    def __init__(self, bounds: Bounds, now: float) -> None:
        self._bounds = bounds
        self._reader = Http2FrameReader(is_server=False)
        self._decoder = FieldDecoder(OVERSIZE * bounds.response_head_bytes, MAX_FIELDS)
        self._window = ReceiveWindow(CONNECTION_WINDOW * stream_window(bounds.buffer_bytes))
        self._block: tuple[Frame, list[bytes], int] | None = None
        self._frames = FrameBudget(now)
        self._next = 1
        self.sender = Sender()
        self.streams: dict[int, RequestStream] = {}
        self.touched: dict[RequestStream, None] = {}
        self.max_streams = STREAMS
        self.max_list_bytes = MAX_WINDOW
        self.is_settled = False
        self.is_leaving = False
        self.is_pinged = False

    @property
    def takes_requests(self) -> bool:
        """Whether the server takes requests, and is not being asked whether it still lives."""
        return self.is_settled and not (self.is_leaving or self.is_pinged)

    # -- what we send ----------------------------------------------------------------------------------------------------

    def greet(self) -> None:
        """Send the preface and our SETTINGS."""
        bounds = self._bounds
        ours = (
            (frames.ENABLE_PUSH, 0),
            (frames.INITIAL_WINDOW_SIZE, stream_window(bounds.buffer_bytes)),
            (frames.MAX_HEADER_LIST_SIZE, bounds.response_head_bytes),
        )
        more = self._window.size - DEFAULT_WINDOW
        self.sender.parts += (frames.PREFACE, frames.settings(ours), frames.window_update(0, more))

    def begin(self, fields: list[Field], response: StreamResponse, owner: object) -> RequestStream:
        """Send a request's head; `response` is what its frames are for."""
        number = self._next
        self._next += 2
        if self._next > MAX_WINDOW:
            self.is_leaving = True
        out = self.sender.open(number)
        stream = self.streams[number] = RequestStream(out, response, owner, stream_window(self._bounds.buffer_bytes))
        self.sender.begin(out, fields)
        self._frames.earn(FRAMES_PER_REQUEST)
        return stream

    def end(self, stream: RequestStream, code: ErrorCode) -> bool:
        """Forget a stream. It is reset with `code`, and True returned, unless it was never sent or has ended on both sides."""
        out = stream.out
        is_open = self.streams.pop(out.number, None) is not None
        if not is_open or out.head is not None or (out.closed and stream.response.is_whole):
            self.sender.drop(out)
            return False
        self.sender.reset(out, code)
        return True

    def give_back(self, stream: RequestStream) -> None:
        """Let the server send as much on a stream as was received, once that is worth a frame: it has been passed on."""
        size, stream.received = stream.received, 0
        increment = stream.window.give_back(size)
        if increment and stream.out.number in self.streams and not stream.response.is_whole:
            self.sender.parts.append(frames.window_update(stream.out.number, increment))

    def ping(self) -> None:
        """Ask the server for a sign of life."""
        self.is_pinged = True
        self.sender.parts.append(frames.ping(PING))

    def pump(self, now: float) -> None:
        """Write to `sender.parts` what windows allow. Raises BoundExceeded for windows that make us send crumbs."""
        sender = self.sender
        sender.pump(now)
        sender.finished.clear()
        if sender.data_frames:
            self._frames.earn(sender.data_frames * FRAMES_PER_ANSWER)
            sender.data_frames = 0
        if sender.tiny_frames:
            tiny, sender.tiny_frames = sender.tiny_frames, 0
            self._frames.spend(now, tiny)

    # -- what comes ------------------------------------------------------------------------------------------------------

    def feed(self, data: bytes, now: float) -> None:
        """Read on. Raises ConnectionFault and BoundExceeded; nothing may be fed afterwards."""
        for frame in self._reader.feed(data):
            try:
                self._take(frame, now)
            except StreamFault as fault:
                self._fail(frame.stream, fault.code, "unasked", now)
            except Malformed as malformed:  # a name of its own: compiled, a name has one type
                self._fail(frame.stream, ErrorCode.PROTOCOL_ERROR, malformed.reason, now)

    def _fail(self, number: int, code: ErrorCode, reason: str, now: float) -> None:
        """The server broke a rule of one stream."""
        self._frames.spend(now)
        self.sender.parts.append(frames.rst_stream(number, code))
        stream = self._forget(number)
        if stream is not None:
            stream.response.cut(reason)

    def _forget(self, number: int) -> RequestStream | None:
        """Take a stream out that has ended."""
        stream = self.streams.pop(number, None)
        if stream is not None:
            self.sender.drop(stream.out)
            self.touched[stream] = None
        return stream

    def _take(self, frame: Frame, now: float) -> None:
        kind = frame.kind
        if self._block is not None and kind != frames.CONTINUATION:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
        if not self.is_settled and (kind != frames.SETTINGS or frame.flags & frames.ACK):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
        if kind in _ON_REQUESTS and frame.stream and (frame.stream >= self._next or not frame.stream & 1):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)  # neither is it one of ours, nor may the server begin any
        match kind:
            case frames.DATA:
                self._data(frame, now)
            case frames.HEADERS:
                block = frames.field_block(frame)
                if frame.flags & frames.END_HEADERS:
                    self._section(frame, block, now)
                else:
                    self._block = (frame, [block], len(block))
            case frames.CONTINUATION:
                self._continuation(frame, now)
            case frames.RST_STREAM:
                self._rst_stream(frame, now)
            case frames.WINDOW_UPDATE:
                self._frames.spend(now)
                self._window_update(frame)
            case frames.SETTINGS:
                self._frames.spend(now, 1 + len(frame.payload) // 6)
                if not frame.flags & frames.ACK:
                    self._settings(frame)
            case frames.PING:
                self._frames.spend(now)
                if not frame.flags & frames.ACK:
                    self.sender.parts.append(frames.ping_ack(frame.payload))
            case frames.GOAWAY:
                self._frames.spend(now)
                self._goaway(frames.number(frame.payload))
            case frames.PUSH_PROMISE:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
            case _:  # PRIORITY, and what extensions bring
                self._frames.spend(now)

    def _data(self, frame: Frame, now: float) -> None:
        size = frame.size
        whole = bool(frame.flags & frames.END_STREAM)
        length = len(frame.payload)
        if length:
            self._frames.earn(length * FRAMES_PER_BYTE)
        elif not whole:
            self._frames.spend(now)
        if not self._window.take(size):
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR)
        increment = self._window.give_back(size)  # at once: what a stream holds, its own window bounds
        if increment:
            self.sender.parts.append(frames.window_update(0, increment))
        stream = self._open(frame)
        if stream is None:
            return  # no fault: a window's worth of small pieces may be on its way when a client takes its request back
        if not stream.window.take(size):
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR)
        stream.received += size
        stream.response.take_data(frame.payload, whole=whole)

    def _continuation(self, frame: Frame, now: float) -> None:
        begun = self._block
        if begun is None or begun[0].stream != frame.stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
        self._frames.spend(now)
        first, parts, size = begun
        size += len(frame.payload)
        if size > OVERSIZE * self._bounds.response_head_bytes:
            raise BoundExceeded("response_head_bytes")
        parts.append(frame.payload)
        self._block = (first, parts, size)
        if frame.flags & frames.END_HEADERS:
            self._block = None
            self._section(first, b"".join(parts), now)

    def _section(self, frame: Frame, block: bytes, now: float) -> None:
        """A whole header or trailer section. It is decoded in any case, to keep in step with the server."""
        fields = self._decoder.decode(block)
        stream = self._open(frame)
        if stream is None:
            self._frames.spend(now)
        else:
            stream.response.take_fields(fields, whole=bool(frame.flags & frames.END_STREAM))

    def _open(self, frame: Frame) -> RequestStream | None:
        """The stream of DATA or HEADERS; None when we have forgotten it, as what comes may have crossed our reset."""
        stream = self.streams.get(frame.stream)
        if stream is None:
            return None
        self.touched[stream] = None
        if stream.response.is_whole:
            raise StreamFault(ErrorCode.STREAM_CLOSED)
        return stream

    def _rst_stream(self, frame: Frame, now: float) -> None:
        self._frames.spend(now)
        stream = self._forget(frame.stream)
        if stream is not None:
            _reset(stream, frames.number(frame.payload))

    def _window_update(self, frame: Frame) -> None:
        increment = frames.number(frame.payload)
        if not frame.stream:
            self.sender.open_window(increment)
            return
        stream = self.streams.get(frame.stream)
        if stream is not None:
            self.touched[stream] = None
            self.sender.open_stream_window(stream.out, increment)

    def _settings(self, frame: Frame) -> None:
        for name, value in frames.read_settings(frame.payload):
            match name:
                case frames.ENABLE_PUSH if value:
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
                case frames.MAX_CONCURRENT_STREAMS:
                    self.max_streams = min(value, STREAMS)
                case frames.INITIAL_WINDOW_SIZE:
                    self.sender.set_initial_window(value, [stream.out for stream in self.streams.values()])
                case frames.HEADER_TABLE_SIZE:
                    self.sender.set_table_bytes(value)
                case frames.MAX_HEADER_LIST_SIZE:
                    self.max_list_bytes = value
                case _:
                    pass
        self.is_settled = True
        self.sender.parts.append(frames.SETTINGS_ACK)

    def _goaway(self, last: int) -> None:
        """No more requests; those above `last` were not looked at, and may be sent elsewhere."""
        self.is_leaving = True
        for number in [number for number in self.streams if number > last]:
            stream = self._forget(number)
            if stream is not None:
                _reset(stream, ErrorCode.REFUSED_STREAM)


def _reset(stream: RequestStream, code: int) -> None:
    if code == ErrorCode.REFUSED_STREAM and not stream.response.begun:
        stream.is_refused = True
    else:
        stream.response.cut("reset", code)
