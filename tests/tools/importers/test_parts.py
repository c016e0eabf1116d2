"""What all importers share: conditions, patterns, tests that prove something, browsers that are never refused."""

from __future__ import annotations

from typing import Any

import pytest

from proxyguard.core.decision import Mode
from proxyguard.policy.model import Policy
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.testing.runner import self_test
from proxyguard.tools.importers.cel import parse_expression
from proxyguard.tools.importers.conditions import ALWAYS, every, negated, some
from proxyguard.tools.importers.draft import NotCarried
from proxyguard.tools.importers.patterns import alternatives, pattern_condition, text_condition
from proxyguard.tools.importers.request_line import target_condition
from tests.tools.importers.reading import finished

A, B = {"path": "/a"}, {"method": "B"}
NAMES = "|".join(f"CopyBot{number:03}" for number in range(120))


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (every([A, B]), {"path": "/a", "method": "B"}),
        (every([A, {"path": "/b"}]), {"all": [A, {"path": "/b"}]}),
        (every([A, None]), None),
        (every([A, negated(A)]), None),
        (every([]), ALWAYS),
        (some([A, B]), {"any": [A, B]}),
        (some([A, {"path": {"prefix": "/b"}}, {"path": {"prefix": "/c"}}]), {"path": ["/a", {"prefix": ["/b", "/c"]}]}),
        (some([A, ALWAYS]), ALWAYS),
        (some([A, negated(A)]), ALWAYS),
        (some([None]), None),
        (negated(negated(A)), A),
        (negated(ALWAYS), None),
        (negated({"all": [{"not": A}, {"not": B}]}), {"any": [A, B]}),
    ],
)
def test_conditions_are_joined(found: Any, wanted: Any) -> None:
    assert found == wanted


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("a|b", ["a", "b"]),
        ("^(a|b)c$", ["^ac$", "^bc$"]),
        ("(?:a|(b|c))", ["a", "(b|c)"]),
        ("a", ["a"]),
        ("(a|b)+", ["(a|b)+"]),
        ("[|]a", ["[|]a"]),
        (r"a\|b", [r"a\|b"]),
        ("(?=a|b)", ["(?=a|b)"]),
        ("(a|b)(c|d)", ["a(c|d)", "b(c|d)"]),
        ("a|", ["a", ""]),
    ],
)
def test_alternatives_are_split_without_a_change_of_meaning(pattern: str, parts: list[str]) -> None:
    assert alternatives(pattern) == parts


def test_a_long_alternation_becomes_a_list() -> None:
    condition = pattern_condition("user_agent", f"({NAMES})", ignore_case=True)
    assert len(NAMES) > 1000
    assert condition["user_agent"]["regex"] == [f"(?i){name}" for name in NAMES.split("|")]
    done = finished("anubis", f"- {{name: many, user_agent_regex: '{NAMES}', action: DENY}}")
    assert done.draft.lists == {"x-many": NAMES.split("|")}
    assert done.draft.rules[0].when == {"user_agent": {"regex": "$x-many"}}


@pytest.mark.parametrize(
    ("field", "pattern", "condition"),
    [
        ("user_agent", r"a\_b\/c", {"user_agent": {"regex": r"a_b\/c"}}),
        ("user_agent", "é", {"user_agent": {"regex": r"(?:\xC3\xA9)"}}),
        ("user_agent", "[a[]b", {"user_agent": {"regex": r"[a\[]b"}}),
        ("user_agent", ".*", {}),
        ("user_agent", "^$", {"user_agent": ["absent", ""]}),
        ("client", r"^10\.|^192\.0\.2\.7$", {"client": ["10.0.0.0/8", "192.0.2.7"]}),
        ("method", "^(GET|POST)$", {"method": ["GET", "POST"]}),
    ],
)
def test_patterns_of_other_programs_are_rewritten(field: str, pattern: str, condition: dict[str, Any]) -> None:
    assert pattern_condition(field, pattern) == condition


@pytest.mark.parametrize(
    ("field", "pattern"), [("user_agent", "(?=a)b"), ("user_agent", "[é]"), ("client", "^1[0-9]"), ("method", "G.T")]
)
def test_a_pattern_that_cannot_be_carried_says_so(field: str, pattern: str) -> None:
    with pytest.raises(NotCarried):
        pattern_condition(field, pattern)


