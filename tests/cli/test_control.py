"""Commands to a running instance: how its answers are worded, and what a refusal exits with. The instance is played."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxyguard.cli import main
from proxyguard.cli.control import audit_lines, format_value, latency_lines
from proxyguard.cli.shadow import some
from proxyguard.instance.control.client import ControlError

STATUS: dict[str, Any] = {
    "version": "1",
    "ready": True,
    "listen": ["127.0.0.1:8080"],
    "rules": {"enforce": 3, "shadow": 1},
    "reload": {
        "result": "refused; the rules of before stay in force", "time": 1_793_847_600.0, "report": "a.yaml:1:1: error: x\n",
    },
    "promotions": {
        "watched": {"no-curl": {"until": 1_793_851_200.0, "max_share": 0.01}},
        "held_in_shadow": ["stuck"],
        "rolled_back": [
            {"rule": "old", "time": 1_793_847_600.0, "stopped": 3, "seen": 40, "file": "rules/a.yaml:4", "trouble": ""}
        ],
    },
}  # fmt: skip

REPORT: dict[str, Any] = {
    "since": 1_793_847_600.0,
    "protected_clients_seen": 12,
    "left_out": 0,
    "quiet": ["other"],
    "rules": [
        {
            "rule": "no-curl", "requests": 40, "clients": 7, "networks": 2, "protected_requests": 1, "protected_clients": 1,
            "first": 1.0, "last": 2.0, "top": [{"name": "198.51.100.0/24", "requests": 39}],
        }
    ],
}  # fmt: skip

PAUSE = {"since": 1_700_000_000.0, "until": 1_700_000_000.0, "by": "anna@web", "why": "x", "saved": True}

ANSWERS: dict[str, dict[str, Any]] = {
    "status": STATUS,
    "reload": {"result": "applied", "time": 1.0, "digest": "3f7ab1c09d2e55aa"},
    "shadow-report": REPORT,
    "promote": {"rule": "no-curl", "file": "rules/a.yaml:6", "lines": ["nobody"], "watch_seconds": 3600.0, "watch": "watched"},
    "shadow-on": {**PAUSE, "survives": True},
    "shadow-off": {"was_on": True, "paused": ["no-curl"], "saved": True, "survives": True},
    "pause": {**PAUSE, "rules": ["a", "b"], "allowing": ["a"], "quiet": {"b": "shadow"}, "survives": False},
    "resume": {"rules": ["a"], "switched_off": True, "saved": False, "survives": True},
    "demote": {"rule": "no-curl", "file": "", "trouble": "rules/a.yaml:6: the file cannot be written"},
}


SWITCHED = [
    (
        ("shadow", "on", "--for", "1h", "--why", "x"),
        {"seconds": 3600.0, "why": "x", "by": "anna"},
        (
            "nothing acts until 2023-11-14 22:13:20 UTC: everything is decided and recorded, and passes\n"
            "  sooner: proxyguard shadow off; what would have been stopped: proxyguard shadow report\n"
        ),
    ),
    (("shadow", "off"), None, "rules act again\n  still paused: no-curl (proxyguard resume --all)\n"),
    (
        ("pause", "a", "b"),
        {"rules": ["a", "b"], "seconds": 1800.0, "why": "", "by": "anna"},
        (
            "paused until 2023-11-14 22:13:20 UTC: a, b\n"
            "  a is an allow rule: what it let through meets the other rules meanwhile\n"
            "  b did not act anyway: its mode is shadow\n"
            "  it ends with this instance: one of the settings store.url, store.snapshot or restrictions.file would keep it\n"
        ),
    ),
    (
        ("resume", "a"),
        {"rules": ["a"], "all": False},
        (
            "no longer paused: a\n  nothing acts all the same: proxyguard shadow off\n"
            "  in force here, but not on the disk or not known to the shared store yet: the log says which\n"
        ),
    ),
]


@pytest.mark.parametrize(
    ("arguments", "sent", "said"), SWITCHED, ids=lambda each: " ".join(each) if isinstance(each, tuple) else ""
)
def test_pauses_are_asked_for_and_told(
    played: list[Any], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sent: dict[str, Any] | None, said: str
) -> None:
    monkeypatch.setenv("SUDO_USER", "anna")
    monkeypatch.setattr(
        "proxyguard.cli.running_instance.call_instance", lambda _c, _s, name, given=None: _answer(played, name, given)
    )
    result = run(*arguments)
    assert (result.exit_code, result.output) == (0, said)
    assert [asked for _, asked in played] == [sent]


def _answer(played: list[Any], name: str, given: Any) -> Any:
    played.append((name, given))
    return ANSWERS[name]


@pytest.mark.parametrize(
    "arguments",
    [("shadow", "on", "--for", "2d"), ("shadow", "on", "--for", "x"), ("resume",), ("resume", "a", "--all"), ("pause",)],
)
def test_a_pause_that_makes_no_sense_exits_with_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """An instance that answers from the table; what it was asked."""
    heard: list[tuple[str, Any]] = []

    def send_command(_path: Any, name: str, arguments: Any = None, timeout: float = 60.0) -> dict[str, Any]:
        heard.append((name, arguments))
        return json.loads(json.dumps(ANSWERS[name]))  # type: ignore[no-any-return]  # a copy, for commands that take it apart

    monkeypatch.setattr("proxyguard.cli.running_instance.send_command", send_command)
    return heard


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance that refuses everything."""

    def send_command(*_: Any, **__: Any) -> dict[str, Any]:
        raise ControlError("a.yaml:1:1: error: x\n1 problem in 1 file\n")

    monkeypatch.setattr("proxyguard.cli.running_instance.send_command", send_command)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--control", "x.sock"])


