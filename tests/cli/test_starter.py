"""`init`, `new rule` and `completion`: what is written is right, proved, and overwrites nothing."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxyguard.cli import main
from proxyguard.cli.schema import schema_text
from proxyguard.core.settings import Settings
from proxyguard.policy.model import Field, FieldKind, Policy, Test, Text, TextKind
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.testing.runner import run_tests
from proxyguard.settings.file import read_settings
from proxyguard.tools.scaffold.new_rule import ACTIONS, MATCHES, NewRule, appended, new_file


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), input=text)


def test_a_first_set_of_files_is_right_as_it_is(tmp_path: Path) -> None:
    made = tmp_path / "new/folder"
    result = run("init", str(made))
    assert result.exit_code == 0, result.output
    names = sorted(str(path.relative_to(made)) for path in made.rglob("*") if path.is_file())
    assert names == [
        ".schema.json",
        "README.md",
        "proxyguard.yaml",
        "rules/.schema.json",
        "rules/10-start.yaml",
        "rules/lists/ours.txt",
    ]
    assert (made / "rules/.schema.json").read_text() == schema_text()
    assert (made / ".schema.json").read_text() == schema_text(of_settings=True)
    checked = run("check", "--strict", str(made / "rules"))
    assert (checked.exit_code, "warning" in checked.stdout) == (0, False)
    assert "(100 %)" in run("test", "--coverage", str(made / "rules")).stdout
    settings = read_settings(made / "proxyguard.yaml", {}, {})
    assert isinstance(settings, Settings)
    assert settings.rules == made / "rules"
    assert settings.mode == "shadow"


def test_what_comes_next_can_be_typed_as_it_stands(tmp_path: Path) -> None:
    folder = tmp_path / "our rules"
    said = CliRunner().invoke(main, ["init", str(folder)]).output.splitlines()[-1]
    check, _, read = said.removeprefix("next: ").partition("; then read ")
    assert shlex.split(check) == ["proxyguard", "check", str(folder / "rules")]
    assert shlex.split(read) == [str(folder / "README.md")]


def test_nothing_is_written_where_something_would_be_lost(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/10-start.yaml").write_text("mine")
    result = run("init", str(tmp_path))
    assert result.exit_code == 1
    assert (tmp_path / "rules/10-start.yaml").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rules"]


def test_three_answers_make_a_rule_and_its_test(tmp_path: Path) -> None:
    result = run("new", "rule", "--rules", str(tmp_path), text="path\n/search\nreject\n30/minute\nshadow\n")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "90-own.yaml").read_text() == (
        "# yaml-language-server: $schema=.schema.json\n"
        "name: own\n"
        "description: Rules of our own, added as they were needed.\n"
        "\n"
        "rules:\n"
        "  - name: search-flood\n"
        "    when: {path: {prefix: /search}}\n"
        "    limit: {rate: 30/minute, per: [client]}\n"
        "    action: reject\n"
        "    mode: shadow\n"
        "\n"
        "tests:\n"
        "  - name: search-flood does what it is for\n"
        "    request: {path: /search}\n"
        "    repeat: 31\n"
        "    expect: reject by search-flood\n"
    )


VALUES = {"user-agent": "Some Bot's", "path": "/a b/'c'", "client": "2001:db8::/32", "host": "www.example.org"}


@pytest.mark.parametrize("match", MATCHES)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_answer_makes_a_rule_that_does_what_it_says(match: str, action: str, tmp_path: Path) -> None:
    value = VALUES[match] if match != "path" else "/a-b/c"
    limits = ["", "3/minute"] if action not in ("allow", "score") else [""]
    for at, limit in enumerate(limits):
        given = ["--match", match, "--value", value, "--action", action, "--since", "now", "--name", f"r-{at}"]
        result = run("new", "rule", "--rules", str(tmp_path / str(at)), *given, *(["--limit", limit] if limit else []))
        assert result.exit_code == 1  # the folder has to be there
        (tmp_path / str(at)).mkdir()
        result = run("new", "rule", "--rules", str(tmp_path / str(at)), *given, *(["--limit", limit] if limit else []))
        assert result.exit_code == 0, result.output
        assert "1 test passed" in run("test", str(tmp_path / str(at))).stdout


ODD = ["null", "$list", "a: b", "- x", "#c", "yes", "0x1f", "{a}", "'", '"', "é", "a # b", "!t", "a\\b", "12", " x "]


@pytest.mark.parametrize("value", ODD)
def test_odd_values_are_quoted_as_yaml_needs_it(value: str) -> None:
    rule = NewRule(name="odd", match="path", value=f"/{value}", action="score", since="now", why=value)
    rule_set, problems = parse_rule_set(new_file(rule, "own"))
    assert problems == ()
    assert rule_set is not None
    [read] = rule_set.rules
    assert (read.why, read.when) == (value.strip(), text_prefix(f"/{value}"))
    assert run_tests(Policy((rule_set,))) == ()


def text_prefix(text: str) -> Test:
    return Test(Field(FieldKind.PATH), Text(TextKind.PREFIX, (text.encode(),)))


FILE = """\
# A comment.
name: mine   # kept

