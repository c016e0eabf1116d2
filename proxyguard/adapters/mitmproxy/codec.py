"""How an exchange answers its client, whatever the protocol: what an HTTP/1 codec and an HTTP/2 stream have in common."""

from __future__ import annotations

from typing import Protocol

from proxyguard.core.address import Address
from proxyguard.core.decision import Tarpit
from proxyguard.core.request import Headers
from proxyguard.http.http1.heads import ResponseHead
from proxyguard.http.responses import Answer


class Codec(Protocol):
    """One exchange at a time."""

    @property
    def is_behind(self) -> bool:
        """Whether the client takes less than was sent: what more there is should wait."""
        ...

    @property
    def is_starved(self) -> bool:
        """Whether the client may not send its body for reasons that lie with other requests."""
        ...

    def send_interim(self, head: ResponseHead) -> None:
        """Pass on a 1xx response."""
        ...

    def send_head(self, head: ResponseHead) -> None:
        """Begin the response."""
        ...

    def send_body(self, data: bytes) -> None:
        """Pass on some of the response's body."""
        ...

    def send_end(self, trailers: Headers) -> None:
        """End the response; the exchange is over."""
        ...

    def send_answer(self, answer: Answer) -> None:
        """Send an answer of our own, whole; the exchange is over, whatever of the request is still to come."""
        ...

    def close_after(self) -> None:
        """What is sent next is the last on this connection, unless other requests share it: then only after many of these."""
        ...

    def send_switch(self, head: ResponseHead) -> bytes:
        """Pass on a 101; returns what the client already sent in the new protocol."""
        ...

    def send_raw(self, data: bytes) -> None:
        """Pass on bytes of the upgraded protocol."""
        ...

    def cut(self, *, flush: bool, reset: int | None = None) -> None:
        """End without an answer, or in the middle of one; the exchange is over. `flush`: send first what was written.

        `reset` is the code with which an HTTP/2 upstream reset the response, if it did.
        """
        ...

    def detain(self, tarpit: Tarpit, client: Address, reference: str, languages: bytes) -> bool:
        """Tarpit the client; the exchange is over. False when there is no room for it."""
        ...
