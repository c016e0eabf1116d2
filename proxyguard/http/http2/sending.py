"""What goes to the client: header sections at once, bodies as far as windows let them, streams taking turns frame by frame.

Bodies that the client has no window for wait here; `queued` says how much, so that whoever fills the queues can stop.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from proxyguard.http.http2 import frames
from proxyguard.http.http2.errors import ConnectionFault, ErrorCode, StreamFault
from proxyguard.http.http2.frames import DEFAULT_WINDOW, FRAME_BYTES, MAX_WINDOW
from proxyguard.http.http2.hpack import Field, FieldEncoder

TINY_BYTES: Final = 256
"""A frame of a longer body that the client's window cuts below this is counted against the client."""


class Outgoing:
    """The answering half of a stream. `moved` is when its body last went on, or began to wait.

    `taken` went on since `since`, when the body began to wait or was last looked at.
    """

    __slots__ = (
        "_pieces", "_skip", "closed", "ended", "head", "moved", "number", "queued", "since", "taken", "trailers", "window",
    )  # fmt: skip

    def __init__(self, number: int, window: int) -> None:
        self.number = number
        self.window = window
        self.head: list[Field] | None = None
        self.trailers: list[Field] | None = None
        self.ended = False
        self.closed = False
        self.queued = 0
        self.moved = 0.0
        self.since = 0.0
        self.taken = 0
        self._pieces: deque[bytes] = deque()
        self._skip = 0

    def add(self, data: bytes) -> None:
        self._pieces.append(data)
        self.queued += len(data)

    def take(self, size: int) -> bytes:
        """The next `size` bytes; no more than are queued."""
        self.queued -= size
        pieces = self._pieces
        first = pieces[0]
        skip = self._skip
        if len(first) - skip > size:
            self._skip = skip + size
            return first[skip : self._skip]
        pieces.popleft()
        self._skip = 0
        found = first[skip:] if skip else first
        if len(found) == size:
            return found
        parts = [found]
        size -= len(found)
        while size:
            first = pieces[0]
            if len(first) > size:
                parts.append(first[:size])
                self._skip = size
                break
            parts.append(pieces.popleft())
            size -= len(first)
        return b"".join(parts)

    def look(self, now: float, least: int) -> bool:
        """Whether at least so much went on since the last look; then there will be another."""
        taken, self.taken = self.taken, 0
        self.since = now
        return taken >= least

    def clear(self) -> None:
        """Forget what has not been sent."""
        self._pieces.clear()
        self._skip = 0
        self.queued = 0
        self.head = self.trailers = None


class Sender:
    """One per connection. `parts` are the bytes to send, in order; `finished` the streams whose last frame is among them."""

    __slots__ = (
        "_encoder", "_initial_window", "_ready", "data_frames", "finished", "parts", "queued", "tiny_frames", "window",
    )  # fmt: skip

    def __init__(self, *, remembers: bool = False) -> None:
        """`remembers`: the last header section is kept with its code, for when it comes again."""
        self.parts: list[bytes] = []
        self.finished: list[int] = []
        self.window = DEFAULT_WINDOW
        self.queued = 0
        self.data_frames = 0
        self.tiny_frames = 0
        self._initial_window = DEFAULT_WINDOW
        self._encoder = FieldEncoder(remembers=remembers)
        self._ready: dict[Outgoing, None] = {}

    def open(self, number: int) -> Outgoing:
        return Outgoing(number, self._initial_window)

    def interim(self, out: Outgoing, fields: list[Field]) -> None:
        """An informational response."""
        self.parts.append(frames.headers(out.number, self._encoder.encode(fields), end=False))

    def begin(self, out: Outgoing, fields: list[Field]) -> None:
        """The head; it waits for the end of the turn, lest an empty body cost a frame of its own."""
        out.head = fields
        self._ready[out] = None

    def push(self, out: Outgoing, data: bytes, now: float) -> None:
        """Some of the body."""
        if data:
            if not out.queued:
                out.moved = out.since = now
                out.taken = 0
            out.add(data)
            self.queued += len(data)
            self._ready[out] = None

    def end(self, out: Outgoing, trailers: list[Field] | None = None) -> None:
        """Nothing follows but trailers."""
        out.ended = True
        out.trailers = trailers or None
        self._ready[out] = None

    def drop(self, out: Outgoing) -> None:
        """Forget a stream."""
        self.queued -= out.queued
        out.clear()
        out.closed = True
        self._ready.pop(out, None)

    def reset(self, out: Outgoing, code: ErrorCode) -> None:
        """Forget a stream and say so."""
        self.drop(out)
        self.parts.append(frames.rst_stream(out.number, code))

    def open_window(self, increment: int) -> None:
        """The client takes more over the connection. Raises ConnectionFault."""
        if not increment:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
        self.window += increment
        if self.window > MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR)

    def open_stream_window(self, out: Outgoing, increment: int) -> None:
        """The client takes more on a stream. Raises StreamFault."""
        if not increment:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR)
        out.window += increment
        if out.window > MAX_WINDOW:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR)
        if out.queued:
            self._ready[out] = None

    def set_initial_window(self, size: int, streams: list[Outgoing]) -> None:
        """The client's SETTINGS_INITIAL_WINDOW_SIZE, which moves the windows of open streams too. Raises ConnectionFault."""
        change = size - self._initial_window
        self._initial_window = size
        for out in streams:
            out.window += change
            if out.window > MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR)
            if out.queued:
                self._ready[out] = None

    def set_table_bytes(self, size: int) -> None:
        """The client's SETTINGS_HEADER_TABLE_SIZE."""
        self._encoder.set_limit(size)

    def pump(self, now: float) -> None:
        """Write what may be written."""
        ready = self._ready
        while ready:
            blocked = 0
            for out in list(ready):
                if out.head is not None:
                    self._write_head(out)
                if out.queued:
                    room = min(out.window, self.window)  # two at a time, which is compiled to a comparison
                    size = min(out.queued, FRAME_BYTES)
                    size = min(size, room)
                    if size <= 0:
                        if out.window <= 0:
                            del ready[out]
                        else:
                            blocked += 1
                        continue
                    self._write_data(out, size, now)
                if not out.queued:
                    if out.ended and not out.closed:
                        self._write_end(out)
                    del ready[out]
            if blocked == len(ready):
                return

    def _write_head(self, out: Outgoing) -> None:
        fields, out.head = out.head, None
        assert fields is not None  # noqa: S101 - the caller looks
        end = out.ended and not out.queued and out.trailers is None
        self.parts.append(frames.headers(out.number, self._encoder.encode(fields), end=end))
        if end:
            self._close(out)

    def _write_data(self, out: Outgoing, size: int, now: float) -> None:
        limited = size < out.queued and size < TINY_BYTES
        data = out.take(size)
        self.queued -= size
        self.window -= size
        out.window -= size
        out.moved = now
        out.taken += size
        end = out.ended and not out.queued and out.trailers is None
        self.parts += (frames.data_header(out.number, size, end=end), data)
        if limited:
            self.tiny_frames += 1
        else:
            self.data_frames += 1
        if end:
            self._close(out)

    def _write_end(self, out: Outgoing) -> None:
        if out.trailers is not None:
            self.parts.append(frames.headers(out.number, self._encoder.encode(out.trailers), end=True))
        else:
            self.parts.append(frames.data_header(out.number, 0, end=True))
        self._close(out)

    def _close(self, out: Outgoing) -> None:
        out.closed = True
        self.finished.append(out.number)
