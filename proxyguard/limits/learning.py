"""Limits that follow earlier days: which amount one has for a key at this moment, and what its use teaches.

A limit of each day learns by key (`daily`), one on the whole site by the hour (`hourly`), one on parts of its traffic by the hour
and by cell (`cells`). Until three days are known such a limit is as wide as its ceiling. Amounts go in steps, so that there are
few limits for stores to know. One per process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil, log
from typing import Any, Final

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.limits.cells import Cells, CellUse
from proxyguard.limits.charge import Charge, Usage
from proxyguard.limits.daily import DAY_SECONDS, DAYS, DailyUse, place_of
from proxyguard.limits.hourly import HOUR_SECONDS, HourlyUse, budget
from proxyguard.limits.limit import Learned, Limit

STEP: Final = 1.25
"""From one amount to the next. An amount is never lower than it should be."""

MAX_LIMITS: Final = 1_000
"""Limits whose steps are remembered: those of the policies that are in force, and of some before."""
MAX_WANTED: Final = 256
"""Amounts of one limit whose step is remembered."""
MAX_HOURLY_RULES: Final = 1_000

EDGE_SECONDS: Final = 900.0
"""Hours and days of every time zone begin at a quarter of an hour."""

LOOK_SECONDS: Final = 1.0
"""Between looks whether a day or an hour is over, unless the clock says another hour."""


class LearningPlace:
    """A charge whose limit learns: its place among the charges of a request, and the name of its rule."""

    __slots__ = ("at", "rule")

    def __init__(self, at: int, rule: str) -> None:
        self.at = at
        self.rule = rule


class _Widening:
    """A limit, which keeps its id its own, and it by what was wanted of it and by its step. The last one wanted is at hand."""

    __slots__ = ("by_step", "by_wanted", "last", "limit", "wanted")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.by_wanted: dict[float, Limit] = {}
        self.by_step: dict[int, Limit] = {}
        self.wanted = 0.0
        self.last = limit

    def limit_for(self, learned: Learned, wanted: float) -> Limit:
        """The limit with an amount of at least what is wanted."""
        if wanted == self.wanted:
            return self.last
        widened = self.by_wanted.get(wanted)
        if widened is None:
            step = step_of(self.limit, learned, wanted)
            widened = self.by_step.get(step)
            if widened is None:
                widened = self.by_step[step] = widened_by(self.limit, learned, step)
            keep_at_hand(self.by_wanted, MAX_WANTED, wanted, widened)
        self.wanted, self.last = wanted, widened
        return widened


class Learning:
    """What the limits of one process have learned."""

    __slots__ = (
        "_begun", "_frozen_at", "_hour", "_hourly", "_looked", "_now", "_wall", "_wall_now", "_widened", "cells", "daily",
    )  # fmt: skip

    def __init__(self, wall: Callable[[float], float]) -> None:
        self.daily = DailyUse()
        self.cells = Cells()
        self._now = self._wall_now = 0.0
        self._frozen_at = -1.0
        self._begun: Mapping[str, Limit] | None = None
        """The limits of the last look, which was at `_looked` in `_hour`."""
        self._looked = 0.0
        self._hour = -1
        self._hourly: dict[str, HourlyUse] = {}
        self._wall = wall
        self._widened: dict[int, _Widening] = {}
        """By the id of the limit."""

    def begin(self, limits: Mapping[str, Limit], now: float) -> None:
        """Time goes on for these limits, by the names of their rules: those that nobody uses learn just that."""
        wall = self._wall(now)
        self._now, self._wall_now = now, wall
        hour = int(wall // HOUR_SECONDS)
        if limits is self._begun and hour == self._hour and 0.0 <= now - self._looked < LOOK_SECONDS:
            return
        self._begun, self._looked, self._hour = limits, now, hour
        self.daily.turn(now, wall)
        for name, limit in limits.items():
            if limit.period_seconds == DAY_SECONDS:
                self.daily.begin(name, limit.time_zone)
            else:
                self._hours(name).turn(now, wall, self._frozen_at)

    def hours(self, name: str, now: float) -> HourlyUse:
        """What is learned by the hour under a name that no rule has, at this time."""
        hours = self._hours(name)
        hours.turn(now, self._wall(now), self._frozen_at)
        return hours

    def widen(self, charges: tuple[Charge, ...], places: list[LearningPlace]) -> tuple[Charge, ...]:
        """The charges, those of limits that learn with the amount that they have at the time of `begin`."""
        found: list[Charge] | None = None
        for each in places:
            charge = charges[each.at]
            key, limit = charge.key, charge.limit
            learned = limit.learned
            if learned is None:
                continue
            is_daily = limit.period_seconds == DAY_SECONDS
            usual = self.daily.usual(each.rule, key) if is_daily else self._usual(each.rule, key, limit)
            wanted = float(learned.until_known or learned.at_most) if usual < 0.0 else amount_for(limit, learned, usual)
            widened = self._with(limit, learned, wanted)
            if widened is not limit:
                found = [*charges] if found is None else found
                found[each.at] = charge.within(widened)
        return charges if found is None else tuple(found)

    def observe(
        self, charges: tuple[Charge, ...], places: list[LearningPlace], usages: tuple[Usage, ...], *, since: float, forwards: bool
    ) -> None:
        """Learn from what a store said to charges of `widen`. What was refused, by whatever rule, is nobody's use.

        `since` is when they were charged, by the wall: what was used in a window that is over is no use of the one that followed.
        """
        if since != self._wall_now and since // EDGE_SECONDS != self._wall_now // EDGE_SECONDS:
            return
        for each in places:
            at = each.at
            if at >= len(usages):  # of a banned client there are none
                return
            charge, usage = charges[at], usages[at]
            key, limit = charge.key, charge.limit
            learned = limit.learned
            if learned is None or not charge.cost:
                continue
            used = float(limit.amount - (0 if usage.exceeded else usage.remaining))
            if limit.period_seconds != DAY_SECONDS:
                hours = self._hours(each.rule)
                if limit.of_site:
                    hours.observe(used, is_refused=usage.exceeded)
                else:
                    place = place_of(each.rule, key)
                    self.cells.observe(place, hours, used, self._now, self._wall_now, is_refused=usage.exceeded)
            elif forwards:
                self.daily.observe(each.rule, key, charge.owner[1], used, (learned.base or limit.amount) / learned.times)

    def repeat_day(self) -> None:
        """Go on as if there had been a week of days like the last whole one: for simulations, which have one day."""
        self._begun = None
        self.daily.repeat_day()
        for hours in self._hourly.values():
            hours.repeat_day(DAYS)
        self.cells.repeat_day(DAYS)

    def freeze(self, now: float) -> None:
        """Learn nothing of this day and this hour."""
        wall = self._wall(now)
        self._begun = None
        self.daily.turn(now, wall)
        self.daily.freeze()
        self._frozen_at = self.cells.frozen_at = now

    def this_hour(self, now: float) -> list[CellUse]:
        """The cells that were used in this hour, the most used first."""
        return self.cells.this_hour(now, self._wall(now))

    def knows(self, rule: str, now: float) -> bool:
        """Whether enough days are known of this hour for a rule that learns by the hour to bound anything."""
        return self.hours(rule, now).is_known()

    def as_data(self) -> dict[str, Any]:
        """What was learned, to be kept elsewhere. A thread may ask."""
        hourly = {name: each.as_data() for name, each in list(self._hourly.items())}
        return {"daily": self.daily.as_data(), "hourly": hourly, "cells": self.cells.as_data()}

    def restore(self, data: dict[str, Any], now: float) -> None:
        """Take over what `as_data` gave. Raises AttributeError, KeyError, TypeError and ValueError."""
        hourly: dict[str, HourlyUse] = {}
        for name, kept in list(data["hourly"].items())[:MAX_HOURLY_RULES]:
            hourly[str(name)] = HourlyUse()
            hourly[str(name)].restore(kept)
        self.cells.restore(data.get("cells", {}))
        self.daily.restore(data["daily"], now)
        self._hourly = hourly
        self._begun = None

    def _usual(self, rule: str, key: str, limit: Limit) -> float:
        """What is usual for a limit by the hour."""
        hours = self._hours(rule)
        if limit.of_site:
            return hours.usual()
        return self.cells.usual(place_of(rule, key), self._now, self._wall_now) if hours.is_known() else -1.0

    def _hours(self, rule: str) -> HourlyUse:
        hours = self._hourly.get(rule)
        if hours is None:
            hours = keep_at_hand(self._hourly, MAX_HOURLY_RULES, rule, HourlyUse())  # of rules in files there are not so many
        return hours

    def _with(self, limit: Limit, learned: Learned, wanted: float) -> Limit:
        """A limit with an amount of at least what is wanted, up to its ceiling."""
        if wanted <= limit.amount or learned.at_most <= limit.amount:
            return limit
        known = self._widened.get(id(limit))
        if known is None:
            known = keep_at_hand(self._widened, MAX_LIMITS, id(limit), _Widening(limit))
        return known.limit_for(learned, wanted)


def amount_for(limit: Limit, learned: Learned, usual: float) -> float:
    """What a limit allows where so much is usual."""
    return learned.times * usual if limit.period_seconds == DAY_SECONDS else budget(usual, learned.times)


def step_of(limit: Limit, learned: Learned, wanted: float) -> int:
    """The step of a limit that is the first to allow what is wanted, or all that it may."""
    return ceil(log(min(wanted, learned.at_most) / limit.amount) / log(STEP) - 1e-9)


def widened_by(limit: Limit, learned: Learned, step: int) -> Limit:
    """A limit some steps wider."""
    amount = min(round(limit.amount * STEP**step), learned.at_most)
    return replace(limit, amount=amount, burst=amount, learned=replace(learned, base=limit.amount))


def with_usual(charges: Sequence[Charge], usual: float) -> tuple[Charge, ...]:
    """The charges as they are where so much is usual, for tests of rules."""
    found: list[Charge] = []
    for charge in charges:
        limit, learned = charge.limit, charge.limit.learned
        if learned is not None and amount_for(limit, learned, usual) > limit.amount:
            step = step_of(limit, learned, amount_for(limit, learned, usual))
            found.append(charge.within(widened_by(limit, learned, step)))
        else:
            found.append(charge)
    return tuple(found)
