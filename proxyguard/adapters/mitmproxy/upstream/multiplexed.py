"""An HTTP/2 connection to an upstream, which carries many requests at once, each of them as a stream: see stream.

What happens to it happens to all of its streams. It takes no new ones once the upstream says GOAWAY, or after so many resets that
the upstream may hold them against everybody on it; it closes when it has been without streams for a while.
"""

from __future__ import annotations

import asyncio
from errno import EPROTO
from math import inf
from typing import Final, Protocol, cast

from proxyguard.adapters.mitmproxy.upstream.connection import IDLE_SECONDS, ConnectionUser, UpstreamConnection, UpstreamTarget
from proxyguard.core.settings import UpstreamReuse
from proxyguard.http.http2 import frames
from proxyguard.http.http2.client import Http2Client, RequestStream
from proxyguard.http.http2.errors import ConnectionFault, ErrorCode, Http2Fault

RESETS: Final = 100
"""Requests given up on one connection before others go to a new one: servers cut connections with 200 in 30 seconds (Netty), and
clients choose how many they take back."""

SILENT_SECONDS: Final = 1.0
"""A request given up after so long, in which nothing at all came from the upstream, has it asked for a sign of life."""

SIGN_OF_LIFE_SECONDS: Final = 5.0
"""How long it may take to give one; then the connection is dead, and other requests need not find out one by one."""


NO_ALPN: Final = "the upstream does not offer HTTP/2 over TLS (ALPN h2): is upstream_http: 2 right?"
NO_SETTINGS: Final = "what answers is no HTTP/2 server: is h2c:// or upstream_http: 2 right?"


def not_http2(why: str) -> OSError:
    """The error, of this errno, for what answers but does not speak HTTP/2, or takes no request."""
    return OSError(EPROTO, why)


class CarriedStream(Protocol):
    """A request as the connection that carries it knows it; in the product stream.UpstreamStream."""

    user: ConnectionUser | None
    since: float
    """When it began, on the worker's clock."""

    def look_at(self, sent: RequestStream, /) -> None:
        """Frames have come."""
        ...

    def look_at_pace(self) -> None:
        """See whether more of the request should come."""
        ...

    def on_carrier_lost(self) -> None:
        """The connection is gone."""
        ...

    def close(self) -> None:
        """Give the request up."""
        ...


