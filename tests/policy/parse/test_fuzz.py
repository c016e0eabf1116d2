"""Rule files that were edited at random: each is read, or refused with problems that have a place in it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyguard.core.problems import format_report
from proxyguard.policy import load
from proxyguard.policy.parse import lists as parse_lists
from proxyguard.policy.parse import patterns as parse_patterns
from proxyguard.policy.parse import rules as parse_rules
from proxyguard.policy.parse import texts as parse_texts
from proxyguard.policy.parse.file import parse_rule_set
from tests.examples import examples
from tests.paths import RULESETS

TEXTS = [path.read_text() for path in sorted(RULESETS.glob("*/*.yaml")) if path.stat().st_size < 4000]
PIECES = st.one_of(
    st.sampled_from("{}[]'\"$*~0é\\(|>#%\n\t:-&!?,"),
    st.sampled_from([": ", "- ", "&a ", "*a", "null", "''", "-1", "1e9", "!x ", "regex", "not", "any", "client: ", "file: "]),
)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), PIECES), min_size=1, max_size=5)


@pytest.mark.slow
@settings(max_examples=examples(250), deadline=None)
@given(st.sampled_from(TEXTS), EDITS)
def test_an_edited_file_is_read_or_refused_with_places(text: str, edits: list[tuple[float, int, str]]) -> None:
    for where, length, piece in edits:
        at = int(where * len(text))
        text = text[:at] + piece + text[at + length :]
    rule_set, problems = parse_rule_set(text, "x.yaml")
    assert (rule_set is None) == bool(problems)
    lines = len(text.splitlines()) + 1
    for problem in problems:
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.message.isprintable()
        assert problem.hint.isprintable()
    assert format_report(problems).count("\n") >= len(problems)


def test_the_bounds_are_those_of_the_reference() -> None:
    reference = (RULESETS.parent.parent / "docs" / "reference" / "rules.md").read_text()
    for number in (
        parse_rules.MAX_RULES, load.MAX_FILES, parse_lists.MAX_ENTRIES, parse_texts.MAX_BYTES,
        parse_patterns.MAX_CHARACTERS, parse_patterns.MAX_PROGRAM,
    ):  # fmt: skip
        assert f"{number:,}" in reference
