"""Names are completed from the rule files and the running instance; what cannot be had gives nothing, and no error."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copytree, rmtree

import pytest
from click.testing import CliRunner

from proxyguard.cli import COMMANDS, main
from proxyguard.policy.load import load_policy
from tests.paths import ROOT

ANSWERS = {
    "shadow-report": {"rules": [{"rule": "page-flood"}], "quiet": ["too-suspicious"]},
    "restrictions-list": {"restrictions": [{"name": "slow-reading", "on": True}, {"name": "sign-up-only", "on": False}]},
    "bans-list": {
        "bans": [{"key": "client:192.0.2.7"}, {"key": "header.x-api-key:4f1c"}, {"key": "path:/$(reboot)"}, {"key": "a\nplain,b"}]
    },
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copytree(ROOT / "rules", tmp_path / "rules")
    (tmp_path / "proxyguard.yaml").write_text(f"rules: rules\ncontrol: {tmp_path}/control.sock\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def completed(words: str) -> list[str]:
    """What bash would offer after these words, the last of which is being written."""
    env = {"_PROXYGUARD_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    result = CliRunner(env=env).invoke(main, [], prog_name="proxyguard", complete_var="_PROXYGUARD_COMPLETE")
    assert (result.exit_code, result.stderr) == (0, "")
    return [line.partition(",")[2] for line in result.stdout.splitlines() if line]


@contextmanager
def answering(path: Path) -> Iterator[None]:
    """An instance that knows three commands."""
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    asked = connection.recv(65536)
                    while not asked.endswith(b"{}"):
                        asked += connection.recv(65536)
                    name = asked.split(b" ")[1].decode().rpartition("/")[2]
                    body = json.dumps(ANSWERS[name]).encode()
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def test_every_command_is_completed() -> None:
    assert completed("proxyguard ") == sorted(COMMANDS)
    assert completed("proxyguard --v") == ["--version"]
    assert completed("proxyguard bans ") == ["add", "export", "list", "remove"]


def test_rules_are_named_as_the_files_have_them() -> None:
    policy = load_policy(Path("rules")).policy
    assert policy is not None
    assert completed("proxyguard demote ") == sorted(rule.name for each in policy.rule_sets for rule in each.rules)


def test_rules_are_completed_while_a_file_is_broken(folder: Path) -> None:
    (folder / "rules" / "90-own.yaml").write_text("name: own\nrules:\n- name: no-exports # why\n  when: {path: [\n\ttests:\n")
    assert completed("proxyguard demote no-e") == ["no-exports"]


def test_rules_that_are_imported_are_known(folder: Path) -> None:
    rmtree(folder / "rules")
    (folder / "rules").mkdir()
    (folder / "rules/10.yaml").write_text("import: bundled/20-scripted-clients\noverride: {http-libraries: {mode: shadow}}\n")
    assert "http-libraries" in completed("proxyguard demote http")
    assert completed("proxyguard demote php-p") == []
    (folder / "proxyguard.yaml").write_text("rules: bundled\n")
    assert completed("proxyguard demote php-p") == ["php-probes"]


def test_what_runs_is_asked_for_its_names(folder: Path) -> None:
    with answering(folder / "control.sock"):
        assert completed("proxyguard promote ") == ["page-flood", "too-suspicious"]
        assert completed("proxyguard restrict start s") == ["sign-up-only", "slow-reading"]
        assert completed("proxyguard restrict end ") == ["slow-reading"]
        assert completed("proxyguard bans remove ") == ["192.0.2.7", "header.x-api-key:4f1c"]
        assert completed(f"proxyguard bans remove --control {folder}/control.sock 19") == ["192.0.2.7"]


def test_a_code_is_completed() -> None:
    assert completed("proxyguard check --explain PG02") == ["PG020", "PG021", "PG022", "PG023", "PG024"]


def test_without_an_instance_there_are_no_names_of_it_and_no_error() -> None:
    assert completed("proxyguard bans remove ") == []
    assert "too-suspicious" in completed("proxyguard promote ")


@pytest.mark.parametrize("settings", ["rulse: x\n", "a: [\n", "rules: /nowhere\n"], ids=["wrong", "broken", "no folder"])
def test_settings_that_are_wrong_are_no_error(folder: Path, settings: str) -> None:
    (folder / "proxyguard.yaml").write_text(settings)
    for words in ("promote ", "demote ", "bans remove ", "restrict start "):
        completed(f"proxyguard {words}")


def test_one_that_does_not_answer_is_not_waited_for(folder: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(folder / "control.sock"))
        listening.listen()
        assert completed("proxyguard bans remove ") == []
