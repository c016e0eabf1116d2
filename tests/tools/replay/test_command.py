"""`proxyguard replay` from outside: exit codes, what goes where, and options that tell what a log lacks."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxyguard.cli.replay import replay
from proxyguard.tools.replay import log_files
from proxyguard.tools.replay.logged_request import LoggedRequest
from tests.tools.replay.lines import START, line

RULES = """\
name: test
rules:
  - {name: curl, when: {user_agent: {word: curl}}, action: reject}
  - {name: plain, when: {scheme: http, host: www.example.org}, action: reject}
"""


@pytest.fixture
def rules(tmp_path: Path) -> str:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "a.yaml").write_text(RULES)
    return str(folder)


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "access.log"
    path.write_text("".join(f"{line(at, agent='curl/8.5.0' if at % 2 else 'Mozilla/5.0')}\n" for at in range(10)))
    return str(path)


def run(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(replay, arguments, input=stdin)


def as_json(*arguments: str, stdin: bytes = b"") -> dict[str, Any]:
    result = run(*arguments, "--json", stdin=stdin)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_replay_of_a_file_prints_a_report(rules: str, log: str) -> None:
    result = run(log, "--rules", rules)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"{log} (combined): 10 requests, 2026-11-23 09:00:00 UTC to 2026-11-23 09:00:09 UTC" in result.stdout
    assert "  curl  reject         5  50.0 %        1         1          0         0\n" in result.stdout


def test_standard_input_may_be_compressed(rules: str, log: str) -> None:
    content = Path(log).read_bytes()
    for stdin in (content, gzip.compress(content)):
        assert as_json("-", "--rules", rules, stdin=stdin)["stopped"]["requests"] == 5


def test_what_the_log_lacks_may_be_told(rules: str, log: str) -> None:
    assert as_json(log, "--rules", rules)["unjudged"] != []
    told = as_json(log, "--rules", rules, "--host", "WWW.example.org", "--scheme", "http")
    assert (told["unjudged"], told["stopped"]["requests"]) == ([], 10)
    other = as_json(log, "--rules", rules, "--host", "other.example.org", "--scheme", "http")
    assert other["stopped"]["requests"] == 5


def test_who_is_logged_in_and_who_is_verified_may_be_told(rules: str, log: str, tmp_path: Path) -> None:
    known = tmp_path / "known.txt"
    known.write_text("\ufeff192.0.2.0/24  # the office\n\n# ours\n")
    found = as_json(log, "--rules", rules, "--logged-in", r":0[45] \+0000", "--verified", str(known))
    assert (found["all"]["logged_in"], found["all"]["verified"], found["stopped"]["logged_in"]) == (2, 10, 1)


def test_an_html_report_is_written_beside_the_text(rules: str, log: str, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    result = run(log, "--rules", rules, "--html", str(target))
    assert result.stdout.endswith(f"\nwritten: {target}\n")
    assert target.read_text().startswith("<!doctype html>")
    assert "192.0.2.7" not in target.read_text()
    assert run(log, "--rules", rules, "--html", str(tmp_path / "no" / "r.html")).exit_code == 1


def test_two_folders_of_rules_are_compared(rules: str, log: str, tmp_path: Path) -> None:
    other = tmp_path / "old"
    other.mkdir()
    (other / "a.yaml").write_text(RULES.replace("word: curl", "word: wget"))
    assert as_json(log, "--rules", rules, "--against", str(other))["difference"]["newly_stopped"] == {
        "requests": 5, "clients": 1, "networks": 1, "logged_in": 0, "verified": 0, "exact": True,
    }  # fmt: skip


def test_rules_whose_tests_fail_are_compared_nevertheless(rules: str, log: str, tmp_path: Path) -> None:
    failing = tmp_path / "failing"
    failing.mkdir()
    (failing / "a.yaml").write_text("name: a\ntests: [{request: {path: /}, expect: drop}]\n")
    result = run(log, "--rules", rules, "--against", str(failing))
    assert result.exit_code == 0
    assert f"note: these rules would not be put in force, as a test fails: {failing}/a.yaml:2:9" in result.stderr


def test_rules_with_problems_are_refused_with_the_report(rules: str, log: str) -> None:
    Path(rules, "b.yaml").write_text("name: b\nrulez: []\n")
    result = run(log, "--rules", rules)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "b.yaml:2:1: error:" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        ((), 2, "Missing argument 'LOG...'"),
        (("-", "-"), 2, "standard input can be read only once"),
        (("LOG", "--logged-in", "("), 2, "cannot be compiled"),
        (("LOG", "--host", "a/b"), 2, "'a/b' is not a host"),
        (("LOG", "--format", "csv"), 2, "'csv' is not one of"),
        (("LOG", "--reorder", "soon"), 2, "'soon' is not a number and a unit"),
        (("LOG", "--reorder", "2d"), 2, "2d is more than 1d"),
        (("LOG", "--fields", "clint=a"), 2, "did you mean 'client'?"),
        (("LOG", "--format", "aws-alb", "--fields", "client=a"), 2, "has its fields in fixed places"),
        (("LOG", "--format", "caddy"), 1, "it looks like combined: leave --format out"),
        (("LOG", "--format", "nginx-json"), 1, "is not in the format nginx-json"),
        (("/no/such/log",), 1, "/no/such/log: No such file or directory"),
        (("LOG", "--verified", "/no/such/list"), 1, "--verified /no/such/list cannot be read: "),
        (("LOG", "--rules", "/no/such/rules"), 1, "/no/such/rules: error: there is no such folder"),
    ],
)
def test_exit_codes_tell_a_wrong_command_line_from_what_cannot_be_used(
    rules: str, log: str, arguments: tuple[str, ...], exit_code: int, said: str
) -> None:
    given = [log if each == "LOG" else each for each in arguments]
    result = run(*(["--rules", rules] if "--rules" not in given else []), *given)
    assert (result.exit_code, said in result.stderr) == (exit_code, True), result.stderr


def test_all_wrong_lines_in_the_list_of_the_verified_are_named(rules: str, log: str, tmp_path: Path) -> None:
    known = tmp_path / "known.txt"
    known.write_text("192.0.2.0/24\nhost.example.org\n# fine\n192.0.2\n")
    result = run(log, "--rules", rules, "--verified", str(known))
    assert (result.exit_code, result.stderr.splitlines()[:2]) == (
        1,
        [
            f"{known}:2:1: error: 'host.example.org' is not an address or a network",
            f"{known}:4:1: error: '192.0.2' is not an address or a network",
        ],
    )


def audit(at: int, rule: str, action: str, *shadow: str) -> str:
    record = {
        "time": START + at, "reference": f"{at:016x}", "client": f"192.0.2.{at}", "port": 1, "method": "GET",
        "host": "www.example.org", "path": "/a b", "rule": rule, "action": action, "mode": "enforce", "score": 0.0,
        "status": 403, "milliseconds": 0.1, "shadow": list(shadow),
    }  # fmt: skip
    return json.dumps(record)


@pytest.fixture
def audit_log(tmp_path: Path) -> str:
    path = tmp_path / "audit.jsonl"
    summed = {"time": START + 9, "kind": "summed", "rule": "flood", "action": "reject", "count": 1200, "since": 1.0}
    records = [
        audit(1, "gone-since", "reject"), audit(2, "gone-since", "reject"), audit(3, "plain", "tarpit", "drop by pages"),
        audit(4, "default", "pass", "reject by pages"), audit(5, "default", "pass"), json.dumps(summed),
    ]  # fmt: skip
    path.write_text("\n".join(records) + "\n")
    return str(path)


def test_of_an_audit_log_the_recorded_decisions_count(rules: str, audit_log: str) -> None:
    found = as_json(audit_log, "--rules", rules)
    assert (found["all"]["requests"], found["stopped"]["requests"], found["shadowed"]["requests"]) == (5, 3, 1)
    assert [(each["rule"], each["action"], each["mode"], each["share"]["requests"]) for each in found["by_rule"]] == [
        ("gone-since", "reject", "enforce", 2), ("pages", "drop", "shadow", 1), ("pages", "reject", "shadow", 1),
        ("plain", "tarpit", "enforce", 1),
    ]  # fmt: skip
    assert found["unjudged"] == []
    assert found["notes"][0].startswith("these are the decisions that the audit log recorded; the rules were not run.")
    assert found["log"]["notes"] == [
        f"{audit_log}: 1,200 more refusals were summed up in the audit log and have no line each: flood 1,200"
    ]


def test_who_was_sent_for_a_jar_was_not_stopped(rules: str, tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_text(f"{audit(1, 'pages', 'prove')}\n{audit(2, 'plain', 'reject')}\n")
    found = as_json(str(tmp_path / "audit.jsonl"), "--rules", rules)
    assert (found["all"]["requests"], found["stopped"]["requests"]) == (2, 1)
    assert ("pages", "prove") in [(each["rule"], each["action"]) for each in found["by_rule"]]


@pytest.mark.parametrize("option", ["--re-decide", "--against"])
def test_rules_run_over_an_audit_log_only_when_asked_and_it_says_what_that_is_worth(
    rules: str, audit_log: str, option: str
) -> None:
    found = as_json(audit_log, "--rules", rules, "--scheme", "http", *([option] if option == "--re-decide" else [option, rules]))
    assert [(line["rule"], line["share"]["requests"]) for line in found["by_rule"]] == [("plain", 5)]
    assert [line["rule"] for line in found["unjudged"]] == ["curl"]
    [note] = found["notes"]
    assert "1 rule cannot be judged from it: it does not have user_agent, query, http_version" in note


def test_an_audit_log_among_others_is_decided_anew_and_says_so(rules: str, log: str, audit_log: str) -> None:
    found = as_json(audit_log, log, "--rules", rules)
    assert found["notes"][0].startswith(
        "the rules were run anew, as other logs are there too; what was decided then is left aside"
    )


def test_fields_name_what_a_log_of_ones_own_has(rules: str, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(
        "".join(json.dumps({"t": START + at, "c": "192.0.2.7", "m": "GET", "p": "/", "a": "curl/8"}) + "\n" for at in range(3))
    )
    found = as_json(str(path), "--rules", rules, "--fields", "time=t,client=c,method=m,path=p,user_agent=a")
    assert (found["log"]["formats"], found["stopped"]["requests"]) == (["json"], 3)


def test_a_log_in_no_order_is_refused_with_the_line(rules: str, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("".join(f"{line(at % 2 * 5000)}\n" for at in range(100)))
    result = run(str(path), "--rules", rules)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{path}:41: the log is not in the order of time: " in result.stderr
    assert run(str(path), "--rules", rules, "--reorder", "2h").exit_code == 0


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compression_is_told_by_the_content(rules: str, log: str, tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "packed"
    path.write_bytes(compress(Path(log).read_bytes()))
    assert as_json(str(path), "--rules", rules)["stopped"]["requests"] == 5


def test_ctrl_c_gives_the_report_so_far_and_says_so(rules: str, log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = log_files.LogFile.entries

    def interrupted(self: log_files.LogFile, journal: log_files.Journal, mark: log_files.Mark | None) -> Iterator[LoggedRequest]:
        for count, entry in enumerate(whole(self, journal, mark)):
            if count == 4:
                raise KeyboardInterrupt
            yield entry

    monkeypatch.setattr(log_files.LogFile, "entries", interrupted)
    result = run(log, "--rules", rules)
    assert result.exit_code == 130
    assert "4 requests" in result.stdout
    assert "interrupted: the rest of the log was not read" in result.stdout
