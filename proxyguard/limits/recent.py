"""Which of many numbers were seen within a time, up to a third of it more, in memory that does not grow: Bloom filters in turn.

Of numbers that were not seen, one in 10,000 seems to have been while all filters are full. When one is full before its time the
next begins, and the oldest gives way: so what was seen last is always known.
"""

from __future__ import annotations

from typing import Any, Final

from proxyguard.core.number64 import Number64
from proxyguard.limits.bloom import has, places, put

TURNS: Final = 3
"""Filters for the time, beside the one that fills."""

BITS_EACH: Final = 32
PROBES: Final = 6


class Recent:
    """64-bit numbers, of which `most` fill one of the filters: 4 bytes for each. They are hashes whose key no client has."""

    __slots__ = ("_at", "_counts", "_filters", "_mask", "_most", "_seconds")

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._mask = (1 << (BITS_EACH * most - 1).bit_length()) - 1
        self._filters = [self._empty()]
        self._counts = [0]
        self._at = 0

    def __len__(self) -> int:
        """How many are remembered."""
        return sum(self._counts)

    def add(self, number: Number64, now: float) -> None:
        """Remember one."""
        self._turn(now)
        mask = self._mask
        first, step = places(number, mask)
        if self._counts[0] >= self._most and not has(self._filters[0], first, step, mask, PROBES):
            self._begin(1)
        if put(self._filters[0], first, step, mask, PROBES):
            self._counts[0] += 1

    def has(self, number: Number64, now: float) -> bool:
        """Whether one was seen lately."""
        self._turn(now)
        mask = self._mask
        first, step = places(number, mask)
        at: Any = first >> 3  # compiled, an object, made once for all of them
        for each in self._filters:
            byte: int = each[at]
            if byte >> (first & 7) & 1 and has(each, first, step, mask, PROBES):
                return True
        return False

    def _turn(self, now: float) -> None:
        at = int(now * TURNS / self._seconds)
        if at > self._at:
            self._begin(min(at - self._at, TURNS + 1))
            self._at = at

    def _begin(self, count: int) -> None:
        self._filters = [*(self._empty() for _ in range(count)), *self._filters][: TURNS + 1]
        self._counts = [*([0] * count), *self._counts][: TURNS + 1]

    def _empty(self) -> bytearray:
        return bytearray(self._mask + 1 >> 3)
