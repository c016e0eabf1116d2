"""How an exchange answers an HTTP/1 client: heads, framing, and whether the connection lives on after the response.

How the exchange ended is left in `ending`, for the layer to act on. Knows nothing of time, or of what the client sends next.
"""

from __future__ import annotations

from enum import Enum

from proxyguard.adapters.mitmproxy.http1.pipeline import Pipeline
from proxyguard.adapters.mitmproxy.messages import Abort, Detain, Outbox, Send
from proxyguard.adapters.mitmproxy.private import Client, CloseConnection
from proxyguard.adapters.mitmproxy.services import ClientState, FrontServices
from proxyguard.core.address import Address
from proxyguard.core.decision import Tarpit
from proxyguard.core.request import Headers
from proxyguard.http.http1 import serialise
from proxyguard.http.http1.heads import BodyKind, ResponseHead
from proxyguard.http.responses import REFERENCE, TARPIT_HEADERS, Answer


class ExchangeEnd(Enum):
    """How an exchange ended."""

    ANSWERED = 1
    """The response is written. The connection may go on if `keep_alive` says so."""
    SWITCHED = 2
    """To another protocol; the exchange goes on."""
    GONE = 3
    """The connection is closed, cut, or handed over to the tarpit: no more may be written."""


class Http1Codec:
    """Writes the responses of one client connection, one exchange at a time. Implements codec.Codec.

    `last`: the response at hand, or the next one, is the last on this connection. `keep_alive` is to be set from the head of each
    request; it is taken back when there is a reason to close.
    """

    __slots__ = (
        "_client", "_is_chunked", "_is_until_close", "_link", "_outbox", "_parts", "_pipeline", "_services", "ending",
        "keep_alive", "last",
    )  # fmt: skip

    def __init__(self, services: FrontServices, link: ClientState, client: Client, pipeline: Pipeline, outbox: Outbox) -> None:
        self._services = services
        self._link = link
        self._client = client
        self._pipeline = pipeline
        self._outbox = outbox
        self._parts: list[bytes] = []
        self._is_chunked = False
        self._is_until_close = False
        self.ending: ExchangeEnd | None = None
        self.keep_alive = True
        self.last = services.draining

    @property
    def is_behind(self) -> bool:
        return self._link.stalled

    @property
    def is_starved(self) -> bool:
        return False

    # -- the response ----------------------------------------------------------------------------------------------------

    def send_interim(self, head: ResponseHead) -> None:
        if self._version() == b"1.1":
            self._parts.append(serialise.response_head(head))

    def send_head(self, head: ResponseHead) -> None:
        version = self._version()
        framing = serialise.body_to_client(head, version)
        self._is_chunked = framing is BodyKind.CHUNKED
        self._is_until_close = framing is BodyKind.UNTIL_CLOSE
        self._decide_keep_alive()
        if self._is_until_close:
            self.keep_alive = False
        self._parts.append(serialise.response_head(head, version=version, keep_alive=self.keep_alive))

    def send_body(self, data: bytes) -> None:
        self._parts.append(serialise.chunk(data) if self._is_chunked else data)

    def send_end(self, trailers: Headers) -> None:
        if self._is_chunked:
            self._parts.append(serialise.last_chunk(trailers))
        self.ending = ExchangeEnd.ANSWERED

    def send_answer(self, answer: Answer) -> None:
        self._decide_keep_alive()
        head = self._pipeline.head
        version = b"1.1" if head is None else head.version
        page, date, length = answer.page, self._services.date(), len(answer.body)
        if page is not None:
            end = serialise.end_of_head(version, keep_alive=self.keep_alive)
            written = page.head(answer.reference, date, length, end)
        else:
            fields = (*answer.headers, (b"Date", date), (b"Content-Length", b"%d" % length))
            written = serialise.own_head(answer.status, fields, version=version, keep_alive=self.keep_alive)
        self._parts.append(written if head is not None and head.method == b"HEAD" else written + answer.body)
        self.ending = ExchangeEnd.ANSWERED

    def close_after(self) -> None:
        """So that a client with too many requests does not go on holding as many connections."""
        self.last = True

    def send_switch(self, head: ResponseHead) -> bytes:
        self._parts.append(serialise.response_head(head))
        self.ending = ExchangeEnd.SWITCHED
        return self._pipeline.take_rest()

    def send_raw(self, data: bytes) -> None:
        self._parts.append(data)

    def _version(self) -> bytes:
        head = self._pipeline.head
        return b"1.1" if head is None else head.version

    def _decide_keep_alive(self) -> None:
        pipeline = self._pipeline
        if self.last or (pipeline.is_ended and pipeline.is_empty) or not pipeline.is_rest_short:
            self.keep_alive = False

    # -- the connection --------------------------------------------------------------------------------------------------

    def cut(self, *, flush: bool, reset: int | None = None) -> None:  # noqa: ARG002 - HTTP/1 has no codes
        """A body that runs until the close must not seem to be whole: it is cut in any case."""
        if flush and not self._is_until_close:
            self.close()
        else:
            self._parts.clear()
            self._outbox.commands.append(Abort(self._client, is_error=self._is_until_close))
            self.ending = ExchangeEnd.GONE

    def detain(self, tarpit: Tarpit, client: Address, reference: str, languages: bytes) -> bool:
        services = self._services
        head = self._pipeline.head
        network = client.network_key(services.settings.counting.prefixes)
        if (head is not None and head.method == b"HEAD") or not services.dripper.has_room(network):
            return False
        fields = ((b"Date", services.date()), *TARPIT_HEADERS, (REFERENCE, reference.encode()))
        start = serialise.own_head(200, fields, keep_alive=False) + services.pages.held(reference, languages)
        self.flush()
        self._outbox.commands.append(Detain(start, tarpit, network))
        self.ending = ExchangeEnd.GONE
        return True

    def close(self) -> None:
        """Close the connection once everything is sent."""
        self.flush()
        self._outbox.commands.append(CloseConnection(self._client))
        self.ending = ExchangeEnd.GONE

    def flush(self) -> None:
        """Have what is written sent before any further command."""
        parts = self._parts
        if parts:
            self._outbox.commands.append(Send(None, parts[0] if len(parts) == 1 else b"".join(parts)))
            self._parts = []
