"""Frames on the wire (RFC 9113 sections 4 and 6): a reader for what the other side sends, and the bytes of what we send.

The reader checks sizes and stream numbers that need no knowledge of streams. It holds at most one frame that is not DATA, and
of DATA nothing: body bytes are passed on as they come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final

from proxyguard.core.value import Value
from proxyguard.http.http2.errors import ConnectionFault, ErrorCode

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6
NO_PRIORITIES: Final = 0x9
"""SETTINGS_NO_RFC7540_PRIORITIES (RFC 9218 section 2.1)."""

FRAME_BYTES: Final = 16_384
"""The largest payload that either side may send unless SETTINGS raise it. Ours never do."""

MAX_WINDOW: Final = 0x7FFF_FFFF
DEFAULT_WINDOW: Final = 65_535
"""RFC 9113 section 6.9.2."""

_LONG: Final = Struct(">L")
_SETTING: Final = Struct(">HL")
_SIZES: Final = {PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}
_ON_CONNECTION: Final = frozenset({SETTINGS, PING, GOAWAY})
_ON_STREAM: Final = frozenset({DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, CONTINUATION})


class Frame(Value):
    """One frame, or one piece of a DATA frame: then `size` is what it counts for flow control, padding included.

    END_STREAM is in `flags` of the last piece only.
    """

    __slots__ = ("flags", "kind", "payload", "size", "stream")

    def __init__(self, kind: int, flags: int, stream: int, payload: bytes, size: int = 0) -> None:
        self.kind = kind
        self.flags = flags
        self.stream = stream
        self.payload = payload
        self.size = size

    def held(self) -> tuple[object, ...]:
        return (self.kind, self.flags, self.stream, self.payload, self.size)


class Http2FrameReader:
    """One per connection: the preface, unless the other side is a server, then frames."""

    __slots__ = ("_data", "_data_left", "_flags", "_held", "_in_preface", "_pad_left", "_place", "_stream", "_wanted")

    def __init__(self, *, is_server: bool = True) -> None:
        self._in_preface = is_server
        self._held: bytes = b""
        self._wanted = 1
        self._data: bytes = b""
        self._place = 0
        self._data_left = 0
        self._pad_left = 0
        self._flags = 0
        self._stream = 0

    @property
    def is_inside(self) -> bool:
        """Whether a frame other than DATA, or the preface, has begun and is not complete."""
        return bool(self._held) or self._in_preface

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with `data`, in order. Raises ConnectionFault after those that precede the fault."""
        self.take(data)
        while True:
            frame = self.next()
            if frame is None:
                return
            yield frame

    def take(self, data: bytes) -> None:
        """Read on in `data`: frames come with `next`, before anything more may be taken. Raises ConnectionFault."""
        if self._held:
            data = self._held + data
            if len(data) < self._wanted:
                self._held = data
                return
            self._held = b""
        self._place = 0
        self._data = data
        if self._in_preface:
            if data.startswith(PREFACE):
                self._in_preface = False
                self._place = len(PREFACE)
            else:
                self._data = b""
                if not PREFACE.startswith(data):
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
                self._held = data

    def next(self) -> Frame | None:
        """The next frame that is complete; None: more has to come. Raises ConnectionFault."""
        data, start = self._data, self._place
        left = len(data) - start
        if left <= 0:
            self.drop()
            return None
        if self._data_left or self._pad_left:
            return self._read_data(data, start)
        if left < 9:
            self._hold(start, 9)
            return None
        length = data[start] << 16 | data[start + 1] << 8 | data[start + 2]
        kind, flags = data[start + 3], data[start + 4]
        stream = (data[start + 5] & 0x7F) << 24 | data[start + 6] << 16 | data[start + 7] << 8 | data[start + 8]
        _check(kind, flags, stream, length)
        if kind == DATA:
            if flags & PADDED and left < 10:
                self._hold(start, 10)
                return None
            start = self._begin_data(data, start + 9, flags, stream, length)
            return self._read_data(data, start, 1 if flags & PADDED else 0)  # the length of the padding counts too
        stop = start + 9 + length
        if stop > len(data):
            self._hold(start, 9 + length)
            return None
        self._place = stop
        return Frame(kind, flags, stream, data[start + 9 : stop])

    def drop(self) -> None:
        """Forget what was taken."""
        self._data = b""
        self._place = 0

    def _hold(self, start: int, wanted: int) -> None:
        """Keep the beginning of a frame until there is as much as is wanted of it."""
        self._held = self._data[start:]
        self._wanted = wanted
        self.drop()

    def _begin_data(self, data: bytes, start: int, flags: int, stream: int, length: int) -> int:
        self._flags = flags
        self._stream = stream
        self._data_left = length
        self._pad_left = 0
        if flags & PADDED:
            pad = data[start]
            start += 1
            if pad >= length:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
            self._data_left = length - 1 - pad
            self._pad_left = pad
        return start

    def _read_data(self, data: bytes, start: int, more: int = 0) -> Frame:
        """The piece of a DATA frame that is there: maybe nothing yet, maybe padding only. `more` counts as well."""
        payload = data[start : start + self._data_left]
        size = len(payload)
        self._data_left -= size
        if not self._data_left and self._pad_left:
            padding = min(self._pad_left, len(data) - start - size)
            self._pad_left -= padding
            size += padding
        self._place = start + size
        over = not self._data_left and not self._pad_left
        return Frame(DATA, self._flags & END_STREAM if over else 0, self._stream, payload, size + more)


