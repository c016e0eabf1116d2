"""One request on an HTTP/2 connection to an upstream, as if it had a connection of its own.

Whoever has it on lease writes HTTP/1.1 to it, as to any other connection, and it is read again by our own strict parser: so what
was inspected is what goes out, whichever protocol the upstream speaks. The response comes as events of its parser, which `feed`
gives whatever bytes it is fed. A request that the upstream surely has not looked at is sent again on another connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, Protocol, cast

from proxyguard.adapters.mitmproxy.private import ConnectionState
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamConnection, UpstreamTarget
from proxyguard.adapters.mitmproxy.upstream.multiplexed import MultiplexedConnection
from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import BadRequest
from proxyguard.http.http1.heads import Body, RequestHead
from proxyguard.http.http1.request_parser import RequestParser
from proxyguard.http.http2.client import RequestStream
from proxyguard.http.http2.forwarded_request import forwarded_fields, list_bytes
from proxyguard.http.http2.response_fields import trailer_fields
from proxyguard.http.http2.stream_response import StreamResponse

QUEUED_BYTES: Final = 32 * 1024
"""What of a request's body may wait for the upstream's windows before its client is no longer read."""

KEPT_BYTES: Final = 128 * 1024
"""A request up to this is kept until its response begins, lest the upstream has not looked at it: a head, and a body that was
held until it was whole."""

TRIES: Final = 3
"""How often a request is sent in all while its connections stay."""

TRIES_OF_LEAVERS: Final = 10
"""How often while they leave: a server that takes so many requests on a connection (nginx: `keepalive_requests`) leaves out all
that were under way beyond them, and some of those again where many are under way."""

READING: Final = Bounds(head_bytes=1 << 21, target_bytes=1 << 21, field_bytes=1 << 21, header_count=2048, body_bytes=None)
"""For what is read again of requests that were within bounds when their clients sent them: settings allow half of that at most,
whether they were read at the start or since."""


class Carriers(Protocol):
    """The connections of an upstream's address, as a stream knows them; in the product http2_target.Http2Target."""

    def keep(self, work: Coroutine[Any, Any, None], /) -> asyncio.Task[None]:
        """Have something done that ends with the pool."""
        ...

    async def carrier(self) -> MultiplexedConnection:
        """A connection with room for a request, which is to be attached at once. Raises OSError."""
        ...


