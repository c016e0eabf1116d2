"""What the end of an exchange charges and gives back, and what becomes of a request that a limit cannot count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxyguard.core.decision import PASS, Action, Decision, Mode, Pass, Reject, Score, ShadowHit, Tag
from proxyguard.core.request import Request
from proxyguard.limits.charge import Charge, Usage
from proxyguard.limits.limit import Ambiguous, Count, CountKind, KeyKind, KeyPart, Limit, Window
from proxyguard.limits.stores.store import Outcome, uncounted
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.engine import Match, decide, due, match, owed
from proxyguard.policy.model import AtMost, Condition, Rule
from tests.build import CLIENT, asks, equal, limit, policy, request, rule, score_at_least

SESSION = KeyPart(KeyKind.COOKIE, "sid")
TWICE = request(headers=(("Cookie", "sid=a; sid=b"),))
BYTES = Count(CountKind.BYTES)
HOUR = 3600.0


def compiled(*rules: Rule) -> CompiledPolicy:
    return compile_policy(policy(*rules), secret=b"secret")


def strict(burst: int = 5) -> Limit:
    """By session; who has two is refused."""
    return replace(limit(burst, SESSION), ambiguous=Ambiguous.REJECT)


def taken(found: Match) -> Outcome:
    """Every charge fits."""
    return Outcome(None, tuple(Usage(exceeded=False, remaining=3, retry_after_seconds=0.0) for _ in found.charges))


def decided(*rules: Rule, asked: Request = TWICE) -> tuple[Decision, list[float]]:
    """What is decided when every charge fits, and what each charge is of."""
    found = match(compiled(*rules), asked, 0.0)
    return decide(found, taken(found)).decision, [charge.cost for charge in found.charges]


def test_who_cannot_be_counted_is_refused_and_costs_earlier_limits_nothing() -> None:
    first, last = rule("by-client", Reject(), counted=limit(5)), rule("after", Reject(), counted=limit(5))
    decision, costs = decided(first, rule("by-session", Reject(), counted=strict()), last)
    assert (decision.rule, decision.action, costs) == ("by-session", Reject(), [0.0])
    assert decided(first, rule("by-session", Reject(), counted=strict()), last, asked=request())[1] == [1.0, 1.0, 1.0]


def test_an_action_that_lets_pass_leaves_earlier_limits_their_charge() -> None:
    decision, costs = decided(rule("by-client", Reject(), counted=limit(5)), rule("by-session", Pass(), counted=strict()))
    assert (decision.rule, costs) == ("by-session", [1.0])


def test_in_shadow_who_cannot_be_counted_is_noted_and_the_rest_goes_on() -> None:
    decision, costs = decided(
        rule("by-session", Reject(), counted=strict(), mode=Mode.SHADOW), rule("by-client", Reject(), counted=limit(5))
    )
    assert (decision.action, decision.shadow, costs) == (Pass(), (ShadowHit("by-session", "reject"),), [1.0])


@pytest.mark.parametrize(("gives", "asks_for"), [(Score(5.0), score_at_least(5.0)), (Tag("two"), equal("tag", "two"))])
def test_what_a_rule_gives_who_cannot_be_counted_is_certain(gives: Action, asks_for: Condition) -> None:
    rules = (
        rule("by-client", Reject(), counted=limit(5)),
        rule("by-session", gives, counted=strict()),
        rule("end", Reject(), asks_for),
        rule("behind", Reject(), counted=limit(5)),
    )
    decision, costs = decided(*rules)
    assert (decision.rule, costs) == ("end", [0.0]), "it ends evaluation: nothing behind it is counted"


def settling(stops: bool, exceeded: bool, counted: bool = True, action: Pass | Reject = PASS) -> list[float]:  # noqa: FBT002 - rows
    """What is due of a limit on bytes, when the limit behind it is exceeded or not."""
    behind = rule("requests", Reject() if stops else Score(1.0), counted=limit(5))
    found = match(compiled(rule("bytes", Reject(), counted=replace(limit(5), count=BYTES)), behind), request(), 0.0)
    usages = tuple(Usage(exceeded=each, remaining=0, retry_after_seconds=0.0) for each in (False, exceeded))
    return [charge.cost for charge in due(found, Outcome(None, usages, counted=counted), Decision(action))]


def test_what_is_due_is_what_was_reserved() -> None:
    assert settling(stops=True, exceeded=False) == [1.0]
    assert settling(stops=True, exceeded=True) == [0.0], "a limit that stops was exceeded, so the batch was not counted"
    assert settling(stops=False, exceeded=True) == [1.0], "one that only gives points stops nothing"
    assert settling(stops=True, exceeded=False, counted=False) == [0.0], "no store had it"
    assert settling(stops=True, exceeded=True, action=Reject()) == [], "nothing is reserved and nothing came of it"
    assert settling(stops=True, exceeded=False, action=Reject()) == [1.0]


def test_usages_that_are_not_of_the_charges_are_a_fault_that_says_how_many() -> None:
    found = match(compiled(rule("bytes", Reject(), counted=replace(limit(5), count=BYTES))), request(), 0.0)
    with pytest.raises(ValueError, match="2 usages of 1 charges"):
        due(found, Outcome(None, uncounted((*found.charges, *found.charges)).usages), Decision(Pass()))


def of(window: Window, reserved: float = 1.0) -> tuple[Charge, ...]:
    return (Charge("k", Limit(10, HOUR, 10, (CLIENT,), count=BYTES, window=window), reserved, stops=True),)


@pytest.mark.parametrize(
    ("window", "now", "given_back"),
    [
        (Window.SLIDING, 2 * HOUR, True),
        (Window.CALENDAR, HOUR - 0.001, True),
        (Window.CALENDAR, HOUR, False),
        (Window.CALENDAR, 2 * HOUR, False),
    ],
)
def test_a_window_that_is_over_gets_nothing_back(window: Window, now: float, given_back: bool) -> None:
    costs = owed(of(window), 200, 0, None, since=10.0, now=now)
    assert [(each.cost, each.stops, each.owed) for each in costs] == ([(-1.0, False, True)] if given_back else [])
    assert [each.cost for each in owed(of(window), 200, 500, None, since=10.0, now=now)] == [499.0]
    assert owed(of(window), 200, 1, None, since=10.0, now=now) == ()


def test_each_limit_that_the_response_puts_right_is_due() -> None:
    rules = (rule("bytes", Reject(), counted=replace(limit(9), count=BYTES)), rule("requests", Reject(), counted=limit(9)),
             rule("more", Reject(), counted=replace(limit(9), count=BYTES)))  # fmt: skip
    found = match(compiled(*rules), request(), 0.0)
    outcome = taken(found)
    assert due(found, outcome, decide(found, outcome).decision) == (found.charges[0], found.charges[2])


def test_seconds_of_the_upstream_are_charged_as_they_were() -> None:
    counted = replace(limit(9), count=Count(CountKind.UPSTREAM_SECONDS))
    [charged] = owed((Charge("k", counted, 1.0),), 200, 10, 3.5, since=0.0, now=4.0)
    assert charged.cost == 2.5


def test_who_cannot_be_counted_is_refused_whatever_other_limits_say() -> None:
    """As a rule with a limit is: it looks at the points that are certain."""
    rules = (rule("points", Score(5.0), counted=limit(1)), rule("calm", Reject(), asks("score", AtMost(1.0)), counted=strict()))
    found = match(compiled(*rules), TWICE, 0.0)
    used_up = Outcome(None, (Usage(exceeded=True, remaining=0, retry_after_seconds=9.0),))
    assert decide(found, used_up).decision.rule == "calm"


def test_an_action_that_ends_nothing_cannot_be_the_last() -> None:
    made = compiled(rule("points", Score(5.0), counted=limit(1)))
    made.rules[0].terminal = True
    found = match(made, request(), 0.0)
    with pytest.raises(TypeError, match="rule points: score ends nothing"):
        decide(found, Outcome(None, (Usage(exceeded=True, remaining=0, retry_after_seconds=9.0),)))