rules:
- name: first
  when: {path: /a}   # kept too
  action: reject

# The tests.
tests:
- request: {path: /a}
  expect: reject by first
# The end."""


@pytest.mark.parametrize("option", ["--value", "--why"])
@pytest.mark.parametrize("text", ["Bad\nBot", "Bad\r", "Bad\x85Bot", "\u2028"])
def test_a_text_of_several_lines_is_not_written_as_another_one(option: str, text: str, tmp_path: Path) -> None:
    words = {"--match": "user-agent", "--value": "BadBot", "--action": "reject", "--since": "shadow", option: text}
    result = run("new", "rule", "--rules", str(tmp_path), *(word for pair in words.items() for word in pair))
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert f"Invalid value for {option}: {text!r} has a line break" in result.stderr


def test_a_file_keeps_every_byte_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(FILE)
    given = ["--file", "mine.yaml", "--match", "path", "--value", "/b", "--action", "drop", "--since", "now"]
    assert run("new", "rule", "--rules", str(tmp_path), *given).exit_code == 0
    text = (tmp_path / "mine.yaml").read_text()
    added = [line for line in text.splitlines() if line not in FILE.splitlines()]
    assert added == [
        "- name: b-path",
        "  when: {path: {prefix: /b}}",
        "  action: drop",
        "- name: b-path does what it is for",
        "  request: {path: /b}",
        "  expect: drop by b-path",
    ]
    kept = [line for line in text.splitlines() if line in FILE.splitlines()]
    assert [line for line in kept if line] == [line for line in FILE.splitlines() if line]
    assert text.endswith("# The end.")


def test_lines_keep_their_ends_and_added_ones_have_the_same(tmp_path: Path) -> None:
    before = ("\ufeff" + FILE.replace("\n", "\r\n") + "\r\n").encode()
    (tmp_path / "mine.yaml").write_bytes(before)
    given = ["--file", "mine.yaml", "--match", "path", "--value", "/b", "--action", "drop", "--since", "now"]
    assert run("new", "rule", "--rules", str(tmp_path), *given).exit_code == 0
    after = (tmp_path / "mine.yaml").read_bytes()
    assert after.count(b"\n") == after.count(b"\r\n") == before.count(b"\n") + 7
    assert after.startswith(before.partition(b"\n- name")[0])


@pytest.mark.parametrize("odd", ["\r", "\x85", "\u2028"])
def test_a_file_whose_lines_end_otherwise_is_left_alone(odd: str, tmp_path: Path) -> None:
    before = FILE.replace("\n", odd, 1).encode()
    (tmp_path / "mine.yaml").write_bytes(before)
    given = ["--file", "mine.yaml", "--match", "path", "--value", "/b", "--action", "drop", "--since", "now"]
    result = run("new", "rule", "--rules", str(tmp_path), *given)
    assert result.exit_code == 1
    assert "it has line breaks of an unusual kind" in result.stderr
    assert (tmp_path / "mine.yaml").read_bytes() == before


@pytest.mark.parametrize("there", [True, False])
def test_a_limit_that_no_test_reaches_has_none(tmp_path: Path, *, there: bool) -> None:
    if there:
        (tmp_path / "90-own.yaml").write_text(FILE)
    given = ["--match", "path", "--value", "/b", "--action", "reject", "--since", "shadow", "--limit", "50000/day"]
    result = run("new", "rule", "--rules", str(tmp_path), *given)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "90-own.yaml").read_text()
    assert "limit: {rate: 50000/day, per: [client]}" in text
    assert ("tests:" in text) is there
    assert "b-flood does what" not in text


