"""Which temporary restrictions are on: by time, by command, or by an alarm; and when one ends that touches the wrong people.

Fed with what was counted and the time, once a second. What decides stands in two tables: PRECEDENCE says for which of several
reasons a restriction is on or off, MOVES what an alarm does next. Knows no clock, no file, no process; which rules a restriction
is made of is `policy.expand`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum, auto
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Final, NamedTuple

from proxyguard.policy.model import NOWHERE, Alarm, Restriction
from proxyguard.restrictions.alarms import Signals, is_over
from proxyguard.restrictions.pauses import Pause

MIN_SEEN: Final = 20
"""Clients of a class that must have been seen before a share of them means anything."""

EASED: Final = 0.8
"""An alarm that is on counts as over when everything is below this part of its threshold: it does not flap at the edge."""


class Reason(StrEnum):
    """Why a restriction is on or off. The value is what operators read; ENDED and ROLLED_BACK have words of their own."""

    OVER = "it is over"
    ENDED = "ended"
    ROLLED_BACK = "rolled back"
    BY_COMMAND = "by command"
    NOT_BEGUN = "it has not begun"
    BY_ALARM = "by alarm"
    FOLLOWS = "by the alarm of another instance"
    AWAITS_ALARM = "it waits for an alarm"
    AWAITS_COMMAND = "it waits for a command"
    BY_TIME = "by time"


ON: Final = frozenset({Reason.BY_COMMAND, Reason.BY_ALARM, Reason.FOLLOWS, Reason.BY_TIME})
"""For these a restriction is on, for all others off."""

UNWATCHED: Final = frozenset({Reason.OVER, Reason.ENDED, Reason.BY_COMMAND, Reason.NOT_BEGUN})
"""For these nobody looks at the alarm."""

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
    instance is the last to learn of that.
    """

    started: Mapping[str, Started] = field(default_factory=dict)
    ended: Mapping[str, Ended] = field(default_factory=dict)
    given: Mapping[str, GivenRestriction] = field(default_factory=dict)
    paused: Mapping[str, Pause] = field(default_factory=dict)
    """By the name of the rule, or `pauses.EVERYTHING`."""

    def start(self, name: str, since: float, until: float | None) -> Overrides:
        return replace(self, started={**self.started, name: Started(since, until)})

    def give(self, name: str, order: GivenRestriction) -> Overrides:
        return replace(self, given={**self.given, name: order})

    def end(self, name: str, order: Ended) -> Overrides:
        return replace(
            self, started=_without(self.started, name), ended={**self.ended, name: order}, given=_without(self.given, name)
        )

    def pause(self, name: str, order: Pause) -> Overrides:
        return replace(self, paused={**self.paused, name: order})

    def ending(self, name: str) -> Ended | None:
        """The end that is in force, if no later order has taken its place."""
        return None if name in self.started or name in self.given else self.ended.get(name)

    def merged(self, others: Overrides) -> Overrides:
        """With the orders of other instances: of a start and an end the later one counts, wherever it was given.

        What the others know of a pause counts whatever its time: it was put there by the same rule.
        """
        started = _latest(self.started, others.started, attrgetter("since"))
        given = _latest(self.given, others.given, attrgetter("since"))
        ended = _latest(self.ended, others.ended, attrgetter("at"))
        for name, over in ended.items():
            if name in started and started[name].since <= over.at:
                del started[name]
            if name in given and given[name].since <= over.at:
                del given[name]
        return Overrides(started, ended, given, {**self.paused, **others.paused})

    def only(self, restrictions: Iterable[Restriction], now: float, ahead: float = 0.0) -> Overrides:
        """Without what can no longer matter: so that what is kept does not grow. Times as in `Monitor.look`."""
        known = {each.name: each for each in restrictions}
        until = {name: each.until + ahead for name, each in known.items()}
        until.update((name, order.until) for name, order in self.given.items())
        started = {
            name: order
            for name, order in self.started.items()
            if name in known and (order.until is None or now < order.until) and now < until[name]
        }
        ended = {
            name: order
            for name, order in self.ended.items()
            if name in known and order.identity == identity(known[name]) and now < until[name]
        }
        given = {name: order for name, order in self.given.items() if now < order.until}
        paused = {name: order for name, order in self.paused.items() if now < order.kept}
        kept = Overrides(started, ended, given, paused)
        return self if kept == self else kept


def _latest[Order](mine: Mapping[str, Order], others: Mapping[str, Order], time: Callable[[Order], float]) -> dict[str, Order]:
    newer = {name: order for name, order in others.items() if name not in mine or time(mine[name]) < time(order)}
    return {**mine, **newer}


