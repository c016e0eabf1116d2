"""`check --config`: exit codes and formats; and folders of rules that are named by a detour, for all commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxyguard.cli import main
from tests.guard.origin.tables import asn_table, country_table

RULES = (
    "name: a\nlists: {n: {file: lists/n.txt}}\nrules:\n  - {name: no-curl, when: {user_agent: {word: $n}}, action: reject}\n"
    "tests:\n  - {request: {user_agent: curl/8.5.0}, expect: reject by no-curl}\n"
)
SETTINGS = (
    "upstream: http://192.0.2.1:9000\n"
    "bounds: {connections: 100, connections_per_network: 10, requests: 100, requests_per_network: 10}\n"
)
DOUBTFUL = "trust: {proxies: [0.0.0.0/0]}\n"


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "rules/lists").mkdir(parents=True)
    (tmp_path / "rules/a.yaml").write_text(RULES)
    (tmp_path / "rules/lists/n.txt").write_text("curl\n")
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env={"PROXYGUARD_CONFIG": ""})


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
@pytest.mark.parametrize(
    ("text", "strict", "code"),
    [
        (SETTINGS, True, 0), (SETTINGS + DOUBTFUL, False, 0), (SETTINGS + DOUBTFUL, True, 1),
        (SETTINGS + "audit: {path: nowhere/a}\n", False, 1), (SETTINGS + "workers: 0\n", False, 1), ("upstream: [\n", False, 1),
    ],
    ids=["fine", "doubtful", "doubtful strictly", "a path", "a value", "no YAML"],
)  # fmt: skip
def test_the_exit_code_is_the_same_in_every_format(text: str, strict: bool, code: int, form: str) -> None:
    Path("proxyguard.yaml").write_text(text)
    result = run("check", "--config", "proxyguard.yaml", "--format", form, *(["--strict"] if strict else []))
    assert result.exit_code == code, result.output
    assert result.stderr == ""
    if form in ("json", "sarif"):
        json.loads(result.stdout)


def test_a_finding_has_its_file_line_and_weight() -> None:
    Path("proxyguard.yaml").write_text(SETTINGS + DOUBTFUL)
    shown = json.loads(run("check", "--config", "proxyguard.yaml", "--format", "json").stdout)
    [finding] = shown["findings"]
    assert (finding["file"], finding["line"], finding["severity"]) == ("proxyguard.yaml", 3, "warning")


def test_the_folder_of_the_settings_is_checked_unless_another_is_named() -> None:
    Path("conf/proxyguard.yaml").write_text(SETTINGS + "rules: ../rules\n")
    assert run("check", "--config", "conf/proxyguard.yaml").stdout == (
        "conf/../rules: 1 rule set, 1 rule (1 enforce), 1 test passed\n"
    )
    assert "there is no such folder" in run("check", "--config", "conf/proxyguard.yaml", "other").stdout


def test_how_the_site_reads_paths_comes_from_the_settings() -> None:
    Path("rules/b.yaml").write_text("name: b\nrules:\n  - {name: join, when: {path: /Join/}, action: reject}\n")
    Path("proxyguard.yaml").write_text(SETTINGS + "paths: express\n")
    assert "PG024" in run("check", "--config", "proxyguard.yaml").stdout
    assert "PG024" not in run("check", "--config", "proxyguard.yaml", "--paths", "strict").stdout


COMMANDS = (
    ("check", "{}"), ("test", "{}"), ("explain", "--rules", "{}", "--user-agent", "curl/8"),
    ("new", "rule", "--rules", "{}", "--match", "path", "--value", "/x", "--action", "reject", "--since", "shadow"),
    ("replay", "--rules", "{}", "access.log"),
)  # fmt: skip


@pytest.mark.parametrize("way", ["conf/../rules", "../{}/rules", "./rules/", "link/../rules"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_folder_is_found_by_any_way(command: tuple[str, ...], way: str) -> None:
    Path("link").symlink_to("conf")
    line = '192.0.2.7 - - [28/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8.5.0"\n'
    Path("access.log").write_text(line)
    rules = way.format(Path.cwd().name)
    result = run(*(part.format(rules) for part in command))
    assert result.exit_code == 0, result.output


ASKING = (
    "name: a\nrules:\n  - {name: abroad, when: {country: DE}, action: reject}\n"
    "  - {name: rented, when: {network_kind: hosting}, action: reject}\n"
    "  - {name: far, when: {country: FR}, action: reject}\n"
    "  - {name: of-one, when: {path: /}, limit: {rate: 9/minute, per: [asn]}, action: reject}\n"
    "  - {name: at-home, when: {network_kind: mobile}, action: reject, mode: shadow}\n"
    "  - {name: never, when: {asn: 15169}, action: reject, mode: off}\n"
)


def test_what_rules_ask_and_no_table_answers_is_a_warning() -> None:
    Path("rules/a.yaml").write_text(ASKING)
    Path("proxyguard.yaml").write_text(SETTINGS)
    result = run("check", "--config", "proxyguard.yaml")
    said = [line for line in result.stdout.splitlines() if " asks for " in line or " ask for " in line]
    assert result.exit_code == 0
    assert [line.partition("rules/")[2] for line in said] == [
        "a.yaml:3:5: warning: 'abroad' and 1 other ask for country, and it is never known: there is no table of countries",
        "a.yaml:6:5: warning: 'of-one' asks for asn, and it is never known: there is no table of autonomous systems",
        (
            "a.yaml:7:5: warning: 'at-home' asks for network_kind, and hosting alone is known: there is no table of "
            "autonomous systems"
        ),
    ]


def test_a_table_answers(tmp_path: Path) -> None:
    Path("rules/a.yaml").write_text(ASKING)
    country_table(tmp_path / "country.mmdb", {"81.2.69.0/24": "GB"})
    asn_table(tmp_path / "asn.mmdb", {"81.2.69.0/24": (20712, "Andrews & Arnold")})
    Path("proxyguard.yaml").write_text(SETTINGS + "origin: {directory: .}\n")
    assert " for " not in run("check", "--config", "proxyguard.yaml").stdout.replace("for rules", "")
    (tmp_path / "country.mmdb").write_text(RULES)
    broken = run("check", "--config", "proxyguard.yaml")
    assert broken.exit_code == 1
    assert "country.mmdb is no table of addresses" in broken.stdout
