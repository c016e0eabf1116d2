"""What can be wrong with a message: a closed set of reasons, each with the status it is answered with."""

from __future__ import annotations

from typing import Final

from proxyguard.http.http1.heads import RequestEvent, ResponseEvent

REQUEST_FAULTS: Final[dict[str, int]] = {
    # The request line (RFC 9112 sections 2.3 and 3).
    "request-line": 400,
    "method-unknown": 501,
    "method-refused": 405,  # CONNECT would make us a tunnel, TRACE shows cookies to scripts
    "version": 505,
    "http2-preface": 505,
    "target-size": 414,
    "target": 400,
    "target-escape": 400,
    "target-dots": 400,
    "target-backslash": 400,
    "target-control": 400,
    "target-parameters": 400,
    # The header section (RFC 9112 section 5).
    "bare-lf": 400,
    "bare-cr": 400,
    "obs-fold": 400,
    "space-before-colon": 400,
    "field-name": 400,
    "field-value": 400,
    "field-size": 431,
    "field-count": 431,
    "head-size": 431,
    "host-missing": 400,
    "host-repeated": 400,
    "host": 400,
    "host-mismatch": 400,
    "expect": 417,
    "connection": 400,
    # Framing (RFC 9112 sections 6 and 7).
    "content-length": 400,
    "content-length-repeated": 400,
    "length-and-encoding": 400,
    "transfer-encoding": 501,
    "transfer-encoding-http10": 400,
    "chunk": 400,
    "chunk-size": 400,
    "chunk-overhead": 400,
    "trailer-size": 431,
    "body-size": 413,
    "upgrade-backlog": 400,
}
"""Reason token -> status."""

RESPONSE_FAULTS: Final[frozenset[str]] = frozenset({
    "status-line", "version", "bare-lf", "bare-cr", "obs-fold", "space-before-colon", "field-name", "field-value",
    "head-size", "connection", "content-length", "content-length-repeated", "length-and-encoding", "transfer-encoding",
    "transfer-encoding-http10", "chunk", "chunk-size", "chunk-overhead", "trailer-size", "unasked",
    "unasked-upgrade", "interim-count", "cut-head", "cut-body", "no-response", "reset",
})  # fmt: skip


class Malformed(ValueError):
    """What the shared parts (fields, chunks, authorities) raise; a parser turns it into its own fault."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadRequest(Exception):
    """A request that is refused for its form. The connection cannot go on after it.

    `status` answers it, `reason` is a key of REQUEST_FAULTS. `events` are those of the same call that precede the fault:
    whole messages among them are to be answered first.
    """

    def __init__(self, reason: str, events: tuple[RequestEvent, ...] = ()) -> None:
        super().__init__(reason)
        self.status = REQUEST_FAULTS[reason]
        self.reason = reason
        self.events = events


class BadResponse(Exception):
    """A response that cannot be forwarded. `reason` is one of RESPONSE_FAULTS; `events` precede the fault.

    `reset` is the code with which an HTTP/2 upstream reset the stream, if it did.
    """

    def __init__(self, reason: str, events: tuple[ResponseEvent, ...] = (), *, reset: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.events = events
        self.reset = reset
