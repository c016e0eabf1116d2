"""`explain` and `replay` decide as the instance of these settings does: by site, as its server reads paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxyguard.cli import main

JOIN = """\
name: join
rules:
  - {name: no-join, when: {path: /join}, action: reject}
"""
SHOP = """\
name: shop
rules:
  - {name: no-shop, when: {path: {prefix: /shop}}, action: reject}
"""
SETTINGS = """\
rules: own
mode: shadow
sites:
  - {hosts: [www.example.org], upstream: "http://127.0.0.1:9000", paths: express, rule_sets: [join]}
  - {hosts: ["*.example.net"], upstream: "http://127.0.0.1:9001"}
"""
LINE = '192.0.2.1 - - [15/Jan/2027:08:00:00 +0000] "GET {} HTTP/1.1" 200 5 "-" "Mozilla/5.0"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rules = tmp_path / "own"
    rules.mkdir()
    (rules / "join.yaml").write_text(JOIN)
    (rules / "shop.yaml").write_text(SHOP)
    (tmp_path / "proxyguard.yaml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, list(arguments), input=stdin)


def decided(host: str, path: str, *more: str) -> str:
    done = run("explain", "--host", host, "--path", path, "--json", *more)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return str(found["rule"])


@pytest.mark.usefixtures("folder")
def test_explain_reads_a_path_as_the_site_of_the_host_does() -> None:
    assert decided("www.example.org", "/JOIN/") == "no-join"
    assert decided("a.example.net", "/JOIN/") == "default"
    assert decided("a.example.net", "/JOIN/", "--paths", "express") == "no-join"
    assert decided("www.example.org", "/JOIN/", "--paths", "strict") == "default"


@pytest.mark.usefixtures("folder")
def test_explain_has_the_rule_sets_of_the_site() -> None:
    assert decided("www.example.org", "/shop/1") == "default"
    assert decided("a.example.net", "/shop/1") == "no-shop"


def test_rules_that_the_settings_do_not_mean_are_all_looked_at(folder: Path) -> None:
    (folder / "new").mkdir()
    (folder / "new" / "shop.yaml").write_text(SHOP)
    assert decided("www.example.org", "/shop/1", "--rules", "new") == "no-shop"


@pytest.mark.usefixtures("folder")
def test_each_line_of_a_batch_is_of_the_site_of_its_host() -> None:
    lines = [{"host": host, "path": "/JOIN/"} for host in ("www.example.org", "a.example.net", "elsewhere.example")]
    done = run("explain", "--batch", "-", stdin="".join(json.dumps(line) + "\n" for line in lines))
    assert done.exit_code == 0, done.output
    assert [json.loads(line)["rule"] for line in done.stdout.splitlines()] == ["no-join", "default", "default"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("host", "paths", "stopped"),
    [
        ("www.example.org", (), {"no-join": 1}),
        ("a.example.net", (), {"no-shop": 1}),
        ("a.example.net", ("--paths", "express"), {"no-join": 1, "no-shop": 1}),
    ],
)
def test_replay_has_the_rules_and_the_reading_of_each_site(host: str, paths: tuple[str, ...], stopped: dict[str, int]) -> None:
    log = LINE.format("/JOIN/") + LINE.format("/shop/1") + LINE.format("/")
    done = run("replay", "-", "--host", host, "--json", *paths, stdin=log)
    assert done.exit_code == 0, done.output
    assert {each["rule"]: each["share"]["requests"] for each in json.loads(done.stdout)["by_rule"]} == stopped


def test_settings_with_a_fault_are_gone_by_as_far_as_they_can_be_unless_they_were_named(folder: Path) -> None:
    path = folder / "proxyguard.yaml"
    path.write_text(path.read_text() + "upsteam: x\n")
    arguments = ("explain", "--host", "www.example.org", "--path", "/JOIN/")
    done = run(*arguments)
    assert (done.exit_code, "no-join" in done.stdout) == (0, True)
    assert "upsteam" in done.stderr
    assert "gone by all the same" in done.stderr
    named = run(*arguments, "--config", "proxyguard.yaml")
    assert (named.exit_code, named.stdout) == (1, "")
    assert "proxyguard.yaml:6:1" in named.stderr


def test_the_rule_of_a_reference_is_that_of_the_settings(folder: Path) -> None:
    record = {
        "time": 1.0,
        "reference": "0123456789abcdef",
        "client": "192.0.2.1",
        "rule": "no-join",
        "action": "reject",
        "status": 403,
    }
    (folder / "audit.jsonl").write_text(json.dumps(record, separators=(",", ":")) + "\n")
    found = run("explain", "--reference", "0123456789abcdef", "--audit", "audit.jsonl")
    assert f"rule, as it is now: {Path('own/join.yaml')}" in found.stdout
    assert (
        "there is no rule 'no-join' in bundled now"
        in run("explain", "--reference", "0123456789abcdef", "--audit", "audit.jsonl", "--rules", "bundled").stdout
    )
