"""`check` and `test` as programs meet them: exit codes, formats, mending, and the snippets for hooks and workflows."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from proxyguard.cli import main
from proxyguard.cli.schema import SCHEMA_FILE, schema_text
from tests.paths import ROOT

GUIDE = ROOT / "docs/guide/editing-rules.md"

CLEAN = "name: a\nrules:\n  - {name: no-curl, when: {user_agent: {word: curl}}, action: reject}\n"
WARNED = CLEAN.replace("{word: curl}", "curl")
BROKEN = CLEAN.replace("reject", "rejct")
FAILING = CLEAN + "tests:\n  - {request: {path: /}, expect: reject by no-curl}\n"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def folder(path: Path, text: str) -> str:
    path.mkdir(exist_ok=True)
    (path / "a.yaml").write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "strict", "code"),
    [(CLEAN, True, 0), (WARNED, False, 0), (WARNED, True, 1), (BROKEN, False, 1), (FAILING, False, 1)],
    ids=["clean", "warned", "warned strictly", "broken", "failing"],
)
@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_the_exit_code_is_the_same_in_every_format(text: str, strict: bool, code: int, form: str, tmp_path: Path) -> None:
    result = run("check", *(["--strict"] if strict else []), "--format", form, folder(tmp_path, text))
    assert result.exit_code == code, result.output
    assert result.stderr == ""
    if form in ("json", "sarif"):
        json.loads(result.stdout)


def test_the_bundled_rules_are_clean() -> None:
    result = run("check", "--strict", "--format", "json", str(ROOT / "rules"))
    assert json.loads(result.stdout) == {"ok": True, "findings": []}


def test_a_failed_test_and_a_warning_are_told_together(tmp_path: Path) -> None:
    result = run("check", "--format", "json", folder(tmp_path, FAILING.replace("{word: curl}", "curl")))
    assert [finding["code"] for finding in json.loads(result.stdout)["findings"]] == ["PG023", "PG000"]


def test_mending_says_what_was_changed_and_checks_again(tmp_path: Path) -> None:
    rule = "{name: x, when: {user_agent: {word: $n}}, action: reject}"
    text = f"name: a\nlists:\n  n:\n    - BadBot\n    - BadBot\nrules:\n  - {rule}\n"
    rules = folder(tmp_path, text)
    assert run("check", "--strict", rules).exit_code == 1
    result = run("check", "--strict", "--fix", rules)
    assert (result.exit_code, result.stderr) == (0, f"{rules}/a.yaml: 1 line mended\n")
    assert (tmp_path / "a.yaml").read_text() == text.replace("    - BadBot\n", "", 1)
    assert run("check", "--strict", "--fix", rules).stderr == ""


def test_a_code_is_explained() -> None:
    assert run("check", "--explain", "pg020").stdout == (ROOT / "docs/lints/PG020.md").read_text()


@pytest.mark.parametrize(("text", "code"), [(CLEAN, 0), (FAILING, 1), (BROKEN, 1)], ids=["none", "failing", "broken"])
def test_tests_alone(text: str, code: int, tmp_path: Path) -> None:
    assert run("test", folder(tmp_path, text)).exit_code == code


def test_coverage_names_the_rules_that_no_test_touches(tmp_path: Path) -> None:
    text = CLEAN + (
        "  - {name: odd, when: {path: /odd}, action: {score: 5}}\n"
        "  - {name: never, when: {path: /never}, action: drop}\n"
        "tests:\n  - {request: {path: /odd}, expect: {score: 5}}\n"
    )
    rules = folder(tmp_path, text)
    result = run("test", "--coverage", rules)
    assert result.stdout == (
        f"{rules}: 1 test passed\n1 of 3 rules (33 %) apply in a test\nin no test:\n"
        f"  {rules}/a.yaml:3:5: no-curl\n  {rules}/a.yaml:5:5: never\n"
    )
    assert (run("test", "--fail-under", "33", rules).exit_code, run("test", "--fail-under", "34", rules).exit_code) == (0, 1)
    shown = json.loads(run("test", "--json", rules).stdout)
    assert (shown["ok"], shown["tests"], shown["coverage_percent"]) == (True, 1, 33.3)
    assert [rule["rule"] for rule in shown["untouched"]] == ["no-curl", "never"]


def test_nearly_every_bundled_rule_applies_in_a_test() -> None:
    shown = json.loads(run("test", "--json", str(ROOT / "rules")).stdout)
    assert shown["ok"] is True
    assert shown["coverage_percent"] > 90


def test_a_failure_as_json_has_its_trace(tmp_path: Path) -> None:
    [failure] = json.loads(run("test", "--json", folder(tmp_path, FAILING)).stdout)["failures"]
    assert (failure["expected"], failure["got"]) == ("reject by no-curl", "pass by default")
    assert failure["trace"]["rules"][0]["verdict"] == "no"


SHIPPED = [*sorted((ROOT / "rules").glob("*.yaml")), *sorted((ROOT / "proxyguard/tools/scaffold/files").rglob("*.yaml"))]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_names_its_schema(path: Path) -> None:
    assert path.read_text().startswith(f"# yaml-language-server: $schema={SCHEMA_FILE}\n")


def test_the_shipped_schema_is_the_one_that_is_written() -> None:
    assert (ROOT / "rules/.schema.json").read_text() == schema_text(), "write it again: proxyguard schema -o rules/.schema.json"
    assert run("schema").stdout == schema_text()
    assert run("schema", "--settings").stdout == schema_text(of_settings=True)


def test_the_schema_is_written_to_a_file(tmp_path: Path) -> None:
    assert run("schema", "-o", str(tmp_path / ".schema.json")).exit_code == 0
    assert (tmp_path / ".schema.json").read_text() == schema_text()
    assert run("schema", "-o", str(tmp_path / "no/.schema.json")).exit_code == 1


def _snippets() -> list[str]:
    return re.findall(r"^```text\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_hook_runs_as_pre_commit_runs_it(tmp_path: Path) -> None:
    """The hook that this repository offers and the one of the guide, over a folder that is right and one that is not."""
    [offered] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    [local] = yaml.safe_load(_snippets()[0])["repos"][0]["hooks"]
    assert offered["id"] == local["id"] == "proxyguard-check"
    assert (offered["pass_filenames"], local["pass_filenames"]) == (False, False)
    commands = [[*shlex.split(offered["entry"]), *offered["args"]], shlex.split(local["entry"])]
    for hook in (offered, local):
        assert re.search(hook["files"], "rules/10-a.yaml")
        assert re.search(hook["files"], "rules/lists/a.txt")
        assert not re.search(hook["files"], "README.md")
    for command in commands:
        assert command[0] == "proxyguard"
        for text, code in ((CLEAN, 0), (WARNED, 1)):
            folder(tmp_path / "rules", text)
            done = subprocess.run(
                [sys.executable, "-m", *command], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True,
                timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == code, done.stderr


def test_the_workflow_runs_commands_that_there_are(tmp_path: Path) -> None:
    steps = yaml.safe_load(_snippets()[1])["jobs"]["rules"]["steps"]
    commands = [step["run"] for step in steps if step.get("run", "").startswith("proxyguard")]
    assert len(commands) == 2
    text = CLEAN + "tests:\n  - {request: {user_agent: curl/8.5.0}, expect: reject by no-curl}\n"
    folder(tmp_path / "rules", text)
    for command in commands:
        arguments = shlex.split(command)[1:]
        assert arguments[-1] == "rules"
        assert run(*arguments[:-1], str(tmp_path / "rules")).exit_code == 0
