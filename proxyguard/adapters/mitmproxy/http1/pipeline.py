"""What an HTTP/1 client has sent and nobody has acted on yet: bytes, the events read from them, and the fault that ends them.

Decides what of it comes next. Only a little is parsed ahead, and while a request is being answered no later one is given out.
Knows nothing of time, or of what is answered.
"""

from __future__ import annotations

from typing import Final, Protocol

from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import BadRequest
from proxyguard.http.http1.heads import Body, BodyKind, RequestEvent, RequestHead
from proxyguard.http.http1.request_parser import RequestParser

PARSED_AT_ONCE: Final = 4096
"""Bytes of pipelined requests parsed ahead; the rest of a read waits as bytes. Room for any browser's head."""

SKIPPED_BODY_BYTES: Final = 64 * 1024
"""A refused request with a body up to this is read to its end and the connection kept."""


class BodyTaker(Protocol):
    """The exchange at hand, as far as it matters here."""

    @property
    def takes_body(self) -> bool: ...


class Pipeline:
    """Gives out the requests of one client connection, event by event.

    `head` is that of the request at hand, None between requests; `is_whole` says that all of it was given out. `is_ended`: the
    client has half-closed, and will send no more.
    """

    __slots__ = ("_backlog", "_body_left", "_fault", "_parser", "_unparsed", "head", "is_ended", "is_whole")

    def __init__(self, bounds: Bounds) -> None:
        self._parser = RequestParser(bounds)
        self._unparsed = b""
        self._backlog: list[RequestEvent] = []
        """What was read and not given out yet, the next one last."""
        self._body_left = 0
        self.head: RequestHead | None = None
        self.is_whole = True
        self._fault: BadRequest | None = None
        self.is_ended = False

    # -- what comes ------------------------------------------------------------------------------------------------------

    def add(self, data: bytes) -> bool:
        """Add bytes of the client; returns whether they are the first of a request."""
        if self._unparsed:
            self._unparsed += data
            return False
        self._unparsed = data
        return self._parser.idle

    def take(self, exchange: BodyTaker | None) -> RequestEvent | BadRequest | None:
        """The next event; the fault of the bytes after the last one, once; or None.

        None while there is neither, or while the exchange at hand does not take what is next: `is_empty` tells which. Call only
        between exchanges and before the request of one is whole. A request without a body comes as its head.
        """
        while not self._backlog:
            if not self._unparsed:
                fault, self._fault = self._fault, None
                return fault
            self._parse()
        backlog = self._backlog
        event = backlog[-1]
        if isinstance(event, RequestHead):
            self.head = event
            self._body_left = event.content_length or 0
            self.is_whole = event.body is not BodyKind.CHUNKED and not self._body_left
            if self.is_whole:
                backlog.pop()  # then the End after it
        elif isinstance(event, Body):
            if exchange is not None and not exchange.takes_body:
                return None
            self._body_left = max(0, self._body_left - len(event.data))
        else:
            self.is_whole = True
        backlog.pop()
        return event

    def _parse(self) -> None:
        """Parse a bounded piece of what was read: the rest of a body, or a few heads. Call only while there is no backlog."""
        data = self._unparsed
        limit = max(PARSED_AT_ONCE, self._body_left)
        if len(data) > limit:
            data, self._unparsed = data[:limit], data[limit:]
        else:
            self._unparsed = b""
        try:
            self._hold(self._parser.feed(data))
        except BadRequest as fault:
            self._spoil(fault)

    def _hold(self, events: list[RequestEvent]) -> None:
        events.reverse()
        self._backlog = events

    def _spoil(self, fault: BadRequest) -> None:
        """What came before the fault is answered first."""
        self._hold(list(fault.events))
        self._fault = fault
        self._unparsed = b""

    # -- what there is ---------------------------------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be parsed or acted on. A head that has begun is not counted."""
        return not (self._unparsed or self._backlog)

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a next request has come, as far as it is parsed."""
        return self._parser.idle and not self._unparsed

    @property
    def is_done(self) -> bool:
        """Whether everything that came has been given out, the request at hand is whole, and no other has begun."""
        return self.is_whole and self.is_empty and self._parser.idle

    @property
    def is_rest_short(self) -> bool:
        """Whether what is still to come of the request can be read and thrown away for the connection's sake."""
        head = self.head
        if self.is_whole or head is None or head.body is BodyKind.NONE:
            return True
        return head.body is BodyKind.LENGTH and not head.expect_continue and self._body_left <= SKIPPED_BODY_BYTES

    # -- what becomes of it ----------------------------------------------------------------------------------------------

    def close_head(self) -> None:
        """The request at hand is answered. If it offered an upgrade, what follows is HTTP all the same."""
        head, self.head = self.head, None
        if self.is_whole and head is not None and head.upgrade is not None:
            try:
                self._hold(self._parser.resume())  # nothing was read after the offer
            except BadRequest as fault:
                self._spoil(fault)

    def take_rest(self) -> bytes:
        """Empty everything, and return what follows an upgrade that was taken."""
        rest = self._parser.take_rest() + self._unparsed
        self.forget()
        return rest

    def forget(self) -> None:
        """Throw away what came."""
        self._unparsed = b""
        self._backlog.clear()
        self._fault = None
