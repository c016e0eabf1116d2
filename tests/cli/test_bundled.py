"""`init --bundled`, `rules diff` and `rules update`: copies of an older version become those of this one, and no edit is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxyguard.cli import main
from proxyguard.tools.scaffold.bundled_copies import RECORD, bundled_texts

pytestmark = pytest.mark.long

CRAWLERS = "10-ai-crawlers.yaml"
LIST = "lists/probe-paths.txt"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Copies that are those of this version."""
    assert run("init", "--bundled", str(tmp_path / "pg")).exit_code == 0
    return tmp_path / "pg/rules"


def older(rules: Path, name: str, *, was: str, now: str) -> None:
    """As if the copy had been made of a version that said something else."""
    text = (rules / name).read_text()
    assert now in text
    for path in (rules / name, rules / RECORD / name):
        path.write_text(text.replace(now, was, 1))


def texts(rules: Path) -> dict[str, str]:
    return {str(path.relative_to(rules)): path.read_text() for path in sorted(rules.rglob("*")) if path.is_file()}


def test_the_copies_are_the_bundled_rules_and_check(rules: Path) -> None:
    assert {name: (rules / name).read_text() for name in bundled_texts()} == bundled_texts()
    assert not (rules / "10-start.yaml").exists()
    assert (rules.parent / "proxyguard.yaml").exists()
    assert run("check", str(rules)).exit_code == 0
    for command in ("diff", "update"):
        result = run("rules", command, str(rules))
        assert (result.exit_code, result.stdout) == (0, f"{rules}: the copies are those of this version\n")


def test_what_only_the_version_changed_is_taken_over(rules: Path) -> None:
    older(rules, CRAWLERS, was="rate: 20/minute", now="rate: 30/minute")
    (rules / RECORD / LIST).unlink()
    (rules / LIST).unlink()
    shown = run("rules", "diff", str(rules))
    assert shown.exit_code == 1
    assert f"{rules / CRAWLERS}: changed in this version, and not by you\n--- {CRAWLERS}\n" in shown.stdout
    assert "+    limit: {rate: 30/minute, burst: 30, per: [user_agent, network]}\n" in shown.stdout
    assert f"{rules / LIST}: new in this version\n" in shown.stdout
    assert run("rules", "update", str(rules)).exit_code == 0
    assert {name: (rules / name).read_text() for name in bundled_texts()} == bundled_texts()
    assert run("rules", "diff", str(rules)).exit_code == 0


def test_edits_elsewhere_are_kept(rules: Path) -> None:
    older(rules, CRAWLERS, was="rate: 20/minute", now="rate: 30/minute")
    edited = (
        (rules / CRAWLERS).read_text().replace("    when: {bot: ai-training}", "    mode: shadow\n    when: {bot: ai-training}")
    )
    (rules / CRAWLERS).write_text(edited)
    result = run("rules", "update", str(rules))
    assert result.exit_code == 0
    assert "changed in this version and by you, in different places: both are kept" in result.stdout
    assert (rules / CRAWLERS).read_text() == edited.replace("rate: 20/minute", "rate: 30/minute")
    assert run("rules", "diff", str(rules)).exit_code == 0


def test_an_edit_in_the_same_place_stops_all_of_it(rules: Path) -> None:
    older(rules, CRAWLERS, was="rate: 20/minute", now="rate: 30/minute")
    older(rules, LIST, was="/old-config.json", now="/sftp-config.json")
    (rules / CRAWLERS).write_text((rules / CRAWLERS).read_text().replace("rate: 20/minute", "rate: 5/minute"))
    before = texts(rules)
    result = run("rules", "update", str(rules))
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{rules / CRAWLERS}:23: changed in this version and by you, in the same place\nnothing was written\n" in result.stderr
    assert texts(rules) == before


def test_what_was_deleted_stays_deleted(rules: Path) -> None:
    older(rules, CRAWLERS, was="rate: 20/minute", now="rate: 30/minute")
    (rules / CRAWLERS).unlink()
    assert "you deleted it, and it stays so" in run("rules", "update", str(rules)).stdout
    assert not (rules / CRAWLERS).exists()
    assert run("rules", "diff", str(rules)).exit_code == 0


def test_what_the_version_no_longer_has_goes_unless_it_was_edited(rules: Path) -> None:
    for name in ("70-old.yaml", "71-old.yaml"):
        for path in (rules / name, rules / RECORD / name):
            path.write_text(f"name: old-{name[:2]}\nrules: [{{name: old-{name[:2]}, when: {{path: /x}}, action: reject}}]\n")
    (rules / "71-old.yaml").write_text((rules / "71-old.yaml").read_text() + "# mine\n")
    assert run("rules", "update", str(rules)).exit_code == 0
    assert not (rules / "70-old.yaml").exists()
    assert (rules / "71-old.yaml").exists()


def test_an_update_with_which_the_rules_would_be_refused_writes_nothing(rules: Path) -> None:
    older(rules, CRAWLERS, was="name: ai-assistant-pages", now="name: ai-assistants")
    for path in (rules / CRAWLERS, rules / RECORD / CRAWLERS):
        path.write_text(path.read_text().replace("rule: ai-assistants", "rule: ai-assistant-pages"))
    (rules / "90-own.yaml").write_text("name: own\nrules: [{name: ai-assistants, when: {path: /x}, action: reject}]\n")
    before = texts(rules)
    result = run("rules", "update", str(rules))
    assert result.exit_code == 1
    assert (
        f"{rules}/90-own.yaml:2:16: error: the rule 'ai-assistants' is already in {rules}/10-ai-crawlers.yaml:" in result.stderr
    )
    assert "nothing was written: with the update the rules are refused" in result.stderr
    assert texts(rules) == before


def test_a_folder_without_a_record_is_told_what_to_do(tmp_path: Path) -> None:
    result = run("rules", "update", str(tmp_path))
    assert result.exit_code == 1
    assert f"there is no {tmp_path / RECORD}\n  hint: `proxyguard init --bundled DIR` makes some" in result.stderr
