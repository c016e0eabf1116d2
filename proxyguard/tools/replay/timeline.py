"""Counts over time in at most a few hundred columns, whatever span a log turns out to have.

Begins with columns of a second and widens them as the span grows. Knows nothing of what it counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Final

MAX_COLUMNS: Final = 120

WIDTHS_SECONDS: Final = (
    1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 7 * 86_400, 28 * 86_400, 364 * 86_400,
    3640 * 86_400,
)  # fmt: skip


class Timeline:
    """Rows of counts by name. Times are Unix seconds; columns begin at multiples of `width_seconds`."""

    __slots__ = ("_first", "_last", "_level", "_rows", "width_seconds")

    def __init__(self) -> None:
        self._level = 0
        self.width_seconds = WIDTHS_SECONDS[0]
        self._rows: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._first: int | None = None
        self._last = 0

    def add(self, name: str, now: float) -> None:
        """Count one in a row."""
        column = int(now) // self.width_seconds
        first = self._first
        if first is None or column < first or column > self._last:
            self._stretch(column)
            column = int(now) // self.width_seconds
        self._rows[name][column] += 1

    def _stretch(self, column: int) -> None:
        self._first = column if self._first is None else min(self._first, column)
        self._last = max(self._last, column) if self._rows else column
        while self._last - self._first >= MAX_COLUMNS and self._level + 1 < len(WIDTHS_SECONDS):
            self._widen()

    def _widen(self) -> None:
        old = self.width_seconds
        self._level += 1
        new = self.width_seconds = WIDTHS_SECONDS[self._level]
        for name, row in self._rows.items():
            wide: Counter[int] = Counter()
            for column, count in row.items():
                wide[column * old // new] += count
            self._rows[name] = wide
        self._first = (self._first or 0) * old // new
        self._last = self._last * old // new

    @property
    def start_seconds(self) -> int:
        """When the first column begins."""
        return (self._first or 0) * self.width_seconds

    @property
    def columns(self) -> int:
        return 0 if self._first is None else self._last - self._first + 1

    def row(self, name: str) -> list[int]:
        """The counts of a row, one a column."""
        row, first = self._rows.get(name, Counter()), self._first or 0
        return [row[first + column] for column in range(self.columns)]