class UpstreamStream(UpstreamConnection):
    """Stands for a connection with one request. `since` is when its request began, on the worker's clock."""

    __slots__ = ("_carrier", "_home", "_kept", "_reader", "_response", "_sent", "_task", "_tries", "since")

    def __init__(self, target: UpstreamTarget, home: Carriers, carrier: MultiplexedConnection) -> None:
        super().__init__(target)
        self.transport = cast("asyncio.Transport", self)  # what of it whoever has it on lease uses
        self.leases = 1 if carrier.has_served else 0
        self.since = target.now()
        self._home = home
        self._response = StreamResponse(target.bounds)
        self.server.parser = self._response
        self.server.state = ConnectionState.OPEN
        self._reader = RequestParser(READING)
        self._carrier: MultiplexedConnection | None = carrier
        self._sent: RequestStream | None = None
        self._kept: bytearray | None = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._tries = 1
        carrier.attach(self)

    # -- as a transport --------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Some of the request, in HTTP/1.1."""
        if self.closed:
            return
        kept = self._kept
        if kept is not None:
            if len(kept) + len(data) > KEPT_BYTES:
                self._kept = None
            else:
                kept += data
        if self._carrier is not None:
            self._send(data)
        elif self._kept is None:
            self._lose()

    def is_closing(self) -> bool:
        """Whether nothing more goes out."""
        return self.closed

    @property
    def is_sending(self) -> bool:
        return self._sent is not None and self._sent.out.queued > 0

    # -- the request -----------------------------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        carrier = self._carrier
        assert carrier is not None  # noqa: S101 - the callers look
        try:
            events = self._reader.feed(data)
        except BadRequest:  # larger than any that settings allow
            self._refuse()
            return
        sender = carrier.client.sender
        for event in events:
            if isinstance(event, RequestHead):
                if not self._begin(event, carrier):
                    return
                continue
            sent = self._sent
            if sent is None or sent.out.closed:
                return  # the upstream wants no more of it
            if isinstance(event, Body):
                sender.push(sent.out, event.data, self.target.now())
            else:
                sender.end(sent.out, trailer_fields(event.trailers))
        carrier.flush_soon()
        self.look_at_pace()

    def _begin(self, head: RequestHead, carrier: MultiplexedConnection) -> bool:
        fields = forwarded_fields(head, b"http" if self.target.tls is None else b"https")
        if list_bytes(fields) > carrier.client.max_list_bytes:
            self._refuse()
            return False
        self._sent = carrier.client.begin(fields, self._response, self)
        return True

    def _refuse(self) -> None:
        """The head is larger than the upstream takes: to send it could cost everybody else the connection."""
        if self._sent is None:
            self._response.refuse(431)
        else:
            self._response.cut("reset")
        asyncio.get_running_loop().call_soon(self._deliver)

    def look_at_pace(self) -> None:
        """See whether more of the request should come."""
        carrier, sent = self._carrier, self._sent
        blocked = carrier is None or (sent is not None and sent.out.queued >= QUEUED_BYTES)
        if blocked is self.is_blocked:
            return
        self.is_blocked = blocked
        if carrier is not None:
            if blocked:
                carrier.blocked[self] = None
            else:
                carrier.blocked.pop(self, None)
        if not blocked:
            self.resumed = self.target.now()
        if self.user is not None:
            self.user.upstream_pace_changed()

    # -- the response ----------------------------------------------------------------------------------------------------

    def look_at(self, sent: RequestStream) -> None:
        """Frames have come."""
        if sent is not self._sent or self.closed:
            return
        if sent.is_refused:
            self._send_again()
            return
        if self._response.begun:
            self._kept = None
        self.look_at_pace()
        if not self.is_held:
            self._deliver()

    def _deliver(self) -> None:
        if self.user is None or self.closed:
            return
        self.user.upstream_received(self.server, b"")
        carrier, sent = self._carrier, self._sent
        if carrier is not None and sent is not None and sent.received and not self.is_held:
            carrier.client.give_back(sent)
            carrier.flush_soon()

    def hold_reading(self, *, held: bool) -> None:
        """Have the upstream send no more than its window allows, which then waits here; or go on."""
        if held is not self.is_held:
            self.is_held = held
            if not held:
                asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self.is_held:
            self._deliver()

    # -- another connection ----------------------------------------------------------------------------------------------

    def _send_again(self) -> None:
        """The upstream has not looked at the request: another connection may have more luck."""
        carrier = self._carrier
        tries = TRIES_OF_LEAVERS if carrier is None or carrier.client.is_leaving else TRIES
        self._part()
        if self._kept is None or self._tries >= tries:
            self._lose()
            return
        self._tries += 1
        self._reader = RequestParser(READING)
        self.look_at_pace()
        self._task = self._home.keep(self._move())

    async def _move(self) -> None:
        try:
            carrier = await self._home.carrier()
        except OSError:
            self._lose()
            return
        self._task = None
        kept = self._kept
        if self.closed or kept is None:
            return
        self._carrier = carrier
        carrier.attach(self)
        self._send(bytes(kept))

    def _part(self) -> None:
        """Leave the connection."""
        carrier, sent = self._carrier, self._sent
        self._carrier = self._sent = None
        if carrier is not None:
            carrier.detach(self, sent)

    # -- ends ------------------------------------------------------------------------------------------------------------

    def on_carrier_lost(self) -> None:
        """The connection is gone; what came before may still wait here."""
        sent, self._carrier = self._sent, None
        if self.closed or self._response.is_whole:
            return
        if sent is None or sent.is_refused:
            self._send_again()
            return
        self._sent = None
        self._deliver()
        self._lose()

    def _lose(self) -> None:
        """Tell whoever has it on lease that nothing more comes."""
        if self.closed:
            return
        self._end()
        user, self.user = self.user, None
        if user is not None:
            user.upstream_closed(self.server)

    def close(self) -> None:
        """Give the request up, unless it is over."""
        self.user = None
        if not self.closed:
            self._end()

    def finish(self) -> None:
        self.close()

    def _end(self) -> None:
        self.closed = True
        self.server.state = ConnectionState.CLOSED
        self._kept = None
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        self._part()
        self.free_slot()
