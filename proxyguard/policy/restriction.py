"""A temporary restriction as a value: for whom, how much, from when to when, and what starts and ends it.

Made by `parse.restrictions`; becomes rules in `expand`; watched by `restrictions.monitor`. Knows nothing of YAML or clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxyguard.core.decision import Mode
from proxyguard.limits.limit import Limit
from proxyguard.policy.model import ALWAYS, NOWHERE, Condition, Place

RESTRICTION_MARK: Final = "restriction:"
"""Tags that begin so say which restrictions are on. No rule can attach one: names have no colon."""

SUSPECTED: Final = "suspected"
"""The step of shedding load that is about a score, not about a class."""


ALARM_SECONDS: Final = 30.0
HOLD_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What starts a restriction: any of the thresholds, exceeded for `for_seconds` on end. None: not looked at."""

    requests_per_second: float | None = None
    upstream_p95_seconds: float | None = None
    upstream_error_share: float | None = None
    """Of the upstream's answers, 0 to 1: statuses from 500, and no answer."""
    for_seconds: float = ALARM_SECONDS


@dataclass(frozen=True, slots=True)
class RollBack:
    """Ends a restriction that touches more than `share` (0 to 1) of the clients of a class that was to be spared."""

    class_name: str
    share: float


@dataclass(frozen=True, slots=True)
class Shed:
    """Refuse without counting, one step further every `every_seconds` while the alarm goes on, and back when it does not.

    `steps` are classes, and `suspected`: whoever has a score of at least `suspected_score`. None: suspected, anonymous, and
    then the classes from the last defined to the first.
    """

    every_seconds: float = 30.0
    suspected_score: float = 50.0
    steps: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restriction:
    """One temporary restriction; times are Unix seconds. It limits classes (`limits`) or sheds load (`shed`).

    It is on from `start` (None: as soon as it is loaded) to `until`, unless it waits for an alarm or a command (`standby`).
    """

    name: str
    why: str
    until: float
    start: float | None = None
    when: Condition = ALWAYS
    limits: tuple[tuple[str, Limit], ...] = ()
    """By class. A limit whose `per` is empty counts by account where accounts are known, else by client."""
    status: int = 429
    mode: Mode = Mode.ENFORCE
    standby: bool = False
    alarm: Alarm | None = None
    hold_seconds: float = HOLD_SECONDS
    """How long it stays on after the alarm was last true."""
    roll_back: RollBack | None = None
    shed: Shed | None = None
    steps: int = 0
    """How many steps of shedding load there are, once they are known."""
    place: Place = NOWHERE

    def is_on_by_time(self, now: float) -> bool:
        """Whether it is on when nobody started or ended it and no alarm is true."""
        waits = self.standby or self.alarm is not None
        return not waits and (self.start is None or self.start <= now) and now < self.until


def tag_of(name: str, step: int = 0) -> str:
    """The tag that says that a restriction is on; with a step, that shedding load has come so far (1 is the first)."""
    return f"{RESTRICTION_MARK}{name}/{step}" if step else f"{RESTRICTION_MARK}{name}"


def tags_of(restriction: Restriction, step: int | None = None) -> frozenset[str]:
    """All tags of a restriction that is on and has come so far (None: all the way)."""
    reached = restriction.steps if step is None else step
    return frozenset((tag_of(restriction.name), *(tag_of(restriction.name, each + 1) for each in range(reached))))
