"""`explain`: requests pasted as curl commands, references looked up in audit logs, colour only on a terminal."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxyguard.cli import main
from proxyguard.cli.audit_lookup import BLOCK_BYTES, find_record, log_files
from proxyguard.cli.explain import MAX_FAULTS

RULES = """\
name: mine
rules:
  - name: open
    when: {path: /robots.txt}
    action: allow

  # What scripts may not do.
  - name: no-curl
    why: Scripts have the API.
    when:
      user_agent: {word: curl}
      path: {not: {prefix: /api/}}
      method: [GET, HEAD]
    action: reject
  # the end
tests:
  - {request: {user_agent: curl/8.5.0}, expect: reject by no-curl}
"""

RECORD: dict[str, Any] = {
    "time": 1_800_000_000.25,
    "reference": "0123456789abcdef",
    "client": "203.0.113.9",
    "port": 51234,
    "method": "GET",
    "host": "www.example.org",
    "path": "/profiles/1",
    "rule": "no-curl",
    "action": "reject",
    "mode": "enforce",
    "score": 0.0,
    "status": 403,
    "milliseconds": 0.3,
    "reason": "Scripts have the API.",
    "tags": [],
    "shadow": [],
    "fault": "",
}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "10-mine.yaml").write_text(RULES)
    return folder


def explain(rules: Path, *arguments: str, text: str | None = None, env: dict[str, str] | None = None) -> Result:
    return CliRunner(env=env).invoke(main, ["explain", "--rules", str(rules), *arguments], input=text)


def lines(records: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in records)


def test_a_pasted_command_is_explained_with_what_is_given_beside_it(rules: Path) -> None:
    command = "curl 'https://www.example.org/profiles/1?x=1' -H 'User-Agent: curl/8.5.0' --frobnicate"
    result = explain(rules, "--curl", command, "--client", "198.51.100.7")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "GET https://www.example.org/profiles/1?x=1 from 198.51.100.7"
    assert "decision: reject by no-curl (status 403)" in result.stdout
    assert result.stderr == "note: --frobnicate is not known here and was left out\n"
    overridden = explain(rules, "--curl", command, "--path", "/api/x", "--user-agent", "Mozilla/5.0", "--json")
    assert json.loads(overridden.stdout)["rule"] == "default"


def test_a_command_can_come_from_standard_input(rules: Path) -> None:
    result = explain(rules, "--curl", "-", text="curl 'https://x/y' \\\n  -A curl/8 \\\n  --compressed\n")
    assert "GET https://x/y from 192.0.2.1" in result.stdout


def test_the_user_agent_of_a_record_is_held_against_the_rule(rules: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    for agent, word in (("curl/8.5.0", "holds"), ("Mozilla/5.0", "does not hold")):
        log.write_bytes(lines([RECORD | {"user_agent": agent}]))
        result = explain(rules, "--reference", "0123456789abcdef", "--audit", str(log))
        assert f"  {word:<14}user_agent word 'curl'\n" in result.stdout


def test_a_reference_is_told_in_words_with_the_rule_as_it_is_now(rules: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_bytes(lines([RECORD | {"reference": f"{at:016x}"} for at in range(100)] + [RECORD]))
    result = explain(rules, "--reference", "0123456789abcdef", "--audit", str(log))
    assert result.exit_code == 0, result.stderr
    place = rules / "10-mine.yaml"
    assert result.stdout == (
        f"2027-01-15 08:00:00 UTC  reference 0123456789abcdef, in {log}\n"
        "GET www.example.org/profiles/1 from 203.0.113.9 port 51234\n"
        "decision: reject by no-curl, answered 403\n"
        "why: Scripts have the API.\n"
        f"rule, as it is now: {place}:8:5\n"
        "  | - name: no-curl\n"
        "  |   why: Scripts have the API.\n"
        "  |   when:\n"
        "  |     user_agent: {word: curl}\n"
        "  |     path: {not: {prefix: /api/}}\n"
        "  |     method: [GET, HEAD]\n"
        "  |   action: reject\n"
        "  not recorded  user_agent word 'curl'\n"
        "  holds         not path prefix '/api/'\n"
        "  holds         method 'GET', 'HEAD'\n"
    )


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("default", "rule: no rule decided: what nothing refuses passes"),
        ("failure-mode", "rule: checking failed, and the setting failure_mode decided; the instance's log says why"),
        ("operator", "rule: an operator's ban (proxyguard bans list)"),
        ("renamed", "rule: there is no rule 'renamed' in "),
    ],
)
def test_decisions_without_a_rule_are_told_too(rules: Path, tmp_path: Path, rule: str, said: str) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_bytes(lines([RECORD | {"rule": rule}]))
    assert said in explain(rules, "--reference", RECORD["reference"], "--audit", str(log)).stdout


def test_what_is_known_of_the_client_is_told(rules: Path, tmp_path: Path) -> None:
    known = {
        "country": "NL",
        "asn": 64496,
        "network": "203.0.113.0/24",
        "identity": "googlebot",
        "robots": "Googlebot",
        "class": "bots",
    }
    log = tmp_path / "audit.jsonl"
    for verified, words in ((True, "verified"), (False, "it is not"), (None, "not verified")):
        log.write_bytes(lines([RECORD | known | {"verified": verified}]))
        said = explain(rules, "--reference", RECORD["reference"], "--audit", str(log)).stdout
        assert (
            "class: bots\nnetwork: 203.0.113.0/24\ncountry: NL\nAS number: 64496\nrobots.txt group: Googlebot\n"
            f"identity: googlebot ({words})\n"
        ) in said


def test_a_reference_is_found_as_somebody_reads_it_out(rules: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_bytes(lines([RECORD]))
    result = explain(rules, "--reference", f" {RECORD['reference'].upper()} ", "--audit", str(log))
    assert result.exit_code == 0, result.stderr


def test_a_reference_is_told_even_while_the_rules_are_broken(rules: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_bytes(lines([RECORD]))
    (rules / "20-broken.yaml").write_text("name: [\n")
    result = explain(rules, "--reference", RECORD["reference"], "--audit", str(log))
    assert result.exit_code == 0
    assert f"rule: the rules in {rules} have problems now (proxyguard check {rules})" in result.stdout


def test_a_reference_as_json(rules: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_bytes(lines([RECORD]))
    shown = json.loads(explain(rules, "--reference", RECORD["reference"], "--audit", str(log), "--json").stdout)
    assert shown["record"] == RECORD
    assert shown["rule"]["place"] == f"{rules}/10-mine.yaml:8:5"
    assert [test["holds"] for test in shown["tests"]] == [None, True, True]


def test_the_audit_log_of_the_settings_is_the_default(rules: Path, tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_bytes(lines([RECORD]))
    settings = tmp_path / "proxyguard.yaml"
    settings.write_text("upstream: http://127.0.0.1:9000\naudit: {path: audit.jsonl}\n")
    result = explain(rules, "--reference", RECORD["reference"], "--config", str(settings))
    assert "decision: reject by no-curl" in result.stdout


def test_rotated_files_are_searched_newest_first(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_bytes(lines([RECORD | {"reference": "a"}]))
    (tmp_path / "audit.jsonl.1").write_bytes(lines([RECORD | {"reference": "b"}]))
    (tmp_path / "audit.jsonl.2.gz").write_bytes(gzip.compress(lines([RECORD | {"reference": "c"}])))
    (tmp_path / "audit-2026-12-31.jsonl").write_bytes(lines([RECORD | {"reference": "d"}]))
    (tmp_path / "audit.jsonl.3.gz").write_bytes(b"\x1f\x8bbroken")
    (tmp_path / "audit.jsonlines").write_bytes(lines([RECORD | {"reference": "e"}]))
    (tmp_path / "auditor.jsonl").write_bytes(lines([RECORD | {"reference": "e"}]))
    for age, name in enumerate(("audit.jsonl.1", "audit.jsonl.2.gz", "audit-2026-12-31.jsonl", "audit.jsonl.3.gz")):
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    names = ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2.gz", "audit-2026-12-31.jsonl", "audit.jsonl.3.gz"]
    assert [path.name for path in log_files(log)] == names
    for reference, file in zip("abcd", names, strict=False):
        found = find_record(log, reference)
        assert found.file is not None
        assert (found.record or {})["reference"] == reference
        assert found.file.name == file
    assert find_record(log, "e").record is None
    for suffix, pack in ((".xz", lzma.compress), (".bz2", bz2.compress), ("", gzip.compress)):
        (tmp_path / f"audit.jsonl.4{suffix}").write_bytes(pack(lines([RECORD | {"reference": "packed"}])))
        assert find_record(log, "packed").file == tmp_path / f"audit.jsonl.4{suffix}"
        (tmp_path / f"audit.jsonl.4{suffix}").unlink()
    log.unlink()
    assert find_record(log, "b").record is not None


def test_the_last_record_of_a_large_log_is_found_at_once_and_the_first_too(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    many = [RECORD | {"reference": f"{at:016x}", "path": f"/{'é' * (at % 50)}"} for at in range(12_000)]
    log.write_bytes(lines(many))
    assert log.stat().st_size > 3 * BLOCK_BYTES
    for at in (11_999, 6_000, 1, 0):
        record = find_record(log, f"{at:016x}").record
        assert record == many[at]


NOISE = {
    "blank": b"\n\n\n",
    "text": b"not json 0123456789abcdef\n",
    "elsewhere": b'{"path":"0123456789abcdef"}\n',
    "huge": b"x" * (3 * BLOCK_BYTES) + b"\n",
    "bytes": b"\xff\xfe\n",
    "deep": b'{"reference":"' + RECORD["reference"].encode() + b'","a":' + b"[" * 100_000 + b"\n",
    "other kinds of values": lines([RECORD | {"score": "x"}, RECORD | {"tags": 7}, RECORD | {"identity": "x", "verified": {}}]),
    "torn": b'{"ref',
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_what_is_no_record_hides_none(tmp_path: Path, noise: bytes) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_bytes(noise + lines([RECORD]) + noise)
    if noise == b'{"ref':
        log.write_bytes(lines([RECORD]) + noise)
    assert find_record(log, RECORD["reference"]).record == RECORD


def test_colour_is_for_terminals_alone(rules: Path) -> None:
    arguments = ("--user-agent", "curl/8.5.0")
    assert "\x1b[" not in explain(rules, *arguments).stdout
    coloured = explain(rules, *arguments, env={"FORCE_COLOR": "1", "TERM": "xterm-256color"}).stdout
    assert "\x1b[" in coloured
    plain = explain(rules, *arguments, env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).stdout
    assert "\x1b[" not in plain


def test_a_reference_of_a_refusal_that_was_summed(rules: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    summed = {"time": 1_800_000_001.0, "kind": "summed", "rule": "no-curl", "action": "reject", "count": 5}
    summed["since"] = 1_800_000_000.0
    log.write_bytes(lines([RECORD, summed | {"references": ["aaaa", "bbbb"]}]))
    shown = explain(rules, "--reference", "bbbb", "--audit", str(log))
    assert shown.stdout == (
        f"reference bbbb, in {log}\n"
        "decision: reject by no-curl\n"
        "summed: one of 5 refusals between 2027-01-15 08:00:00 UTC and 2027-01-15 08:00:01 UTC"
        " that have no records of their own,\n"
        "as there were more than the setting audit.refusals_per_second allows\n"
    )
    assert json.loads(explain(rules, "--reference", "bbbb", "--audit", str(log), "--json").stdout)["record"]["count"] == 5
    missing = explain(rules, "--reference", "cccc", "--audit", str(log))
    assert missing.exit_code == 1
    assert "3 refusals there were summed without their references, in a flood" in missing.stderr


@pytest.mark.parametrize("arguments", [("explain",), ("explain", "--json")])
def test_why_a_test_fails_can_be_asked(arguments: tuple[str, ...], rules: Path) -> None:
    file = rules / "mine.yaml" if (rules / "mine.yaml").exists() else next(rules.glob("*.yaml"))
    file.write_text(file.read_text().replace("word: curl", "word: wget"))
    result = CliRunner().invoke(main, [*arguments, "--rules", str(rules), "--user-agent", "curl/8.5.0"])
    assert result.exit_code == 0
    assert "pass" in result.stdout
    assert result.stderr.startswith(f"note: these rules would not be put in force, as a test fails: {file}:")
    assert result.stderr.endswith(f"  see: proxyguard check {rules}\n")


HOSTED = "name: x\nrules:\n  - {name: shop, when: {host: example.org}, action: reject}\n"


@pytest.mark.parametrize("host", ["Example.org.", "EXAMPLE.ORG", "example.org:8443", "example.org.:80"])
def test_a_host_is_read_as_the_front_reads_it(tmp_path: Path, host: str) -> None:
    (tmp_path / "x.yaml").write_text(HOSTED)
    batch = tmp_path / "batch.jsonl"
    batch.write_text(json.dumps({"host": host}))
    for given in (["--host", host, "--json"], ["--curl", f"curl https://{host}/", "--json"], ["--batch", str(batch)]):
        result = CliRunner().invoke(main, ["explain", "--rules", str(tmp_path), *given])
        assert json.loads(result.stdout)["rule"] == "shop"


def test_a_host_field_names_the_host_unless_something_else_does(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(HOSTED.replace("example.org", "shop.example"))
    batch = tmp_path / "batch.jsonl"
    batch.write_text(json.dumps({"headers": [["hOST", "Shop.example:8443"]]}))
    pasted = ["--curl", "curl https://www.example.org/", "-H", "Host: shop.example"]
    for given in (["-H", "hOST: Shop.example:8443"], pasted, ["--batch", str(batch)]):
        result = CliRunner().invoke(main, ["explain", "--rules", str(tmp_path), "--json", *given])
        assert json.loads(result.stdout)["rule"] == "shop"
    batch.write_text(json.dumps({"host": "a.example", "headers": [["Host", "shop.example"]]}))
    for given in (["--host", "a.example", "-H", "Host: shop.example"], ["--batch", str(batch)]):
        result = CliRunner().invoke(main, ["explain", "--rules", str(tmp_path), "--json", *given])
        assert json.loads(result.stdout)["rule"] == "default"
    wrong = CliRunner().invoke(main, ["explain", "--rules", str(tmp_path), "-H", "Host: a b"])
    assert "Invalid value for -H: 'a b' is no host" in wrong.stderr


@pytest.mark.parametrize("host", ["a b", "", "exa/mple", "example.org:http"])
def test_a_host_that_a_front_refuses_is_an_error(tmp_path: Path, host: str) -> None:
    (tmp_path / "x.yaml").write_text(HOSTED)
    result = CliRunner().invoke(main, ["explain", "--rules", str(tmp_path), "--host", host])
    assert result.exit_code == 2
    assert f"{host!r} is no host, so that a front answers 400" in result.stderr


def test_all_lines_of_a_batch_that_are_no_requests_are_reported(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(HOSTED)
    batch = tmp_path / "batch.jsonl"
    batch.write_text('{"path": "/a"}\n{path: /b}\n{"path": "/c"}\n{"url": "/d"}\n')
    result = CliRunner().invoke(main, ["explain", "--rules", str(tmp_path), "--batch", str(batch)])
    assert [json.loads(line)["path"] for line in result.stdout.splitlines()] == ["/a", "/c"]
    assert [line.partition(" error: ")[0] for line in result.stderr.splitlines()[:2]] == [f"{batch}:2:2:", f"{batch}:4:1:"]
    assert result.stderr.splitlines()[2].startswith("  hint: one request a line: ")
    assert result.exit_code == 1
    batch.write_text("x\n" * (MAX_FAULTS + 5))
    result = CliRunner().invoke(main, ["explain", "--rules", str(tmp_path), "--batch", str(batch)])
    assert result.stderr.count(": error: ") == MAX_FAULTS
    assert f"these are {MAX_FAULTS} lines that are no requests; the others were not read" in result.stderr