def test_status_is_one_line_a_fact_and_ends_with_the_last_reload(played: list[Any]) -> None:
    assert run("status").output.splitlines() == [
        "version          1",
        "ready            True",
        "listen           127.0.0.1:8080",
        "rules            enforce 3, shadow 1",
        "watched          no-curl until 2026-11-05 04:00:00 UTC",
        "held in shadow   stuck: its file says enforce",
        "rolled back      old, 2026-11-05 03:00:00 UTC: it stopped 3 of 40 protected clients (rules/a.yaml:4)",
        "last reload      refused; the rules of before stay in force, 2026-11-05 03:00:00 UTC",
        "  a.yaml:1:1: error: x",
    ]


def test_the_shadow_report_is_a_table_of_networks(played: list[Any]) -> None:
    lines = run("shadow", "report").output.splitlines()
    assert lines[0].startswith("since 2026-11-05 03:00:00 UTC (")
    assert lines[0].endswith(", 12 clients of protected classes seen")
    assert lines[1].split("  ")[0] == "rule"
    assert "busiest networks" in lines[1]
    assert "198.51.100.0/24 39" in "".join(lines)
    assert lines[-1] == "would have stopped nobody: other"
    assert played == [("shadow-report", {"full": False})]


@pytest.mark.parametrize(
    ("arguments", "sent", "said"),
    [
        (("reload",), None, "applied: the rules are in force, digest 3f7ab1c09d2e\n"),
        (
            ("promote", "no-curl", "--max-share", "0.5%", "--watch", "2h"),
            {"rule": "no-curl", "max_share": 0.005, "watch_seconds": 7200.0, "force": False, "dry_run": False},
            "no-curl acts from now on (rules/a.yaml:6)\n  nobody\n  watched\n",
        ),
        (
            ("promote", "no-curl", "--watch", "0s", "--force"),
            {"rule": "no-curl", "max_share": 0.01, "watch_seconds": 0.0, "force": True, "dry_run": False},
            "no-curl acts from now on (rules/a.yaml:6)\n  nobody\n  watched\n",
        ),
        (
            ("demote", "no-curl"),
            {"rule": "no-curl"},
            "no-curl is in shadow in memory only; its file still says otherwise:\nrules/a.yaml:6: the file cannot be written\n",
        ),
    ],
    ids=["reload", "promote", "promote unwatched", "demote"],
)
def test_what_is_asked_and_what_is_said(
    played: list[Any], arguments: tuple[str, ...], sent: dict[str, Any] | None, said: str
) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.output) == (0, said)
    assert [asked for _, asked in played] == [sent]


