"""The real guard as the range's firewall: policy, memory store and restrictions on a clock that the range sets.

Stands here because the guard is above the tools: the range knows a firewall by `tools/range/firewall` only.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import thread_time
from typing import Final

from proxyguard.core.address import DEFAULT_PREFIXES, Address
from proxyguard.core.decision import Delay, Drop, Maze, Prove, Tarpit
from proxyguard.core.jar_settings import Items, JarCookie
from proxyguard.core.origin import NOTHING_KNOWN, Origin
from proxyguard.core.request import Request
from proxyguard.guard.acquaintances import Acquaintances
from proxyguard.guard.disclosure import Disclosure
from proxyguard.guard.guard import Guard
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.guard.jars import ASSET_TAG, Jars
from proxyguard.http.responses import refusal_status, refusal_wait
from proxyguard.limits.learning import Learning
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.model import Policy
from proxyguard.policy.sites import HostTable, Policies
from proxyguard.restrictions.active import ActiveRestriction
from proxyguard.telemetry.metrics import Metrics
from proxyguard.tools.range.enforced import in_emergency
from proxyguard.tools.range.firewall import EPOCH, SiteOutcome, Verdict
from proxyguard.tools.range.overlays import Overlay, with_overlay
from proxyguard.tools.range.values import DAY_SECONDS

SECRET: Final = b"proxyguard range"
"""Keys the hashes in the keys of a store that lives as long as one run: the same each time, so that runs are the same."""

STORE_KEYS: Final = 1_000_000
STORE_BANS: Final = 100_000

TIMED_EACH: Final = 64
"""One decision in so many is timed: a clock of CPU is a system call, at which a busy machine takes the core away."""

PROXY: Final = Address.parse("127.0.0.2")
FREEZE_SECONDS: Final = 600.0
"""In emergency mode workers are told every second to learn nothing; once in an hour is enough."""
NEVER_ENDS: Final = 10 * 365 * 86_400.0


def _origin(request: Request) -> Origin:
    """What the range says of a request's origin."""
    return request.origin or NOTHING_KNOWN


class GuardFirewall:
    """Implements `firewall.Firewall` with a policy. Raises PolicyError when it cannot be compiled."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._begin = self._now = EPOCH
        self._learning = Learning(float)
        self.store = MemoryStore(keys=STORE_KEYS, bans=STORE_BANS)
        self.metrics = Metrics()
        jars = Jars(JarCookie(), SECRET, DEFAULT_PREFIXES, float)
        self._guard = Guard(
            _compiled(policy), self.store, self.metrics, None, jars=jars, disclosure=Disclosure(Items()),
            learning=self._learning, acquaintances=Acquaintances(SECRET, DEFAULT_PREFIXES, float),
            find_origin=_origin, clock=lambda: self._now, wall=float,
        )  # fmt: skip
        self._frozen_at = NEVER_ENDS
        self.cpu_seconds = 0.0
        """That deciding took so far, of one decision in TIMED_EACH."""
        self._until_timed = 0
        self._proxy: Address | None = None
        """The address that all requests seem to come from, while an operator has misset the trust in proxies."""
        self._restrict(policy, NEVER_ENDS)

    def begin_learning(self) -> None:
        """What comes now is the day before the scenario's."""
        self._begin = EPOCH - DAY_SECONDS

    def end_learning(self) -> None:
        """Begin the scenario's day, as if there had been a week of days like the one before."""
        self._begin = self._now = EPOCH
        self._learning.begin(self._guard.policies.default.learning, EPOCH)
        self._learning.repeat_day()

    def begin_emergency(self) -> None:
        """An operator switches emergency mode on, for good."""
        self._policy = in_emergency(self._policy)
        self._guard.swap(_compiled(self._policy))
        self._frozen_at = 0.0

    def check(self, request: Request, now: float) -> Verdict:
        """As `firewall.Firewall.check`. Raises RuntimeError when the guard failed: a figure made of faults is worth nothing."""
        self._now = self._begin + now
        if now - self._frozen_at >= FREEZE_SECONDS:
            self._frozen_at = now
            self._learning.freeze(self._now)
        if self._proxy is not None:
            request.client = self._proxy
        ticket = self._timed(request) if self._until_timed == 0 else self._guard.check(request)
        self._until_timed = (self._until_timed or TIMED_EACH) - 1
        if not isinstance(ticket, Ticket) or self.metrics.internal_errors:
            raise RuntimeError(f"the guard failed: {dict(self.metrics.internal_errors)}")
        decision = ticket.decision
        action = decision.action
        rule = decision.rule
        added = ticket.forwarding.add if ticket.forwarding is not None else ()
        if decision.forwards:
            wait = action.seconds if isinstance(action, Delay) else 0.0
            settles = bool(ticket.due) or request.item is not None or ASSET_TAG in decision.tags
            return Verdict(wait_seconds=wait, rule=rule, headers=added, ticket=ticket, settles_late=settles)
        if isinstance(action, Prove):
            headers = ((b"Location", request.target), *added)
            return Verdict(forwards=False, status=303, headers=headers, rule=rule, proves=True)
        if isinstance(action, Tarpit):
            self._guard.settle(ticket, Served(200, 0, 0, None, action.hold_seconds))
            return Verdict(forwards=False, status=200, wait_seconds=action.hold_seconds, rule=rule)
        if isinstance(action, Maze):
            return Verdict(forwards=False, status=200, wait_seconds=action.wait_seconds, rule=rule)
        if isinstance(action, Drop):
            return Verdict(forwards=False, rule=rule)
        wait = refusal_wait(decision) or 0.0
        return Verdict(forwards=False, status=refusal_status(decision), retry_after_seconds=wait, rule=rule)

    def _timed(self, request: Request) -> Ticket | Awaitable[Ticket]:
        """Decide, and count the CPU of it for all until the next one that is timed."""
        began = thread_time()
        ticket = self._guard.check(request)
        self.cpu_seconds += (thread_time() - began) * TIMED_EACH
        return ticket

    def settle(self, verdict: Verdict, outcome: SiteOutcome, now: float) -> None:
        """As `firewall.Firewall.settle`."""
        ticket = verdict.ticket
        if not isinstance(ticket, Ticket):
            return
        self._now = self._begin + now
        forwarding = ticket.forwarding
        if outcome.account_class and forwarding is not None and forwarding.on_hidden_value is not None:
            forwarding.on_hidden_value(outcome.account_class)
        self._guard.settle(
            ticket, Served(outcome.status, outcome.length, 0, outcome.seconds, outcome.seconds, "", outcome.seconds)
        )

    def order(self, overlay: Overlay | None, ends: float) -> None:
        """As `firewall.Firewall.order`: the rules are swapped, and counters go on, as when an operator saves a file."""
        policy = self._policy if overlay is None else with_overlay(self._policy, overlay)
        self._proxy = PROXY if overlay is not None and overlay.one_address else None
        self._guard.swap(_compiled(policy))
        self._restrict(policy, ends)

    def _restrict(self, policy: Policy, ends: float) -> None:
        """Have on all restrictions that wait neither for an alarm nor for a command."""
        self._guard.restrictions.switch({
            each.name: ActiveRestriction(self._begin + ends)
            for rule_set in policy.rule_sets for each in rule_set.restrictions
            if not each.standby and each.alarm is None
        })  # fmt: skip


def _compiled(policy: Policy) -> Policies:
    compiled = compile_policy(policy, secret=SECRET)
    return Policies(policy.digest, HostTable([]), compiled)
