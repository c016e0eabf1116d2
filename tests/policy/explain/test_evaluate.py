"""What is said of a condition: the tests that held, or those it failed by; never a secret."""

from __future__ import annotations

import pytest

from proxyguard.policy.compile.conditions import NO_TAGS
from proxyguard.policy.explain.evaluate import evaluate
from proxyguard.policy.model import Absent, AllOf, AnyOf, AtLeast, AtMost, Condition, Not, Present, TextKind
from tests.build import asks, client_in, equal, request, score_at_least, text, word

ASKED = request(
    "/api/v1?token=t0p&q=a",
    headers=(
        ("Accept", "a\nb"),
        ("X-Api-Key", "hunter2"),
        ("Authorization", "Basic aHVudGVyMg=="),
        ("Cookie", "theme=dark"),
        ("Content-Length", "12"),
        ("Long", "x" * 100),
    ),
)


@pytest.mark.parametrize(
    ("condition", "holds", "reasons"),
    [
        (word("curl", "Mozilla"), True, ["user_agent has the word 'Mozilla'"]),
        (word("curl"), False, ["user_agent 'Mozilla/5.0' does not have the word 'curl'"]),
        (equal("method", "POST", "PUT"), False, ["method 'GET' equals none of 'POST', 'PUT'"]),
        (text("path", TextKind.PREFIX, "/a", "/b", "/c", "/d", "/e", "/f"), True, ["path begins with '/a'"]),
        (text("path", TextKind.SUFFIX, "1", "2", "3", "4", "5", "6"), True, ["path ends with '1'"]),
        (
            text("path", TextKind.CONTAINS, "A", "B", "C", "D", "E", "F"),
            False,
            ["path '/api/v1' contains none of 'A', 'B', 'C', 'D' and 2 more"],
        ),
        (text("header.accept", TextKind.REGEX, "^c"), False, ["header.accept 'a\\nb' does not fit the regex '^c'"]),
        (text("header.long", TextKind.GLOB, "y*"), False, [f"header.long '{'x' * 80}…' does not fit the glob 'y*'"]),
        (equal("header.referer", ""), False, ["header.referer is absent"]),
        (asks("header.referer", Absent()), True, ["header.referer is absent"]),
        (asks("header.accept", Absent()), False, ["header.accept is present"]),
        (asks("query.q", Present()), True, ["query.q is present"]),
        (client_in("192.0.2.0/24"), True, ["client 192.0.2.1 is in 192.0.2.0/24"]),
        (client_in("10.0.0.0/8"), False, ["client 192.0.2.1 is not in 10.0.0.0/8"]),
        (client_in("10.0.0.0/8", "2001:db8::/32"), False, ["client 192.0.2.1 is in none of 2 networks"]),
        (score_at_least(60), False, ["score is 50, not at least 60"]),
        (asks("score", AtMost(60)), True, ["score is 50, at most 60"]),
        (asks("header.content-length", AtLeast(10)), True, ["header.content-length is '12', at least 10"]),
        (asks("header.content-length", AtMost(10)), False, ["header.content-length is '12', not at most 10"]),
        (equal("tag", "x"), True, ["tag equals 'x'"]),
        (equal("tag", "y"), False, ["tag 'x' does not equal 'y'"]),
        (equal("header.x-api-key", "a"), False, ["header.x-api-key <hidden, 7 bytes> does not equal 'a'"]),
        (equal("header.authorization", "a"), False, ["header.authorization <hidden, 18 bytes> does not equal 'a'"]),
        (equal("cookie.theme", "a"), False, ["cookie.theme <hidden, 4 bytes> does not equal 'a'"]),
        (equal("query.token", "a"), False, ["query.token <hidden, 3 bytes> does not equal 'a'"]),
        (Not(word("curl")), True, ["user_agent 'Mozilla/5.0' does not have the word 'curl'"]),
        (
            AllOf((equal("method", "GET"), equal("host", "example.org"))),
            True,
            ["method equals 'GET'", "host equals 'example.org'"],
        ),
        (AllOf((equal("method", "GET"), equal("host", "other"))), False, ["host 'example.org' does not equal 'other'"]),
        (AnyOf((equal("method", "POST"), equal("scheme", "https"))), True, ["scheme equals 'https'"]),
        (
            AnyOf(tuple(equal("method", name) for name in "ABCDEF")),
            False,
            [*(f"method 'GET' does not equal '{name}'" for name in "ABCD"), "and 2 more"],
        ),
        (AllOf(()), True, []),
        (AnyOf(()), False, []),
    ],
)
def test_the_reasons_are_the_tests_that_decided(condition: Condition, reasons: list[str], *, holds: bool) -> None:
    answer = evaluate(condition, ASKED, 50.0, frozenset({"x"}))
    assert (answer.holds, list(answer.reasons)) == (holds, reasons)


def test_a_field_of_several_values_shows_them_all() -> None:
    asked = request(headers=(("X", "1"), ("x", "2")))
    assert evaluate(equal("header.x", "3"), asked, 0.0, NO_TAGS).reasons == ("header.x '1' and '2' does not equal '3'",)
