"""What the whole site uses of a limit in each hour of a day: the budget of a rule that is to act only when far more comes.

An hour is what was let through in it, forgotten by a third with each day, and taken together with its neighbours, as people are
not punctual. Hours in which something was refused are left out, since what came then is no guide; after a week of them they are
how things are. How much that is says the store, so that all workers and instances know it.
"""

from __future__ import annotations

from math import sqrt
from typing import Any, Final

HOURS: Final = 24
HOUR_SECONDS: Final = 3_600.0

KNOWN_DAYS: Final = 3
"""So many days are to be known of an hour before it bounds anything."""

NEW_SHARE: Final = 1 / 3
"""The weight of a new day."""

WHOLE_HOUR: Final = 0.9
"""Of an hour that was seen: a process that began in the middle of one knows nothing of it."""

MOST_SURGES: Final = 7

NOISE: Final = 4.0
LEAST: Final = 5.0
"""Above what is usual, `NOISE` times its square root and `LEAST` are chance."""


class HourlyUse:
    """The hours of one rule."""

    __slots__ = ("_began", "_hour", "_let_through", "_refused", "_surges", "_usual", "days", "is_frozen")

    def __init__(self) -> None:
        self._usual = [0.0] * HOURS
        self._surges = [0] * HOURS
        self.days = [0] * HOURS
        """How many days are known of each hour."""
        self._let_through = 0.0
        self._refused = False
        self._hour = -1
        self._began = 0.0
        self.is_frozen = False

    def turn(self, now: float, wall: float) -> None:
        """Begin another hour when it is time; `now` is the line's, `wall` the same moment by the calendar."""
        hour = int(wall // HOUR_SECONDS)
        if hour == self._hour:
            return
        began = now
        if self._hour >= 0:
            spent = now - self._began
            if spent >= WHOLE_HOUR * HOUR_SECONDS:
                self._learn(self._hour % HOURS, self._let_through)
                for nothing in range(1, min(HOURS, int(spent / HOUR_SECONDS + 0.5))):
                    self._learn((self._hour + nothing) % HOURS, 0.0)
                began -= wall % HOUR_SECONDS
            elif hour < self._hour or spent < HOUR_SECONDS / 2:
                return  # the clock was set: the hour goes on
        self._hour, self._began = hour, began
        self._let_through, self._refused = 0.0, False
        self.is_frozen = False

    def usual(self) -> float:
        """What is usual in this hour; -1 while too little is known."""
        hour = self._hour % HOURS
        around = (hour - 1, hour, hour + 1)
        if min(self.days[each % HOURS] for each in around) < KNOWN_DAYS:
            return -1.0
        return sum(self._usual[each % HOURS] for each in around) / len(around)

    def observe(self, used: float, *, is_refused: bool) -> None:
        """Take in how much of this hour's limit is used, and that it was not enough."""
        self._let_through = max(self._let_through, used)
        self._refused = self._refused or is_refused

    def repeat_day(self, days: int) -> None:
        """Take every hour for one that is known from so many days like the last: for simulations, which have one day."""
        self.days = [days] * HOURS

    def _learn(self, hour: int, count: float) -> None:
        if (self._refused or self.is_frozen) and self._surges[hour] < MOST_SURGES:
            self._surges[hour] += 1
            return
        self._surges[hour] = 0
        days = self.days[hour]
        weight = max(NEW_SHARE, 1.0 / (days + 1))
        self._usual[hour] += weight * (count - self._usual[hour])
        self.days[hour] = days + 1

    def as_data(self) -> list[Any]:
        """What is known, to be kept elsewhere."""
        return [self._usual, self.days, self._surges]

    def restore(self, data: list[Any]) -> None:
        """Take over what `as_data` gave. Raises TypeError and ValueError, and then takes nothing."""
        usual, days, surges = ([float(each) for each in part] for part in data)
        if not len(usual) == len(days) == len(surges) == HOURS:
            raise ValueError("a day has 24 hours")
        self._usual, self.days, self._surges = usual, [int(each) for each in days], [int(each) for each in surges]


def budget(usual: float, times: float) -> float:
    """What may come in an hour before it is more than chance."""
    return times * usual + NOISE * sqrt(usual) + LEAST