@pytest.mark.parametrize("arguments", [("reload",), ("promote", "a"), ("demote", "a"), ("shadow", "report")], ids=" ".join)
def test_a_refusal_is_said_on_standard_error_and_exits_with_1(refusing: None, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert (result.stdout, "a.yaml:1:1: error: x" in result.stderr) == ("", True)


@pytest.mark.parametrize("arguments", [("reload",), ("promote", "a"), ("demote", "a")], ids=" ".join)
def test_a_refusal_as_json_is_json(refusing: None, arguments: tuple[str, ...]) -> None:
    result = run(*arguments, "--json")
    assert result.exit_code == 1
    assert "a.yaml:1:1: error: x" in "".join(map(str, json.loads(result.stdout).values()))


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--max-share", "2", "'2' is not a share such as 1% or 0.01"), ("--watch", "soon", "'soon' is not ")],
)
def test_a_wrong_option_exits_with_2(option: str, value: str, said: str) -> None:
    result = run("promote", "a", option, value)
    assert result.exit_code == 2
    assert said in result.stderr


def test_only_the_first_of_many_quiet_rules_are_named() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some([f"r{number:02}" for number in range(14)]).endswith("r10, r11 and 2 more (--json has all)")


def test_a_list_of_mappings_is_written_by_its_values() -> None:
    upstreams = [{"upstream": "http://127.0.0.1:9000", "address": "127.0.0.1", "state": "up"}]
    assert format_value(upstreams) == "http://127.0.0.1:9000 127.0.0.1 up"


def test_status_tells_how_long_things_take() -> None:
    latencies = {
        "check_seconds": {"p50": 0.00004, "p95": 0.00009, "p99": 0.001},
        "upstream_head_seconds": {"p50": 0.1, "p95": 1.25, "p99": 2.0},
    }
    assert latency_lines(latencies) == ["p95, last 5 min  check 0.09 ms, upstream head 1,250 ms"]
    assert latency_lines({}) == []


@pytest.mark.parametrize(
    ("audit", "lines"),
    [
        ({}, []),
        ({"waiting": 3, "lost": 0}, []),
        ({"waiting": 3, "lost": 5}, ["audit log        written; 3 records wait, 5 were lost since the start"]),
        (
            {"waiting": 20_000, "lost": 5, "trouble": "No space left on device"},
            ["audit log        NOT WRITTEN: No space left on device; 20,000 records wait, 5 were lost since the start"],
        ),
    ],
)
def test_status_tells_of_records_that_are_not_written(audit: dict[str, Any], lines: list[str]) -> None:
    assert audit_lines(audit) == lines


UNTIL = {**PAUSE, "survives": True, "saved": True}
UNCHANGED = [
    (("promote", "a"), {"would": "nothing", "lines": ["a acts already"], "watch": ""}, "a acts already\n"),
    (("promote", "a", "--dry-run"), {"would": "nothing", "lines": ["a acts already"], "watch": ""}, "a acts already\n"),
    (("demote", "a"), {"file": "r.yaml:3", "trouble": "", "already": True}, "a is in shadow already (r.yaml:3)\n"),
    (
        ("pause", "a"),
        {**UNTIL, "rules": ["a"], "allowing": [], "quiet": {}, "replaced": {"a": 1_700_000_000.0 - 60}},
        (
            "paused until 2023-11-14 22:13:20 UTC: a\n"
            "  a was paused already, until 2023-11-14 22:12:20 UTC: this takes its place\n"
        ),
    ),
    (("resume", "--all"), {"rules": [], "switched_off": False, "survives": True, "saved": True}, "no rule is paused\n"),
    (
        ("shadow", "off"),
        {"was_on": False, "paused": [], "survives": True, "saved": True},
        "it was not on: rules act\n",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "answer", "said"), UNCHANGED, ids=lambda each: each[0] if isinstance(each, tuple) else "")
def test_a_command_that_changes_nothing_says_what_is(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], answer: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr("proxyguard.cli.running_instance.send_command", lambda *_: answer)
    result = run(*arguments)
    assert (result.exit_code, result.output) == (0, said)
