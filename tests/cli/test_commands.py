"""The list of commands: each line says what the command says of itself, and listing or checking never waits for the proxy."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxyguard.cli import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_name_and_a_line_in_the_list(name: str) -> None:
    command = COMMANDS[name].load()
    assert command.name == name
    assert command.help
    assert COMMANDS[name].help.endswith(".")
    assert len(COMMANDS[name].help) <= 78


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output.partition("Options:")[0] or name == "status"


def test_an_unknown_command_is_a_fault_of_the_command_line() -> None:
    result = CliRunner().invoke(main, ["chek"])
    assert result.exit_code == 2
    assert "No such command 'chek'" in result.output


@pytest.mark.parametrize(
    "arguments", [["--help"], ["check", "rules"], ["schema"], ["explain", "--path", "/"]], ids=lambda a: a[0]
)
def test_looking_at_rules_never_imports_the_proxy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom proxyguard.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'mitmproxy', 'tornado', 'redis', 'prometheus_client', 'aiohttp'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("modules", "unneeded"),
    [
        ("proxyguard.cli.run, proxyguard.instance.supervisor", {"mitmproxy", "dns", "h2", "jinja2"}),
        ("proxyguard.instance.worker_main", {"prometheus_client", "sqlite3", "http.server"}),
    ],
    ids=["supervisor", "worker"],
)
def test_a_process_loads_nothing_that_others_do_for_it(modules: str, unneeded: set[str]) -> None:
    """A supervisor carries no traffic, and would keep some 25 MiB for nothing; a worker is asked for no metrics and keeps no file
    of counters, which would be 3 MiB each."""
    code = f"import sys, {modules}\nheavy = {unneeded!r} & set(sys.modules)\nsys.exit(f'imported: {{heavy}}' if heavy else 0)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_system_refuses_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["privacy", "keys", "--out", "file/key"])
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "file/key" in result.stderr


def test_bytes_that_are_no_text_are_a_fault_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/a.yaml").write_text("name: a\nrules:\n  - {name: r, when: {path: /x}, action: reject}\n")
    monkeypatch.chdir(tmp_path)
    words = ["new", "rule", "--name", "a\udcff", "--match", "path", "--value", "/y", "--action", "reject", "--why", "x"]
    result = CliRunner().invoke(main, [*words, "--since", "shadow"])
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert result.stderr.startswith("error: a word of the command line is not UTF-8: ")


def test_a_line_without_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/a.yaml").write_text("name: a\nrules:\n  - {name: r, when: {path: /x}, action: reject}\n")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["explain", "--batch", "/dev/zero"])
    assert (result.exit_code, result.stderr.partition("\n")[0]) == (1, "/dev/zero:1: error: the line has 1,048,576 bytes or more")


@pytest.mark.parametrize(
    ("word", "command"), [("lint", "check"), ("validate", "check"), ("serve", "run"), ("expalin", "explain")]
)
def test_a_word_of_another_program_leads_to_our_command(word: str, command: str) -> None:
    result = CliRunner().invoke(main, [word])
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2,
        f"Error: No such command '{word}'. Did you mean '{command}'?",
    )


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("crowdsec", "a: [\n", "some.txt: line 1: "),
        ("anubis", "a: [\n", "some.txt: line 2: "),
        ("fail2ban-jails", "x = 1\n", "some.txt: it is not a file of fail2ban: line 1: there is no section before it, such as ["),
        (
            "fail2ban-jails",
            "[a]\n= 1\n",
            "some.txt: it is not a file of fail2ban: line 2: it is neither a section nor NAME = VALUE",
        ),
    ],
)
def test_an_import_names_its_file_once(tmp_path: Path, kind: str, text: str, said: str) -> None:
    (tmp_path / "some.txt").write_text(text)
    result = CliRunner().invoke(main, ["import", kind, str(tmp_path / "some.txt")])
    assert result.exit_code == 1
    assert result.stderr.startswith(said)
    assert result.stderr.count("some.txt") == 1


def test_networks_that_cannot_be_read_are_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/a.yaml").write_text("name: a\nrules:\n  - {name: r, when: {path: /x}, action: reject}\n")
    (tmp_path / "access.log").write_text("")
    missing = str(tmp_path / "nope")
    words = ["replay", "--rules", str(tmp_path / "rules"), "--verified", missing, str(tmp_path / "access.log")]
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, result.stderr) == (1, f"error: --verified {missing} cannot be read: no such file or directory\n")
