"""What is counted of each cohort while a scenario runs, in memory that does not grow with its length."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import Final

from proxyguard.tools.range.latency import Latencies
from proxyguard.tools.range.networks import ADDRESS_PRICES, PRICES, RangeSource
from proxyguard.tools.range.values import Cohort

COLUMNS: Final = 96
"""Of a picture over time: quarters of an hour of a day."""

REQUEST_BYTES: Final = 700
REFUSAL_BYTES: Final = 2_000
"""What a request and a refusal cost whoever pays by the gigabyte (measured on the bundled page)."""

GIGABYTE: Final = 1e9

MOST_REMEMBERED: Final = 1_000_000
"""Answers of a cohort that are remembered, 80 bytes each; what comes later counts as new."""


class CohortTally:
    """The sums of one cohort. Times are seconds since the scenario began; None: it did not happen."""

    __slots__ = (
        "_column_seconds", "_had", "addresses", "calm_latencies", "cohort", "delayed_requests", "dollars", "first_action",
        "first_request", "items", "items_by_time", "last_refusal", "last_request", "latencies", "let_through", "refused_by_time",
        "refused_requests", "refused_sessions", "requests", "requests_before_action", "requests_by_time", "rules", "sessions",
        "site_seconds", "touched", "wait_seconds",
    )  # fmt: skip

    def __init__(self, cohort: Cohort, seconds: float) -> None:
        self.cohort = cohort
        self._column_seconds = max(seconds / COLUMNS, 1e-9)
        self.requests = self.sessions = self.items = 0
        self._had: set[bytes] = set()
        self.refused_requests = self.refused_sessions = self.delayed_requests = 0
        self.requests_before_action = 0
        self.first_request: float | None = None
        self.first_action: float | None = None
        self.last_request = 0.0
        self.last_refusal: float | None = None
        self.dollars = self.site_seconds = self.wait_seconds = 0.0
        self.addresses: set[int] = set()
        self.rules: Counter[str] = Counter()
        self.let_through: Counter[str] = Counter()
        """Requests by the rule that let them pass, the default aside."""
        self.touched = False
        """Whether the firewall did anything that the cohort could notice."""
        self.latencies, self.calm_latencies = Latencies(), Latencies()
        """Of the site's answers, in seconds: as it was, and as it would have been without adversaries."""
        self.requests_by_time = [0] * COLUMNS
        self.refused_by_time = [0] * COLUMNS
        self.items_by_time = [0] * COLUMNS

    def column(self, now: float) -> int:
        return min(int(now / self._column_seconds), COLUMNS - 1)

    def disclose(self, what: bytes, items: int, now: float) -> None:
        """Add the items of an answer, unless the cohort has had the same before: a page read again gives nothing."""
        known = blake2b(what, digest_size=8).digest()
        if known in self._had:
            return
        if len(self._had) < MOST_REMEMBERED:
            self._had.add(known)
        self.items += items
        self.items_by_time[self.column(now)] += items

    def pay(self, source: RangeSource, length: int, dollars: float) -> None:
        """Add what a request cost whoever sent it: traffic, and the address when it is a new one."""
        number = source.address.number
        if number not in self.addresses:
            self.addresses.add(number)
            self.dollars += ADDRESS_PRICES[source.owner.kind]
        self.dollars += (REQUEST_BYTES + length) / GIGABYTE * PRICES[source.owner.kind] + dollars

    @property
    def first_action_seconds(self) -> float | None:
        """From the cohort's first request until the firewall first refused or delayed one of them."""
        if self.first_action is None or self.first_request is None:
            return None
        return self.first_action - self.first_request