class MultiplexedConnection(UpstreamConnection):
    """Carries the frames of `streams`, those that have sent nothing yet included."""

    __slots__ = ("_asked", "_heard", "_is_flushing", "_resets", "blocked", "client", "has_served", "ready", "streams")

    def __init__(self, target: UpstreamTarget) -> None:
        super().__init__(target)
        self.client = Http2Client(target.bounds, target.now())
        self.streams: dict[CarriedStream, None] = {}
        self.blocked: dict[CarriedStream, None] = {}
        """Those whose requests do not move on."""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the upstream's SETTINGS have come; fails with OSError."""
        self.has_served = False
        """Whether a response has come on it."""
        self._is_flushing = False
        self._asked = self._heard = -inf
        self._resets = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self._not_ready(NO_ALPN)
            return
        self.client.greet()
        self.flush()

    @property
    def has_room(self) -> bool:
        """Whether another request may go to it. One that nobody uses any more must seem to be open still: one system call."""
        client = self.client
        if self.closed or not client.takes_requests or self.is_blocked or self.transport.is_closing():
            return False
        count = len(self.streams)
        return count < client.max_streams and (count > 0 or not self.has_served or self.is_silent)

    # -- streams ---------------------------------------------------------------------------------------------------------

    def attach(self, stream: CarriedStream) -> None:
        """One more request. Only while `has_room`."""
        self.streams[stream] = None
        self._time(self.target.now())
        if self.target.reuse is UpstreamReuse.NEVER:
            self.client.is_leaving = True

    def detach(self, stream: CarriedStream, sent: RequestStream | None) -> None:
        """A request is over, or given up; `sent` is what has gone out of it."""
        self.streams.pop(stream, None)
        self.blocked.pop(stream, None)
        if self.closed:
            return
        client = self.client
        now = self.target.now()
        if sent is not None:
            self.has_served = self.has_served or sent.response.is_whole
            if client.end(sent, ErrorCode.CANCEL) and not sent.response.is_whole:
                self._resets += 1
                if self._resets >= RESETS:
                    client.is_leaving = True
                if not client.is_pinged and max(self._heard, stream.since) + SILENT_SECONDS < now:
                    self._asked = now
                    client.ping()
            self.flush_soon()
        self._time(now)
        if not self.streams and client.is_leaving:
            self.leave()

    def flush_soon(self) -> None:
        """Send what there is at the end of this turn of the loop: what several requests bring goes out together."""
        if not self._is_flushing and not self.closed:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush_now)

    def flush(self) -> None:
        """Send what windows, and the upstream's socket, take. Raises BoundExceeded."""
        client = self.client
        if not self.is_blocked:
            client.pump(self.target.now())
        parts = client.sender.parts
        if parts:
            data = b"".join(parts)
            parts.clear()
            self.transport.write(data)
        for stream in tuple(self.blocked):
            stream.look_at_pace()

    def _flush_now(self) -> None:
        self._is_flushing = False
        if not self.closed:
            try:
                self.flush()
            except Http2Fault as fault:
                self._fail(fault)

    # -- the socket ------------------------------------------------------------------------------------------------------

    def on_data(self, data: bytes) -> None:
        if self.closed:
            return
        client = self.client
        now = self._heard = self.target.now()
        client.is_pinged = False
        fault: Http2Fault | None = None
        try:
            client.feed(data, now)
        except Http2Fault as found:
            fault = found
        if client.is_settled and not self.ready.done():
            self.ready.set_result(None)
        touched, client.touched = client.touched, {}
        for stream in touched:
            cast("CarriedStream", stream.owner).look_at(stream)
        if self.transport.is_closing():
            return
        if fault is not None:
            self._fail(fault)
            return
        self.flush_soon()
        self._time(now)
        if client.is_leaving and not self.streams:
            self.leave()

    def connection_lost(self, _: Exception | None) -> None:
        self.closed = True
        self.target.lost(self)
        self._not_ready(f"{NO_SETTINGS} (it closed the connection)")
        self._lose_streams()

    def resume_writing(self) -> None:
        self.is_blocked = False
        self._time(self.target.now())
        self.flush_soon()

    def on_deadline(self, now: float) -> None:
        """It has been kept long enough without a stream, the upstream takes no byte, or gives no sign of life."""
        if self.closed:
            self.transport.abort()
        elif self.client.is_pinged and now >= self._asked + SIGN_OF_LIFE_SECONDS:
            self._cut()
        elif not self.streams:
            self.leave()
        elif self.is_blocked:
            unsent, self._unsent = self._unsent, self.transport.get_write_buffer_size()
            if self._unsent < unsent:
                self._watch_progress(now)
                return
            for stream in self.streams:
                if stream.user is not None:
                    stream.user.upstream_stalled()
            self._cut()

    # -- ends ------------------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Say goodbye and close; there are no streams."""
        if not self.closed:
            parts = self.client.sender.parts
            self.transport.write(b"".join([*parts, frames.goaway(0, ErrorCode.NO_ERROR)]))
            self.finish()

    def close(self) -> None:
        """Cut it; whoever has requests on it is not told."""
        super().close()
        self._not_ready("the connection was cut")
        for stream in tuple(self.streams):
            stream.close()

    def _cut(self) -> None:
        """The upstream is gone without a word."""
        super().close()
        self._lose_streams()

    def _fail(self, fault: Http2Fault) -> None:
        """The upstream broke a rule: say so and close."""
        code = fault.code if isinstance(fault, ConnectionFault) else ErrorCode.ENHANCE_YOUR_CALM
        self._not_ready(f"{NO_SETTINGS} ({fault})")
        self.transport.write(frames.goaway(0, code))
        self.finish()
        self._lose_streams()

    def _lose_streams(self) -> None:
        self.client.is_leaving = True
        streams, self.streams = self.streams, {}
        self.blocked.clear()
        for stream in streams:
            stream.on_carrier_lost()

    def _not_ready(self, why: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(not_http2(why))
            self.ready.exception()  # whoever waits gets it all the same

    def _time(self, now: float) -> None:
        """When to look at it again."""
        if self.is_blocked or self.closed:
            return
        if self.client.is_pinged:
            self.deadline = self._asked + SIGN_OF_LIFE_SECONDS
        elif not self.streams:
            self.deadline = now + IDLE_SECONDS
        else:
            self.deadline = inf
            return
        self.target.watch(self)
