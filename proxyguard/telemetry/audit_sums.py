"""What a flood writes to the audit log: so many records a second, then one record a second per rule or fault with the number.

The first of each rule and fault in a second are always recorded, so that a flood against one hides nothing of the others.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from time import monotonic
from typing import Final

from proxyguard.core.decision import STOPPING
from proxyguard.telemetry.audit_records import Summary

CLIENT_GONE: Final = "client-gone"
"""The fault of a client that left: it was shown nothing, and only what is recorded anyway says so."""

SPARED_PER_RULE: Final = 10
"""Of each rule so many a second are recorded one by one whatever the others do."""

MAX_RULES: Final = 1_000
"""Sums of one second; the refusals of further rules are summed as those of the rule `other`."""

MAX_REFERENCES: Final = 1_000
"""References that the sums of one second keep, all together: 19 KB."""

OTHER: Final = "other"


class _Sum:
    """The refusals of one rule, or faults, that are summed so far."""

    __slots__ = ("count", "references", "since", "time")

    def __init__(self, time: float) -> None:
        self.since = time
        self.time = time
        self.count = 0
        self.references: list[str] = []


class RefusalSums:
    """Decides which refusals are recorded and sums the rest. `takes` and `take` may be called from two threads."""

    def __init__(self, per_second: int, on_summed: Callable[[], None], clock: Callable[[], float] = monotonic) -> None:
        self._per_second = per_second
        self._on_summed = on_summed
        self._clock = clock
        self._second = 0
        self._left = per_second
        self._spared: defaultdict[str, int] = defaultdict(int)
        self._references = 0
        self._sums: dict[tuple[str, str, str], _Sum] = {}
        self._due = 0.0
        self._lock = threading.Lock()

    @property
    def pending(self) -> bool:
        """Whether there are sums that `take` has not returned yet."""
        return bool(self._sums)

    def takes(self, rule: str, action: str, reference: str, time: float, fault: str = "") -> bool:
        """Whether this is a refusal, or a fault, beyond the bound of its second; it is summed then."""
        if action not in STOPPING and (not fault or fault == CLIENT_GONE):
            return False
        now = self._clock()
        second = int(now)
        if second != self._second:
            self._second, self._left = second, self._per_second
            self._spared.clear()
        spared, about = self._spared, f"{rule} {fault}" if fault else rule
        if self._left > 0:
            self._left -= 1
            spared[about] += 1
            return False
        if spared.get(about, 0) < SPARED_PER_RULE and len(spared) <= MAX_RULES:
            spared[about] += 1
            return False
        self._add(rule, action, fault, reference, time, now)
        return True

    def take(self, *, everything: bool = False) -> list[Summary]:
        """The sums, once a second has passed since the first of them; `everything`: now."""
        if not self._sums or (self._clock() < self._due and not everything):
            return []
        with self._lock:
            sums, self._sums = self._sums, {}
            self._references = 0
        return [
            Summary(
                time=each.time, rule=rule, action=action, count=each.count, since=each.since, references=each.references,
                fault=fault,
            )
            for (rule, action, fault), each in sums.items()
        ]  # fmt: skip

    def _add(self, rule: str, action: str, fault: str, reference: str, time: float, now: float) -> None:
        self._on_summed()
        with self._lock:
            if not self._sums:
                self._due = now + 1.0
            found = self._sums.get((rule, action, fault))
            if found is None:
                known = rule if len(self._sums) < MAX_RULES else OTHER
                found = self._sums.setdefault((known, action, fault), _Sum(time))
            found.time = time
            found.count += 1
            if self._references < MAX_REFERENCES:
                self._references += 1
                found.references.append(reference)
