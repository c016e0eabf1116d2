"""Replays a log: runs each request through match, charge and decide on a virtual clock, and sums up the decisions.

The clock is the log's. Servers write a line when a request ends, so that times run backwards a little: the clock then stands
still. When they run backwards further than MAX_BACK_SECONDS, another log has begun, and counters and bans begin anew.
What a log shows was not stopped by these rules: a client that would have been refused might have gone away, or come back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from proxyguard.core.address import Network
from proxyguard.core.decision import DEFAULT_RULE, STOPPING, Decision
from proxyguard.core.origin import Origin
from proxyguard.core.request import Request
from proxyguard.core.robots import RobotsVerdict
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import CompiledPolicy
from proxyguard.policy.engine import decide, due, match, owed
from proxyguard.policy.refusals import refusals
from proxyguard.policy.sites import HostTable, Policies
from proxyguard.tools.replay.clients import MAX_RULES_SHOWN, ClientRow, ClientTable
from proxyguard.tools.replay.judgeable import MAYBE
from proxyguard.tools.replay.logged_request import LoggedRequest, Recorded
from proxyguard.tools.replay.tally import Change, RuleKey, RuleSum, Sum
from proxyguard.tools.replay.timeline import Timeline
from proxyguard.tools.replay.traits import is_asset, looks_like_browser

MAX_BACK_SECONDS: Final = 600.0
"""Longer than servers let a request take; shorter than the gap between one day's log and the next one's beginning."""

STORE_KEYS: Final = 1_000_000
STORE_BANS: Final = 100_000

PASSED: Final = "passed"
STOPPED: Final = "stopped"
SHADOWED: Final = "shadowed"

TICK: Final = 2048
"""Requests between two updates of the progress bar."""

Progress = Callable[[], None]


class Response(NamedTuple):
    """The response as logged. Status 0: the log has none."""

    status: int
    bytes_sent: int
    upstream_seconds: float | None


NO_RESPONSE: Final = Response(0, 0, None)


class Judge:
    """One policy, or that of each site, and its counters."""

    __slots__ = ("_policies", "_store")

    def __init__(self, policy: CompiledPolicy | Policies) -> None:
        self._policies = policy if isinstance(policy, Policies) else Policies("", HostTable(()), policy)
        self._store = MemoryStore(keys=STORE_KEYS, bans=STORE_BANS)

    def forget(self) -> None:
        """Begin anew with empty counters and no bans."""
        self._store = MemoryStore(keys=STORE_KEYS, bans=STORE_BANS)

    def decide(self, request: Request, now: float, response: Response = NO_RESPONSE) -> Decision:
        """Decide at a moment of the virtual clock, and charge the logged response to the limits that count responses."""
        policy = self._policies.of(request.host)
        found = match(policy, request, now)
        if found.decision is not None:
            return found.decision
        store = self._store
        outcome = store.charge(found.charges, found.ban_keys, now)
        ruling = decide(found, outcome)
        order = ruling.ban
        if order is not None:
            store.ban(order.key, order.rule, order.reason, order.terms, now)
        if policy.counting_refusals:
            counted_refusals = refusals(found, outcome, ruling.decision)
            if counted_refusals:
                store.charge(counted_refusals, (), now)
        if policy.settles:
            counted = response if ruling.decision.forwards else NO_RESPONSE
            costs = owed(due(found, outcome, ruling.decision), *counted, since=now, now=now)
            if costs:
                store.charge(costs, (), now)
        return ruling.decision


@dataclass(slots=True)
class Clock:
    """The log's time. `backwards` counts lines before their predecessor, `restarts` those far before."""

    now: float = 0.0
    first: float | None = None
    last: float = 0.0
    backwards: int = 0
    restarts: int = 0

    def set(self, time: float) -> bool:
        """Go to a line's time. True: the log began anew."""
        if self.first is None:
            self.first = self.last = self.now = time
        elif time >= self.now:
            self.now = time
        else:
            self.backwards += 1
            if time < self.now - MAX_BACK_SECONDS:
                self.restarts += 1
                self.now = time
                self.first = min(self.first, time)
                return True
        self.last = max(self.last, self.now)
        return False


@dataclass(slots=True)
class Findings:
    """The sums of a replay."""

    clients: ClientTable
    clock: Clock = field(default_factory=Clock)
    timeline: Timeline = field(default_factory=Timeline)
    requests: int = 0
    logged_in: int = 0
    verified: int = 0
    stopped: Sum = field(default_factory=Sum)
    shadowed: Sum = field(default_factory=Sum)
    rules: defaultdict[RuleKey, RuleSum] = field(default_factory=lambda: defaultdict(RuleSum))
    maybe: defaultdict[str, Sum] = field(default_factory=lambda: defaultdict(Sum))
    """By rule that cannot be judged: the stopped requests that it might have let through."""
    newly: Sum = field(default_factory=Sum)
    freed: Sum = field(default_factory=Sum)
    changes: defaultdict[Change, RuleSum] = field(default_factory=lambda: defaultdict(RuleSum))
    not_addresses: int = 0
    notes: list[str] = field(default_factory=list)
    """What to know before one reads the figures."""


