"""The clock of the process: Unix seconds that go on evenly, whatever is done to the clock on the wall.

What runs (limits, bans, restrictions) is measured on *the line*: the wall's time when the instance began, carried on by the time
since boot. What belongs to a calendar follows the wall, of which the line knows how far it is off. All processes of an instance
have one line, and a snapshot carries it over restarts. See docs/adr/0040.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

STEP_SECONDS: Final = 1.0
"""A move of the wall's clock against the line that is reported. Smaller ones are followed without a word."""

JITTER_SECONDS: Final = 0.001
"""Between reading two clocks: what the wall may seem to be off, and is not."""

LOOK_SECONDS: Final = 1.0
"""How soon the calendar follows a step of the wall."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

logger = logging.getLogger(__name__)


_SINCE_BOOT: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""Seconds since the system was started, sleep included; the same in all processes."""


class ClockStamp(NamedTuple):
    """One moment by all clocks: what a file needs so that its times can be read after a restart."""

    boot: str
    """Names a life of the system; `since_boot` means nothing in another one."""
    since_boot: float
    wall: float
    line: float


class LineClock:
    """Called, it gives the line's time. `offset` is how far the wall is ahead of the line, as of the last look."""

    __slots__ = ("_boot", "_since_boot", "_wall", "anchor", "offset")

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        since_boot: Callable[[], float] = _SINCE_BOOT,
        boot: Callable[[], str] | None = None,
    ) -> None:
        self._wall = wall
        self._since_boot = since_boot
        self._boot = boot or boot_id
        self.anchor = wall() - since_boot()
        self.offset = 0.0

    def __call__(self) -> float:
        return self._since_boot() + self.anchor

    def wall(self, moment: float) -> float:
        """A moment of the line as the clock on the wall shows it."""
        return moment + self.offset

    def line(self, wall_moment: float) -> float:
        """A moment of the wall on the line."""
        return wall_moment - self.offset

    def look(self) -> float:
        """Measure how far the wall is off; by how many seconds it was moved since the last time, 0.0 for less than a second."""
        offset = self._wall() - self()
        moved = offset - self.offset
        if abs(moved) < JITTER_SECONDS:
            return 0.0
        self.offset = offset
        if abs(moved) < STEP_SECONDS:
            return 0.0
        logger.warning(
            "the clock was set %s by %.1f s: limits, bans and what else is running go on as before, the calendar follows",
            "forward" if moved > 0 else "back", abs(moved),
        )  # fmt: skip
        return moved

    def share(self, anchor: float) -> None:
        """Take over the line of another process of this system, by its `anchor`."""
        self.anchor = anchor
        self.offset = 0.0
        offset = self._wall() - self()
        if abs(offset) >= JITTER_SECONDS:
            self.offset = offset

    def stamp(self) -> ClockStamp:
        """This moment, to be kept with times of the line."""
        return ClockStamp(self._boot(), self._since_boot(), self._wall(), self())

    def since(self, stamp: ClockStamp) -> float:
        """Seconds since a stamp: by the time since boot within one life of the system, else by the wall, and never below 0."""
        if stamp.boot and stamp.boot == self._boot() and self._since_boot() >= stamp.since_boot:
            return self._since_boot() - stamp.since_boot
        return max(0.0, self._wall() - stamp.wall)

    def go_on(self, stamp: ClockStamp) -> None:
        """Carry on the line of a stamp, so that times that were kept with it mean what they meant."""
        self.share(stamp.line + self.since(stamp) - self._since_boot())


def boot_id() -> str:
    """The name of this life of the system; empty where there is none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


CLOCK: Final = LineClock()
"""The clock of this process."""
