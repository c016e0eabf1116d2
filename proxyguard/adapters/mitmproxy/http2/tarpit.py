"""A tarpitted stream as the dripper sees it: a transport whose bytes go into one HTTP/2 stream.

The connection and its other streams live on; what a held stream costs is this object and the stream's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxyguard.http.http2.errors import ErrorCode

if TYPE_CHECKING:
    from proxyguard.adapters.mitmproxy.http2.stream import Http2Stream
    from proxyguard.adapters.mitmproxy.http2.streams import Http2Streams


class HeldStream(asyncio.Transport):
    """See the module. Its protocol is the dripper's Drip."""

    __slots__ = ("_drip", "_stream", "_streams")

    def __init__(self, streams: Http2Streams, stream: Http2Stream) -> None:
        super().__init__()
        self._streams = streams
        self._stream = stream
        self._drip: asyncio.BaseProtocol | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._drip = protocol

    def resume_reading(self) -> None:
        """What the client sends on is thrown away, as far as the stream's window lets it send."""

    def is_closing(self) -> bool:
        return self._drip is None

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not taken; when its connection takes nothing, none may be added."""
        return self._stream.out.queued or int(self._streams.link.stalled)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data:
            self._streams.sender.push(self._stream.out, bytes(data), self._streams.now)
            self._streams.wake()

    def close(self) -> None:
        """The time of the tarpit is over."""
        if self._drip is not None:
            self._streams.sender.end(self._stream.out)
            self._end()

    def abort(self) -> None:
        """The time is over, and the client did not take the last bytes."""
        if self._drip is not None:
            self._streams.reset(self._stream, ErrorCode.CANCEL)
            self._end()

    def lost(self) -> None:
        """The client left."""
        drip, self._drip = self._drip, None
        if drip is not None:
            drip.connection_lost(None)

    def on_released(self) -> None:
        """The dripper has counted the client out; connections are counted elsewhere."""

    def _end(self) -> None:
        self.lost()
        self._streams.wake()
