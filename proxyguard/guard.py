"""One request through engine, store and telemetry: the one place where a check may fail, and what happens then.

Implements `ports.Checker`. Decides nothing itself but the failure mode; knows nothing of sockets or HTTP framing. The policy
is one reference that a reload swaps; a request keeps the one it started with.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from time import perf_counter, time
from typing import TYPE_CHECKING, Final

from proxyguard.decision import FAILURE_RULE, PASS, Decision, Mode, Reject
from proxyguard.engine import Match, Ruling, decide, match
from proxyguard.limits.store import AsyncStore, Outcome, Store, StoreUnavailable
from proxyguard.ports import Served, Ticket
from proxyguard.responses import refusal_status
from proxyguard.settings import FailureMode
from proxyguard.sites import HostTable
from proxyguard.telemetry.audit import AuditLog, Record, shown
from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.one_client import OneClientWatch

if TYPE_CHECKING:
    from proxyguard.policy.compile import CompiledPolicy
    from proxyguard.request import Request

logger = logging.getLogger(__name__)

FAILED_OPEN: Final = Decision(action=PASS, rule=FAILURE_RULE, reason="the check failed; failure mode open")
FAILED_CLOSED: Final = Decision(
    action=Reject(status=503, retry_after_seconds=5.0),
    rule=FAILURE_RULE,
    reason="the check failed; failure mode closed",
)


@dataclass(frozen=True, slots=True)
class Policies:
    """The compiled policy in force, by site. `table` maps hosts to the rules that apply there."""

    digest: str
    table: HostTable[CompiledPolicy]
    default: CompiledPolicy

    def of(self, host: bytes) -> CompiledPolicy:
        return self.table.find(host) or self.default


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
        clock: Callable[[], float] = time,
    ) -> None:
        self._policies = policies
        self._store = store
        self._metrics = metrics
        self._audit = audit
        self._failure = FAILED_CLOSED if failure_mode is FailureMode.CLOSED else FAILED_OPEN
        self._audit_passes = audit_passes
        self._clock = clock
        self.one_client = OneClientWatch()
        self._random = Random(os.urandom(16))  # noqa: S311 - references must be distinct, not secret

    @property
    def policies(self) -> Policies:
        """The policy in force."""
        return self._policies

    def swap(self, policies: Policies) -> None:
        """Put another policy in force for requests from now on."""
        self._policies = policies

    def reference(self) -> str:
        """A new opaque reference: 16 hexadecimal digits."""
        return f"{self._random.getrandbits(64):016x}"

    def check(self, request: Request) -> Ticket | Awaitable[Ticket]:
        """Decide about one request; see `ports.Checker`."""
        started = perf_counter()
        self._metrics.requests += 1
        self.one_client.saw(request.client)
        try:
            now = self._clock()
            found = match(self._policies.of(request.host), request, now)
            if found.decision is not None:
                return self._ticket(request, found.decision, started)
            outcome = self._store.charge(found.charges, found.ban_keys, now)
            if not isinstance(outcome, Outcome):
                return self._check_later(request, found, outcome, started)
            ruling = decide(found, outcome)
            if ruling.ban is not None:
                self._ban(ruling, now)
        except Exception as error:  # noqa: BLE001 - the failure mode decides, never the exception
            return self._failed(request, error, started)
        return self._ticket(request, ruling.decision, started)

    async def _check_later(self, request: Request, found: Match, waiting: Awaitable[Outcome], started: float) -> Ticket:
        try:
            ruling = decide(found, await waiting)
            if ruling.ban is not None:
                self._ban(ruling, self._clock())
        except Exception as error:  # noqa: BLE001 - the failure mode decides, never the exception
            return self._failed(request, error, started)
        return self._ticket(request, ruling.decision, started)

    def settle(self, ticket: Ticket, served: Served) -> None:
        """Count and record how an exchange ended; see `ports.Checker`."""
        metrics = self._metrics
        metrics.responses[served.status] += 1
        metrics.bytes_sent += served.bytes_sent
        metrics.bytes_received += served.bytes_received
        metrics.request_seconds.observe(served.total_seconds)
        if served.upstream_seconds is not None:
            metrics.upstream_seconds.observe(served.upstream_seconds)
        if served.fault:
            metrics.faults[served.fault] += 1
        if ticket.decision.forwards and self._recorded(ticket.decision):
            self._record(ticket, served.status, served.total_seconds, served.fault)

    def _ban(self, ruling: Ruling, now: float) -> None:
        order = ruling.ban
        if order is not None:
            self._store.ban(order.key, order.rule, order.reason, order.terms, now)

    def _failed(self, request: Request, error: Exception, started: float) -> Ticket:
        where = "store" if isinstance(error, StoreUnavailable) else "check"
        self._metrics.internal_error(where, error)
        return self._ticket(request, self._failure, started)

    def _ticket(self, request: Request, decision: Decision, started: float) -> Ticket:
        ticket = Ticket(request, decision, self.reference(), started)
        seconds = perf_counter() - started
        metrics = self._metrics
        metrics.check_seconds.observe(seconds)
        metrics.decided(decision.rule, decision.name, "enforce")
        for hit in decision.shadow:
            metrics.decided(hit.rule, hit.action, "shadow")
        if not decision.forwards:
            self._record(ticket, refusal_status(decision), seconds, "")
        return ticket

    def _recorded(self, decision: Decision) -> bool:
        if (
            decision.rule != FAILURE_RULE
            and decision.name == "pass"
            and not (decision.shadow or decision.score or decision.tags)
        ):
            return self._audit_passes > 0 and self._random.random() < self._audit_passes
        return True

    def _record(self, ticket: Ticket, status: int, seconds: float, fault: str) -> None:
        if self._audit is None:
            return
        request, decision = ticket.request, ticket.decision
        self._audit.write(
            Record(
                time=round(self._clock(), 3),
                reference=ticket.reference,
                client=request.client.text,
                port=request.client.port,
                method=shown(request.method),
                host=shown(request.host),
                path=shown(request.path),
                rule=decision.rule,
                action=decision.name,
                mode=Mode.SHADOW if decision.forwards and decision.shadow else Mode.ENFORCE,
                score=decision.score,
                status=status,
                milliseconds=round(seconds * 1000, 3),
                reason=decision.reason,
                tags=tuple(sorted(decision.tags)),
                shadow=tuple(f"{hit.action} by {hit.rule}" for hit in decision.shadow),
                fault=fault,
            )
        )
