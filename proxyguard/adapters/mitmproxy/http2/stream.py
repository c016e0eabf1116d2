"""One HTTP/2 stream: the codec between an Exchange and the frames of its connection.

Body bytes wait here while the exchange cannot take them, never more than the stream's window; they are given back to that
window only when they are on their way to the upstream. Knows nothing of other streams.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import Final, Protocol

from proxyguard.adapters.mitmproxy.exchange import Exchange
from proxyguard.adapters.mitmproxy.http2.connection import QUEUED_BYTES, Http2Connection
from proxyguard.adapters.mitmproxy.http2.tarpit import HeldStream
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamServer
from proxyguard.core.address import Address
from proxyguard.core.decision import Tarpit
from proxyguard.core.request import Headers
from proxyguard.http.http1.heads import RequestHead, ResponseHead
from proxyguard.http.http2.errors import ErrorCode, StreamFault
from proxyguard.http.http2.frames import window_update
from proxyguard.http.http2.receiving import ReceiveWindow
from proxyguard.http.http2.response_fields import own_fields, response_fields, trailer_fields
from proxyguard.http.http2.sending import Outgoing
from proxyguard.http.responses import TARPIT_HEADERS, Answer

MAX_TARPITS: Final = 4
"""Streams of one connection that may be held at once; each counts as one held client, and its connection is dearer than one."""


STARVED_BYTES: Final = 16 * 1024
"""A client that may send less than this over its connection is not to blame for what it does not send on a stream."""

DRAIN_SECONDS: Final = 2.0
DRAIN_BYTES: Final = 1024 * 1024
"""After an answer that did not wait for the request's body: how long and how much of it is still read and thrown away, before
the client is told to stop. Some clients lose an answer that a reset follows too soon (curl 7), or wait for ever without one."""


PASSED_CODES: Final[dict[int | None, ErrorCode]] = {int(code): code for code in (ErrorCode.CANCEL, ErrorCode.ENHANCE_YOUR_CALM)}
"""Codes of an upstream's resets that mean the same on the client's stream, and that gRPC clients tell from others."""


class StreamSet(Protocol):
    """All streams of a connection, as one of them knows them; in the product streams.Http2Streams."""

    def part(self, stream: Http2Stream, /) -> None:
        """The exchange of a stream is over."""
        ...

    def reset(self, stream: Http2Stream, code: ErrorCode, /) -> None:
        """End a stream here and now."""
        ...

    def remove(self, stream: Http2Stream, /) -> None:
        """A stream has ended, on both sides."""
        ...

    def drop(self, stream: Http2Stream, /) -> None:
        """End a stream without an answer, at the expense of its client."""
        ...


class Http2Stream:
    """One request and its answer. Implements codec.Codec.

    `receiving` says that more of the request may come. `held` says that its upstream is not read, since `held_since`, because the
    client does not take what comes. `drained_until` is when the client is told to stop sending a body whose request has been
    answered, inf before the answer.
    """

    __slots__ = (
        "_connection", "_ending", "_inbox", "_left", "_received", "_streams", "_tarpit", "_unacknowledged", "_window",
        "drained_until", "exchange", "head", "held", "held_since", "method", "number", "out", "receiving",
    )  # fmt: skip

    def __init__(self, connection: Http2Connection, streams: StreamSet, number: int, *, window: int, receiving: bool) -> None:
        self._connection = connection
        self._streams = streams
        self.number = number
        self.out: Outgoing = connection.sender.open(number)
        self.receiving = receiving
        self.exchange: Exchange | None = None
        self.head: RequestHead | None = None
        self.method = b""
        self.held = False
        self.held_since = 0.0
        self.drained_until = inf
        self._window = ReceiveWindow(window)
        self._inbox: list[bytes] = []
        self._unacknowledged = 0
        self._left: int | None = None
        self._received = 0
        self._ending: Headers | None = None
        self._tarpit: HeldStream | None = None

    # -- the request's body ----------------------------------------------------------------------------------------------

    def expect(self, length: int | None) -> None:
        """Take note of the length that the head announces for the body."""
        self._left = length

    def data(self, payload: bytes, size: int, *, end: bool) -> str:
        """Some of the body; `size` is what it takes from the window. Raises StreamFault; returns a fault, or ""."""
        if not self.receiving:
            raise StreamFault(ErrorCode.STREAM_CLOSED)
        if not self._window.take(size):
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR)
        length = len(payload)
        if self.drained_until < inf:
            self._drain(size, end=end)
            return ""
        self._acknowledge(size - length)
        self._unacknowledged += length
        self._received += length
        if self._left is not None:
            self._left -= length
            if self._left < 0 or (end and self._left):
                return "content-length"
        bound = self._connection.bounds.body_bytes
        if bound is not None and self._received > bound:
            return "body-size"
        if payload:
            self._inbox.append(payload)
        if end:
            self.end(())
        self.pass_on()
        return ""

    def begin_draining(self) -> None:
        """The request is answered: what is still to come of its body is thrown away for a bounded while."""
        self.drained_until = self._connection.now + DRAIN_SECONDS
        self._received = 0
        self._inbox.clear()
        size, self._unacknowledged = self._unacknowledged, 0
        self._acknowledge(size)

    def _drain(self, size: int, *, end: bool) -> None:
        self._received += size
        if end:
            self.receiving = False
            self._streams.remove(self)
        self._acknowledge(size)
        if not end and self._received > DRAIN_BYTES:
            self._streams.reset(self, ErrorCode.NO_ERROR)

    def end(self, trailers: Headers) -> None:
        """The request is whole."""
        self.receiving = False
        self._ending = trailers

    @property
    def server(self) -> UpstreamServer | None:
        """The upstream connection on lease."""
        return None if self.exchange is None else self.exchange.upstream.server

    @property
    def is_detained(self) -> bool:
        """Whether it is held in a tarpit: its answer has begun."""
        return self._tarpit is not None

    @property
    def lacks_body(self) -> bool:
        """Whether less came than the head announced."""
        return bool(self._left)

    def pass_on(self) -> None:
        """Hand on what the exchange takes, and give its room back to the client once it is on its way."""
        exchange = self.exchange
        now = self._connection.now
        if exchange is not None:
            inbox = self._inbox
            while inbox and exchange.takes_body:
                exchange.body(inbox.pop(0), now)
            if not inbox and self._ending is not None and self.exchange is exchange:
                trailers, self._ending = self._ending, None
                exchange.end(trailers, now)
        if self.exchange is None:
            self._inbox.clear()
            self._connection.intake.acknowledge(self._unacknowledged)
            self._unacknowledged = 0
        elif self._unacknowledged and exchange is not None and exchange.moves_body and not exchange.upstream.is_blocked:
            self._acknowledge(self._unacknowledged)
            self._unacknowledged = 0

    def _acknowledge(self, size: int) -> None:
        if size:
            self._connection.intake.acknowledge(size)
            if self.receiving:
                increment = self._window.give_back(size)
                if increment:
                    self._connection.sender.parts.append(window_update(self.number, increment))

    # -- what an exchange asks for (see codec.Codec) ------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        connection = self._connection
        if self.out.queued >= QUEUED_BYTES or connection.link.stalled:
            return True
        return connection.sender.queued > connection.most_queued

    @property
    def is_starved(self) -> bool:
        return self._connection.intake.room < STARVED_BYTES

    def send_interim(self, head: ResponseHead) -> None:
        self._connection.sender.interim(self.out, response_fields(head))

    def send_head(self, head: ResponseHead) -> None:
        self._connection.sender.begin(self.out, self._connection.fields_of(head))

    def send_body(self, data: bytes) -> None:
        self._connection.sender.push(self.out, data, self._connection.now)

    def send_end(self, trailers: Headers) -> None:
        self._connection.sender.end(self.out, trailer_fields(trailers) if trailers else None)
        self._over()

    def send_answer(self, answer: Answer) -> None:
        connection = self._connection
        fields = (*answer.headers, (b"date", connection.services.date()), (b"content-length", b"%d" % len(answer.body)))
        connection.sender.begin(self.out, own_fields(answer.status, fields))
        if self.method != b"HEAD":
            connection.sender.push(self.out, answer.body, connection.now)
        connection.sender.end(self.out)
        self._over()

    def close_after(self) -> None:
        """The connection has other streams, so it goes on: but not for ever, see layer.MAX_REFUSED."""
        self._connection.refused += not self._connection.is_shared

    def send_switch(self, head: ResponseHead) -> bytes:
        """No upgrade is ever offered to the upstream on behalf of a stream, so its parser refuses a 101."""
        raise RuntimeError(f"status {head.status} on a stream")

    def send_raw(self, data: bytes) -> None:
        raise RuntimeError(f"{len(data)} bytes of another protocol on a stream")

    def cut(self, *, flush: bool, reset: int | None = None) -> None:
        """A drop resets the stream alone: behind one connection there may be a proxy with other people on it."""
        self._over()
        if flush:
            self._connection.sender.pump(self._connection.now)
            self._streams.reset(self, PASSED_CODES.get(reset, ErrorCode.INTERNAL_ERROR))
        else:
            self._streams.drop(self)

    def detain(self, tarpit: Tarpit, client: Address, reference: str, languages: bytes) -> bool:
        connection = self._connection
        services = connection.services
        network = client.network_key(services.settings.counting.prefixes)
        if self.method == b"HEAD" or connection.tarpits >= MAX_TARPITS or not services.dripper.has_room(network):
            return False
        fields = ((b"date", services.date()), *TARPIT_HEADERS, (b"x-proxyguard-reference", reference.encode()))
        connection.sender.begin(self.out, own_fields(200, fields))
        connection.tarpits += 1
        self._over()
        reset = partial(self._streams.reset, self, ErrorCode.CANCEL)
        held = self._tarpit = HeldStream(connection, self.out, reset)
        services.dripper.hold(held, services.pages.held(reference, languages), tarpit, network, on_gone=held.on_released)
        return True

    def _over(self) -> None:
        self._streams.part(self)
        self.exchange = None
        self.held = False

    # -- the end of the stream -------------------------------------------------------------------------------------------

    def on_removed(self) -> None:
        """The stream has ended, whatever the reason."""
        exchange = self.exchange
        if exchange is not None:
            self._over()
            exchange.on_client_left(self._connection.now)
        self._inbox.clear()
        self._connection.intake.acknowledge(self._unacknowledged)
        self._unacknowledged = 0
        tarpit, self._tarpit = self._tarpit, None
        if tarpit is not None:
            self._connection.tarpits -= 1
            tarpit.lost()

    @property
    def deadline(self) -> float:
        """When time is over for the side that is to move next, inf for never."""
        if self.drained_until < inf:
            return self.drained_until
        out = self.out
        if out.queued:
            return inf if self._tarpit is not None else min(out.moved, out.since) + self._connection.bounds.send_gap_seconds
        if self.held:
            return self.held_since + self._connection.bounds.send_gap_seconds
        return inf if self.exchange is None else self.exchange.deadline
