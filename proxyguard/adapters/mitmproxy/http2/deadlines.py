"""What one HTTP/2 connection waits for, and until when. Times are the worker's clock, inf for never."""

from __future__ import annotations

from math import inf
from typing import Final

from proxyguard.adapters.mitmproxy.http2.connection import Http2Connection

GOAWAY_SECONDS: Final = 1.0
"""How long a client may take to acknowledge our GOAWAY, while its requests are still taken: more than a round trip."""


class Deadlines:
    """`head`: the client must have finished what it is in the middle of. `goaway`: it must have acknowledged our GOAWAY.

    `idle`: it must have sent a request; holds while no stream is open. `streams`: the earliest deadline of the open streams.
    """

    __slots__ = ("_connection", "goaway", "head", "idle", "streams")

    def __init__(self, connection: Http2Connection) -> None:
        self._connection = connection
        self.head = inf
        self.goaway = inf
        self.idle = inf
        self.streams = inf

    def after(self, seconds: float) -> float:
        """The time in so many seconds; sooner when room for others gets scarce."""
        connection = self._connection
        return connection.now + seconds * connection.services.admission.patience

    def time_head(self, *, is_idle: bool) -> None:
        """Bound the time of a client that is in the middle of a frame or a field block, unless it waits for us."""
        intake = self._connection.intake
        if not intake.is_inside or intake.is_behind:
            self.head = inf
        elif self.head == inf:
            bounds = self._connection.bounds
            self.head = self.after(bounds.head_seconds if is_idle else bounds.body_gap_seconds)

    def time_goaway(self) -> None:
        """Bound the time that a client takes to acknowledge our GOAWAY."""
        intake = self._connection.intake
        if intake.leaving:
            self.goaway = inf
        elif intake.parting and self.goaway == inf:
            self.goaway = self.after(GOAWAY_SECONDS)

    def next(self, *, is_idle: bool) -> float:
        """The earliest of those that hold."""
        return min(self.head, self.goaway, self.idle if is_idle else self.streams)
