"""Restrictions that commands gave, beside those of the files: they become rules as those do, and never stand in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyguard.core.decision import Mode
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.engine import match
from proxyguard.policy.given import GIVEN_NAME, plain_restriction, read_given, with_given
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Policy
from proxyguard.policy.restriction import tags_of
from tests import build

FILES = """
name: r
account: {key: cookie.session, class_header: X-Account-Class, remember: 1h}
classes: [{name: member, when: {account: member}}]
rules: [{name: taken-anonymous, when: {path: /x}, action: reject}]
restrictions: [{name: prepared, why: Prepared., classes: {member: 5/day}, until: 2090-01-01, standby: true}]
"""
SLOW = plain_restriction("slow", "Busy.", {"anonymous": "3/day", "member": "9/day"}, "2090-01-01", "/posts/")


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    (tmp_path / "r.yaml").write_text(FILES)
    policy = load_policy(tmp_path).policy
    assert policy is not None
    return policy


def test_one_that_is_given_becomes_rules_like_one_of_a_file(policy: Policy) -> None:
    whole = with_given(policy, (SLOW,))
    assert whole.digest == policy.digest
    assert [each.name for each in whole.restrictions] == ["prepared", "slow"]
    last = whole.rule_sets[-1]
    assert (last.name, [rule.name for rule in last.rules]) == (GIVEN_NAME, ["slow-anonymous", "slow-member"])
    compiled = compile_policy(whole, secret=b"x")
    given = tags_of(whole.restrictions[-1])
    charges = match(compiled, build.request("/posts/1"), 0.0, given).charges
    assert [(charge.limit.amount, [str(part) for part in charge.limit.per]) for charge in charges] == [(3, ["account"])]
    assert match(compiled, build.request("/other"), 0.0, given).charges == ()


def test_one_that_is_given_does_not_act_in_a_process_in_shadow(policy: Policy) -> None:
    compiled = compile_policy(with_given(policy, (SLOW,)), mode=Mode.SHADOW, secret=b"x")
    assert not any(rule.enforced for rule in compiled.rules if rule.restriction)


@pytest.mark.parametrize(
    "plain",
    [
        {**SLOW, "name": "prepared"},
        {**SLOW, "name": "taken"},
        {**SLOW, "classes": {"gold": "5/day"}},
        {**SLOW, "until": "soon"},
        {**SLOW, "action": "allow"},
        {"name": "slow"},
        {},
    ],
    ids=["a restriction", "a rule", "a class", "an end", "a key", "half of one", "nothing"],
)
def test_one_that_does_not_go_together_with_the_files_is_left_out_and_the_others_are_not(
    policy: Policy, plain: dict[str, object]
) -> None:
    whole = with_given(policy, (plain, SLOW, SLOW))
    assert [each.name for each in whole.restrictions] == ["prepared", "slow"]
    assert with_given(policy, (plain,)) is policy


def test_one_may_be_called_as_a_rule_is_as_one_of_a_file_may(policy: Policy) -> None:
    named = {**SLOW, "name": "taken-anonymous"}
    assert [each.name for each in with_given(policy, (named, SLOW)).restrictions] == ["prepared", "taken-anonymous", "slow"]


def test_what_is_wrong_with_one_is_said_as_of_a_file() -> None:
    restriction, problems = read_given({**SLOW, "classes": {"anonymous": "5"}})
    assert restriction is None
    assert [problem.message for problem in problems] == ["rate cannot be '5'"]
