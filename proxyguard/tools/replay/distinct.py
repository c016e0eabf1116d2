"""Bounded counting: how many distinct things, and which occur most.

`Distinct` keeps the smallest hashes it has seen: exact up to its capacity, beyond it an estimate whose standard error is about
1/sqrt(capacity). `Frequent` keeps the heaviest of many keys; a count it gives is never too high. Neither knows what it counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappushpop, nlargest
from typing import Final

CAPACITY: Final = 2048
"""Exact up to here; then a standard error of 2.2 %. About 150 KiB when full."""

MAX_HASH: Final = (1 << 64) - 1

FREQUENT_KEYS: Final = 128


def mixed(number: int) -> int:
    """A 64-bit number without the regularity of addresses (the finaliser of SplitMix64, over both halves)."""
    low = (number ^ (number >> 64) * 0x9E3779B97F4A7C15) & MAX_HASH
    low = ((low ^ (low >> 30)) * 0xBF58476D1CE4E5B9) & MAX_HASH
    low = ((low ^ (low >> 27)) * 0x94D049BB133111EB) & MAX_HASH
    return low ^ (low >> 31)


class Distinct:
    """A set's size. Feed it with 64-bit hashes."""

    __slots__ = ("_capacity", "_heap", "_kept")

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._kept: set[int] = set()
        self._heap: list[int] = []  # negated: the largest kept hash is first

    def add(self, hashed: int) -> None:
        """Count a hash unless it was counted."""
        kept = self._kept
        if hashed in kept:
            return
        if len(kept) < self._capacity:
            kept.add(hashed)
            if len(kept) == self._capacity:
                self._heap = sorted(-each for each in kept)
        elif hashed < -self._heap[0]:
            kept.add(hashed)
            kept.discard(-heappushpop(self._heap, -hashed))

    @property
    def exact(self) -> bool:
        """Whether `count` is exact."""
        return len(self._kept) < self._capacity

    @property
    def count(self) -> int:
        """How many distinct hashes were seen."""
        if self.exact:
            return len(self._kept)
        return round((self._capacity - 1) * MAX_HASH / -self._heap[0])


class Frequent:
    """The heaviest keys among many. When it holds twice its size, the lighter half is forgotten."""

    __slots__ = ("_counts", "_size")

    def __init__(self, size: int = FREQUENT_KEYS) -> None:
        self._size = size
        self._counts: dict[bytes, int] = {}

    def add(self, key: bytes) -> None:
        """Count a key."""
        counts = self._counts
        if key in counts:
            counts[key] += 1
            return
        if len(counts) >= 2 * self._size:
            self._counts = counts = dict(nlargest(self._size, counts.items(), key=lambda item: item[1]))
        counts[key] = 1

    def top(self, count: int) -> list[tuple[bytes, int]]:
        """The heaviest keys; equal ones by name."""
        return sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:count]

    def keys(self) -> Iterable[bytes]:
        """The keys that are held."""
        return self._counts.keys()
