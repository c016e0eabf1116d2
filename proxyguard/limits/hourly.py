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

MOST_NOTHING: Final = 7 * HOURS
"""Hours without anything that are learned at once."""

NOISE: Final = 4.0
LEAST: Final = 5.0
"""Above what is usual, `NOISE` times its square root and `LEAST` are chance."""


class HourlyUse:
    """The hours of one rule, or of one cell of it."""

    __slots__ = ("_began", "_hour", "_surges", "_usual", "days", "let_through", "refusals")

    def __init__(self) -> None:
        self._usual = [0.0] * HOURS
        self._surges = [0] * HOURS
        self.days = [0] * HOURS
        """How many days are known of each hour."""
        self.let_through = 0.0
        """In this hour."""
        self.refusals = 0
        self._hour = -1
        self._began = 0.0

    def turn(self, now: float, wall: float, frozen_at: float = -1.0) -> None:
        """Begin another hour when it is time; `now` is the line's, `wall` the same moment by the calendar.

        Hours up to `frozen_at`, of the line, teach nothing.
        """
        begins = self._hour * HOUR_SECONDS
        if begins <= wall < begins + HOUR_SECONDS:
            return
        hour = int(wall // HOUR_SECONDS)
        began = now
        if self._hour >= 0:
            spent = now - self._began
            if spent >= WHOLE_HOUR * HOUR_SECONDS:
                is_surge = frozen_at >= self._began
                self._learn(self._hour % HOURS, self.let_through, is_surge=is_surge or self.refusals > 0)
                over = spent - wall % HOUR_SECONDS  # of the hour that goes on nothing is known
                for nothing in range(1, min(MOST_NOTHING, int(over / HOUR_SECONDS + 0.5))):
                    self._learn((self._hour + nothing) % HOURS, 0.0, is_surge=is_surge)
                began -= wall % HOUR_SECONDS
            elif hour < self._hour or spent < HOUR_SECONDS / 2:
                return  # the clock was set: the hour goes on
        self._hour, self._began = hour, began
        self.let_through, self.refusals = 0.0, 0

    def usual(self) -> float:
        """What is usual in this hour; -1 while too little is known."""
        return self.mean() if self.is_known() else -1.0

    def is_known(self) -> bool:
        """Whether enough days are known of this hour and its neighbours."""
        hour, days = self._hour % HOURS, self.days
        return days[hour - 1] >= KNOWN_DAYS and days[hour] >= KNOWN_DAYS and days[(hour + 1) % HOURS] >= KNOWN_DAYS

    def mean(self) -> float:
        """What is usual as far as anything is known."""
        hour, usual = self._hour, self._usual
        return (usual[(hour - 1) % HOURS] + usual[hour % HOURS] + usual[(hour + 1) % HOURS]) / 3

    def most(self) -> float:
        """What is usual in the hour that has most."""
        return max(self._usual)

    def observe(self, used: float, *, is_refused: bool) -> None:
        """Take in how much of this hour's limit is used, and that it was not enough."""
        self.let_through = max(self.let_through, used)
        self.refusals += is_refused

    def repeat_day(self, days: int) -> None:
        """Take every hour for one that is known from so many days like the last: for simulations, which have one day."""
        self.days = [days] * HOURS

    def _learn(self, hour: int, count: float, *, is_surge: bool) -> None:
        if is_surge and self._surges[hour] < MOST_SURGES:
            self._surges[hour] += 1
            return
        self._surges[hour] = 0
        days = self.days[hour]
        weight = max(NEW_SHARE, 1.0 / (days + 1))
        self._usual[hour] += weight * (count - self._usual[hour])
        self.days[hour] = days + 1

    def as_data(self) -> list[Any]:
        """What is known, to be kept elsewhere."""
        return [[round(each, 3) for each in self._usual], self.days, self._surges]

    def restore(self, data: list[Any]) -> None:
        """Take over what `as_data` gave. Raises TypeError and ValueError, and then takes nothing."""
        usual, days, surges = ([float(each) for each in part] for part in data)
        if not len(usual) == len(days) == len(surges) == HOURS:
            raise ValueError("a day has 24 hours")
        self._usual, self.days, self._surges = usual, [int(each) for each in days], [int(each) for each in surges]


def budget(usual: float, times: float) -> float:
    """What may come in an hour before it is more than chance."""
    return times * usual + NOISE * sqrt(usual) + LEAST
