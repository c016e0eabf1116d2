"""Runs sessions on a virtual clock: a day in a minute or two, the same to the last request for the same seed.

Events are taken in the order of time from a heap that holds the sessions under way and the next arrival of each cohort, so memory
depends on how many are there at once and not on how long it lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, NamedTuple

from proxyguard.core.decision import DEFAULT_RULE
from proxyguard.tools.range.firewall import Firewall, SiteOutcome, Verdict, request_of
from proxyguard.tools.range.latency import SiteQueue
from proxyguard.tools.range.overlays import Overlay
from proxyguard.tools.range.site import SiteFunction, account_class, answer, disclosed
from proxyguard.tools.range.tally import REFUSAL_BYTES, CohortTally
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Fetch, Received, Session

TICK: Final = 2_048
"""Events between two updates of the progress bar."""

NETWORK_SECONDS: Final = 0.04
"""From the client to the site and back: a home line within one continent."""


class OperatorOrder(NamedTuple):
    """What an operator does at a moment: puts an overlay in force until `ends`, or takes it away (None)."""

    at: float
    overlay: Overlay | None
    ends: float = 0.0


class Running:
    """A session under way."""

    __slots__ = ("refused", "session", "tally")

    def __init__(self, session: Session, tally: CohortTally) -> None:
        self.session = session
        self.tally = tally
        self.refused = False


@dataclass(slots=True)
class _Coming:
    """The arrivals of a cohort that have not come yet, and the session of the next one."""

    arrivals: Iterator[Arrival]
    tally: CohortTally
    session: Session | None = None


class _Ending(NamedTuple):
    """A forwarded exchange whose end is still to be counted."""

    verdict: Verdict
    outcome: SiteOutcome


type Progress = Callable[[float], None]
type Told = Callable[[Fetch, Verdict, float], None]


class VirtualRun:
    """One run of cohorts against one firewall. After an interrupt the tallies have the sums so far."""

    def __init__(
        self,
        cohorts: Sequence[tuple[Cohort, Iterator[Arrival]]],
        firewall: Firewall,
        orders: Sequence[OperatorOrder],
        seconds: float,
        site: SiteFunction = answer,
    ) -> None:
        self.tallies = [CohortTally(cohort, seconds) for cohort, _ in cohorts]
        self._firewall = firewall
        self._orders = list(orders)
        self._seconds = seconds
        self._answer = site
        self._busy, self._calm = SiteQueue(), SiteQueue()
        self._heap: list[tuple[float, int, object, Fetch | None]] = []
        self._serial = 0
        for (_, arrivals), tally in zip(cohorts, self.tallies, strict=True):
            self._expect(_Coming(arrivals, tally))

    def run(self, tick: Progress | None = None, told: Told | None = None) -> None:
        """Take every event until the scenario ends. `tick` is called with the time now and then, `told` of every decision."""
        heap = self._heap
        until_tick = TICK
        while heap:
            now, _, what, fetch = heappop(heap)
            if now >= self._seconds:
                break
            while self._orders and self._orders[0].at <= now:
                order = self._orders.pop(0)
                self._firewall.order(order.overlay, order.ends)
            until_tick -= 1
            if not until_tick:
                until_tick = TICK
                if tick is not None:
                    tick(now)
            if type(what) is Running and fetch is not None:
                self._exchange(what, fetch, now, told)
            elif type(what) is _Coming:
                self._begin(what, now)
            elif type(what) is _Ending:
                self._firewall.settle(what.verdict, what.outcome, now)

    def _expect(self, coming: _Coming) -> None:
        """Put the next arrival of a cohort on the heap."""
        arrival = next(coming.arrivals, None)
        if arrival is not None:
            coming.session = arrival.session
            self._push(arrival.at, coming, None)

    def _push(self, at: float, what: object, fetch: Fetch | None) -> None:
        self._serial += 1
        heappush(self._heap, (at, self._serial, what, fetch))

    def _begin(self, coming: _Coming, now: float) -> None:
        session, tally = coming.session, coming.tally
        self._expect(coming)
        if session is None:
            return
        fetch = next(session, None)
        if fetch is not None:
            tally.sessions += 1
            self._push(now + fetch.wait_seconds, Running(session, tally), fetch)

    def _exchange(self, running: Running, fetch: Fetch, now: float, told: Told | None) -> None:
        """Ask the firewall about a fetch, and the site if it may; tell the session, and take its next fetch."""
        verdict = self._firewall.check(request_of(fetch), now)
        if told is not None:
            told(fetch, verdict, now)
        tally = running.tally
        if verdict.forwards:
            seen, wait, length = self._site(fetch, verdict, tally, now)
        else:
            gives_up = verdict.wait_seconds > fetch.patience_seconds
            wait = min(verdict.wait_seconds, fetch.patience_seconds) + NETWORK_SECONDS
            length = REFUSAL_BYTES if verdict.status else 0
            status = 0 if gives_up else verdict.status
            seen = Received(status, verdict.headers, 0, verdict.retry_after_seconds, now + wait)
        count(running, fetch, verdict, seen, now)
        tally.pay(fetch.source, length, fetch.dollars)
        try:
            following = running.session.send(seen)
        except StopIteration:
            return
        self._push(now + wait + following.wait_seconds + following.drip_seconds, running, following)

    def _site(self, fetch: Fetch, verdict: Verdict, tally: CohortTally, now: float) -> tuple[Received, float, int]:
        found = self._answer(fetch.method, fetch.target, fetch.headers, fetch.body, now)
        wait = NETWORK_SECONDS + verdict.wait_seconds + found.seconds
        tally.site_seconds += found.seconds
        busy = self._busy.answer_seconds(now, found.seconds)
        if tally.cohort.kind is CohortKind.LEGITIMATE:
            tally.latencies.add(busy)
            tally.calm_latencies.add(self._calm.answer_seconds(now, found.seconds))
        outcome = SiteOutcome(found.status, found.length, found.seconds, account_class(fetch.headers))
        if verdict.settles_late:
            self._push(now + wait, _Ending(verdict, outcome), None)
        else:
            self._firewall.settle(verdict, outcome, now)
        headers = (*found.headers, *verdict.headers) if verdict.headers else found.headers
        return Received(found.status, headers, found.items, 0.0, now + wait), wait, found.length


def count(running: Running, fetch: Fetch, verdict: Verdict, seen: Received, now: float) -> None:
    """Add one exchange to the figures of its cohort."""
    tally = running.tally
    tally.requests += 1
    tally.last_request = now
    if tally.first_request is None:
        tally.first_request = now
    column = tally.column(now)
    tally.requests_by_time[column] += 1
    if seen.items:
        tally.disclose(disclosed(fetch.method, fetch.target, fetch.body, now), seen.items, now)
    if verdict.headers:
        tally.touched = True
    if verdict.proves:
        tally.delayed_requests += 1
    elif not verdict.forwards:
        tally.refused_requests += 1
        tally.refused_by_time[column] += 1
        tally.rules[verdict.rule] += 1
        tally.last_refusal = now
        if not running.refused:
            running.refused = True
            tally.refused_sessions += 1
    else:
        if verdict.rule and verdict.rule != DEFAULT_RULE:
            tally.let_through[verdict.rule] += 1
        if not verdict.wait_seconds:
            return
        tally.delayed_requests += 1
    tally.touched = True
    tally.wait_seconds += verdict.wait_seconds
    if tally.first_action is None:
        tally.first_action = now
        tally.requests_before_action = tally.requests - 1
