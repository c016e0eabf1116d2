"""Every YAML example in README and docs is read as an operator's file would be, and its tests hold."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import copytree
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from proxyguard.cli import main
from proxyguard.core.problems import format_report
from proxyguard.core.settings import Settings
from proxyguard.policy.expand import expanded
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Policy
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.testing.runner import run_tests
from proxyguard.settings.file import read_settings
from tests.paths import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs/guide").glob("*.md")))

BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETTINGS_MARK = "# proxyguard.yaml\n"


class Example(NamedTuple):
    """One block, and where it begins."""

    place: str
    text: str


def examples(*, of_settings: bool) -> list[Example]:
    """All YAML blocks of one kind: settings begin with the name of their file, all others are rule files."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for block in BLOCK.finditer(text):
            if block[1].startswith(SETTINGS_MARK) == of_settings:
                line = text.count("\n", 0, block.start()) + 1
                found.append(Example(f"{page.relative_to(ROOT)}:{line}", block[1]))
    return found


RULE_EXAMPLES, SETTINGS_EXAMPLES = examples(of_settings=False), examples(of_settings=True)


def test_there_are_examples_of_both_kinds() -> None:
    assert len(RULE_EXAMPLES) >= 4
    assert len(SETTINGS_EXAMPLES) >= 3


@pytest.mark.parametrize("example", RULE_EXAMPLES, ids=lambda example: example.place)
def test_documented_rules_load_and_pass_their_tests(example: Example, tmp_path: Path) -> None:
    rule_set, problems = parse_rule_set(example.text, example.place)
    assert format_report(problems) == ""
    if rule_set is None:  # it only imports, which takes a folder
        (tmp_path / "example.yaml").write_text(example.text)
        loaded = load_policy(tmp_path)
        assert format_report(loaded.problems) == ""
        assert loaded.policy is not None
        assert loaded.policy.rule_sets
        return
    assert [failure.problem for failure in run_tests(Policy(expanded((rule_set,))))] == []


def test_the_check_of_the_guide_says_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (ROOT / "docs/guide/getting-started.md").read_text()
    copytree(ROOT / "rules", tmp_path / "rules")
    [own] = BLOCK.findall(guide)
    (tmp_path / "rules/25-our-site.yaml").write_text(own)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["check", "rules"]).stdout in guide


@pytest.mark.parametrize("example", SETTINGS_EXAMPLES, ids=lambda example: example.place)
def test_documented_settings_are_read(example: Example, tmp_path: Path) -> None:
    text = example.text
    for name in set(re.findall(r"/etc/proxyguard/tls/(\S+)", text)):
        (tmp_path / name).write_text("")
    file = tmp_path / "proxyguard.yaml"
    file.write_text(text.replace("/etc/proxyguard/tls/", f"{tmp_path}/"))
    settings = read_settings(file, {}, {})
    assert isinstance(settings, Settings), format_report(settings)
    assert settings.sites
