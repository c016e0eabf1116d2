"""What one process has to know of restrictions, and to tell: which are on, whom they touch, who asked for how much.

Told by the instance's keeper once a second, asked by the guard with every request. Decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from proxyguard.core.decision import Decision
from proxyguard.policy.compile.conditions import NO_TAGS, Tags
from proxyguard.policy.restriction import tag_of
from proxyguard.restrictions.history import RequestHistory

MAX_WATCHED: Final = 20_000
"""Clients of a class to be spared that are told apart while a restriction is on; the share is then that of the first so many."""


class ActiveRestriction(NamedTuple):
    """A restriction that is on: until when (None: not known), how far shedding has come, and the class to be spared, if any."""

    ends: float | None = None
    step: int = 0
    spares: str = ""


@dataclass(slots=True)
class _Collateral:
    seen: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)


class ActiveRestrictions:
    """The restrictions that are on in this process."""

    def __init__(self) -> None:
        self.tags: Tags = NO_TAGS
        """What every request is given before any rule is looked at."""
        self.refused: Counter[str] = Counter()
        """Requests refused since they came on, by restriction."""
        self.recent = RequestHistory()
        self.shadow_until = 0.0
        """Until then (on the line) everything is decided and recorded, and nothing acts. 0: the switch is off."""
        self._on: dict[str, ActiveRestriction] = {}
        self._collateral: dict[str, _Collateral] = {}

    @property
    def on(self) -> Mapping[str, ActiveRestriction]:
        return self._on

    def switch(self, on: Mapping[str, ActiveRestriction]) -> None:
        """Take over which are on. Those that were on before go on being counted."""
        for name in self._on.keys() - on.keys():
            self._collateral.pop(name, None)
            self.refused.pop(name, None)
        self._on = dict(on)
        self.tags = frozenset(
            tag for name, each in on.items() for tag in (tag_of(name), *(tag_of(name, step + 1) for step in range(each.step)))
        )
        for name, each in on.items():
            if each.spares:
                self._collateral.setdefault(name, _Collateral())

    def ends(self, name: str) -> float | None:
        """When a restriction ends, as far as that is known."""
        on = self._on.get(name)
        return None if on is None else on.ends

    def observe(self, class_name: str, who: str, decision: Decision) -> None:
        """Count a decision against the restrictions that are on."""
        if decision.restriction:
            self.refused[decision.restriction] += 1
        for name, watched in self._collateral.items():
            if self._on[name].spares != class_name:
                continue
            if len(watched.seen) < MAX_WATCHED:
                watched.seen.add(who)
            if decision.restriction == name and who in watched.seen:
                watched.touched.add(who)

    def collateral(self) -> dict[str, tuple[int, int]]:
        """By restriction: clients of the class to be spared that it touched, and that were seen."""
        return {name: (len(each.touched), len(each.seen)) for name, each in self._collateral.items()}


def on_from(plain: Mapping[str, Any]) -> dict[str, ActiveRestriction]:
    """What `as_plain` made."""
    return {name: ActiveRestriction(*each) for name, each in plain.items()}


def as_plain(on: Mapping[str, ActiveRestriction]) -> dict[str, list[Any]]:
    """For another process, as JSON."""
    return {name: list(each) for name, each in on.items()}
