"""What clients are told of limits that are announced, and what a decision by such a limit carries."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxyguard.core.decision import Decision, Mode, Pass, Quota, Reject, Score, ShadowHit, Tag
from proxyguard.limits.charge import Usage
from proxyguard.limits.limit import Count, CountKind, Limit, Window
from proxyguard.limits.stores.store import Outcome
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.model import Rule
from tests.build import limit, policy, request, rule

AT = 1_800_000_000.0  # 2027-01-15 08:00 UTC
HOUR, DAY = 3600.0, 86_400.0


def announced(amount: int, *, period: float = HOUR, burst: int = 0, **more: object) -> Limit:
    return replace(limit(), amount=amount, period_seconds=period, burst=burst or amount, announce=True, **more)  # type: ignore[arg-type]  # as Limit has them


def decided(*rules: Rule, usages: tuple[Usage, ...]) -> Decision:
    """What is decided at `AT` when the store says so of the limits."""
    found = match(compile_policy(policy(*rules), secret=b""), request(), AT)
    assert len(found.charges) == len(usages)
    return decide(found, Outcome(None, usages)).decision


def usage(remaining: int = 0, retry_after: float = 0.0) -> Usage:
    return Usage(exceeded=retry_after > 0, remaining=remaining, retry_after_seconds=retry_after)


@pytest.mark.parametrize(
    ("counted", "state", "reset"),
    [
        pytest.param(announced(60), usage(60), 0.0, id="sliding, untouched"),
        pytest.param(announced(60, burst=10), usage(4), 6 * 60.0, id="sliding, six of ten used"),
        pytest.param(announced(60, burst=10), usage(0, 30.0), 10 * 60.0, id="sliding, used up"),
        pytest.param(announced(60, burst=1), usage(0, 90.0), 90.0, id="sliding, used up for longer than the burst lasts"),
        pytest.param(announced(60, window=Window.SLIDING_LOG), usage(4), HOUR, id="a log, from now on"),
        pytest.param(announced(60, window=Window.SLIDING_LOG), usage(0, 30.0), 30.0, id="a log, used up"),
        pytest.param(announced(60, window=Window.CALENDAR), usage(4), HOUR, id="an hour of the calendar"),
        pytest.param(announced(60, period=DAY, window=Window.CALENDAR), usage(4), 16 * HOUR, id="a day"),
        pytest.param(announced(60, period=DAY, window=Window.CALENDAR, time_zone="Asia/Tokyo"), usage(4), 7 * HOUR, id="Tokyo's"),
        pytest.param(announced(9, count=Count(CountKind.BYTES)), usage(9), 0.0, id="bytes"),
    ],
)
def test_what_is_announced_of_a_limit(counted: Limit, state: Usage, reset: float) -> None:
    told = Quota(
        counted.amount, counted.period_seconds, state.remaining, state.retry_after_seconds, "a", reset, counted.count.kind
    )
    made = decided(rule("a", Reject(), counted=counted), usages=(state,))
    assert made.quotas == (told,)
    assert (made.action, made.quota) == ((Reject(), told) if state.exceeded else (Pass(), None))


def test_every_limit_up_to_the_one_that_decides_is_announced_and_that_one_is_the_decision_s() -> None:
    rules = [rule(name, Reject(), counted=announced(amount)) for name, amount in (("a", 10), ("b", 20), ("c", 30))]
    made = decided(*rules, usages=(usage(9), usage(0, 60.0), usage(5)))
    assert [(each.name, each.limit) for each in made.quotas] == [("a", 10), ("b", 20)]
    assert made.quota is made.quotas[1]
    assert made.rule == "b"


def test_a_limit_that_is_not_announced_says_what_it_counts() -> None:
    made = decided(rule("a", Reject(), counted=replace(limit(5), count=Count(CountKind.BYTES))), usages=(usage(0, 30.0),))
    assert made.quota == Quota(5, 60.0, 0, 30.0, unit="bytes")
    assert made.quotas == ()


def test_who_passes_is_told_with_all_that_was_noted() -> None:
    made = decided(
        rule("points", Score(5.0)),
        rule("seen", Tag("seen")),
        rule("would", Reject(), mode=Mode.SHADOW),
        rule("a", Reject(), counted=announced(10)),
        usages=(usage(9),),
    )
    assert (made.action, made.score, made.tags) == (Pass(), 5.0, frozenset({"seen"}))
    assert made.shadow == (ShadowHit("would", "reject"),)
    assert [each.name for each in made.quotas] == ["a"]


def test_a_decision_by_a_limit_names_its_restriction() -> None:
    made = decided(replace(rule("a", Reject(), counted=limit()), restriction="july"), usages=(usage(0, 30.0),))
    assert made.restriction == "july"
