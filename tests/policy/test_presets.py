"""Presets of the bundled rules, and that what an operator wrote wins over them."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest

from proxyguard.core.decision import Mode
from proxyguard.core.preset import RulesPreset
from proxyguard.limits.limit import Learned
from proxyguard.policy.bundled import BUNDLED_DIRECTORY, kit_names, preset_file
from proxyguard.policy.load import load_policy, rule_files
from proxyguard.policy.model import Rule
from proxyguard.policy.parse.file import parse_file
from proxyguard.policy.parse.overrides import overridden
from proxyguard.policy.testing.runner import run_tests

KITS = f"import: [{', '.join(f'bundled/{name}' for name in kit_names())}]\n"


def rules_of(directory: Path, preset: RulesPreset) -> dict[str, Rule]:
    loaded = load_policy(directory, preset=preset)
    assert loaded.problems == ()
    assert loaded.policy is not None
    return {rule.name: rule for rule_set in loaded.policy.rule_sets for rule in rule_set.rules}


def with_kits(folder: Path, preset: RulesPreset) -> dict[str, Rule]:
    """All bundled rules, those of kits among them."""
    (folder / "05-kits.yaml").write_text(KITS)
    return rules_of(importing(folder), preset)


def importing(folder: Path, more: str = "") -> Path:
    (folder / "10-own.yaml").write_text(f"import: bundled\n{more}")
    return folder


def copied(folder: Path, name: str = "", before: str = "", after: str = "") -> Path:
    copies = folder / "copies"
    copytree(BUNDLED_DIRECTORY, copies)
    for apart in ("presets", "kits"):
        for path in (copies / apart).glob("*"):
            path.unlink()
    if name:
        text = (copies / name).read_text()
        assert before in text
        (copies / name).write_text(text.replace(before, after, 1))
    return copies


@pytest.mark.parametrize("preset", list(RulesPreset))
def test_the_file_of_a_preset_has_no_problem_and_names_rules_that_exist(preset: RulesPreset, tmp_path: Path) -> None:
    parsed = parse_file(preset_file(preset).read_bytes(), str(preset_file(preset)), None)
    rules = with_kits(tmp_path, preset)
    assert {override.rule for override in parsed.overrides} <= set(rules)
    for override in parsed.overrides:
        overridden(rules[override.rule], override)
    assert parsed.report.finished() == ()


@pytest.mark.long
@pytest.mark.parametrize("preset", list(RulesPreset))
def test_the_tests_of_the_rules_hold_under_a_preset(preset: RulesPreset) -> None:
    policy = load_policy(BUNDLED_DIRECTORY, preset=preset).policy
    assert policy is not None
    assert not run_tests(policy)


def test_standard_says_what_the_files_say(tmp_path: Path) -> None:
    parsed = parse_file(preset_file(RulesPreset.STANDARD).read_bytes(), "standard.yaml", None)
    said = {override.rule: override.found.get("mode", None) for override in parsed.overrides}
    modes = {name: rule.mode for name, rule in with_kits(tmp_path, RulesPreset.STANDARD).items()}
    assert said == {name: mode for name, mode in modes.items() if mode is not Mode.ENFORCE}


def test_each_preset_does_more_than_the_one_before(tmp_path: Path) -> None:
    by_preset = [with_kits(tmp_path, preset) for preset in (RulesPreset.RELAXED, RulesPreset.STANDARD, RulesPreset.STRICT)]
    in_force = [{name for name, rule in rules.items() if rule.mode is Mode.ENFORCE} for rules in by_preset]
    assert in_force[0] < in_force[1] < in_force[2]


def test_a_preset_changes_imported_rules_and_an_override_wins(tmp_path: Path) -> None:
    override = "override:\n  app-libraries: {mode: shadow}\n  search-engines: {limit: {rate: 7/minute}}\n"
    rules = rules_of(importing(tmp_path, override), RulesPreset.STRICT)
    assert rules["app-libraries"].mode is Mode.SHADOW
    assert rules["seo-crawlers"].mode is Mode.ENFORCE
    changed = rules["search-engines"].limit
    assert changed is not None
    assert changed.amount == 7


def test_a_preset_changes_copies_and_leaves_edited_rules_alone(tmp_path: Path) -> None:
    edited = copied(tmp_path, "20-scripted-clients.yaml", '    mode: "off"', "    mode: shadow")
    rules = rules_of(edited, RulesPreset.STRICT)
    assert rules["app-libraries"].mode is Mode.SHADOW
    assert rules["seo-crawlers"].mode is Mode.ENFORCE
    assert rules_of(edited, RulesPreset.RELAXED)["http-libraries"].mode is Mode.SHADOW


def test_a_rule_of_the_same_name_in_a_rule_set_of_the_operator_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("name: own\nrules: [{name: http-libraries, when: {path: /a}, action: reject}]\n")
    assert rules_of(tmp_path, RulesPreset.RELAXED)["http-libraries"].mode is Mode.ENFORCE


def test_another_preset_is_another_policy(tmp_path: Path) -> None:
    folder = importing(tmp_path)
    digests = {getattr(load_policy(folder, preset=preset).policy, "digest", None) for preset in RulesPreset}
    assert len(digests) == len(RulesPreset)


def test_presets_are_no_rule_files_of_the_bundled_folder_and_a_folder_of_that_name_elsewhere_is_one(tmp_path: Path) -> None:
    assert all(path.parent == BUNDLED_DIRECTORY for path in rule_files(BUNDLED_DIRECTORY)[0])
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "a.yaml").write_text("name: a\n")
    assert [path.name for path in rule_files(tmp_path)[0]] == ["a.yaml"]


def test_an_override_may_change_what_a_limit_learns_and_is_told_what_is_wrong(tmp_path: Path) -> None:
    def said(limit: str) -> tuple[object, tuple[str, ...]]:
        (tmp_path / "own.yaml").write_text(f"import: bundled/50-sign-up-and-log-in\noverride:\n  {limit}\n")
        loaded = load_policy(tmp_path)
        rules = {rule.name: rule for each in loaded.policy.rule_sets for rule in each.rules} if loaded.policy is not None else {}
        found = rules["sign-ups-of-a-line"].limit if rules else None
        return found and (found.amount, found.learned), tuple(problem.message for problem in loaded.problems)

    wider = "sign-ups-of-a-line: {limit: {rate: 6/day, learned: {times: 2, at_most: 50, until_known: 12}}}"
    assert said(wider) == ((6, Learned(2, 50, 12)), ())
    assert said("sign-ups-of-a-line: {limit: {learned: {times: 2, at_most: 2}}}")[1] == (
        "learned.at_most is 2, less than the rate",
    )
    assert said("sign-up-flood: {limit: {learned: {times: 2, at_most: 2}}}")[1] == ("the rule's limit does not learn",)
