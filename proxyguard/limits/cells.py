"""What parts of a site's traffic (owners of networks, kinds of client) use of a limit in each hour of a day.

A cell is one value of a limit's key. It is kept in a bounded table from its first use on, and gives way only when nothing was
used in it lately: who makes new cells pushes nobody out, and one that finds no room is one of which nothing is usual.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from proxyguard.limits.hourly import HourlyUse

MAX_CELLS: Final = 4_096
"""Of all rules together, about 1 KiB each."""

_FORGOTTEN_AT_ONCE: Final = 2
_NOTHING: Final = 0.5
"""What is used less in every hour of a day is forgotten."""


class CellUse(NamedTuple):
    """One cell in this hour: what was let through, how often it was not enough, and what is usual."""

    place: str
    used: float
    refused: int
    usual: float


class Cells:
    """The hours of all cells. `refusals` counts those that found no room."""

    __slots__ = ("_cells", "frozen_at", "refusals")

    def __init__(self) -> None:
        self._cells: dict[str, HourlyUse] = {}
        self.frozen_at = -1.0
        """Hours up to then, on the line, teach nothing."""
        self.refusals = 0

    def __len__(self) -> int:
        """Cells that are remembered."""
        return len(self._cells)

    def usual(self, place: str, now: float, wall: float) -> float:
        """What is usual in a cell in this hour; nothing in one that is not known."""
        cell = self._cells.get(place)
        if cell is None:
            return 0.0
        cell.turn(now, wall, self.frozen_at)
        return cell.mean()

    def observe(self, place: str, rule: HourlyUse, used: float, now: float, wall: float, *, is_refused: bool) -> None:
        """Take in how much of this hour's limit is used in a cell of a rule."""
        cell = self._cells.get(place)
        if cell is None:
            if is_refused:
                return
            self._forget_idle(now, wall)
            if len(self._cells) >= MAX_CELLS:
                self.refusals += 1
                return
            cell = self._cells[place] = HourlyUse()
            cell.days = [*rule.days]
        cell.turn(now, wall, self.frozen_at)
        cell.observe(used, is_refused=is_refused)

    def this_hour(self, now: float, wall: float) -> list[CellUse]:
        """All cells in which anything was used in this hour, with the most used first."""
        found: list[CellUse] = []
        for place, cell in self._cells.items():
            cell.turn(now, wall, self.frozen_at)
            if cell.let_through or cell.refusals:
                found.append(CellUse(place, cell.let_through, cell.refusals, cell.mean()))
        return sorted(found, key=_by_use)

    def repeat_day(self, days: int) -> None:
        """As `HourlyUse.repeat_day`, for every cell."""
        for cell in self._cells.values():
            cell.repeat_day(days)

    def as_data(self) -> dict[str, Any]:
        """What is known, to be kept elsewhere. A thread may ask."""
        return {place: each.as_data() for place, each in list(self._cells.items())}

    def restore(self, data: dict[str, Any]) -> None:
        """Take over what `as_data` gave. Raises AttributeError, TypeError and ValueError, and then takes nothing."""
        cells: dict[str, HourlyUse] = {}
        for place, kept in list(data.items())[:MAX_CELLS]:
            cells[str(place)] = HourlyUse()
            cells[str(place)].restore(kept)
        self._cells = cells

    def _forget_idle(self, now: float, wall: float) -> None:
        """Make room of cells in which nothing is used any more; each has its turn."""
        for _ in range(_FORGOTTEN_AT_ONCE):
            if len(self._cells) < MAX_CELLS:
                return
            place = next(iter(self._cells))
            cell = self._cells.pop(place)
            cell.turn(now, wall, self.frozen_at)
            if cell.let_through or cell.most() >= _NOTHING:
                self._cells[place] = cell


def _by_use(cell: CellUse) -> tuple[float, str]:
    return -cell.used - cell.refused, cell.place
