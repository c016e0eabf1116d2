"""Which keys occur most, among many, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from typing import Final

FREQUENT_KEYS: Final = 128


class Frequent:
    """The heaviest keys: a count it gives is never too high. When it holds twice its size, the lighter half is forgotten."""

    __slots__ = ("_counts", "_size")

    def __init__(self, size: int = FREQUENT_KEYS) -> None:
        self._size = size
        self._counts: dict[bytes, int] = {}

    def add(self, key: bytes) -> None:
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
        return self._counts.keys()
