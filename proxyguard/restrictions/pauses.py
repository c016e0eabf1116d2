"""Pauses: rules that an operator has only record for a while, one by one or all at once (the panic switch). Each has an end.

Values only. How a pause reaches other instances is `shared_overrides`', what it does to a request is the guard's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

EVERYTHING: Final = "*"
"""Names the pause of all rules, bans and restrictions. No rule can have this name."""

EMERGENCY: Final = "!"
"""Names emergency mode: while it is ordered, rules with `emergency` act. It has the form of a pause, and spreads as one."""

SWITCHES: Final = frozenset({EVERYTHING, EMERGENCY})
"""What is no rule."""

EMERGENCY_SECONDS: Final = 7_200.0

DEFAULT_SECONDS: Final = 1_800.0
"""Half an hour: long enough to find the rule that is wrong, short enough that nobody forgets it over a weekend."""

MAX_SECONDS: Final = 86_400.0
"""A day. Whoever wants it longer sets the mode of a rule, or of the instance, where the next operator reads it."""

MAX_PAUSED: Final = 100
"""Rules paused at a time, on all instances together; beyond that the switch for all is meant."""

MAX_WHY_CHARACTERS: Final = 500
MAX_BY_CHARACTERS: Final = 100


KEPT_SECONDS: Final = 60.0
"""How long an order is remembered after its end: more than the clocks of two instances differ."""


@dataclass(frozen=True, slots=True)
class Pause:
    """An order to pause from `since` until `until`; to act again, when these are the same. Times are those of the line.

    It is remembered until `kept`, which is not before the end of any order that it replaced: wherever an older one is still
    known, this one has to outrank it.
    """

    since: float
    until: float
    kept: float
    why: str = ""
    by: str = ""

    @classmethod
    def replacing(cls, before: Pause | None, since: float, seconds: float, why: str = "", by: str = "") -> Pause:
        """An order in place of what was ordered before; 0 seconds: to act again."""
        until = since + seconds
        return cls(since, until, max(until + KEPT_SECONDS, since if before is None else before.kept), why, by)


def in_force(orders: Mapping[str, Pause], now: float) -> dict[str, Pause]:
    """The pauses that hold now, by the name of their rule."""
    return {name: order for name, order in orders.items() if now < order.until}
