"""What a log does not tell is unknown: rules that look at it never fire falsely, and are named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyguard.core.decision import Mode
from proxyguard.core.request import Request
from proxyguard.limits.limit import Count, CountKind, KeyKind, KeyPart, Limit
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.store import Outcome
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.fields.registry import field_types
from proxyguard.policy.model import ALWAYS, AllOf, AnyOf, Condition, FieldKind, Not, Policy, Rule, RuleSet
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.tools.replay.formats.apache import COMBINED_KNOWLEDGE
from proxyguard.tools.replay.judgeable import NEVER, judgeable, without
from proxyguard.tools.replay.knowledge import Knowledge
from tests.examples import examples
from tests.policies import policies, requests

HEADERS = st.sets(st.sampled_from(["x", "y", "user-agent"])).map(frozenset)
COOKIES = st.sets(st.sampled_from(["x", "y"])).map(frozenset)
KINDS = st.sets(st.sampled_from([FieldKind.HOST, FieldKind.SCHEME, FieldKind.QUERY, FieldKind.HTTP_VERSION])).map(frozenset)
KNOWLEDGE = st.builds(Knowledge, kinds=KINDS, headers=HEADERS, cookies=COOKIES)


def stripped(request: Request, known: Knowledge) -> Request:
    """The request as a log with this knowledge would show it."""
    headers = [(name, value) for name, value in request.headers if name.lower().decode() in (known.headers or ())]
    cookies = [
        (name, each) for name, values in request.cookies.items() for each in values if name.decode() in (known.cookies or ())
    ]
    if cookies:
        headers.append((b"Cookie", b"; ".join(name + b"=" + value for name, value in cookies)))
    return Request(
        request.client,
        request.method,
        request.scheme if FieldKind.SCHEME in known.kinds else b"?",
        request.host if FieldKind.HOST in known.kinds else b"?",
        request.target if FieldKind.QUERY in known.kinds else request.target.partition(b"?")[0],
        tuple(headers),
        request.http_version if FieldKind.HTTP_VERSION in known.kinds else b"?",
    )


def all_in_shadow(policy: Policy) -> Policy:
    """The policy with nothing that ends or counts, so that every rule that holds says so."""

    def quiet(rule: Rule) -> Rule:
        gives = type(rule.action).__name__ in {"Score", "Tag"}
        return replace(rule, limit=None, expires=None, mode=Mode.ENFORCE if gives else Mode.SHADOW)

    rule_sets = (replace(each, mode=Mode.ENFORCE, rules=tuple(map(quiet, each.rules))) for each in policy.rule_sets)
    return replace(policy, rule_sets=tuple(rule_sets))


def hits(policy: Policy, request: Request) -> tuple[set[str], set[str]]:
    """The rules that hold, and the tags given."""
    found = match(compile_policy(policy, secret=b"test"), request, 0.0)
    outcome = found.decision is None and MemoryStore().charge(found.charges, found.ban_keys, 0.0)
    decision = found.decision or decide(found, outcome or Outcome(None, ())).decision
    return {hit.rule for hit in decision.shadow}, set(decision.tags)


@settings(max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(policies(), KNOWLEDGE, requests())
def test_no_rule_holds_for_a_log_that_does_not_hold_for_the_whole_request(
    policy: Policy, known: Knowledge, request: Request
) -> None:
    policy = all_in_shadow(policy)
    cut = judgeable(policy, known)
    seen_rules, seen_tags = hits(cut.policy, stripped(request, known))
    real_rules, real_tags = hits(policy, request)
    assert {rule for rule in seen_rules if not rule.endswith("?")} <= real_rules
    assert seen_tags <= real_tags


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(policies(), requests())
def test_a_log_that_tells_everything_is_judged_as_the_request_itself(policy: Policy, request: Request) -> None:
    known = Knowledge(kinds=frozenset(field_types()), headers=None, cookies=None)
    policy = all_in_shadow(policy)
    cut = judgeable(policy, known)
    assert cut.unjudged == ()
    assert hits(cut.policy, request) == hits(policy, request)


def rules(text: str) -> Policy:
    rule_set, problems = parse_rule_set(f"name: test\nrules:\n{text}")
    assert rule_set is not None, problems
    return Policy((rule_set,))


def unjudged(text: str, known: Knowledge = COMBINED_KNOWLEDGE) -> list[tuple[str, tuple[str, ...], bool, str]]:
    return [(each.rule, each.fields, each.in_part, each.effect) for each in judgeable(rules(text), known).unjudged]


MISSING = "what it would stop is missing here"


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ("{name: a, when: {user_agent: {word: x}}, action: reject}", []),
        ("{name: a, when: {path: /x, query.p: '1', method: GET, client: 192.0.2.1}, action: reject}", []),
        ("{name: a, when: {header.referer: absent}, action: reject}", []),
        ("{name: a, when: {header.accept: absent}, action: reject}", [("a", ("header.accept",), False, MISSING)]),
        ("{name: a, when: {header.accept: {not: x}}, action: drop}", [("a", ("header.accept",), False, MISSING)]),
        ("{name: a, when: {cookie.s: present}, action: reject}", [("a", ("cookie.s",), False, MISSING)]),
        ("{name: a, when: {scheme: http, host: x.org}, action: reject}", [("a", ("scheme", "host"), False, MISSING)]),
        ("{name: a, when: {path: /x, header.accept: absent}, action: reject}", [("a", ("header.accept",), False, MISSING)]),
        (
            "{name: a, when: {any: [{path: /x}, {header.accept: absent}]}, action: reject}",
            [("a", ("header.accept",), True, MISSING)],
        ),
        (
            "{name: a, when: {path: /x, not: {header.accept: present}}, action: reject}",
            [("a", ("header.accept",), False, MISSING)],
        ),
        (
            "{name: a, when: {path: /x, not: {any: [{path: /y}, {header.via: x}]}}, action: reject}",
            [("a", ("header.via",), False, MISSING)],
        ),
        ("{name: a, limit: {rate: 1/hour, per: [header.x-key]}, action: reject}", [("a", ("header.x-key",), False, MISSING)]),
        ("{name: a, limit: {rate: 1/hour, per: [host]}, action: reject}", [("a", ("host",), False, MISSING)]),
        ("{name: a, limit: {rate: 1/hour, per: [user_agent, network]}, action: reject}", []),
        (
            "{name: a, when: {header.x-key: present}, action: allow}",
            [("a", ("header.x-key",), False, "some of what is shown as stopped may be let through by it")],
        ),
        (
            "{name: a, when: {header.x-key: present}, action: {delay: 1s}}",
            [("a", ("header.x-key",), False, "what it would delay is missing here")],
        ),
        (
            "{name: a, when: {header.x-key: present}, action: {score: -5}}",
            [("a", ("header.x-key",), False, "scores may be lower than here")],
        ),
        ("{name: a, when: {header.x-key: present}, mode: 'off', action: reject}", []),
    ],
)
def test_a_rule_that_looks_at_what_the_log_lacks_is_named(rule: str, named: list[tuple[str, tuple[str, ...], bool, str]]) -> None:
    assert unjudged(f"  - {rule}\n") == named


def test_a_rule_on_points_that_may_be_missing_is_judged_in_part() -> None:
    text = """
  - {name: gives, when: {header.accept: absent}, action: {score: 40}}
  - {name: asks, when: {score: {at_least: 60}}, action: reject}
