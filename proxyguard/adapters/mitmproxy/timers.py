"""Deadlines of many connections on one loop timer.

An entry owns its deadline and may move it by a plain attribute write. The wheel looks at an entry when the slot it lies in
comes up, and then either calls `on_deadline` or lays it into the slot of its new deadline. Only a deadline that
moves *closer* than the slot needs a call. Knows nothing of connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final, Protocol

UNPLACED = inf
"""The `placed_at` of an entry that lies in no slot."""

LOOP_TICK: Final = 0.001
"""libuv counts milliseconds."""


def call_from(loop: asyncio.AbstractEventLoop, clock: Callable[[], float], due: float, call: Callable[[], None]) -> None:
    """Call at the first tick of the loop from `due` on, never at once.

    A timer for all of the wait is rounded from when it is set: to milliseconds, which tell a patient client when that was.
    """

    def look() -> None:
        if clock() < due:
            loop.call_later(LOOP_TICK, look)
        else:
            call()

    loop.call_later(max(0.0, due - clock() - 2 * LOOP_TICK), look)


class Timed(Protocol):
    """What a wheel looks after. Times are those of the wheel's clock, in seconds; `deadline` is inf for none."""

    deadline: float
    placed_at: float

    def on_deadline(self, now: float, /) -> None:
        """Called once the deadline is past. May set a new deadline, which is then kept."""
        ...


class TimerWheel:
    """Calls `on_deadline` at most `tick_seconds` late. Costs nothing while it is empty."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tick_seconds: float,
        clock: Callable[[], float],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        self._loop = loop
        self._tick = tick_seconds
        self._clock = clock
        self._on_error = on_error
        self._slots: dict[int, set[Timed]] = {}
        self._turned = int(clock() / tick_seconds)
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def watch(self, entry: Timed) -> None:
        """Lay an entry into the slot of its deadline, if that comes sooner than the slot it lies in."""
        if entry.deadline >= entry.placed_at:
            return
        self.forget(entry)
        slot = max(int(entry.deadline / self._tick), self._turned) + 1
        entry.placed_at = slot * self._tick
        entries = self._slots.get(slot)
        if entries is None:
            entries = self._slots[slot] = set()
        entries.add(entry)
        if self._timer is None:
            self._turned = max(self._turned, int(self._clock() / self._tick))
            self._arm()

    def forget(self, entry: Timed) -> None:
        """Take an entry out; harmless when it is not in."""
        if entry.placed_at == UNPLACED:
            return
        slot = round(entry.placed_at / self._tick)
        entry.placed_at = UNPLACED
        entries = self._slots.get(slot)
        if entries is not None:
            entries.discard(entry)
            if not entries:
                del self._slots[slot]

    def stop(self) -> None:
        """Forget everything."""
        for entries in self._slots.values():
            for entry in entries:
                entry.placed_at = UNPLACED
        self._slots.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        self._timer = None
        now = self._clock()
        self._turned = int(now / self._tick)
        due = [slot for slot in self._slots if slot <= self._turned]
        for slot in due:
            for entry in self._slots.pop(slot):
                if entry.placed_at == UNPLACED:
                    continue  # forgotten by an entry that came just before
                entry.placed_at = UNPLACED
                if entry.deadline <= now:
                    try:
                        entry.on_deadline(now)
                    except Exception as error:  # noqa: BLE001 - one entry's fault must not stop the others' time
                        self._on_error("timer", error)
                self.watch(entry)
        if self._slots:
            self._arm()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick, self._turn)