def _without[Order](orders: Mapping[str, Order], name: str) -> dict[str, Order]:
    return {each: order for each, order in orders.items() if each != name}


def identity(restriction: Restriction) -> str:
    """What changes when anything but its place in the file does."""
    return blake2b(repr(replace(restriction, place=NOWHERE)).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Standing:
    """How a restriction stands: why it is on or off, in words too, since when and until when, as far as that is known.

    `step` is how far shedding load has come.
    """

    restriction: Restriction
    cause: Reason
    reason: str
    since: float | None = None
    ends: float | None = None
    step: int = 0

    @property
    def on(self) -> bool:
        return self.cause in ON


class Look(NamedTuple):
    """What one tick found: how all stand, what changed (name and words), and which were rolled back (name and words).

    `alarms` are the steps, by name, of those that an alarm of this instance has on: for other instances to follow.
    """

    standings: tuple[Standing, ...]
    changes: tuple[tuple[str, str], ...]
    rolled_back: tuple[tuple[str, str], ...]
    alarms: Mapping[str, int] = NO_ALARMS


class Load(Enum):
    """How loud an alarm is."""

    CALM = auto()
    """Everything is below EASED of its threshold."""
    NEAR = auto()
    OVER = auto()
    """Something is above its threshold."""
    LASTING = auto()
    """It has been for as long as the alarm asks."""


class Move(Enum):
    """What an alarm does at a tick."""

    STAY = auto()
    RAISE = auto()
    STEP_UP = auto()
    STEP_DOWN = auto()


MOVES: Final[Mapping[tuple[bool, Load], Move]] = {
    (False, Load.CALM): Move.STAY,
    (False, Load.NEAR): Move.STAY,
    (False, Load.OVER): Move.STAY,
    (False, Load.LASTING): Move.RAISE,
    (True, Load.CALM): Move.STEP_DOWN,
    (True, Load.NEAR): Move.STAY,
    (True, Load.OVER): Move.STEP_UP,
    (True, Load.LASTING): Move.STEP_UP,
}
"""By whether the alarm is raised, and by its load. A step is taken only by what sheds load, and when it is time for one."""

STEPS: Final[Mapping[Move, int]] = {Move.STEP_UP: 1, Move.STEP_DOWN: -1}


@dataclass(slots=True)
class _State:
    """What is remembered of one restriction from tick to tick."""

    on_since: float | None = None
    raised: bool = False
    over_since: float | None = None
    last_over: float = 0.0
    step: int = 0
    stepped_at: float = 0.0

    def is_raised(self, restriction: Restriction, alarm: Alarm, signals: Signals, now: float) -> bool:
        """Move the alarm, and the step of shedding load; whether it has the restriction on."""
        load = self.load(alarm, signals, now)
        move = MOVES[self.raised, load]
        if move is Move.RAISE:
            self.raised, self.step, self.stepped_at = True, min(1, restriction.steps), now
        if load in (Load.OVER, Load.LASTING):
            self.last_over = now
        if restriction.shed is None:
            self.raised = self.raised and now - self.last_over < restriction.hold_seconds
            return self.raised
        if move in STEPS and now - self.stepped_at >= restriction.shed.every_seconds:
            self.step, self.stepped_at = min(self.step + STEPS[move], restriction.steps), now
        if self.step <= 0:
            self.lower()
        return self.raised

    def lower(self) -> None:
        """The alarm is over."""
        self.raised, self.step = False, 0

    def load(self, alarm: Alarm, signals: Signals, now: float) -> Load:
        """Note since when an alarm is loud, whatever comes of it."""
        if not is_over(alarm, signals):
            self.over_since = None
            return Load.NEAR if is_over(alarm, signals, EASED) else Load.CALM
        if self.over_since is None:
            self.over_since = now
        return Load.LASTING if now - self.over_since >= alarm.for_seconds else Load.OVER


class _Case(NamedTuple):
    """One restriction at one tick."""

    restriction: Restriction
    state: _State
    ended: Ended | None
    started: Started | None
    signals: Signals
    followed: bool
    now: float
    ahead: float
    given: GivenRestriction | None

    @property
    def until(self) -> float:
        """On the line: what a command gave ends by its own order, what a file has by the clock on the wall."""
        return self.restriction.until + self.ahead if self.given is None else self.given.until

    def is_ended(self) -> bool:
        return self.ended is not None and self.ended.identity == identity(self.restriction)

    def is_started(self) -> bool:
        """One that sheds load cannot be started: a command only lets it wait for its alarm again."""
        started = self.started
        return started is not None and self.restriction.shed is None and (started.until is None or self.now < started.until)

    def is_early(self) -> bool:
        return self.restriction.start is not None and self.now < self.restriction.start + self.ahead

    def is_raised(self) -> bool:
        alarm = self.restriction.alarm
        return alarm is not None and self.state.is_raised(self.restriction, alarm, self.signals, self.now)

    @property
    def has_alarm(self) -> bool:
        return self.restriction.alarm is not None

    def standing(self) -> Standing:
        """By PRECEDENCE, collateral aside."""
        cause = next(reason for reason, holds in PRECEDENCE if holds(self))
        ends = self.until if cause in (Reason.BY_COMMAND, Reason.BY_TIME) else None
        if ends is not None and cause is Reason.BY_COMMAND and self.started and self.started.until is not None:
            ends = min(self.started.until, ends)
        words = self.ended.reason if cause is Reason.ENDED and self.ended is not None else str(cause)
        return Standing(self.restriction, cause, words, ends=ends)


PRECEDENCE: Final[tuple[tuple[Reason, Callable[[_Case], bool]], ...]] = (
    (Reason.OVER, lambda case: case.now >= case.until),
    (Reason.ENDED, _Case.is_ended),
    (Reason.BY_COMMAND, _Case.is_started),
    (Reason.NOT_BEGUN, _Case.is_early),
    (Reason.BY_ALARM, _Case.is_raised),
    (Reason.FOLLOWS, lambda case: case.has_alarm and case.followed),
    (Reason.AWAITS_ALARM, lambda case: case.has_alarm),
    (Reason.AWAITS_COMMAND, lambda case: case.restriction.standby),
    (Reason.BY_TIME, lambda _: True),
)
"""The first that holds is the reason. The alarm moves only when nothing before it holds."""


class Monitor:
    """Decides which restrictions are on. One per instance."""

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}

    def look(
        self, restrictions: Sequence[Restriction], orders: Overrides, signals: Signals,
        collateral: Mapping[str, tuple[int, int]], now: float, alarms: Mapping[str, int] = NO_ALARMS, ahead: float = 0.0,
    ) -> Look:  # fmt: skip
        """One tick at `now` of the line, which is `ahead` of the clock on the wall.

        `collateral` says, by name, how many clients of the class to be spared were touched, and were seen.
        `alarms` are what other instances said in `Look.alarms`.
        """
        self._states = {each.name: self._states.get(each.name, _State()) for each in restrictions}
        standings: list[Standing] = []
        changes: list[tuple[str, str]] = []
        for restriction in restrictions:
            name = restriction.name
            state = self._states[name]
            ended, started = orders.ending(name), orders.started.get(name)
            standing = _Case(
                restriction, state, ended, started, signals, name in alarms, now, ahead, orders.given.get(name)
            ).standing()
            was_on = state.on_since is not None
            if standing.on and was_on:
                standing = _rolled_back(standing, collateral.get(name, (0, 0)))
            if standing.on is not was_on:
                changes.append((name, f"{'on' if standing.on else 'off'}: {standing.reason}"))
                state.on_since = now if standing.on else None
            if not standing.on and standing.cause is not Reason.AWAITS_ALARM:
                state.lower()
            if standing.cause in UNWATCHED and restriction.alarm is not None:
                state.load(restriction.alarm, signals, now)
            step = min(max(state.step, alarms.get(name, 0)), restriction.steps) if standing.on else 0
            standings.append(replace(standing, since=state.on_since, step=step))
        rolled_back = tuple((each.restriction.name, each.reason) for each in standings if each.cause is Reason.ROLLED_BACK)
        alarmed = [each.restriction.name for each in standings if each.cause is Reason.BY_ALARM]
        return Look(tuple(standings), tuple(changes), rolled_back, {name: self._states[name].step for name in alarmed})


def _rolled_back(standing: Standing, counted: tuple[int, int]) -> Standing:
    """As it was, or rolled back if it touches too many of those whom it was to spare."""
    spared, (touched, seen) = standing.restriction.roll_back, counted
    if spared is None or seen < MIN_SEEN or touched <= spared.share * seen:
        return standing
    share = f"{touched} of {seen} {spared.class_name} clients, more than {100 * spared.share:g} %"
    return Standing(standing.restriction, Reason.ROLLED_BACK, f"rolled back: it touched {share}")