def test_a_text_that_looks_like_a_list_or_a_pattern_is_taken_as_it_stands() -> None:
    assert text_condition("path", "equal", ["$x", "/*"]) == {"path": {"in": ["$$x", "/*"]}}
    assert text_condition("user_agent", "contains", ["a.b"], ignore_case=True) == {"user_agent": {"regex": r"(?i)a\.b"}}
    assert target_condition(r"^/a\?b$", ignore_case=False) == {"path": {"regex": "^/a$"}, "query_string": {"regex": "^b$"}}


@pytest.mark.parametrize(
    "text", ["", "(", "a ==", '"x" in', "a.", "[1", "!" * 100 + "a", "(" * 100 + "a" + ")" * 100, "a" * 30_000]
)
def test_an_expression_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(NotCarried):
        parse_expression(text)


SITE = "server { server_name shop.example; if ($http_user_agent ~* (thief|chrome)) { return 403; } }"


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.ENFORCE])
def test_tests_prove_each_rule_and_a_browser_whatever_the_mode_is(mode: Mode) -> None:
    done = finished("nginx", "if ($arg_x = 1) { return 403; } location /a/ { deny all; }", mode)
    rule_set, problems = parse_rule_set(done.text)
    assert rule_set is not None, problems
    tested = self_test(Policy((rule_set,)))
    assert (tested.tests, tested.failures, tested.untouched) == (2, (), ())
    assert [len(test.steps) for test in rule_set.tests] == [2, 2]


def test_only_what_finds_browsers_is_put_in_shadow() -> None:
    done = finished("nginx", SITE)
    kept, shadowed = done.draft.rules
    assert (kept.when["user_agent"], kept.mode) == ({"regex": "(?i)thief"}, None)
    assert (shadowed.name, shadowed.mode) == ("x-user-agent-browsers", "shadow")
    [warning] = [str(note) for note in done.draft.notes if note.is_warning]
    assert warning.startswith(
        "WARNING: line 1: '(?i)chrome' is in the user agents of browsers: the rule x-user-agent-browsers would "
    )


@pytest.mark.parametrize(
    "test", ["$scheme = http", '$http_accept = "*/*"', "$http_sec_fetch_dest = script", '$http_referer = ""']
)
def test_what_refuses_pages_over_plain_http_or_parts_of_pages_stays_in_shadow(test: str) -> None:
    done = finished("nginx", f"if ({test}) {{ return 403; }}")
    assert [rule.mode for rule in done.draft.rules] == ["shadow"]
    assert any(note.is_warning for note in done.draft.notes)


def test_crawlers_that_sites_want_are_named() -> None:
    notes = [str(note) for note in finished("nginx", "if ($http_user_agent ~* googlebot) { return 403; }").draft.notes]
    assert "line 1: x-user-agent would stop crawlers that many sites want: Googlebot" in notes


def test_a_rule_for_which_no_request_is_found_is_named() -> None:
    text = "if ($http_x_a = 1) { return 403; } if ($http_x_a ~ ^1$) { return 444; }"
    notes = [str(note) for note in finished("nginx", text).draft.notes]
    assert notes == ["no test could be made for x-a-2: write one, so that it is proven"]


def test_a_browser_is_kept_where_a_rule_looks_at_its_name_on_one_path_only() -> None:
    text = "server { location /wiki/ { if ($http_user_agent ~* 'thiefbot|android') { return 403; } } }"
    done = finished("nginx", text)
    assert [(rule.name, rule.mode) for rule in done.draft.rules] == [
        ("x-wiki-user-agent", None),
        ("x-wiki-user-agent-browsers", "shadow"),
    ]
    assert done.draft.rules[0].when["user_agent"] == {"regex": "(?i)thiefbot"}


def test_a_path_that_is_refused_to_everybody_is_no_harm_to_browsers() -> None:
    done = finished(
        "haproxy", "frontend f\n  http-request deny if { path /x } or { path_beg /y } { hdr(User-Agent) -m sub nikto }\n"
    )
    assert [rule.mode for rule in done.draft.rules] == [None]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("(?i:bot|crawler)", "(?i)bot|crawler"), ("(?i:a)|(?:b)", "(?i:a)|(?:b)"), ("(?i:(a)(b))", "(?i)(a)(b)")],
)
def test_flags_around_all_of_a_pattern_are_those_at_its_beginning(pattern: str, found: str) -> None:
    assert pattern_condition("user_agent", pattern) == {"user_agent": {"regex": found}}
