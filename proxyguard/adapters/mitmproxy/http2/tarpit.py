"""A tarpitted stream as the tarpit sees it: a transport whose bytes go into one HTTP/2 stream.

The connection and its other streams live on; what a held stream costs is this object and the stream's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxyguard.adapters.mitmproxy.http2.connection import Http2Connection
from proxyguard.http.http2.sending import Outgoing


class HeldStream(asyncio.Transport):
    """The transport of a held stream; `reset` resets the stream. Its protocol is tarpit.TarpitConnection."""

    __slots__ = ("_connection", "_out", "_protocol", "_reset")

    def __init__(self, connection: Http2Connection, out: Outgoing, reset: Callable[[], None]) -> None:
        super().__init__()
        self._connection = connection
        self._out = out
        self._reset = reset
        self._protocol: asyncio.BaseProtocol | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def resume_reading(self) -> None:
        """Nothing to do: what the client sends is thrown away, as far as the stream's window lets it send."""

    def is_closing(self) -> bool:
        return self._protocol is None

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not taken; when its connection takes nothing, none may be added."""
        return self._out.queued or int(self._connection.link.stalled)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data:
            connection = self._connection
            connection.sender.push(self._out, bytes(data), connection.now)
            connection.wake()

    def close(self) -> None:
        """End the stream: the time of the tarpit is over."""
        if self._protocol is not None:
            self._connection.sender.end(self._out)
            self._end()

    def abort(self) -> None:
        """Reset the stream: the time is over, and the client did not take the last bytes."""
        if self._protocol is not None:
            self._reset()
            self._end()

    def lost(self) -> None:
        """The client left."""
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(None)

    def on_released(self) -> None:
        """The tarpit has counted the client out; connections are counted elsewhere."""

    def _end(self) -> None:
        self.lost()
        self._connection.wake()
