"""The busiest of many keys in bounded memory: which they are, and what each brought.

Space-saving after Metwally, Agrawal and El Abbadi (2005), with room made in batches: when twice the capacity is kept, the half
with the fewest requests is dropped, and a key that comes later may have had as many as the busiest of these (`unseen`). So who
made more requests than `unseen` is kept, and what a key brought since it was taken up is exact. Two can be joined. Knows nothing
of what the keys are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Counts:
    """What one key brought: requests, of them refused ones, bytes sent, and microseconds of the upstream's time.

    `unseen` is how many requests may have come before it was taken up.
    """

    __slots__ = ("microseconds", "refused", "requests", "sent", "unseen")

    def __init__(self, unseen: int, requests: int, refused: int, sent: int, microseconds: int) -> None:
        self.unseen = unseen
        self.requests = requests
        self.refused = refused
        self.sent = sent
        self.microseconds = microseconds

    @property
    def at_most(self) -> int:
        """How many requests the key may have made."""
        return self.unseen + self.requests

    @property
    def row(self) -> list[int]:
        """All of it, for JSON: requests, of them refused ones, bytes, microseconds, and `unseen`."""
        return [self.requests, self.refused, self.sent, self.microseconds, self.unseen]


class Busiest:
    """The busiest keys, at most twice `capacity` at a time."""

    __slots__ = ("_capacity", "counts", "unseen")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.counts: dict[Any, Counts] = {}
        self.unseen = 0
        """Requests that a key may have made which is not kept."""

    def add(self, key: Any, refused: int, sent: int, microseconds: int) -> None:
        """Count one request of a key."""
        counts = self.counts.get(key)
        if counts is None:
            self._take_up(key, Counts(self.unseen, 1, refused, sent, microseconds))
            return
        counts.requests += 1
        counts.refused += refused
        counts.sent += sent
        counts.microseconds += microseconds

    def join(self, other: Busiest) -> None:
        """Count also what another has counted. `other` stays as it is."""
        theirs = other.unseen
        for key, mine in self.counts.items():
            if key not in other.counts:
                mine.unseen += theirs
        own = self.unseen
        for key, more in other.counts.items():
            counts = self.counts.get(key)
            if counts is None:
                counts = self.counts[key] = Counts(own, 0, 0, 0, 0)
            counts.unseen += more.unseen
            counts.requests += more.requests
            counts.refused += more.refused
            counts.sent += more.sent
            counts.microseconds += more.microseconds
        self.unseen = own + theirs
        if len(self.counts) > 2 * self._capacity:
            self._make_room()

    def trim(self) -> None:
        """Keep `capacity` keys at most."""
        if len(self.counts) > self._capacity:
            self._make_room()

    def top(self, limit: int) -> list[tuple[Any, Counts]]:
        """The busiest keys, those with the most requests first."""
        return sorted(self.counts.items(), key=_requests, reverse=True)[:limit]

    def _take_up(self, key: Any, counts: Counts) -> None:
        if len(self.counts) >= 2 * self._capacity:
            self._make_room()
            counts.unseen = self.unseen
        self.counts[key] = counts

    def _make_room(self) -> None:
        ranked = sorted(self.counts.items(), key=_at_most, reverse=True)
        self.unseen = max(self.unseen, ranked[self._capacity][1].at_most)
        self.counts = dict(ranked[: self._capacity])


def joined(several: Iterable[Busiest], capacity: int) -> Busiest:
    """A new count of what any of them has counted."""
    whole = Busiest(capacity)
    for each in several:
        whole.join(each)
    return whole


def _at_most(item: tuple[Any, Counts]) -> int:
    return item[1].at_most


def _requests(item: tuple[Any, Counts]) -> int:
    return item[1].requests
