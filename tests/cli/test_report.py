"""`proxyguard report`: where it has its facts from, and what it says when there are none."""

from __future__ import annotations

import json
from pathlib import Path
from time import time
from typing import Any

import pytest
from click.testing import CliRunner

from proxyguard.cli import main
from proxyguard.cli import report as command
from proxyguard.instance.control.client import CommandRefused, ControlError
from tests.tools.report.records import instance, record


class Answering:
    """An instance: its answers by command; a command that is missing is refused."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []

    def __call__(self, socket: Path, name: str, arguments: Any = None) -> dict[str, Any]:
        self.asked.append((name, arguments))
        if name not in self.answers:
            raise CommandRefused("there is no such command")
        answer: dict[str, Any] = self.answers[name]
        return answer


def answering(**more: Any) -> Answering:
    facts = instance()
    return Answering(top={**facts.top, "history": []}, status=facts.status, **more)


@pytest.fixture
def no_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ControlError("no instance is running with the control socket x\n  hint: name it")

    monkeypatch.setattr(command, "send_command", refuse)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(record(time=time() - 9, client="192.0.2.77") * 3)
    return path


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


@pytest.mark.usefixtures("no_instance")
def test_a_named_log_alone_asks_nobody(log: Path) -> None:
    made = json.loads(run("--audit", log, "--json").output)
    assert made["stopped"]["requests"] == 3
    assert made["sources"] == ["the audit log (1 file, 3 lines)"]
    assert "192.0.2.77" not in run("--audit", log).output


def test_a_log_from_standard_input(log: Path) -> None:
    done = CliRunner().invoke(main, ["report", "--audit", "-", "--json"], input=log.read_bytes())
    assert json.loads(done.output)["stopped"]["requests"] == 3


def test_the_instance_says_where_its_log_is_and_names_its_clients(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"path": str(log), "passes": 0.01, "looked_up": []}
    asked = answering(**{"audit-log": told, "pseudonyms": {"names": {"192.0.2.77": "c-0123456789ab"}}, "shadow-report": {}})
    monkeypatch.setattr(command, "send_command", asked)
    made = json.loads(run("--control", "x.sock", "--since", "2h", "--json").output)
    assert made["stopped"]["clients"] == 1
    assert ("top", {"window": "day"}) in asked.asked
    assert ("pseudonyms", {"clients": ["192.0.2.77"]}) in asked.asked
    assert "plain passes in the audit log are a sample of 1.00%" in "\n".join(made["notes"])


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"path": "-"}, "standard output"),
        ({"path": "/nowhere/audit.jsonl"}, "the audit log /nowhere/audit.jsonl cannot be read"),
        ({}, "without an audit log"),
    ],
)
def test_an_instance_without_a_log_that_can_be_read(told: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "send_command", answering(**({"audit-log": told} if told else {})))
    done = run("--control", "x.sock", "--json")
    assert done.exit_code == 0
    assert says in "\n".join(json.loads(done.output)["notes"])


@pytest.mark.usefixtures("no_instance")
def test_an_instance_that_is_down_leaves_the_log_of_the_settings(log: Path, tmp_path: Path) -> None:
    config = tmp_path / "proxyguard.yaml"
    config.write_text(f"audit: {{path: {log}}}\n")
    made = json.loads(run("--config", config, "--json").output)
    assert made["stopped"]["requests"] == 3
    assert made["notes"][0] == "no instance answers: no instance is running with the control socket x"


@pytest.mark.usefixtures("no_instance")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "or name an audit log, which says what was recorded: --audit FILE"),
        (("--audit", "/nowhere/audit.jsonl"), "error: the audit log /nowhere/audit.jsonl cannot be read: "),
        (("--html", "/nowhere/report.html", "--audit", "-"), "error: --html /nowhere/report.html: "),
    ],
)
def test_what_cannot_be_read_is_said(
    arguments: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 1
    assert says in done.output


@pytest.mark.parametrize(
    ("since", "says"), [("x", "'x' is not a number and a unit"), ("10s", "between 1m and 31d"), ("60d", "between")]
)
def test_a_period_that_is_none(since: str, says: str) -> None:
    done = run("--since", since, "--audit", "-")
    assert done.exit_code == 2
    assert says in done.output
