"""Which temporary restrictions are on: by time, by command, or by an alarm; and when one ends that touches the wrong people.

A state machine that is fed with what was counted and the time, once a second. Knows no clock, no file, no process; which rules a
restriction is made of is `policy.expand`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from proxyguard.policy.model import NOWHERE, Alarm, Restriction
from proxyguard.restrictions.alarms import Signals, is_over

MIN_SEEN: Final = 20
"""Clients of a class that must have been seen before a share of them means anything."""

EASED: Final = 0.8
"""An alarm that is on counts as over when everything is below this part of its threshold: it does not flap at the edge."""


ALARMED: Final = "by alarm"
FOLLOWS: Final = "by the alarm of another instance"
WAITS: Final = "it waits for an alarm"

NO_ALARMS: Final[Mapping[str, int]] = {}


@dataclass(frozen=True, slots=True)
class Started:
    """A command to start: until then, at most until the restriction's own end. One that sheds load waits for its alarm again."""

    since: float
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A command to end, or a roll-back. Holds for the restriction as it was: changed in its file, it may be on again."""

    at: float
    reason: str
    identity: str


@dataclass(frozen=True, slots=True)
class GivenRestriction:
    """A restriction that a command gave and no file has: `plain` is what a file would say of it, as JSON."""

    since: float
    until: float
    plain: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Overrides:
    """What operators, and roll-backs, have decided; by name.

    An end stays when a later order takes its place: it still says that what was ordered before it is over, whichever
    instance is the last to hear of that.
    """

    started: Mapping[str, Started] = field(default_factory=dict)
    ended: Mapping[str, Ended] = field(default_factory=dict)
    given: Mapping[str, GivenRestriction] = field(default_factory=dict)

    def start(self, name: str, since: float, until: float | None) -> Overrides:
        return replace(self, started={**self.started, name: Started(since, until)})

    def give(self, name: str, order: GivenRestriction) -> Overrides:
        return replace(self, given={**self.given, name: order})

    def end(self, name: str, order: Ended) -> Overrides:
        return Overrides(_without(self.started, name), {**self.ended, name: order}, _without(self.given, name))

    def ending(self, name: str) -> Ended | None:
        """The end that is in force, if no later order has taken its place."""
        return None if name in self.started or name in self.given else self.ended.get(name)

    def merged(self, others: Overrides) -> Overrides:
        """With the orders of other instances: of a start and an end the later one counts, wherever it was given."""
        started, ended, given = dict(self.started), dict(self.ended), dict(self.given)
        for name, order in others.started.items():
            if name not in started or started[name].since < order.since:
                started[name] = order
        for name, new in others.given.items():
            if name not in given or given[name].since < new.since:
                given[name] = new
        for name, over in others.ended.items():
            if name not in ended or ended[name].at < over.at:
                ended[name] = over
        for name, over in ended.items():
            if name in started and started[name].since <= over.at:
                del started[name]
            if name in given and given[name].since <= over.at:
                del given[name]
        return Overrides(started, ended, given)

    def only(self, restrictions: Iterable[Restriction], now: float) -> Overrides:
        """Without what can no longer matter: so that what is kept does not grow."""
        known = {each.name: each for each in restrictions}
        started = {
            name: order
            for name, order in self.started.items()
            if name in known and (order.until is None or now < order.until) and now < known[name].until
        }
        ended = {
            name: order
            for name, order in self.ended.items()
            if name in known and order.identity == identity(known[name]) and now < known[name].until
        }
        given = {name: order for name, order in self.given.items() if now < order.until}
        kept = Overrides(started, ended, given)
        return self if kept == self else kept


def _without[Order](orders: Mapping[str, Order], name: str) -> dict[str, Order]:
    return {each: order for each, order in orders.items() if each != name}


def identity(restriction: Restriction) -> str:
    """What changes when anything but its place in the file does."""
    return blake2b(repr(replace(restriction, place=NOWHERE)).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Standing:
    """How a restriction stands: whether it is on, why (or why not), since when and until when, as far as that is known.

    `step` is how far shedding load has come.
    """

    restriction: Restriction
    on: bool
    reason: str
    since: float | None = None
    ends: float | None = None
    step: int = 0


class Look(NamedTuple):
    """What one tick found: how all stand, what changed (name and words), and which were rolled back (name and words).

    `alarms` are the steps, by name, of those that an alarm of this instance has on: for other instances to follow.
    """

    standings: tuple[Standing, ...]
    changes: tuple[tuple[str, str], ...]
    rolled_back: tuple[tuple[str, str], ...]
    alarms: Mapping[str, int] = NO_ALARMS


@dataclass(slots=True)
class _State:
    """What is remembered of one restriction from tick to tick."""

    on_since: float | None = None
    over_since: float | None = None
    last_over: float | None = None
    step: int = 0
    stepped_at: float = 0.0


class Monitor:
    """Decides which restrictions are on. One per instance."""

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}

    def look(
        self,
        restrictions: Sequence[Restriction],
        orders: Overrides,
        signals: Signals,
        collateral: Mapping[str, tuple[int, int]],
        now: float,
        alarms: Mapping[str, int] = NO_ALARMS,
    ) -> Look:
        """One tick. `collateral` says, by name, how many clients of the class to be spared were touched, and were seen.

        `alarms` are what other instances said in `Look.alarms`.
        """
        self._states = {each.name: self._states.get(each.name, _State()) for each in restrictions}
        standings: list[Standing] = []
        changes: list[tuple[str, str]] = []
        rolled_back: list[tuple[str, str]] = []
        own: dict[str, int] = {}
        for restriction in restrictions:
            name = restriction.name
            state = self._states[name]
            before = state.on_since is not None
            standing = self._standing(restriction, state, orders, signals, now)
            if standing.reason == WAITS and name in alarms:
                standing = Standing(restriction, on=True, reason=FOLLOWS)
            if standing.on and before:
                too_much = _collateral(restriction, collateral.get(name, (0, 0)))
                if too_much:
                    rolled_back.append((name, too_much))
                    standing = Standing(restriction, on=False, reason=too_much)
            if standing.on is not before:
                changes.append((name, f"on: {standing.reason}" if standing.on else f"off: {standing.reason}"))
                state.on_since = now if standing.on else None
            if not standing.on and standing.reason != WAITS:
                state.step = 0
                state.last_over = None
            if standing.reason == ALARMED:
                own[name] = state.step
            step = min(max(state.step, alarms.get(name, 0)), restriction.steps) if standing.on else 0
            standings.append(replace(standing, since=state.on_since, step=step))
        return Look(tuple(standings), tuple(changes), tuple(rolled_back), own)

    def _standing(
        self, restriction: Restriction, state: _State, orders: Overrides, signals: Signals, now: float
    ) -> Standing:
        """How a restriction stands, collateral aside."""
        if now >= restriction.until:
            return Standing(restriction, on=False, reason="it is over")
        ended = orders.ending(restriction.name)
        if ended is not None and ended.identity == identity(restriction):
            return Standing(restriction, on=False, reason=ended.reason)
        started = orders.started.get(restriction.name)
        if started is not None and restriction.shed is None and (started.until is None or now < started.until):
            ends = restriction.until if started.until is None else min(started.until, restriction.until)
            return Standing(restriction, on=True, reason="by command", ends=ends)
        if restriction.start is not None and now < restriction.start:
            return Standing(restriction, on=False, reason="it has not begun")
        if restriction.alarm is not None:
            on = _by_alarm(restriction, restriction.alarm, state, signals, now)
            return Standing(restriction, on=on, reason=ALARMED if on else WAITS)
        if restriction.standby:
            return Standing(restriction, on=False, reason="it waits for a command")
        return Standing(restriction, on=True, reason="by time", ends=restriction.until)


def _by_alarm(restriction: Restriction, alarm: Alarm, state: _State, signals: Signals, now: float) -> bool:
    """Whether the alarm has it on. Moves the step of shedding load."""
    was_on = state.last_over is not None
    over = is_over(alarm, signals)
    if not over:
        state.over_since = None
    elif state.over_since is None:
        state.over_since = now
    long_enough = state.over_since is not None and now - state.over_since >= alarm.for_seconds
    if not was_on:
        if not long_enough:
            return False
        state.step, state.stepped_at = min(1, restriction.steps), now
    if over:
        state.last_over = now
    shed = restriction.shed
    if shed is None:
        if state.last_over is not None and now - state.last_over >= restriction.hold_seconds:
            state.last_over = None
        return state.last_over is not None
    if now - state.stepped_at >= shed.every_seconds:
        if over:
            state.step = min(state.step + 1, restriction.steps)
            state.stepped_at = now
        elif not is_over(alarm, signals, EASED):
            state.step -= 1
            state.stepped_at = now
    if state.step <= 0:
        state.step, state.last_over = 0, None
    return state.last_over is not None


def _collateral(restriction: Restriction, counted: tuple[int, int]) -> str:
    """Words, if a restriction touches too many of those whom it was to spare."""
    spared, (touched, seen) = restriction.roll_back, counted
    if spared is None or seen < MIN_SEEN or touched <= spared.share * seen:
        return ""
    return (
        f"rolled back: it touched {touched} of {seen} {spared.class_name} clients, more than {100 * spared.share:g} %"
    )
