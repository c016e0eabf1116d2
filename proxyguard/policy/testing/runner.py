"""Runs the tests inside rule files: requests on a virtual clock, against a store of their own, compared with what they expect.

Decides what a test means; knows nothing of reading files or of how a report is shown. A file's tests are judged with the file's
own rules, all of them in force whatever their modes say, but for those that a test names in `without`. So no mode, no other file
and no rule that expires (the virtual clock starts long before) can make them fail: turning a rule up, down or off at night must
not keep the rules from being loaded. The rules of another file join when a test names one of them. A file that has tests and
no rules is about all files together, as they are in force. See docs/adr/0042.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import nextafter
from typing import Final, NamedTuple

from proxyguard.core.address import DEFAULT_PREFIXES
from proxyguard.core.decision import ACTION_NAMES, DEFAULT_RULE, Decision, Mode
from proxyguard.core.problems import Problem
from proxyguard.core.request import Request
from proxyguard.http.responses import refusal_status
from proxyguard.limits.learning import with_usual
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.store import Outcome
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.compile.conditions import Tags
from proxyguard.policy.compile.cooperative import YieldControl, never_yield
from proxyguard.policy.compile.forms import form_of
from proxyguard.policy.compile.items import item_of
from proxyguard.policy.compile.keys import AMBIGUOUS, KeyMaker
from proxyguard.policy.compile.outside import Circumstances
from proxyguard.policy.engine import NO_RESPONSE, Match, decide, due, match, owed
from proxyguard.policy.explain.report import RuleVerdict, Trace, format_limit
from proxyguard.policy.explain.trace import trace_with
from proxyguard.policy.model import Expectation, Place, Policy, RuleSet, RuleTest, TestStep
from proxyguard.policy.refusals import charged, refusals
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
    touched: set[str] = set()
    failures: list[TestFailure] = []
    count = 0
    owners = _owners(policy)
    for rule_set in policy.rule_sets:
        runs = _Runs(policy, rule_set, owners, yield_control)
        for test in rule_set.tests:
            count += 1
            failure = runs.run(test, touched)
            if failure is not None:
                failures.append(failure)
            yield_control()
    names = dict.fromkeys(rule.name for rule_set in policy.rule_sets for rule in rule_set.rules)
    return SelfTest(count, tuple(failures), tuple(name for name in names if name not in touched))


type _Owners = dict[str, str]
"""The rule set that has a rule or a restriction, by name."""


def _owners(policy: Policy) -> _Owners:
    owners = {rule.name: rule_set.name for rule_set in policy.rule_sets for rule in rule_set.rules}
    return owners | {each.name: rule_set.name for rule_set in policy.rule_sets for each in rule_set.restrictions}


def judged_with(policy: Policy, rule_set: RuleSet, test: RuleTest) -> Policy:
    """The rules that a test of a rule set is judged with, in the modes that they have for it."""
    runs = _Runs(policy, rule_set, _owners(policy), never_yield)
    return runs.written(runs.variant(test))[0]


class _InForce(NamedTuple):
    """The rules that some tests are judged with: as written, and compiled; and those whose own mode is another."""

    written: Policy
    compiled: CompiledPolicy
    raised: frozenset[str]


class _Variant(NamedTuple):
    """What tests need: rule sets, rules in force although they rest, rules left out. Tests that need the same share a policy."""

    rule_sets: frozenset[str]
    raised: frozenset[str]
    without: frozenset[str]


class _Runs:
    """Runs the tests of one rule set; compiles rules once for each choice of them that its tests need."""

    def __init__(self, policy: Policy, rule_set: RuleSet, owners: _Owners, yield_control: YieldControl) -> None:
        self._policy = policy
        self._rule_set = rule_set
        self._owners = owners
        self._yield_control = yield_control
        self._variants: dict[_Variant, _InForce] = {}

    def run(self, test: RuleTest, touched: set[str]) -> TestFailure | None:
        """Run one test; adds to `touched` the names of the rules that applied."""
        expected = _expected(test)
        policy = self._in_force(self.variant(test))
        given = _tags(policy.written, test.during, expected)
        store = MemoryStore(keys=STORE_KEYS, bans=STORE_KEYS)
        start = 0.0
        for step in test.steps:
            failure = _run_step(policy, store, step, start, test.name, touched, given)
            if failure is not None:
                return failure
            start += step.within_seconds
            self._yield_control()
        return None

    def variant(self, test: RuleTest) -> _Variant:
        expected = _expected(test)
        without = frozenset(test.without)
        if not self._rule_set.rules:
            return _Variant(frozenset(rule_set.name for rule_set in self._policy.rule_sets), frozenset(expected), without)
        named = {self._owners[name] for name in (*expected, *test.during) if name in self._owners}
        chosen = frozenset({self._rule_set.name, *named})
        return _Variant(chosen, frozenset(self._rules_of(chosen, expected)), without)

    def _rules_of(self, names: frozenset[str], expected: set[str]) -> Iterator[str]:
        """The rules of rule sets; of those for emergencies only what a test expects: what it says of the others is of any day."""
        for rule_set in self._policy.rule_sets:
            if rule_set.name in names:
                yield from (rule.name for rule in rule_set.rules if not rule.emergency or rule.name in expected)

    def _in_force(self, variant: _Variant) -> _InForce:
        found = self._variants.get(variant)
        if found is None:
            written, raised = self.written(variant)
            compiled = compile_policy(written, secret=SECRET, yield_control=self._yield_control)
            found = self._variants[variant] = _InForce(written, compiled, raised)
        return found

    def written(self, variant: _Variant) -> tuple[Policy, frozenset[str]]:
        """The rules of a variant, and the names of those that rest otherwise."""
        chosen = [each for each in self._policy.rule_sets if each.common or each.name in variant.rule_sets]
        resting = (rule.name for each in chosen for rule in each.rules if each.mode_of(rule, Mode.ENFORCE) is not Mode.ENFORCE)
        raised = variant.raised.intersection(resting)
        rule_sets = tuple(_with_modes(each, raised, variant.without) for each in chosen)
        return replace(self._policy, rule_sets=rule_sets), raised


def _expected(test: RuleTest) -> set[str]:
    return {step.expect.rule for step in test.steps if step.expect.rule is not None}


def _tags(policy: Policy, during: Iterable[str], expected: set[str]) -> Tags:
    """What restrictions give that are on: those of the test, and those whose rules it expects."""
    restricting = {rule.name: rule.restriction for rule_set in policy.rule_sets for rule in rule_set.rules if rule.restriction}
    on = {*during, *(restricting[name] for name in expected if name in restricting)}
    return frozenset(tag for each in policy.restrictions if each.name in on for tag in tags_of(each))


def _with_modes(rule_set: RuleSet, raised: frozenset[str], without: frozenset[str]) -> RuleSet:
    """A rule set with some rules in force, and some off."""
    if rule_set.common:
        return rule_set
    rules = []
    for rule in rule_set.rules:
        mode = Mode.ENFORCE if rule.name in raised else rule_set.mode_of(rule, Mode.ENFORCE)
        rules.append(replace(rule, mode=Mode.OFF if rule.name in without else mode, emergency=False))
    return replace(rule_set, mode=Mode.ENFORCE, rules=tuple(rules))


def _run_step(
    policy: _InForce, store: MemoryStore, step: TestStep, start: float, name: str, touched: set[str], given: Tags
) -> TestFailure | None:
    request = request_from_sample(step.request)
    request.item = item_of(policy.compiled.items, request, step.request.heat)
    request.form = form_of(policy.compiled.forms, request, step.request.form)
    if request.account is not None and policy.compiled.account is not None:
        session = policy.compiled.account.session.of(request)
        request.is_session_unclear = session == AMBIGUOUS
        request.account_key = None if session == AMBIGUOUS else session
    around = Circumstances(step.minute, nextafter(step.share, 0.0) if step.share < 1 else 1.0)
    if step.refused:
        found = match(policy.compiled, request, start, given, around)
        store.charge(charged(found, None, float(step.refused)), (), start)
    compiled = policy.compiled
    under_way = [
        _check(store, _matched(compiled, request, start, given, around, step.usual), start) for _ in range(step.under_way)
    ]
    found = _matched(compiled, request, start, given, around, step.usual)
    asks_time = compiled.outside is not None and around.minute is None  # all else that rules ask is the same at each repetition
    for count in range(step.repeat):
        now = start + step.within_seconds * count / step.repeat
        if asks_time and count:
            found = _matched(compiled, request, now, given, around, step.usual)
        found.now = now
        checked = _check(store, found, now)
        touched.update(_applied(*checked))
        _settle(store, step, checked, now)
    for each in under_way:
        _settle(store, step, each, now)
    outcome, decision = checked.outcome, checked.decision
    if _fits(step.expect, decision):
        return None
    keys = KeyMaker(SECRET, DEFAULT_PREFIXES)
    traced = trace_with(
        policy.written, request, now, lambda _charges, _bans: outcome, mode=Mode.ENFORCE, keys=keys, given=given, around=around
    )
    got = _format_decision(decision, step.expect)
    reason = _reason(step, traced)
    if decision.rule in policy.raised and decision.rule != step.expect.rule:
        reason += f"; tests look at no mode: without: [{decision.rule}] leaves the rule out"
    return TestFailure(step.place, name, _format_expectation(step.expect), got, reason, traced)


class _Checked(NamedTuple):
    """One request that was decided."""

    found: Match
    outcome: Outcome
    decision: Decision


def _matched(policy: CompiledPolicy, request: Request, now: float, given: Tags, around: Circumstances, usual: int) -> Match:
    found = match(policy, request, now, given, around)
    if usual:
        found.charges = with_usual(found.charges, usual)
    return found


def _check(store: MemoryStore, found: Match, now: float) -> _Checked:
    outcome = NOTHING_COUNTED if found.decision else store.charge(found.charges, found.ban_keys, now)
    ruling = decide(found, outcome)
    if ruling.ban is not None:
        order = ruling.ban
        store.ban(order.key, order.rule, order.reason, order.terms, now)
    charges = refusals(found, outcome, ruling.decision)
    if charges:
        store.charge(charges, (), now)
    return _Checked(found, outcome, ruling.decision)


def _settle(store: MemoryStore, step: TestStep, checked: _Checked, now: float) -> None:
    found, outcome, decision = checked
    response = step.response if decision.forwards else NO_RESPONSE
    costs = owed(due(found, outcome, decision), *response, since=found.now, now=now)
    if costs:
        store.charge(costs, (), now)


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
        (expect.action is None or expect.action in _names_of(decision))
        and (expect.rule is None or expect.rule == decision.rule)
        and (expect.status is None or expect.status == _status(decision))
        and (expect.score is None or expect.score == decision.score)
    )


def _names_of(decision: Decision) -> tuple[str, ...]:
    """What a test may call it: a ban by its name, and by what the banned get."""
    return (decision.name, ACTION_NAMES[type(decision.action)])


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
    if decision.banned:
        facts.append(f"answer {ACTION_NAMES[type(decision.action)]}")
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
