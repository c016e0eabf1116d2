"""What one HTTP/2 connection waits for, and until when. Times are the worker's clock, inf for never."""

from __future__ import annotations

from math import inf


class Deadlines:
    """`head`: the client must have finished what it is in the middle of. `goaway`: it must have acknowledged our GOAWAY.

    `idle`: it must have sent a request; holds while no stream is open. `streams`: the earliest deadline of the open streams.
    """

    __slots__ = ("goaway", "head", "idle", "streams")

    def __init__(self) -> None:
        self.head = inf
        self.goaway = inf
        self.idle = inf
        self.streams = inf

    def next(self, *, is_idle: bool) -> float:
        """The earliest of those that hold."""
        return min(self.head, self.goaway, self.idle if is_idle else self.streams)