def test_a_file_with_rules_in_brackets_is_left_alone(tmp_path: Path) -> None:
    text = "name: mine\nrules: [{name: a-rule, when: {path: /a}, action: reject}]\n"
    (tmp_path / "mine.yaml").write_text(text)
    result = run(
        "new", "rule", "--rules", str(tmp_path), "--file", "mine.yaml", "--match", "path", "--value", "/b", "--action", "drop",
        "--since", "now",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "its rules are written in brackets, on one line" in result.stderr
    assert (tmp_path / "mine.yaml").read_text() == text


@pytest.mark.parametrize("name", ["../x.yaml", "x.txt", ".x.yaml", "lists/x.yaml"])
def test_only_a_rule_file_of_the_folder_is_written(name: str, tmp_path: Path) -> None:
    given = ["--file", name, "--match", "path", "--value", "/b", "--action", "drop", "--since", "now"]
    assert run("new", "rule", "--rules", str(tmp_path), *given).exit_code == 2
    assert list(tmp_path.iterdir()) == []


REFUSED = {
    "browsers": (["--value", "Mozilla"], "would reject 613 of 620 real browsers: 'Mozilla' is in"),
    "expired": (["--value", "BadBot", "--expires", "2020-01-01"], "[PG004]"),
    "the whole site": (["--match", "path", "--value", "/"], "[PG031]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_rule_that_would_harm_at_once_is_not_written_without_force(case: str, tmp_path: Path) -> None:
    given, message = REFUSED[case]
    command = "new", "rule", "--rules", str(tmp_path), "--match", "user-agent", "--action", "reject", "--since", "now", *given
    result = run(*command)
    assert (result.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert result.stderr.startswith("the new rule: error: ")
    assert message in result.stderr
    assert "nothing was written\n  hint: " in result.stderr
    insisted = run(*command, "--force")
    assert insisted.exit_code == 0, insisted.output
    assert "90-own.yaml:6:5: warning: " in insisted.stderr


def test_a_shadow_rule_that_would_hit_browsers_is_written_with_the_warning(tmp_path: Path) -> None:
    given = ["--match", "user-agent", "--value", "Mozilla", "--action", "reject", "--since", "shadow"]
    result = run("new", "rule", "--rules", str(tmp_path), *given)
    assert result.exit_code == 0
    assert "[PG022 hits-browsers]" in result.stderr
    expired = run("new", "rule", "--rules", str(tmp_path), *given, "--name", "late", "--expires", "2020-01-01")
    assert expired.exit_code == 1
    assert "late" not in (tmp_path / "90-own.yaml").read_text()


def test_findings_of_other_rules_do_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "90-own.yaml").write_text("name: own\nrules:\n  - {name: a, when: {user_agent: Mozilla}, action: reject}\n")
    given = ["--match", "path", "--value", "/b", "--action", "reject", "--since", "now", "--name", "b"]
    result = run("new", "rule", "--rules", str(tmp_path), *given)
    assert (result.exit_code, result.stderr) == (0, "")


def test_problems_name_no_lines_of_a_file_that_is_not_written(tmp_path: Path) -> None:
    given = ["--match", "path", "--value", "/b", "--action", "reject", "--since", "now", "--expires", "tomorrow"]
    result = run("new", "rule", "--rules", str(tmp_path), *given)
    assert result.exit_code == 1
    assert result.stderr.startswith("the new rule: error: expires")
    assert "90-own.yaml" not in result.stderr


def test_a_limit_has_the_hint_that_files_have(tmp_path: Path) -> None:
    given = ["--match", "path", "--value", "/b", "--action", "reject", "--since", "now", "--limit", "30/min"]
    result = run("new", "rule", "--rules", str(tmp_path), *given)
    assert result.exit_code == 2
    assert "did you mean 30/minute?" in result.stderr


def test_a_rule_is_added_where_there_are_no_tests_yet() -> None:
    rule = NewRule(name="b", match="path", value="/b", action="reject", since="now")
    assert appended("name: x\nrules:\n  - {name: a, when: {path: /a}, action: reject}\n", rule).endswith(
        "\n  - name: b\n    when: {path: {prefix: /b}}\n    action: reject\n"
        "\ntests:\n  - name: b does what it is for\n    request: {path: /b}\n    expect: reject by b\n"
    )
    assert new_file(rule, "own").count("\n") == 13


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_that_the_shell_accepts(shell: str, tmp_path: Path) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_PROXYGUARD_COMPLETE" in result.stdout
    if shutil.which(shell):
        script = tmp_path / "completion"
        script.write_text(result.stdout)
        assert subprocess.run([shell, "-n", str(script)], timeout=30, check=False).returncode == 0


def test_commands_and_options_are_completed() -> None:
    for words, at, expected in (("proxyguard ch", "1", "check"), ("proxyguard check --for", "2", "--format")):
        env = {"_PROXYGUARD_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": at}
        result = CliRunner(env=env).invoke(main, [], prog_name="proxyguard", complete_var="_PROXYGUARD_COMPLETE")
        assert f"plain,{expected}" in result.stdout.splitlines()