"""
    assert unjudged(text) == [
        ("gives", ("header.accept",), False, "scores may be higher than here"),
        ("asks", ("score",), True, MISSING),
    ]


def test_a_rule_on_points_that_may_be_too_many_is_left_out() -> None:
    text = """
  - {name: forgives, when: {header.x-key: present}, action: {score: -40}}
  - {name: asks, when: {score: {at_least: 60}}, action: reject}
"""
    assert [each[:3] for each in unjudged(text)] == [("forgives", ("header.x-key",), False), ("asks", ("score",), False)]


def test_a_rule_on_the_absence_of_a_tag_that_may_be_missing_is_left_out() -> None:
    text = """
  - {name: gives, when: {header.x-key: present}, action: {tag: known}}
  - {name: asks, when: {path: /x, not: {tag: known}}, action: reject}
  - {name: asks-for-it, when: {path: /x, tag: known}, action: reject}
  - {name: asks-for-another, when: {path: /x, not: {tag: other}}, action: reject}
"""
    assert [each[:3] for each in unjudged(text)] == [
        ("gives", ("header.x-key",), False),
        ("asks", ("tag",), False),
        ("asks-for-it", ("tag",), True),
    ]


def test_an_allow_rule_that_cannot_be_judged_stands_in_as_a_shadow_of_what_it_may_let_through() -> None:
    cut = judgeable(
        rules("  - {name: keys, when: {path: {prefix: /api}, header.x-key: present}, action: allow}\n"), COMBINED_KNOWLEDGE
    )
    [rule] = cut.policy.rule_sets[0].rules
    assert (rule.name, rule.mode) == ("keys?", Mode.SHADOW)
    assert "header" not in str(rule.when)


@pytest.mark.parametrize(
    ("costs", "named"), [(frozenset(), [("a", ("statuses",), False, MISSING)]), (frozenset({CountKind.STATUSES}), [])]
)
def test_a_limit_on_responses_needs_a_log_that_has_them(costs: frozenset[CountKind], named: list[object]) -> None:
    counting = Limit(5, 60.0, 5, (KeyPart(KeyKind.CLIENT),), count=Count(CountKind.STATUSES, statuses=((404, 404),)))
    [rule_set] = rules("  - {name: a, limit: {rate: 5/minute}, action: reject}\n").rule_sets
    policy = Policy((replace(rule_set, rules=(replace(rule_set.rules[0], limit=counting),)),))
    found = judgeable(policy, replace(COMBINED_KNOWLEDGE, costs=costs)).unjudged
    assert [(each.rule, each.fields, each.in_part, each.effect) for each in found] == named


def test_constants_are_folded_away() -> None:
    assert without(AllOf((ALWAYS, Not(NEVER))), lambda _test, _negated: False, certain=True) == ALWAYS
    nested: Condition = AnyOf((NEVER, AllOf((ALWAYS, NEVER)), Not(ALWAYS)))
    assert without(nested, lambda _test, _negated: False, certain=True) == NEVER


def test_a_policy_keeps_its_rule_sets() -> None:
    policy = Policy((RuleSet(name="one", file="1"), RuleSet(name="two", file="2")), digest="d")
    assert judgeable(policy, COMBINED_KNOWLEDGE).policy == policy
