"""A matcher where a name belongs is refused, whichever it is; and what is really called so is written with a dot."""

from __future__ import annotations

import pytest

from proxyguard.core.problems import format_report
from proxyguard.policy.fields.field_type import ANY_TEXT, MATCHERS, NUMBERS
from proxyguard.policy.meant import meant
from proxyguard.policy.model import Field, Policy, Test
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.testing.runner import run_tests

FAMILIES = ("query", "header", "cookie")
TAKEN_BY_THE_WHOLE = (*ANY_TEXT, *NUMBERS)
"""Below `query:` these are about all of the query."""
RULE = "name: x\nrules: [{name: y, when: %s, action: reject}]\n"


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("word", [*MATCHERS, "present", "absent", *meant("matcher-as-name")])
def test_no_matcher_is_taken_for_a_name(kind: str, word: str) -> None:
    for spelling in dict.fromkeys((word, word.upper(), word.replace("_", "-"))):
        if kind == "query" and spelling in TAKEN_BY_THE_WHOLE:
            continue
        _, problems = parse_rule_set(RULE % f"{{{kind}: {{{spelling}: x}}}}", "x.yaml")
        (problem,) = problems
        assert "matcher" in problem.message
        assert f"written {kind}.{spelling}" in problem.hint


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("word", [*MATCHERS, "present", "any", "all", "length"])
def test_what_is_called_so_is_written_with_a_dot(kind: str, word: str) -> None:
    rule_set, problems = parse_rule_set(RULE % f"{{{kind}.{word}: present}}", "x.yaml")
    assert format_report(problems) == ""
    assert rule_set is not None
    condition = rule_set.rules[0].when
    assert isinstance(condition, Test)
    assert condition.field == Field(kind, word)


@pytest.mark.parametrize(
    "name", ["page", "value", "match", "min", "max", "size", "all", "any", "or", "has", "token", "is", "like"]
)
def test_ordinary_names_stay_names(name: str) -> None:
    _, problems = parse_rule_set(RULE % f"{{query: {{{name}: [present, x]}}}}", "x.yaml")
    assert format_report(problems) == ""


@pytest.mark.parametrize(
    ("when", "path"),
    [
        ("{query.NAME: {contains: 'f['}}", "/search?NAME=xf%5B"),
        ("{query_string: {contains: 'f%5B'}}", "/search?f%5Bsubject%5D=a"),
        ("{query.contains: 'f%5B'}", "/search?contains=f%255B"),
        ("{query_string: present}", "/search?"),
        ("{not: {query: {page: present}}}", "/search"),
    ],
)
def test_each_reading_of_the_hint_does_what_it_says(when: str, path: str) -> None:
    tests = (
        f"tests: [{{request: {{path: '{path}'}}, expect: reject by y}}, {{request: {{path: '/search?page=1'}}, expect: pass}}]\n"
    )
    if when == "{query_string: present}":
        tests = tests.replace("?page=1", "")
    rule_set, problems = parse_rule_set(RULE % when + tests, "x.yaml")
    assert format_report(problems) == ""
    assert rule_set is not None
    assert [failure.problem for failure in run_tests(Policy((rule_set,)))] == []
