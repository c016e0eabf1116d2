"""Takes one request through engine, store and telemetry, and applies the failure mode when that fails.

Implements `interfaces.Checker`. Decides nothing itself but the failure mode; knows nothing of sockets or HTTP framing. The
policy is one reference that a reload swaps; a request keeps the one it started with.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import random
from time import perf_counter
from typing import TYPE_CHECKING

from proxyguard.core.decision import DEFAULT_RULE, Decision, Maze, Prove, Reject, Tarpit, recorded_only
from proxyguard.core.privacy import Privacy
from proxyguard.core.references import References
from proxyguard.core.settings import Counting, FailureMode
from proxyguard.guard.account_cache import AccountCache
from proxyguard.guard.acquaintances import Acquaintances
from proxyguard.guard.campaigns import Campaigns
from proxyguard.guard.disclosure import Disclosure
from proxyguard.guard.end_times import end_time
from proxyguard.guard.failures import FAILED_CLOSED, FAILED_OPEN, MALFORMED, OF_THE_SITE, STORE_DOWN
from proxyguard.guard.forms import Forms, ask_about
from proxyguard.guard.interfaces import Forwarding, Refusal, Served, Ticket
from proxyguard.guard.jars import Jars
from proxyguard.guard.mazes import Mazes
from proxyguard.guard.owed_charges import OwedCharges
from proxyguard.guard.preparing import Preparing
from proxyguard.guard.records import Recorder, is_plain_pass
from proxyguard.guard.robots.contracts import RobotsContracts
from proxyguard.http.http2.errors import REQUEST_FAULTS
from proxyguard.http.preferences import PreferenceFiles
from proxyguard.http.responses import refusal_status
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.learning import Learning
from proxyguard.limits.stores.store import AsyncStore, Outcome, Store, StoreUnavailable, uncounted
from proxyguard.policy.compile.compile import CompiledPolicy
from proxyguard.policy.compile.conditions import class_of
from proxyguard.policy.engine import NO_RESPONSE, Match, Ruling, decide, due, match
from proxyguard.policy.model import ANONYMOUS
from proxyguard.policy.refusals import refusals
from proxyguard.policy.sites import Policies
from proxyguard.restrictions.active import ActiveRestrictions
from proxyguard.telemetry.audit import AuditLog
from proxyguard.telemetry.audit_sums import CLIENT_GONE
from proxyguard.telemetry.ban_hits import BanHits
from proxyguard.telemetry.discretion import Discretion
from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.one_client import OneClientWatch
from proxyguard.telemetry.otel.tracer import Tracer
from proxyguard.telemetry.sealed import SealedLog
from proxyguard.telemetry.shadow import Tally
from proxyguard.telemetry.talkers import Talkers

if TYPE_CHECKING:
    from proxyguard.core.origin import Origin
    from proxyguard.core.request import Request
    from proxyguard.limits.charge import Charge

logger = logging.getLogger(__name__)


class Guard:
    """Checks requests against the policy in force. One per process; not thread-safe, called from the event loop only."""

    def __init__(
        self,
        policies: Policies,
        store: Store | AsyncStore,
        metrics: Metrics,
        audit: AuditLog | None,
        *,
        failure_mode: FailureMode = FailureMode.OPEN,
        audit_passes: float = 0.0,
        accounts: AccountCache | None = None,
        jars: Jars | None = None,
        disclosure: Disclosure | None = None,
        forms: Forms | None = None,
        acquaintances: Acquaintances | None = None,
        learning: Learning | None = None,
        campaigns: Campaigns | None = None,
        tally: Tally | None = None,
        talkers: Talkers | None = None,
        ban_hits: BanHits | None = None,
        restrictions: ActiveRestrictions | None = None,
        tracer: Tracer | None = None,
        robots: RobotsContracts | None = None,
        preferences: PreferenceFiles | None = None,
        mazes: Mazes | None = None,
        find_origin: Callable[[Request], Origin] | None = None,
        discretion: Discretion | None = None,
        sealed: SealedLog | None = None,
        clock: Callable[[], float] = CLOCK,
        wall: Callable[[float], float] = CLOCK.wall,
    ) -> None:
        """`clock` is the line's; `wall` makes its times those of the wall, for what belongs to a calendar and for records.
        `find_origin` says where a request comes from, without waiting; it is asked only for policies that want to know.
        `discretion` says what records tell of people; standard unless given."""
        self._policies = policies
        self._store = store
        self._metrics = metrics
        discretion = discretion or Discretion(Privacy(), os.urandom(32))
        self._recorder = None if audit is None else Recorder(audit, discretion, sealed)
        self.configure(failure_mode, audit_passes)
        accounts = accounts or AccountCache(Counting().accounts)
        self._preparing = Preparing(
            accounts, jars, disclosure, forms, acquaintances, lambda: self._policies, clock, tracer, robots, preferences
        )  # fmt: skip
        self._mazes = mazes
        self._learning = learning
        self._campaigns = campaigns
        self._tally = tally
        self._talkers = talkers
        self._ban_hits = ban_hits or BanHits()
        self.restrictions = restrictions or ActiveRestrictions()
        self._tracer = tracer
        self._find_origin = find_origin
        self._clock = clock
        self._wall = wall
        self.one_client = OneClientWatch()
        self._owed = OwedCharges(store, metrics, wall)
        self._references = References()

    @property
    def policies(self) -> Policies:
        """The policy in force."""
        return self._policies

    def configure(self, failure_mode: FailureMode, audit_passes: float) -> None:
        """What to do when a check fails, and which share of plain passes to record, from now on."""
        self._failure = FAILED_CLOSED if failure_mode is FailureMode.CLOSED else FAILED_OPEN
        self._audit_passes = audit_passes

    def swap(self, policies: Policies) -> None:
        """Put another policy in force for requests from now on."""
        self._policies = policies

    def reference(self) -> str:
        """A new opaque reference: 16 hexadecimal digits."""
        return self._references.next()

    def check(self, request: Request) -> Ticket | Awaitable[Ticket]:
        """Decide about one request; see `interfaces.Checker.check`."""
        started = perf_counter()
        self._metrics.requests += 1
        self.one_client.observe(request.client)
        try:
            now = self._clock()
            policy = self._policies.of(request.host)
            if policy.prepares:
                first = self._preparing.prepare(policy, request, now)
                if first is not None:
                    waiting = ask_about(self._store, first, request, now)
                    if waiting is not None:
                        return self._check_form_later(waiting, policy, request, started)
        except Exception as error:  # noqa: BLE001 - the failure mode decides, never the exception
            return self._failed(request, error, started)
        return self._decide(policy, request, now, started)

    async def _check_form_later(
        self, waiting: Awaitable[None], policy: CompiledPolicy, request: Request, started: float
    ) -> Ticket:
        try:
            await waiting
            now = self._clock()
        except Exception as error:  # noqa: BLE001 - the failure mode decides, never the exception
            return self._failed(request, error, started)
        ticket = self._decide(policy, request, now, started)
        return ticket if isinstance(ticket, Ticket) else await ticket

    def _decide(self, policy: CompiledPolicy, request: Request, now: float, started: float) -> Ticket | Awaitable[Ticket]:
        """Decide about a request that is prepared."""
        try:
            if policy.asks_origin and self._find_origin is not None:
                request.origin = self._find_origin(request)
            found = match(policy, request, self._wall(now), self.restrictions.tags)
            if found.decision is not None:
                return self._ticket(found, found.decision, started, now)
            if policy.learns and self._learning is not None:
                self._learning.begin(policy.learning, now)
                if found.learning:
                    found.charges = self._learning.widen(found.charges, found.learning)
            outcome: Outcome | Awaitable[Outcome] | None
            try:
                outcome = self._store.charge(found.charges, found.ban_keys, now)
            except StoreUnavailable:
                outcome = self._uncounted(found)
            if outcome is None:
                return self._ticket(found, STORE_DOWN, started, now)
            if not isinstance(outcome, Outcome):
                return self._check_later(found, outcome, started)
            ruling = self._ruling(found, outcome, now)
        except Exception as error:  # noqa: BLE001 - the failure mode decides, never the exception
            return self._failed(request, error, started)
        return self._ticket(found, ruling.decision, started, now, outcome)

    async def _check_later(self, found: Match, waiting: Awaitable[Outcome], started: float) -> Ticket:
        try:
            outcome: Outcome | None
            try:
                outcome = await waiting
            except StoreUnavailable:
                outcome = self._uncounted(found)
            now = self._clock()
            if outcome is None:
                return self._ticket(found, STORE_DOWN, started, now)
            ruling = self._ruling(found, outcome, now)
        except Exception as error:  # noqa: BLE001 - the failure mode decides, never the exception
            return self._failed(found.request, error, started)
        return self._ticket(found, ruling.decision, started, now, outcome)

    def _ruling(self, found: Match, outcome: Outcome, now: float) -> Ruling:
        """Decide with the counts known, and learn from them. A fault gives back what was reserved, as nothing else will."""
        try:
            ruling = decide(found, outcome)
            if found.learning and self._learning is not None:
                forwards = ruling.decision.forwards
                self._learning.observe(found.charges, found.learning, outcome.usages, since=found.now, forwards=forwards)
            if outcome.ban is not None:
                self._ban_hits.observe(outcome.ban.key, now)
            if ruling.ban is not None:
                self._ban(ruling, now)
        except Exception:
            self._owed.put_right(due(found, outcome, FAILED_CLOSED), NO_RESPONSE, found.now, now)
            raise
        return ruling

    def _uncounted(self, found: Match) -> Outcome | None:
        """The outcome to decide with while the store is down and `store.on_down` is closed: no limit is exceeded. None: refuse.

        Only a request that an enforced rule would count is refused for it: rules in shadow never act, and what rules without
        a limit refuse anyway is refused by them.
        """
        self._metrics.internal_errors["store"] += 1  # why it is down, the store has logged once for all
        outcome = uncounted(found.charges)
        counts = any(rule.enforced for rule, charge, _ in found.steps if charge is not None)
        return None if counts and decide(found, outcome).decision.forwards else outcome

    def settle(self, ticket: Ticket, served: Served) -> None:
        """Count and record how an exchange ended; see `interfaces.Checker.settle`."""
        metrics, now = self._metrics, self._clock()
        metrics.answered(served.status)
        metrics.bytes_sent += served.bytes_sent
        metrics.bytes_received += served.bytes_received
        metrics.request_seconds.observe(served.total_seconds)
        if served.upstream_seconds is not None:
            metrics.upstream_seconds.observe(served.upstream_seconds)
        if served.upstream_head_seconds is not None:
            metrics.upstream_head_seconds.observe(served.upstream_head_seconds)
        if served.upstream_seconds is not None or served.fault.startswith("upstream"):
            metrics.site_answers += 1
            if served.status >= 500:
                metrics.site_errors += 1
                metrics.recent_errors.add(now)
        if served.fault:
            metrics.faults[MALFORMED if served.fault in REQUEST_FAULTS else served.fault] += 1
        if ticket.due:
            reached = served.upstream_seconds is not None
            status = served.status if served.fault in OF_THE_SITE else 0
            response = (status, served.bytes_sent, served.upstream_seconds) if reached else NO_RESPONSE
            self._owed.put_right(ticket.due, response, ticket.checked_at, now)
        decision = ticket.decision
        item = ticket.request.item
        if item is not None or decision.tags:
            self._preparing.settle(ticket, served, now)
            if item is not None and self._campaigns is not None:
                self._campaigns.observe(item, ticket, served, now)
        if self._talkers is not None:
            refused = 1 if decision.refuses else 0
            rule = "" if decision.rule == DEFAULT_RULE else decision.rule
            self._talkers.observe(ticket.request, rule, refused, served.bytes_sent, served.upstream_seconds)
        if self._tracer is not None:
            self._trace(self._tracer, ticket, served, now)
        if decision.forwards:
            if (served.fault and served.fault != CLIENT_GONE) or self._recorded(ticket):
                self._record(ticket, served, now)
        else:
            metrics.refused_bytes += served.bytes_sent
            if isinstance(decision.action, Tarpit):
                self._record(ticket, served, now)
            elif isinstance(decision.action, Maze) and self._mazes is not None:
                self._mazes.held_seconds += served.total_seconds

    def _trace(self, tracer: Tracer, ticket: Ticket, served: Served, now: float) -> None:
        trace = ticket.forwarding.trace if ticket.forwarding is not None else None
        tracer.finish(
            trace, ticket.request, ticket.decision, ticket.reference, ended=self._wall(now), status=served.status,
            seconds=served.total_seconds, fault=served.fault, upstream_seconds=served.upstream_seconds,
        )  # fmt: skip

    def refused(self, refusal: Refusal) -> None:
        """Record what the front refused by itself; see `interfaces.Checker.refused`."""
        self._metrics.refused(refusal.fault, refusal.status)
        if self._recorder is not None:
            self._recorder.refusal(refusal, self._wall(self._clock()))

    def _ban(self, ruling: Ruling, now: float) -> None:
        order = ruling.ban
        if order is not None and not self._is_switched_off():
            self._store.ban(order.key, order.rule, order.reason, order.terms, now)

    def _failed(self, request: Request, error: Exception, started: float) -> Ticket:
        if isinstance(error, StoreUnavailable):
            self._metrics.internal_errors["store"] += 1  # why it is down, the store has logged once for all
        else:
            self._metrics.internal_error("check", error)
        # The account header is hidden, and its value learned, whatever failed.
        policy = self._policies.of(request.host)
        forwarding = self._preparing.forwarding(policy, request, self._failure, self._clock())
        decision = recorded_only(self._failure) if self._is_switched_off() else self._failure
        return self._record_decision(Ticket(request, decision, self.reference(), started, forwarding))

    def _is_switched_off(self) -> bool:
        return self._clock() < self.restrictions.shadow_until

    def _ticket(self, found: Match, decision: Decision, started: float, now: float, outcome: Outcome | None = None) -> Ticket:
        policy, request = found.policy, found.request
        if self.restrictions.shadow_until and now < self.restrictions.shadow_until:
            decision = recorded_only(decision)
        forwarding: Forwarding | None = None
        reference = self.reference()
        proves = isinstance(decision.action, Prove)
        if proves:
            decision = self._preparing.proven(request, decision, now)
        elif isinstance(decision.action, Maze):
            page = None
            if self._mazes is not None:
                page = self._mazes.answer(request, found.client.owner[0], decision.rule, reference, found.now, now)
            if page is None:
                decision = replace(decision, action=Reject())
            else:
                forwarding = Forwarding(answer=page)
        if proves or (decision.forwards and (policy.prepares or decision.quotas or self._preparing.dresses)):
            forwarding = self._preparing.forwarding(policy, request, decision, now)
        if decision.restriction or decision.quotas:
            ends = end_time(decision, self.restrictions, found.now, now)
            if ends is not None:
                decision = replace(decision, ends=ends)
        class_ = ""
        if found.decision is None:
            class_ = self._observe_class(found, decision, now)
        later: tuple[Charge, ...] = ()
        if policy.settles and outcome is not None:
            later = due(found, outcome, decision)
            if later and not decision.forwards:
                self._owed.put_right(later, NO_RESPONSE, found.now, now)
                later = ()
        if policy.counting_refusals and outcome is not None:
            self._owed.charge(refusals(found, outcome, decision), now)
        return self._record_decision(Ticket(request, decision, reference, started, forwarding, class_, later, found.now))

    def _observe_class(self, found: Match, decision: Decision, now: float) -> str:
        """Count a request for its class, and for restrictions, also those to come. Returns the class; empty: none is defined."""
        policy, request = found.policy, found.request
        class_ = ""
        if policy.classes:
            class_ = class_of(found.tags)
            self._metrics.classes[class_] += 1
        client = request.account_key or found.client.owner[0]
        if class_ or policy.restricts:
            self.restrictions.observe(class_ or ANONYMOUS, client, decision)
        self.restrictions.recent.observe(class_ or ANONYMOUS, client, request.path, now)
        return class_

    def _record_decision(self, ticket: Ticket) -> Ticket:
        """Update metrics and audit a refusal. `settle` audits tarpits, since they may be refused for lack of room."""
        decision, started = ticket.decision, ticket.started
        seconds = perf_counter() - started
        metrics = self._metrics
        metrics.check_seconds.observe(seconds)
        metrics.decided(decision.rule, decision.name, "enforce")
        for hit in decision.shadow:
            metrics.decided(hit.rule, hit.action, "shadow")
        if self._tally is not None and (ticket.class_ or decision.shadow):
            self._tally.observe(ticket.request.client, ticket.class_, decision)
        if not (decision.forwards or isinstance(decision.action, Tarpit)):
            self._record(ticket, Served(refusal_status(decision), total_seconds=seconds), self._clock())
        return ticket

    def _recorded(self, ticket: Ticket) -> bool:
        return not is_plain_pass(ticket.decision) or 0 < self._audit_passes > random()  # noqa: S311 - which have a record is no secret

    def _record(self, ticket: Ticket, served: Served, now: float) -> None:
        if self._recorder is not None:
            decision = ticket.decision
            # A canary is made again from its record, so that has the time which the canary has.
            time = ticket.checked_at if isinstance(decision.action, Maze) else self._wall(now)
            if self._recorder.decision(ticket, served, time):
                self._metrics.recorded(
                    decision.rule, decision.name, ticket.reference, served.total_seconds, time, forwarded=decision.forwards
                )
