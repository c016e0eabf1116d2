"""The facts that no request carries: the minute of the day, and where its client stands among all clients.

Pure: time and place are arguments. Asked only where a policy has such tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from proxyguard.core.request import Request
from proxyguard.policy.matchers import During, Sampled
from proxyguard.policy.model import Test


class Circumstances(NamedTuple):
    """What a test in a rule file says of the world around its request. None: it is as it is."""

    minute: int | None = None
    """The minute of the day, in every time zone."""
    position: float | None = None
    """Where the client stands among all, 0 to 1: it is in each sample of a larger share."""


AS_IT_IS: Final = Circumstances()

Position = Callable[[Request], float]
"""Where the client of a request stands among all, 0 to 1, always in the same place."""


def minute_at(now: float, time_zone: str) -> int:
    """The minute of the day that the clock of a time zone shows; `now` is Unix seconds."""
    local = datetime.fromtimestamp(now, ZoneInfo(time_zone))
    return local.hour * 60 + local.minute


class OutsideFacts:
    """Answers which of the tests about time and samples hold. The answer about time is kept for the rest of its minute."""

    __slots__ = ("_at", "_during", "_now", "_position", "_shares", "any")

    def __init__(self, tests: Iterable[Test], position: Position) -> None:
        """`tests` in order of their numbers, whatever they are about."""
        self._during: list[tuple[During, int]] = []
        self._shares: list[tuple[float, int]] = []
        for number, test in enumerate(tests):
            if isinstance(test.matcher, During):
                self._during.append((test.matcher, number))
            elif isinstance(test.matcher, Sampled):
                self._shares.append((test.matcher.share, number))
        self.any = bool(self._during or self._shares)
        """Whether there is anything to ask."""
        self._position = position
        self._at = -1
        self._now: tuple[int, ...] = ()

    def add(self, found: list[int], request: Request, now: float, around: Circumstances) -> None:
        """Add the numbers of the tests that hold; `now` is Unix seconds."""
        if self._during:
            found += self._in_minute(now) if around.minute is None else self._of_minute(around.minute)
        if self._shares:
            position = self._position(request) if around.position is None else around.position
            for share, number in self._shares:
                if position < share:
                    found.append(number)

    def _in_minute(self, now: float) -> tuple[int, ...]:
        at = int(now // 60.0)  # offsets of time zones are whole minutes
        if at != self._at:
            self._now = tuple(number for during, number in self._during if during.has(minute_at(now, during.time_zone)))
            self._at = at
        return self._now

    def _of_minute(self, minute: int) -> tuple[int, ...]:
        return tuple(number for during, number in self._during if during.has(minute))
