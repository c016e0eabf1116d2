"""How often things were read lately, in bounded memory: count-min sketches (Cormode and Muthukrishnan 2005) that forget by half.

A half-life of reads is one generation. An estimate is what the current one has, half of the one before and a quarter of the one
before that, so a read counts in full for up to a half-life and not at all after three. Of 50,000 things that were read once, 1
of 2 others shares a cell in one row, 1 of 12 in all, and 1 of 1,000 seems to have two reads. When so many are read that nearly
all cells are shared (a large site, or a swarm that asks for ids that nobody has), what a thing that nobody reads would seem to
have is measured and taken off: so nothing becomes hot by what is read beside it. No step costs more than a new generation.
"""

from __future__ import annotations

import os
from array import array
from typing import Any, Final

from proxyguard.core.number64 import Number64
from proxyguard.limits.packed import packed, unpacked

ROWS: Final = 4
CELLS: Final = 65_536
MOST: Final = 65_535

GENERATIONS: Final = 3

PROBES: Final = 255
"""Numbers of nothing, by which it is measured what nothing would seem to have: the half of them that has more is the noise."""

MEASURE_EVERY: Final = 4_096
"""Reads between two measurements, of 0.6 ms at most. The cells rise by a sixteenth of a read meanwhile."""


class Heat:
    """Counts reads of things by a number of theirs."""

    __slots__ = ("_ends", "_half_life", "_noise", "_probes", "_tables", "_unmeasured")

    def __init__(self, half_life_seconds: float) -> None:
        self._half_life = half_life_seconds
        self._tables: list[array[int]] = [_empty()]
        self._ends = 0.0
        self._noise = 0.0
        self._probes = [Number64.read(os.urandom(8)) for _ in range(PROBES)]
        self._unmeasured = 0

    def add(self, number: Number64, now: float, reads: int = 1) -> None:
        """Count reads of one thing."""
        self._turn(now)
        table = self._tables[0]
        first, second, third, fourth = _cells(number)  # one by one: a loop costs as much as what it does
        table[first] = min(table[first] + reads, MOST)
        table[second] = min(table[second] + reads, MOST)
        table[third] = min(table[third] + reads, MOST)
        table[fourth] = min(table[fourth] + reads, MOST)
        self._unmeasured += reads
        if self._unmeasured >= MEASURE_EVERY:
            self._measure()

    def reads(self, number: Number64, now: float) -> float:
        """How often a thing was read lately: an estimate, from above while cells are seldom shared."""
        self._turn(now)
        return max(0.0, self._seeming(number) - self._noise)

    def as_data(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {"ends": self._ends, "half_life": self._half_life, "tables": [packed(table.tobytes()) for table in self._tables]}

    def restore(self, data: dict[str, Any], now: float) -> None:
        """Take over what `as_data` gave. Raises KeyError, TypeError and ValueError for what is none."""
        ends, half_life = float(data["ends"]), float(data["half_life"])
        tables = [array("H", unpacked(table, 2 * ROWS * CELLS)) for table in data["tables"][:GENERATIONS]]
        if tables and half_life == self._half_life and 0.0 <= ends <= now + half_life:
            self._tables, self._ends = tables, ends
            self._turn(now)
            self._measure()

    def _measure(self) -> None:
        self._unmeasured = 0
        self._noise = sorted(map(self._seeming, self._probes))[PROBES // 2]

    def _seeming(self, number: Number64) -> float:
        weight, total = 1.0, 0.0
        first, second, third, fourth = _cells(number)
        for table in self._tables:
            least = table[first]
            if least:
                least = min(least, table[second], table[third], table[fourth])
            total += weight * least
            weight /= 2
        return total

    def _turn(self, now: float) -> None:
        """Begin another generation when the current one has had its time. They begin at the same times in all processes."""
        if now < self._ends:
            return
        begun = int(now // self._half_life)
        if self._ends:
            passed = min(begun - round(self._ends / self._half_life) + 1, GENERATIONS)
            self._tables = [*(_empty() for _ in range(passed)), *self._tables][:GENERATIONS]
        self._ends = (begun + 1) * self._half_life
        self._measure()


def _cells(number: Number64) -> tuple[int, int, int, int]:
    """The cell of a number in each row."""
    low, high = number.low, number.high
    return low & 0xFFFF, CELLS + (low >> 16), 2 * CELLS + (high & 0xFFFF), 3 * CELLS + (high >> 16)


def _empty() -> array[int]:
    return array("H", bytes(2 * ROWS * CELLS))
