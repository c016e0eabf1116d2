"""Restrictions and classes as the engine sees them, and the tests in the rule files that use them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from proxyguard.core.decision import Reject
from proxyguard.limits.limit import KeyKind, KeyPart, Missing
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.explain.trace import trace
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Policy
from proxyguard.policy.restriction import tags_of
from proxyguard.policy.testing.runner import run_tests
from tests import build
from tests.paths import RULESETS

GOOD = RULESETS / "good"


def load(folder: Path, **files: str) -> Policy:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    result = load_policy(folder)
    assert result.problems == ()
    assert result.policy is not None
    return result.policy


@pytest.mark.parametrize("name", ["classes", "restrictions"])
def test_the_tests_in_the_good_rule_sets_hold(name: str, tmp_path: Path) -> None:
    shutil.copy(GOOD / f"{name}.yaml", tmp_path)
    assert [str(failure.problem) for failure in run_tests(load(tmp_path))] == []


CLASSES = """
name: who
account: {key: cookie.session, class_header: x-account-class}
classes: [{name: signed-in, when: {account: present}}, {name: new, when: {cookie.new: present}}]
"""

RESTRICTION = """
name: slow
restrictions:
  - name: slow
    why: Because of the scrapers.
    classes: {anonymous: 3/day, signed-in: {rate: 9/day, per: client}}
    until: 2090-01-01
  - {name: shed, why: Too much., shed: true, start_when: {site_rate: 5/second}, until: 2090-01-01}
"""


def test_limits_count_by_account_where_accounts_are_known(tmp_path: Path) -> None:
    rules = {rule.name: rule for rule_set in load(tmp_path, a=CLASSES, b=RESTRICTION).rule_sets for rule in rule_set.rules}
    anonymous, signed_in = rules["slow-anonymous"].limit, rules["slow-signed-in"].limit
    assert anonymous is not None
    assert signed_in is not None
    assert (anonymous.per, anonymous.missing, anonymous.announce) == ((KeyPart(KeyKind.ACCOUNT),), Missing.SEPARATE, True)
    assert (signed_in.per, signed_in.missing, signed_in.announce) == ((KeyPart(KeyKind.CLIENT),), Missing.SHARED, True)
    assert rules["slow-anonymous"].action == Reject(429, "Because of the scrapers.")


def test_load_is_shed_from_the_suspected_to_the_best_known(tmp_path: Path) -> None:
    policy = load(tmp_path, a=CLASSES, b=RESTRICTION)
    names = [rule.name for rule_set in policy.rule_sets for rule in rule_set.rules if rule.restriction == "shed"]
    assert names == ["shed-suspected", "shed-anonymous", "shed-new", "shed-signed-in"]


def test_without_accounts_limits_count_by_client(tmp_path: Path) -> None:
    policy = load(tmp_path, b=RESTRICTION.replace(", signed-in: {rate: 9/day, per: client}", ""))
    limit = policy.rule_sets[0].rules[0].limit
    assert limit is not None
    assert limit.per == (KeyPart(KeyKind.CLIENT),)


def test_a_restriction_that_is_off_costs_no_charge_and_one_that_is_on_does(tmp_path: Path) -> None:
    policy = load(tmp_path, a=CLASSES, b=RESTRICTION)
    compiled = compile_policy(policy, secret=b"x")
    slow, shed = policy.restrictions
    assert match(compiled, build.request(), 0.0).charges == ()
    assert [charge.limit.amount for charge in match(compiled, build.request(), 0.0, tags_of(slow)).charges] == [3]
    steps = match(compiled, build.request(), 0.0, tags_of(shed, 2)).steps
    assert [rule.name for rule, _, _ in steps] == ["shed-anonymous"]
    assert match(compiled, build.request(), 0.0, tags_of(shed, 1)).steps == []


def test_a_restriction_is_over_at_its_end_even_if_nobody_switched_it_off(tmp_path: Path) -> None:
    policy = load(tmp_path, a=CLASSES, b=RESTRICTION)
    compiled = compile_policy(policy, secret=b"x")
    slow = policy.restrictions[0]
    assert len(match(compiled, build.request(), slow.until - 1, tags_of(slow)).charges) == 1
    assert match(compiled, build.request(), slow.until, tags_of(slow)).charges == ()
    assert (slow.is_on_by_time(0.0), slow.is_on_by_time(slow.until)) == (True, False)


def test_the_common_rules_apply_to_every_choice_and_no_mode_weakens_them(tmp_path: Path) -> None:
    policy = load(tmp_path, a=CLASSES.replace("name: who", "name: who\nmode: off"), b=RESTRICTION)
    common = policy.rule_sets[0]
    assert common.common
    assert [rule.name for rule in compile_policy(Policy((common,)), secret=b"x").rules] == ["class:signed-in", "class:new"]


@pytest.mark.parametrize("on", [(), ("slow",), ("slow", "shed")])
@pytest.mark.parametrize("account", [None, b"member"])
def test_the_engine_and_the_trace_agree_whatever_is_on(tmp_path: Path, on: tuple[str, ...], account: bytes | None) -> None:
    policy = load(tmp_path, a=CLASSES, b=RESTRICTION)
    compiled = compile_policy(policy, secret=b"x")
    given = frozenset(tag for each in policy.restrictions if each.name in on for tag in tags_of(each))
    stores = MemoryStore(), MemoryStore()
    for number in range(12):
        request = build.request()
        request.account, request.account_key = account, None if account is None else "s1"
        found = match(compiled, request, float(number), given)
        decision = decide(found, stores[0].charge(found.charges, found.ban_keys, float(number))).decision
        traced = trace(policy, request, float(number), stores[1], secret=b"x", given=given).decision
        assert (decision.name, decision.rule, decision.tags, decision.restriction) == (
            traced.name, traced.rule, traced.tags, traced.restriction,
        )  # fmt: skip


def test_a_restriction_that_looks_at_the_token_of_a_form_is_about_its_posts(tmp_path: Path) -> None:
    load(
        tmp_path,
        a="name: a\nform_guard: {sign-up: {read: /signup, post: /signup}}\nrestrictions:\n"
        "  - {name: slow, why: Too many., when: {form: {not: good}}, classes: {anonymous: 1/day}, until: 2090-01-01}\n",
    )
    loaded = load_policy(tmp_path).policy
    assert loaded is not None
    looked = [
        trace(loaded, build.request(target, method=method), 10.0).of("slow-anonymous")
        for method, target in (("GET", "/"), ("POST", "/signup"))
    ]
    assert [None if each is None else each.charge is not None for each in looked] == [False, True]
