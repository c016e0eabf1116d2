"""How often things were read lately, in bounded memory: count-min sketches (Cormode and Muthukrishnan 2005) that forget by half.

A half-life of reads is one generation. An estimate is what the current one has, half of the one before and a quarter of the one
before that, so a read counts in full for up to a half-life and not at all after three. It is never too low; of 50,000 things that
were read, about 1 of 13 others shares a cell in one row, and 1 of 30,000 in all. No step costs more than a new generation.
"""

from __future__ import annotations

from array import array
from typing import Final

ROWS: Final = 4
CELLS: Final = 65_536
MOST: Final = 65_535

GENERATIONS: Final = 3


class Heat:
    """Counts reads of things by a 64-bit number of theirs."""

    __slots__ = ("_ends", "_half_life", "_tables")

    def __init__(self, half_life_seconds: float) -> None:
        self._half_life = half_life_seconds
        self._tables: list[array[int]] = [_empty()]
        self._ends = 0.0

    def add(self, number: int, now: float) -> None:
        """Count one read."""
        self._turn(now)
        table = self._tables[0]
        for row in range(ROWS):
            at = row * CELLS + (number >> (16 * row) & 0xFFFF)
            if table[at] < MOST:
                table[at] += 1

    def reads(self, number: int, now: float) -> float:
        """How often a thing was read lately: an estimate from above."""
        self._turn(now)
        weight, total = 1.0, 0.0
        places = [row * CELLS + (number >> (16 * row) & 0xFFFF) for row in range(ROWS)]
        for table in self._tables:
            total += weight * min([table[at] for at in places])
            weight /= 2
        return total

    def _turn(self, now: float) -> None:
        """Begin another generation when the current one has had its time."""
        if now < self._ends:
            return
        if self._ends:
            if now >= self._ends + GENERATIONS * self._half_life:
                self._tables = [_empty()]
            else:
                self._tables = [_empty(), *self._tables[: GENERATIONS - 1]]
        self._ends = now + self._half_life


RECENT_SECONDS: Final = 1_800.0
TURNS: Final = 3
"""A set for each third of the time, and one that fills."""
MOST_RECENT: Final = 32_768
"""Things of one set, 60 bytes each; more are not remembered."""


class Recent:
    """Which things were read within the last half hour, up to ten minutes more or less."""

    __slots__ = ("_at", "_sets")

    def __init__(self) -> None:
        self._sets: list[set[int]] = [set()]
        self._at = 0

    def add(self, number: int, now: float) -> None:
        """Remember one read."""
        self._turn(now)
        if len(self._sets[0]) < MOST_RECENT:
            self._sets[0].add(number)

    def has(self, number: int, now: float) -> bool:
        """Whether a thing was read lately."""
        self._turn(now)
        return any(number in each for each in self._sets)

    def _turn(self, now: float) -> None:
        at = int(now * TURNS / RECENT_SECONDS)
        if at > self._at:
            passed = min(at - self._at, TURNS + 1)
            self._sets = [*(set() for _ in range(passed)), *self._sets][: TURNS + 1]
            self._at = at


def _empty() -> array[int]:
    return array("H", bytes(2 * ROWS * CELLS))