def _check(kind: int, flags: int, stream: int, length: int) -> None:
    """Raise ConnectionFault for a frame header that no state of the connection allows."""
    if length > FRAME_BYTES:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR)
    if (kind in _ON_CONNECTION and stream) or (kind in _ON_STREAM and not stream):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
    wanted = _SIZES.get(kind)
    if wanted is not None and length != wanted:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR)
    if kind == SETTINGS and (length % 6 or (flags & ACK and length)):
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR)
    if (kind == GOAWAY and length < 8) or (kind == DATA and flags & PADDED and not length):
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR)


def field_block(frame: Frame) -> bytes:
    """The field block (or its beginning) of a HEADERS frame, without padding and priority. Raises ConnectionFault."""
    payload = frame.payload
    start = 0
    stop = len(payload)
    try:
        if frame.flags & PADDED:
            start = 1
            stop -= payload[0]
    except IndexError:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR) from None
    if frame.flags & HAS_PRIORITY:
        start += 5
    if start > stop:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
    return payload[start:stop] if start or stop != len(payload) else payload


def number(payload: bytes, start: int = 0) -> int:
    """A 31-bit number: a window's increment, a stream."""
    value: int = _LONG.unpack_from(payload, start)[0]
    return value & MAX_WINDOW


def read_settings(payload: bytes) -> Iterable[tuple[int, int]]:
    """Identifiers and values. Raises ConnectionFault for values that the protocol forbids."""
    settings = list(_SETTING.iter_unpack(payload))
    for name, value in settings:
        if name == INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR)
        if (name == ENABLE_PUSH and value > 1) or (name == MAX_FRAME_SIZE and not FRAME_BYTES <= value < 1 << 24):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR)
    return settings


def frame_header(length: int, kind: int, flags: int, stream: int) -> bytes:
    """What precedes a payload; one number, as the methods of a Struct are looked up by name for each call."""
    return (length << 48 | kind << 40 | flags << 32 | stream).to_bytes(9, "big")


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """The bytes of a frame."""
    return frame_header(len(payload), kind, flags, stream) + payload


def headers(stream: int, block: bytes, *, end: bool) -> bytes:
    """HEADERS, and CONTINUATION for what does not fit."""
    if len(block) <= FRAME_BYTES:
        return frame(HEADERS, END_HEADERS | END_STREAM if end else END_HEADERS, stream, block)
    pieces = [block[start : start + FRAME_BYTES] for start in range(0, len(block), FRAME_BYTES)]
    last = len(pieces) - 1
    return frame(HEADERS, END_STREAM if end else 0, stream, pieces[0]) + b"".join(
        [frame(CONTINUATION, END_HEADERS if place == last else 0, stream, piece) for place, piece in enumerate(pieces) if place]
    )


def data_header(stream: int, size: int, *, end: bool) -> bytes:
    """What precedes `size` bytes of DATA."""
    return frame_header(size, DATA, END_STREAM if end else 0, stream)


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join([_SETTING.pack(*pair) for pair in values]))


SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0, b"")


def ping(payload: bytes) -> bytes:
    return frame(PING, 0, 0, payload)


def ping_ack(payload: bytes) -> bytes:
    return frame(PING, ACK, 0, payload)


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, _LONG.pack(increment))


def rst_stream(stream: int, code: ErrorCode) -> bytes:
    return frame(RST_STREAM, 0, stream, _LONG.pack(code))


def goaway(last_stream: int, code: ErrorCode) -> bytes:
    return frame(GOAWAY, 0, 0, _LONG.pack(last_stream) + _LONG.pack(code))
