"""Whatever the documentation asks an operator to do with the bundled rules loads: each change of a mode, each file that goes,
each documented example beside them, each promotion and demotion.

The tests of a file are judged with rules that no mode changes: where a change leaves those as they were, their outcome is known,
and only where it does not the tests are run again. `test_some_edits_load_with_all_tests_run` runs them all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from shutil import copytree
from typing import NamedTuple

import pytest

from proxyguard.core.decision import Mode
from proxyguard.core.preset import RulesPreset
from proxyguard.core.problems import format_report
from proxyguard.instance.control.mode_edit import EditError, carry_out, planned, tried, with_mode
from proxyguard.policy.expand import expanded
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import NOWHERE, Policy, RuleSet, RuleTest, rules_by_mode
from proxyguard.policy.parse.file import parse_file
from proxyguard.policy.parse.imports import with_imports
from proxyguard.policy.parse.lists import ListFiles
from proxyguard.policy.parse.names import check_names
from proxyguard.policy.parse.parsed_file import ParsedFile
from proxyguard.policy.testing.runner import judged_with, run_tests
from tests.paths import BUNDLED_RULES, DOCS, ROOT
from tests.test_reference import whole

pytestmark = pytest.mark.long

FILES = tuple(sorted(BUNDLED_RULES.glob("*.yaml")))
TEXTS = {path.name: path.read_text() for path in FILES}

BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETTINGS = re.compile(r"(?:# proxyguard\.yaml\n|(?:upstream|certificate|trust|rules): )")
MADE_UP = "25-example-"
FILE_NAME = re.compile(r"# rules/(\S+)\n")
PAGES = (
    ROOT / "README.md",
    *sorted((DOCS / "guide").glob("*.md")),
    *sorted((DOCS / "concepts").glob("*.md")),
    DOCS / "reference/rules.md",
)
LINT_PAGES = tuple(page for page in sorted((DOCS / "lints").glob("*.md")) if "\n# lists/" not in page.read_text())
"""Without the page that shows a list file too."""


class Row(NamedTuple):
    """What an operator does, in three words of a table, and the folder that they then have."""

    what: str
    where: str
    change: str
    folder: dict[str, str]


def modes() -> Iterator[Row]:
    """Every rule in every mode."""
    for name, text in TEXTS.items():
        for rule in rules_of(name):
            for mode in Mode:
                changed, _ = with_mode(text.encode(), rule, mode, str(BUNDLED_RULES / name), ListFiles(BUNDLED_RULES))
                yield Row("mode", rule, str(mode), TEXTS | {name: changed.decode()})


def files() -> Iterator[Row]:
    """Every file in another mode, and gone; and all but one gone."""
    for name, text in TEXTS.items():
        for mode in Mode:
            yield Row(
                "file",
                name,
                str(mode),
                TEXTS | {name: re.sub(r"^(name: .*)$", rf"\1\nmode: '{mode}'", text, count=1, flags=re.MULTILINE)},
            )
        yield Row("file", name, "deleted", {other: text for other, text in TEXTS.items() if other != name})
        yield Row("file", name, "alone", {name: text})
    for mode in Mode:
        yield Row(
            "all files",
            "",
            str(mode),
            {name: re.sub(r"^( +mode:).*$", rf'\1 "{mode}"', text, flags=re.MULTILINE) for name, text in TEXTS.items()},
        )


def examples() -> Iterator[Row]:
    """Every documented rule file beside the bundled ones, and those of a page together.

    Files that a page names are parts of one whole: each comes with those before it.
    """
    for page in (*PAGES, *LINT_PAGES):
        blocks = list(blocks_of(page))
        before: dict[str, str] = {}
        for place, name, text in blocks:
            if not name.startswith(MADE_UP):
                before[name] = text
            yield Row("example", place, name, TEXTS | (before if name in before else {name: text}))
        if page in PAGES and len(blocks) > 1:
            yield Row("examples", str(page.relative_to(ROOT)), "together", TEXTS | {name: text for _, name, text in blocks})


def blocks_of(page: Path) -> Iterator[tuple[str, str, str]]:
    """Place, file name and text of each rule file of a page; fragments of one are made whole."""
    text = page.read_text()
    for number, block in enumerate(BLOCK.finditer(text), 1):
        if SETTINGS.match(block[1]):
            continue
        place = f"{page.relative_to(ROOT)}:{text.count('\n', 0, block.start()) + 1}"
        named = FILE_NAME.match(block[1])
        is_file = re.search(r"^(name|import):", block[1], re.MULTILINE)
        yield (
            place,
            named[1] if named else f"{MADE_UP}{number}.yaml",
            block[1] if is_file else numbered(whole(block[1]), number),
        )


def numbered(text: str, number: int) -> str:
    """A fragment whose made-up names differ from those of the others on the page."""
    return re.sub(r"\bname: fragment$", f"name: fragment-{number}", text, flags=re.MULTILINE)


def rules_of(name: str) -> list[str]:
    rule_set = parsed_file(name, TEXTS[name]).rule_set
    assert rule_set is not None
    return [rule.name for rule in rule_set.rules]


@cache
def parsed_file(name: str, text: str) -> ParsedFile:
    return parse_file(text, str(BUNDLED_RULES / name), ListFiles(BUNDLED_RULES))


class Judge:
    """Says what stands in the way of a folder; remembers how the tests of a file came out by what they were judged with."""

    def __init__(self) -> None:
        self.known: dict[object, str] = {}

    def report(self, folder: dict[str, str]) -> str:
        """The problems of the folder. Tests of files that stand there as they are bundled are looked at once, elsewhere."""
        policy, problems = loaded(folder)
        if policy is None:
            return problems
        changed = {str(BUNDLED_RULES / name) for name, text in folder.items() if TEXTS.get(name) != text}
        return "".join(self._outcome(policy, each) for each in policy.rule_sets if each.file in changed and each.tests)

    def _outcome(self, policy: Policy, rule_set: RuleSet) -> str:
        key = frozenset((_steps(test), _rules(judged_with(policy, rule_set, test))) for test in rule_set.tests)
        if key not in self.known:
            only_its = tuple(each if each is rule_set else replace(each, tests=()) for each in policy.rule_sets)
            self.known[key] = format_report(failure.problem for failure in run_tests(replace(policy, rule_sets=only_its)))
        return self.known[key]


def loaded(folder: dict[str, str]) -> tuple[Policy | None, str]:
    """The policy of a folder, as `load_policy` makes it, and its problems."""
    parsed = with_imports([copy(parsed_file(name, text)) for name, text in sorted(folder.items())]).files
    check_names(parsed, whole=True)
    problems = [problem for each in parsed for problem in each.report.finished()]
    if problems:
        parsed_file.cache_clear()  # reports keep what they were told
        return None, format_report(problems)
    return Policy(expanded(each.rule_set for each in parsed if each.rule_set is not None)), ""


def _steps(test: RuleTest) -> object:
    return (test.during, *(step._replace(place=NOWHERE) for step in test.steps))


def _rules(policy: Policy) -> object:
    """All that decides, without where it stands in a file."""
    return tuple((each.mode, *(replace(rule, place=NOWHERE) for rule in each.rules)) for each in policy.rule_sets)


@cache
def rows() -> tuple[Row, ...]:
    """All that is tried."""
    return (*modes(), *files(), *examples())


def test_there_is_a_row_for_everything() -> None:
    rules = sum(len(rules_of(name)) for name in TEXTS)
    assert rules >= 36
    counts = Counter(row.what for row in rows())
    assert (counts["mode"], counts["file"], counts["all files"]) == (3 * rules, 5 * len(TEXTS), 3)
    assert counts["example"] >= 60
    assert counts["examples"] >= 5


def test_bundled_tests_are_judged_with_the_rules_of_their_own_file() -> None:
    policy, _ = loaded(TEXTS)
    assert policy is not None
    for rule_set in policy.rule_sets:
        for test in rule_set.tests:
            assert [each.name for each in judged_with(policy, rule_set, test).rule_sets] == [rule_set.name]


def test_every_edit_loads(capsys: pytest.CaptureFixture[str]) -> None:
    judge = Judge()
    found = [(row, judge.report(row.folder)) for row in rows()]
    with capsys.disabled():
        print("\n" + table(found))
    assert [f"{row.what} {row.where} {row.change}\n{report}" for row, report in found if report] == []


def table(found: list[tuple[Row, str]]) -> str:
    """One line for each rule, file and example, with what was tried and how it came out."""
    lines: dict[tuple[str, str], list[str]] = {}
    for row, report in found:
        lines.setdefault((row.what, row.where), []).append(f"{row.change} {'REFUSED' if report else 'loads'}")
    refused = sum(bool(report) for _, report in found)
    shown = [f"{what:<10}{where:<40}{', '.join(tries)}" for (what, where), tries in lines.items()]
    return "\n".join((*shown, f"{len(found)} edits, {refused} refused"))


@pytest.mark.slow
def test_some_edits_load_with_all_tests_run() -> None:
    chosen = [row for row in rows() if row.what == "all files" or row.change in {"deleted", "together"}][::3]
    assert len(chosen) > 5
    for row in chosen:
        policy, problems = loaded(row.folder)
        assert policy is not None, (row, problems)
        assert [str(failure.problem) for failure in run_tests(policy)] == [], row


def test_every_rule_is_promoted_and_demoted(tmp_path: Path) -> None:
    """In a folder, with what the commands call."""
    rules = tmp_path / "rules"
    copytree(BUNDLED_RULES, rules)
    for rule in (rule for name in TEXTS for rule in rules_of(name)):
        for mode in (Mode.ENFORCE, Mode.SHADOW):
            edited = planned(rules, rule, mode)
            carry_out(edited, mode)
            assert Path(edited.file).read_bytes() == edited.after
    policy = load_policy(rules).policy
    assert policy is not None
    assert {mode for _, mode in rules_by_mode(policy, Mode.ENFORCE)} == {Mode.SHADOW}
    assert run_tests(policy) == ()


@pytest.mark.slow
def test_what_is_tried_before_a_promotion_is_what_a_reload_does(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    copytree(BUNDLED_RULES, rules)
    before = {path: path.read_bytes() for path in rules.glob("*.yaml")}
    edited = planned(rules, "wordpress-probes", Mode.ENFORCE)
    tried(rules, edited, "wordpress-probes", Mode.ENFORCE, Mode.ENFORCE, RulesPreset.STANDARD)
    with pytest.raises(EditError, match="wordpress-probes would stay in shadow"):
        tried(rules, edited, "wordpress-probes", Mode.ENFORCE, Mode.SHADOW, RulesPreset.STANDARD)
    (rules / "99-whole-site.yaml").write_text(
        "name: whole-site\ntests:\n  - {request: {path: /wp-login.php}, expect: pass by default}\n"
    )
    with pytest.raises(EditError, match="not changed: with wordpress-probes in enforce the rules are refused"):
        tried(rules, edited, "wordpress-probes", Mode.ENFORCE, Mode.ENFORCE, RulesPreset.STANDARD)
    assert {path: path.read_bytes() for path in before} == before
