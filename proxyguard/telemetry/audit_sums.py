"""What a flood of refusals writes to the audit log: so many records a second, then one record a second per rule with the number.

The first refusals of each rule in a second are always recorded, so that a flood against one rule hides nothing of the others.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Final

import msgspec

REFUSALS: Final = frozenset({"reject", "tarpit", "drop"})
"""The actions that cost a client nothing to provoke, and the site nothing."""

SPARED_PER_RULE: Final = 10
"""Of each rule so many a second are recorded one by one whatever the others do."""

MAX_RULES: Final = 1_000
"""Sums of one second; the refusals of further rules are summed as those of the rule `other`."""

MAX_REFERENCES: Final = 1_000
"""References that the sums of one second keep, all together: 19 KB."""

OTHER: Final = "other"


class Summary(msgspec.Struct, kw_only=True):
    """Refusals by one rule that have no records of their own. Times are Unix seconds."""

    time: float
    kind: str = "summed"
    rule: str
    action: str
    count: int
    since: float
    references: list[str]
    """The first of them, as they stand on the pages that the refused got."""


class RefusalSums:
    """Decides which refusals are recorded and sums the rest. `takes` and `take` may be called from two threads."""

    def __init__(self, per_second: int, on_summed: Callable[[], None], clock: Callable[[], float] = monotonic) -> None:
        self._per_second = per_second
        self._on_summed = on_summed
        self._clock = clock
        self._second = 0
        self._left = per_second
        self._of_rule: Counter[str] = Counter()
        self._references = 0
        self._sums: dict[tuple[str, str], Summary] = {}
        self._due = 0.0
        self._lock = threading.Lock()

    @property
    def pending(self) -> bool:
        """Whether there are sums that `take` has not returned yet."""
        return bool(self._sums)

    def takes(self, rule: str, action: str, reference: str, time: float) -> bool:
        """Whether this is a refusal beyond the bound of its second; it is summed then."""
        if action not in REFUSALS:
            return False
        now = self._clock()
        second = int(now)
        if second != self._second:
            self._second, self._left = second, self._per_second
            self._of_rule.clear()
        if self._left > 0:
            self._left -= 1
            self._of_rule[rule] += 1
            return False
        if self._of_rule[rule] < SPARED_PER_RULE and len(self._of_rule) <= MAX_RULES:
            self._of_rule[rule] += 1
            return False
        self._add(rule, action, reference, time, now)
        return True

    def take(self, *, everything: bool = False) -> list[Summary]:
        """The sums, once a second has passed since the first of them; `everything`: now."""
        if not self._sums or (self._clock() < self._due and not everything):
            return []
        with self._lock:
            sums, self._sums = self._sums, {}
            self._references = 0
        return list(sums.values())

    def _add(self, rule: str, action: str, reference: str, time: float, now: float) -> None:
        self._on_summed()
        with self._lock:
            if not self._sums:
                self._due = now + 1.0
            found = self._sums.get((rule, action))
            if found is None:
                if len(self._sums) >= MAX_RULES:
                    rule = OTHER
                found = self._sums.setdefault(
                    (rule, action), Summary(time=time, rule=rule, action=action, count=0, since=time, references=[])
                )
            found.time = time
            found.count += 1
            if self._references < MAX_REFERENCES:
                self._references += 1
                found.references.append(reference)
