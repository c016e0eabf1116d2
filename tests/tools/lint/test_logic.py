"""What is proved about conditions: by cases, and, over random conditions and requests, that no proof is ever wrong."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyguard.core.request import Request
from proxyguard.policy.compile.conditions import NO_TAGS
from proxyguard.policy.explain.evaluate import evaluate
from proxyguard.policy.explain.report import RuleVerdict
from proxyguard.policy.explain.trace import trace
from proxyguard.policy.model import Absent, AllOf, AnyOf, AtLeast, AtMost, Condition, Not, Policy, Present, TextKind
from proxyguard.tools.lint.logic import always_holds, contradiction, implies, normal
from proxyguard.tools.lint.reach import reach
from proxyguard.tools.lint.source import SourceFile
from proxyguard.tools.lint.view import PolicyView
from tests.build import asks, client_in, equal, score_at_least, text, word
from tests.examples import examples
from tests.policies import conditions, policies, requests

API = text("path", TextKind.PREFIX, "/api/")
API_V1 = text("path", TextKind.PREFIX, "/api/v1/")
PAGE = equal("path", "/api/v1/users")
POST = equal("method", "POST")
GET = equal("method", "GET")


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (API_V1, API),
        (PAGE, API_V1),
        (PAGE, text("path", TextKind.SUFFIX, "users")),
        (PAGE, text("path", TextKind.REGEX, "^/api/v[0-9]+/")),
        (PAGE, text("path", TextKind.GLOB, "/api/*/users")),
        (AllOf((API_V1, POST)), API),
        (AllOf((API_V1, POST)), AnyOf((GET, API))),
        (AnyOf((API_V1, PAGE)), API),
        (POST, equal("method", "GET", "POST")),
        (POST, Not(GET)),
        (Not(equal("method", "GET", "POST")), Not(POST)),
        (Not(asks("header.referer", Present())), asks("header.referer", Absent())),
        (equal("header.referer", "x"), asks("header.referer", Present())),
        (client_in("192.0.2.0/25", "192.0.2.128/25"), client_in("192.0.2.0/24")),
        (client_in("192.0.2.0/24"), client_in("192.0.2.0/25", "192.0.2.128/25")),
        (client_in("192.0.2.0/24"), Not(client_in("198.51.100.0/24"))),
        (word("BadBot"), word("badbot")),
        (word("my BadBot"), word("badbot")),
        (text("user_agent", TextKind.CONTAINS, "abcd"), text("header.user-agent", TextKind.CONTAINS, "bc")),
        (score_at_least(60), score_at_least(40)),
        (asks("score", AtMost(1)), asks("score", AtMost(2))),
        (API, text("path", TextKind.PREFIX, "/")),
        (equal("header.x", "a"), AllOf(())),
        (API, client_in("0.0.0.0/0", "::/0")),
    ],
)
def test_one_condition_is_proved_to_imply_another(narrow: Condition, wide: Condition) -> None:
    assert implies(normal(narrow), normal(wide))


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (API, API_V1),
        (API, AllOf((API, POST))),
        (equal("method", "GET", "POST"), POST),
        (client_in("192.0.2.0/24"), client_in("192.0.2.0/25")),
        (client_in("0.0.0.0/0"), client_in("::/0")),
        (word("badbots"), word("badbot")),
        (word("Bad"), text("user_agent", TextKind.CONTAINS, "Bad")),
        (equal("header.x", "a"), Not(equal("header.x", "b"))),
        (Not(equal("header.x", "a")), asks("header.x", Present())),
        (API, client_in("0.0.0.0/0")),
    ],
)
def test_what_does_not_follow_is_not_proved(narrow: Condition, wide: Condition) -> None:
    assert not implies(normal(narrow), normal(wide))


@pytest.mark.parametrize(
    "condition",
    [
        AllOf((POST, GET)),
        AllOf((API, text("path", TextKind.PREFIX, "/pages/"))),
        AllOf((PAGE, Not(API))),
        AllOf((equal("method", "GET", "POST"), Not(GET), Not(POST))),
        AllOf((equal("method", "GET", "POST"), AnyOf((equal("method", "PUT"), equal("method", "HEAD"))))),
        AllOf((asks("header.x", Absent()), equal("header.x", "a"))),
        AllOf((client_in("192.0.2.0/24"), client_in("198.51.100.0/24"))),
        AllOf((asks("score", AtLeast(60)), asks("score", AtMost(40)))),
        AllOf((equal("scheme", "http"), Not(equal("scheme", "http", "https")))),
        Not(text("path", TextKind.PREFIX, "/")),
        AnyOf(()),
    ],
)
def test_a_contradiction_is_found(condition: Condition) -> None:
    assert contradiction(normal(condition)) is not None


@pytest.mark.parametrize(
    "condition",
    [
        AllOf((equal("header.x", "a"), equal("header.x", "b"))),
        AllOf((equal("query.x", "a"), equal("query.x", "b"))),
        AllOf((API, text("path", TextKind.SUFFIX, ".html"))),
        AllOf((POST, AnyOf((GET, API)))),
        AllOf((client_in("192.0.2.0/24"), Not(client_in("192.0.2.0/25")))),
        AllOf(()),
    ],
)
def test_what_can_hold_is_no_contradiction(condition: Condition) -> None:
    assert contradiction(normal(condition)) is None


def test_a_long_proof_gives_up_instead_of_taking_all_night() -> None:
    wide = AllOf(tuple(AnyOf(tuple(equal("header.x", f"{i}-{j}") for j in range(200))) for i in range(200)))
    narrow = AllOf(tuple(equal("header.x", f"{i}-199") for i in range(200)))
    assert not implies(normal(narrow), normal(wide))
    assert contradiction(normal(AllOf((wide, Not(narrow))))) is None


LENIENT = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
SEVERAL = st.lists(requests(), min_size=5, max_size=20)


def holds(condition: Condition, request: Request) -> bool:
    return evaluate(condition, request, 0.0, NO_TAGS).holds


@LENIENT
@given(conditions, conditions, SEVERAL)
def test_no_proof_is_ever_wrong(one: Condition, other: Condition, asked: list[Request]) -> None:
    for narrow, wide in ((one, other), (other, one), (AllOf((one, other)), other), (one, AnyOf((other, one)))):
        if implies(normal(narrow), normal(wide)):
            assert all(holds(wide, request) for request in asked if holds(narrow, request))
    for condition in (one, AllOf((one, other)), AllOf((one, Not(other)))):
        if contradiction(normal(condition)) is not None:
            assert not any(holds(condition, request) for request in asked)
        if always_holds(normal(condition)):
            assert all(holds(condition, request) for request in asked)


@LENIENT
@given(policies(), SEVERAL)
def test_a_rule_that_is_said_never_to_apply_never_does(policy: Policy, asked: list[Request]) -> None:
    sources = {each.file: SourceFile(each.file, "", None) for each in policy.rule_sets}
    view = PolicyView(policy, sources, 0.0)
    said = {finding.message.split("'")[1] for finding in reach(view) if "can never apply" in finding.message}
    for request in asked:
        for looked in trace(policy, request, 0.0).looked:
            assert not (looked.rule in said and looked.verdict in (RuleVerdict.APPLIES, RuleVerdict.WOULD_APPLY)), looked
