"""Watches how full tables are: one warning when a table passes 80 %, another one only after it was well below again.

Knows nothing of what the tables hold or of who reads the metrics.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

WARN_SHARE: Final = 0.8
"""Of its capacity: from here on an operator wants to know."""

CALM_SHARE: Final = 0.7
"""Below it the warning is over. The gap keeps a table that stays around 80 % from warning all the time."""

LOOK_SECONDS: Final = 1.0
"""Between two looks."""

type Gauge = tuple[str, str, Callable[[], float]]


class FillWatch:
    """One table. `used` and `capacity` are asked at each look."""

    __slots__ = ("_advice", "_capacity", "_used", "_what", "is_high", "name", "warnings")

    def __init__(self, name: str, what: str, used: Callable[[], float], capacity: Callable[[], float], advice: str) -> None:
        """`name` begins the metric's; `what` and `advice` stand in the log."""
        self.name = name
        self.is_high = False
        self.warnings = 0
        self._what = what
        self._used = used
        self._capacity = capacity
        self._advice = advice

    def look(self) -> None:
        """Compare, and warn once if it is time."""
        used, capacity = self._used(), self._capacity()
        if self.is_high:
            if used < CALM_SHARE * capacity:
                self.is_high = False
                logger.info("the table of %s is at %d of %d again", self._what, used, capacity)
        elif used >= WARN_SHARE * capacity:
            self.is_high = True
            self.warnings += 1
            percent = int(100 * used / capacity)
            logger.warning("the table of %s is %d %% full (%d of %d): %s", self._what, percent, used, capacity, self._advice)

    def gauges(self) -> list[Gauge]:
        """1 while the table is above 80 %, and how often it came there."""
        return [
            (f"{self.name}_high", f"1 while the table of {self._what} is 80 % full.", lambda: float(self.is_high)),
            (f"{self.name}_warnings", f"Times the table of {self._what} became 80 % full.", lambda: float(self.warnings)),
        ]


def watches_of(
    keys: tuple[Callable[[], float], Callable[[], float]] | None, bans: tuple[Callable[[], float], Callable[[], float]]
) -> tuple[FillWatch, ...]:
    """The watches of a store, from the fill and the capacity of its counters (None: kept elsewhere) and of its bans."""
    watches = [FillWatch("store_bans", "bans", *bans, "full, it drops the bans soonest to end; see counting.bans")]
    if keys is not None:
        advice = "full, new clients share counters or are not counted; see counting.keys and counting.on_full"
        watches.insert(0, FillWatch("store_keys", "counters", *keys, advice))
    return tuple(watches)
