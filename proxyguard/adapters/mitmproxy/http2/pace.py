"""The pace of one HTTP/2 connection: neither side is read faster than the other takes what comes of it.

A stream that its client does not read holds up its own upstream only; all together hold up every upstream once they hold over
`most_queued`. The client is not read while it takes nothing of what it asked for, or while its frames wait for their turn.
"""

from __future__ import annotations

from typing import Final

from proxyguard.adapters.mitmproxy.http2.connection import Http2Connection
from proxyguard.adapters.mitmproxy.http2.stream import Http2Stream
from proxyguard.adapters.mitmproxy.http2.streams import Http2Streams
from proxyguard.adapters.mitmproxy.messages import HoldReading, HoldUpstream

STALLED_BYTES: Final = 64 * 1024
"""What may be written to a client that takes nothing before reading from it stops: some answers need no window."""


class Pace:
    """Appends HoldReading and HoldUpstream to the outbox. `unsent_bytes` were written since the client stalled."""

    __slots__ = ("_connection", "_is_full", "_is_reading_held", "_streams", "unsent_bytes")

    def __init__(self, streams: Http2Streams) -> None:
        self._streams = streams
        self._connection: Http2Connection = streams.connection
        self._is_full = False
        self._is_reading_held = False
        self.unsent_bytes = 0

    @property
    def is_choked(self) -> bool:
        """Whether the client takes nothing of what it asked for."""
        return self._connection.link.stalled and self.unsent_bytes > STALLED_BYTES

    @property
    def is_due(self) -> bool:
        """Whether reading from the client has to be stopped, or to go on."""
        return (self._connection.intake.is_behind or self.is_choked) != self._is_reading_held

    def hold_reading(self) -> None:
        """Stop reading from a client that takes nothing, or that we are behind with; or go on."""
        connection = self._connection
        if not connection.link.stalled:
            self.unsent_bytes = 0
        if self.is_due:
            self._is_reading_held = held = not self._is_reading_held
            connection.outbox.commands.append(HoldReading(held=held))

    def check_fill(self) -> None:
        """Touch every stream when all together begin to hold too much, or cease to."""
        connection = self._connection
        full = connection.sender.queued > connection.most_queued
        if full != self._is_full:
            self._is_full = full
            self._streams.touch_all()

    def hold_upstream(self, stream: Http2Stream) -> None:
        """Take from a stream's upstream only what its client takes."""
        server = stream.server
        if server is None or server.has_own_pace:
            return
        held = bool(stream.out.queued) or self._is_full
        if held != stream.held:
            connection = self._connection
            stream.held = held
            stream.held_since = connection.now
            connection.outbox.commands.append(HoldUpstream(server, held=held))
            if not held and stream.exchange is not None:
                stream.exchange.writable(connection.now)

    def hold_upstreams_again(self) -> None:
        """The driver has let all upstreams go on; those that a stream holds remain held."""
        self._streams.touch_all()
        for stream in self._streams.open.values():
            if stream.held and stream.server is not None:
                self._connection.outbox.commands.append(HoldUpstream(stream.server, held=True))