class Replay:
    """Runs logged requests through one policy, or through two to compare them."""

    def __init__(
        self, policy: CompiledPolicy | Policies, against: CompiledPolicy | Policies | None = None, *,
        verified: tuple[Network, ...] = (), host: bytes = b"", scheme: bytes = b"https", recorded: bool = False,
        find_origin: Callable[[Request], Origin] | None = None, find_robots: Callable[[Request], RobotsVerdict] | None = None,
    ) -> None:  # fmt: skip
        """`host` and `scheme` are used where the log has none. `verified`: networks of clients that are known to be good.

        `recorded`: nothing is decided; what counts is what the log says was decided. `find_origin` says where a request came
        from, `find_robots` what robots.txt says of it; None: nothing is known of it.
        """
        self._recorded = recorded
        self._find_origin = find_origin
        self._find_robots = find_robots
        self._judge = Judge(policy)
        self._against = None if against is None else Judge(against)
        self._host = host
        self._scheme = scheme
        self.findings = Findings(ClientTable(verified))

    def run(self, entries: Iterable[LoggedRequest], tick: Progress | None = None) -> Findings:
        """Decide about every request. After an interrupt, `findings` has the sums so far."""
        take = self._take
        until_tick = TICK
        for entry in entries:
            take(entry)
            until_tick -= 1
            if not until_tick:
                until_tick = TICK
                if tick is not None:
                    tick()
        return self.findings

    def _take(self, entry: LoggedRequest) -> None:
        findings = self.findings
        try:
            address, row = findings.clients.find(entry.client)
        except ValueError:
            findings.not_addresses += 1
            return
        clock = findings.clock
        if clock.set(entry.time):
            self._judge.forget()
            if self._against is not None:
                self._against.forget()
        now = clock.now
        host, headers = entry.host, entry.headers
        if not host and self._host:
            host = self._host
            headers = ((b"Host", host), *headers)
        scheme = entry.scheme or self._scheme
        request = Request(address, entry.method, scheme, host, entry.target, headers, entry.version)
        if self._find_origin is not None:
            request.origin = self._find_origin(request)
        if self._find_robots is not None:
            request.robots = self._find_robots(request)
        response = Response(entry.status, entry.bytes_sent, entry.upstream_seconds)
        recorded = entry.recorded if self._recorded else None
        decision = self._judge.decide(request, now, response) if recorded is None else recorded
        logged_in = entry.user
        agent = request.user_agent or b""
        self._observe(row, request, entry, agent, now)
        findings.requests += 1
        findings.logged_in += logged_in
        findings.verified += row.verified
        self._count(decision, row, request, agent, now, logged_in=logged_in)
        if self._against is not None:
            before = self._against.decide(request, now, response)
            if before.refuses is not decision.refuses or (before.rule != decision.rule and decision.refuses):
                self._compare(before, decision, row, request, agent, logged_in=logged_in)

    def _observe(self, row: ClientRow, request: Request, entry: LoggedRequest, agent: bytes, now: float) -> None:
        """Add a request to the figures of its client."""
        if not row.requests:
            row.first = now
            row.agent = agent
            row.agents = 1
        elif agent != row.agent:
            row.agent = agent
            row.agents += 1
        row.requests += 1
        row.network.requests += 1
        row.last = now
        hour = int(now) // 3600
        if hour != row.last_hour:
            row.last_hour = hour
            row.hours += 1
        if entry.user:
            row.logged_in += 1
        if looks_like_browser(agent):
            row.browser += 1
        if is_asset(request.path):
            row.assets += 1
        else:
            row.pages += 1
        if entry.referer:
            row.referers += 1

    def _count(
        self, decision: Decision | Recorded, row: ClientRow, request: Request, agent: bytes, now: float, *, logged_in: bool
    ) -> None:
        findings = self.findings
        stopped = decision.refuses
        shadowed = False
        for hit in decision.shadow:
            if hit.rule.endswith(MAYBE):
                if stopped:
                    findings.maybe[hit.rule].add(row, logged_in=logged_in)
                continue
            shadowed = shadowed or hit.action in STOPPING
            found = findings.rules[RuleKey(hit.rule, hit.action, shadow=True)]
            found.add_request(row, request.path, agent, logged_in=logged_in)
            _count_rule(row, hit.rule)
        if stopped:
            row.stopped += 1
            row.network.stopped += 1
            findings.stopped.add(row, logged_in=logged_in)
            findings.timeline.add(STOPPED, now)
            findings.timeline.add(f"{STOPPED} {decision.rule}", now)
            _count_rule(row, decision.rule)
        elif shadowed:
            row.shadowed += 1
            row.network.shadowed += 1
            findings.shadowed.add(row, logged_in=logged_in)
            findings.timeline.add(SHADOWED, now)
        else:
            findings.timeline.add(PASSED, now)
        if decision.rule != DEFAULT_RULE:
            found = findings.rules[RuleKey(decision.rule, decision.name, shadow=False)]
            found.add_request(row, request.path, agent, logged_in=logged_in)

    def _compare(
        self, before: Decision, after: Decision | Recorded, row: ClientRow, request: Request, agent: bytes, *, logged_in: bool
    ) -> None:
        """Count a request about which the two policies differ: stopped by one, or by another rule."""
        findings = self.findings
        change = Change(before.rule if before.refuses else "", after.rule if after.refuses else "")
        findings.changes[change].add_request(row, request.path, agent, logged_in=logged_in)
        if not change.before:
            row.newly += 1
            findings.newly.add(row, logged_in=logged_in)
        elif not change.after:
            row.freed += 1
            findings.freed.add(row, logged_in=logged_in)


def _count_rule(row: ClientRow, rule: str) -> None:
    if rule in row.rules or len(row.rules) < MAX_RULES_SHOWN:
        row.rules[rule] = row.rules.get(rule, 0) + 1
