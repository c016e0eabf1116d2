"""What is left of a decision while nothing acts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxyguard.core.decision import (
    STOPPING,
    Allow,
    Decision,
    Delay,
    Drop,
    Mask,
    Maze,
    Pass,
    Prove,
    Quota,
    Reject,
    ShadowHit,
    Tarpit,
    Uniform,
    recorded_only,
)  # fmt: skip

QUOTA = Quota(1, 1.0, 0, 1.0)


@pytest.mark.parametrize(
    ("decision", "hit"),
    [
        (Decision(Reject(), "a", restriction="slow", quota=QUOTA, quotas=(QUOTA,)), "reject"),
        (Decision(Tarpit(), "a"), "tarpit"),
        (Decision(Drop(), "a"), "drop"),
        (Decision(Delay(5.0), "a"), "delay"),
        (Decision(Drop(), "a", banned=True), "ban"),
    ],
)
def test_each_action_that_a_client_would_notice_is_only_recorded(decision: Decision, hit: str) -> None:
    assert recorded_only(decision) == Decision(Pass(), "shadow-switch", shadow=(ShadowHit("a", hit),))


def test_what_refuses_is_what_stops_a_client() -> None:
    ways = (Allow(), Delay(1.0), Drop(), Mask(), Maze(), Pass(), Prove(), Reject(), Tarpit(), Uniform("x"))
    decisions = [Decision(way, "a") for way in ways]
    assert [each.refuses for each in decisions] == [each.name in STOPPING for each in decisions]
    assert not any(each.refuses and each.forwards for each in decisions)


def test_what_rules_in_shadow_would_have_done_stays_before_it() -> None:
    before = ShadowHit("maybe", "reject")
    assert recorded_only(Decision(Reject(), "a", shadow=(before,))).shadow == (before, ShadowHit("a", "reject"))


@pytest.mark.parametrize("action", [Allow(), Pass()])
def test_what_lets_through_stays_as_it_is_without_its_announced_limits(action: Allow | Pass) -> None:
    plain = Decision(action, "a", score=3.0, tags=frozenset({"t"}))
    assert recorded_only(plain) is plain
    assert recorded_only(replace(plain, quotas=(QUOTA,))) == plain
