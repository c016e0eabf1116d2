"""Runs the tests inside rule files: requests on a virtual clock, against a store of their own, compared with what they expect.

Decides what a test means; knows nothing of files or of how a report is shown. A test that expects a rule which is in shadow or
off is run as if that rule were in force: turning a rule down at night must not make its tests, and so the file, fail. The
virtual clock starts long before any rule expires, for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from proxyguard.core.address import DEFAULT_PREFIXES
from proxyguard.core.decision import DEFAULT_RULE, Decision, Mode
from proxyguard.core.problems import Problem
from proxyguard.http.responses import refusal_status
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.store import Outcome
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.compile.conditions import Tags
from proxyguard.policy.compile.cooperative import YieldControl, never_yield
from proxyguard.policy.compile.keys import KeyMaker
from proxyguard.policy.engine import Match, decide, due, match, owed
from proxyguard.policy.explain.report import RuleVerdict, Trace, format_limit
from proxyguard.policy.explain.trace import trace_with
from proxyguard.policy.model import Expectation, Place, Policy, RuleSet, RuleTest, TestStep
from proxyguard.policy.restriction import tags_of
from proxyguard.policy.testing.sample_requests import request_from_sample

SECRET: Final = b"tests in rule files"
"""Keys the hashes in the keys of a store that lives as long as one test."""

STORE_KEYS: Final = 100_000
"""More than the requests of one test can make."""

NOTHING_COUNTED: Final = Outcome(None, ())


@dataclass(frozen=True, slots=True)
class TestFailure:
    """A step of a test that did not come out as expected. `reason` says what stood in the way."""

    __test__ = False  # pytest: not a test class

    place: Place
    name: str
    expected: str
    got: str
    reason: str
    trace: Trace

    @property
    def problem(self) -> Problem:
        test = f"the test '{self.name}'" if self.name else "the test"
        return Problem(*self.place, f"{test} expected {self.expected}, got {self.got}", self.reason)


class SelfTest(NamedTuple):
    """What running all tests of a policy showed. `untouched` names the rules that applied in no test, in file order."""

    tests: int
    failures: tuple[TestFailure, ...]
    untouched: tuple[str, ...]


def run_tests(policy: Policy, *, yield_control: YieldControl = never_yield) -> tuple[TestFailure, ...]:
    """Run every test of every rule set; the failures in file order, at most one per test. Raises PolicyError."""
    return self_test(policy, yield_control=yield_control).failures


def self_test(policy: Policy, *, yield_control: YieldControl = never_yield) -> SelfTest:
    """Run every test of every rule set. Raises PolicyError when the policy cannot be compiled."""
    runs = _Runs(policy, yield_control)
    touched: set[str] = set()
    failures: list[TestFailure] = []
    count = 0
    for rule_set in policy.rule_sets:
        for test in rule_set.tests:
            count += 1
            failure = runs.run(test, touched)
            if failure is not None:
                failures.append(failure)
            yield_control()
    names = dict.fromkeys(rule.name for rule_set in policy.rule_sets for rule in rule_set.rules)
    return SelfTest(count, tuple(failures), tuple(name for name in names if name not in touched))


class _InForce(NamedTuple):
    """A policy as some tests run it: as written, and compiled."""

    written: Policy
    compiled: CompiledPolicy


class _Runs:
    """Runs tests of one policy; compiles it once for each set of rules that tests put in force."""

    def __init__(self, policy: Policy, yield_control: YieldControl) -> None:
        self._policy = policy
        self._yield_control = yield_control
        self._variants: dict[frozenset[str], _InForce] = {}
        self._restricting = {
            rule.name: rule.restriction for rule_set in policy.rule_sets for rule in rule_set.rules if rule.restriction
        }
        self._resting = {
            rule.name
            for rule_set in policy.rule_sets
            for rule in rule_set.rules
            if rule_set.mode_of(rule, Mode.ENFORCE) is not Mode.ENFORCE
        }

    def run(self, test: RuleTest, touched: set[str]) -> TestFailure | None:
        """Run one test; adds to `touched` the names of the rules that applied."""
        expected = {step.expect.rule for step in test.steps if step.expect.rule is not None}
        policy = self._with_rules_in_force(frozenset(expected & self._resting))
        given = self._tags(test.during, expected)
        store = MemoryStore(keys=STORE_KEYS, bans=STORE_KEYS)
        start = 0.0
        for step in test.steps:
            failure = _run_step(policy, store, step, start, test.name, touched, given)
            if failure is not None:
                return failure
            start += step.within_seconds
            self._yield_control()
        return None

    def _tags(self, during: tuple[str, ...], expected: set[str]) -> Tags:
        """What restrictions give that are on: those of the test, and those whose rules it expects."""
        on = {*during, *(self._restricting[name] for name in expected if name in self._restricting)}
        return frozenset(tag for each in self._policy.restrictions if each.name in on for tag in tags_of(each))

    def _with_rules_in_force(self, names: frozenset[str]) -> _InForce:
        variant = self._variants.get(names)
        if variant is None:
            rule_sets = tuple(_with_rules_in_force(rule_set, names) for rule_set in self._policy.rule_sets)
            written = replace(self._policy, rule_sets=rule_sets) if names else self._policy
            compiled = compile_policy(written, secret=SECRET, yield_control=self._yield_control)
            variant = self._variants[names] = _InForce(written, compiled)
        return variant


def _with_rules_in_force(rule_set: RuleSet, names: frozenset[str]) -> RuleSet:
    rules = tuple(
        replace(rule, mode=Mode.ENFORCE if rule.name in names else rule_set.mode_of(rule, Mode.ENFORCE))
        for rule in rule_set.rules
    )
    return replace(rule_set, mode=Mode.ENFORCE, rules=rules)


def _run_step(
    policy: _InForce, store: MemoryStore, step: TestStep, start: float, name: str, touched: set[str], given: Tags
) -> TestFailure | None:
    request = request_from_sample(step.request)
    if request.account is not None and policy.compiled.account is not None:
        request.account_key = policy.compiled.account.session(request)
    for count in range(step.repeat):
        now = start + step.within_seconds * count / step.repeat
        found = match(policy.compiled, request, now, given)
        outcome = NOTHING_COUNTED if found.decision else store.charge(found.charges, found.ban_keys, now)
        ruling = decide(found, outcome)
        touched.update(_applied(found, outcome, ruling.decision))
        if ruling.ban is not None:
            order = ruling.ban
            store.ban(order.key, order.rule, order.reason, order.terms, now)
        charges = due(found, ruling.decision)
        if charges:
            store.charge(owed(charges, *step.response), (), now)
    if _fits(step.expect, ruling.decision):
        return None
    keys = KeyMaker(SECRET, DEFAULT_PREFIXES)
    traced = trace_with(policy.written, request, now, lambda _charges, _bans: outcome, mode=Mode.ENFORCE, keys=keys, given=given)
    got = _format_decision(ruling.decision, step.expect)
    reason = _reason(step, traced)
    return TestFailure(step.place, name, _format_expectation(step.expect), got, reason, traced)


def _applied(found: Match, outcome: Outcome, decision: Decision) -> Iterator[str]:
    """Names of the rules that applied, or would have but for their mode, to one request."""
    yield decision.rule
    yield from (hit.rule for hit in decision.shadow)
    if outcome.ban is not None:
        return
    for rule, charge, is_open in found.steps:
        if rule.name == decision.rule:
            return
        if not rule.terminal and not is_open and (charge is None or outcome.usages[charge].exceeded):
            yield rule.name


def _fits(expect: Expectation, decision: Decision) -> bool:
    return (
        (expect.action is None or expect.action == decision.name)
        and (expect.rule is None or expect.rule == decision.rule)
        and (expect.status is None or expect.status == _status(decision))
        and (expect.score is None or expect.score == decision.score)
    )


def _status(decision: Decision) -> int | None:
    return None if decision.forwards else refusal_status(decision)


def _format_expectation(expect: Expectation) -> str:
    named = [expect.action] if expect.action else []
    if expect.rule:
        named.append(f"by {expect.rule}" if named else f"rule {expect.rule}")
    facts = [f"status {expect.status}"] if expect.status is not None else []
    if expect.score is not None:
        facts.append(f"score {expect.score:g}")
    if not named:
        return " and ".join(facts) or "anything"
    return " ".join(named) + (f" with {' and '.join(facts)}" if facts else "")


def _format_decision(decision: Decision, expect: Expectation) -> str:
    """The decision, with as much as the test asks about."""
    facts = []
    if expect.status is not None:
        status = _status(decision)
        facts.append(f"status {status}" if status else "no status of its own")
    if expect.score is not None:
        facts.append(f"score {decision.score:g}")
    return f"{decision.name} by {decision.rule}" + (f" with {' and '.join(facts)}" if facts else "")


def _reason(step: TestStep, traced: Trace) -> str:
    """What stood in the way of what was expected, in one line."""
    decided = traced.decision.rule
    matched = "; ".join(traced.matched) or "no condition to meet"
    expected = step.expect.rule
    if expected is None or expected in {DEFAULT_RULE, decided}:
        return _format_no_rule(traced) if decided == DEFAULT_RULE else f"{decided} decided: {matched}"
    looked = traced.of(expected)
    if looked is None:
        return f"{expected} was not looked at: {decided} decided before it: {matched}"
    reasons = "; ".join(looked.reasons) or "no condition to meet"
    if looked.verdict is RuleVerdict.WITHIN_LIMIT and looked.charge is not None and looked.usage is not None:
        times = f"after {step.repeat} requests in {step.within_seconds:g} s" if step.repeat > 1 else "after one request"
        return f"{expected} holds, but its limit ({format_limit(looked.charge.limit)}) has {looked.usage.remaining} left {times}"
    return f"{expected}: {looked.verdict}: {reasons}"


def _format_no_rule(traced: Trace) -> str:
    given = [f"{looked.rule} ({looked.action})" for looked in traced.looked if looked.verdict is RuleVerdict.APPLIES]
    return f"no rule decided; applied: {', '.join(given)}" if given else "no rule applied"
