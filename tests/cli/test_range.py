"""The command `range`: what it writes, and what it says of a command line that cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxyguard.cli import main
from tests.paths import BUNDLED_RULES

pytestmark = pytest.mark.long

KEYS = {
    "name", "kind", "requests", "sessions", "refused_requests", "refused_sessions", "delayed_requests", "items",
    "items_unprotected",
    "first_action_seconds", "addresses_per_1000_items", "addresses_per_1000_items_unprotected", "cost_per_1000_items",
    "cost_per_1000_items_unprotected",
}  # fmt: skip


def run(*arguments: str) -> Result:
    """A run of the command with the bundled rules, where it takes any."""
    rules = () if {"--front", "--peer"} & {*arguments} else ("--rules", str(BUNDLED_RULES))
    return CliRunner().invoke(main, ["range", *rules, *arguments])


def test_it_writes_figures_and_a_page_that_loads_nothing(tmp_path: Path) -> None:
    figures, page = tmp_path / "figures.json", tmp_path / "range.html"
    result = run(
        "--scenario", "forged-identities", "--cohort", "six-names", "--cohort", "monitoring", "--seed", "4",
        "--json", str(figures), "--html", str(page), "--gate",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("scenario forged-identities (seed 4, preset standard): ")
    value = json.loads(figures.read_text())
    assert list(value) == ["scenario", "preset", "seed", "cohorts"]
    assert [(each["name"], each["kind"]) for each in value["cohorts"]] == [
        ("monitoring", "legitimate"),
        ("six-names", "adversary"),
    ]
    assert {frozenset(each) for each in value["cohorts"]} == {frozenset(KEYS)}
    html = page.read_text()
    assert html.count("<svg") == html.count("<title>") - 1 > 3
    assert "<script" not in html
    assert "http://" not in html
    assert "https://" not in html


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scenario", "calm-dya"), "there is no scenario 'calm-dya'. Did you mean 'calm-day'?"),
        (("--scenario", "july", "--days", "2"), "july has its own length; --days is for calm-day"),
        (("--days", "40"), "40 days: more than 0, at most 31"),
        (("--days", "nan"), "nan days: more than 0, at most 31"),
        (("--cohort", "robots"), "calm-day has no cohort 'robots'; it has "),
        (("--preset", "soft"), "'soft' is not one of"),
        (("--for-tuning", "--seed", "2"), "2 is kept out of tuning, as every even seed is"),
        (("--for-tuning", "--scenario", "held-out"), "held-out is kept out of tuning"),
        (("--for-tuning", "--scenario", "all"), "held-out is kept out of tuning"),
        (("--front", "http://example.org"), "the range stays on this machine"),
        (("--front", "http://127.example.org"), "the range stays on this machine"),
        (("--front", "https://127.example.org"), "the range stays on this machine"),
        (("--front", "ftp://127.0.0.1"), "the range stays on this machine"),
        (("--front", "http://127.0.0.1:99999"), "Port out of range"),
        (("--front", "http://127.0.0.1:1", "--for", "2h"), "2h is more than 15m"),
        (("--seed", "-1"), "-1 is not in the range"),
        (("--peer", "proxyguard", "--preset", "strict", "--preset", "relaxed"), "a peer is started with one preset"),
    ],
)
def test_a_command_line_that_cannot_be_is_refused_at_once(arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.output


FRONT = ("--front", "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*FRONT, "--with-history"), ["--with-history does nothing with --front: only the virtual clock has days before"]),
        ((*FRONT, "--against", "x"), ["--against does nothing with --front: rules are compared on the virtual clock"]),
        ((*FRONT, "--gate"), ["--gate does nothing with --front: gates are about figures of the virtual clock"]),
        ((*FRONT, "--preset", "strict"), ["--preset does nothing with --front: a front has rules of its own"]),
        ((*FRONT, "--rules", "x"), ["--rules does nothing with --front: a front has rules of its own"]),
        ((*FRONT, "--peer", "nginx"), ["--peer does nothing with --front: a run goes through one front"]),
        (("--peer", "nginx", "--gate"), ["--gate does nothing with --peer nginx: gates are about figures of the virtual clock"]),
        (("--peer", "nginx", "--preset", "strict"), ["--preset does nothing with --peer nginx: it is for --peer proxyguard"]),
        (("--peer", "nginx", "--rules", "x"), ["--rules does nothing with --peer nginx: it is for --peer proxyguard"]),
        (("--peer", "proxyguard", "--site-port", "1"), ["--site-port does nothing with --peer proxyguard: it is where the site"]),
        (("--peer", "fail2ban", "--for", "5s"), ["--for does nothing with --peer fail2ban: on the virtual clock a run lasts as"]),
        (
            ("--for", "5s", "--site-port", "1"),
            ["--site-port does nothing without --front or --peer: ", "--for does nothing without --front or --peer: "],
        ),
        (("--seed", "3", "learn", "x.log"), ["--seed before learn does nothing; options of learn stand behind its name"]),
    ],
)
def test_an_option_that_would_do_nothing_is_refused_with_what_it_is_for(arguments: tuple[str, ...], said: list[str]) -> None:
    result = CliRunner().invoke(main, ["range", *arguments])
    assert result.exit_code == 2
    assert [each for each in said if each not in result.output] == []


def test_a_scenario_runs_under_several_presets_at_once(tmp_path: Path) -> None:
    rules, figures = tmp_path / "rules", tmp_path / "figures.json"
    rules.mkdir()
    (rules / "rules.yaml").write_text("name: x\nrules:\n  - name: no-probes\n    when: {path: /healthz}\n    action: reject\n")
    arguments = ["range", "--rules", str(rules), "--cohort", "monitoring", "--days", "0.05", "--json", str(figures)]
    found = []
    for presets in (("relaxed", "strict"), ("strict",)):
        chosen = [part for preset in presets for part in ("--preset", preset)]
        assert CliRunner().invoke(main, [*arguments, *chosen]).exit_code == 0
        found.append(json.loads(figures.read_text()))
    together, alone = found
    assert [each["preset"] for each in together] == ["relaxed", "strict"]
    assert together[1] == alone


def test_two_processes_with_one_seed_write_the_same_to_the_byte(tmp_path: Path) -> None:
    """Python's own hashes differ from process to process: nothing may hang on the order of a set."""
    rule = "{name: few, when: {path: {prefix: /}}, limit: {rate: 9/minute, per: [client]}, action: reject}"
    (tmp_path / "rules.yaml").write_text(f"name: x\nrules:\n  - {rule}\n")
    arguments = ["--rules", str(tmp_path), "--days", "0.05", "--cohort", "desktop", "--cohort", "tor-and-vpn"]
    written = []
    for number in ("1", "2"):
        figures, page = tmp_path / f"{number}.json", tmp_path / f"{number}.html"
        done = subprocess.run(
            [sys.executable, "-m", "proxyguard", "range", *arguments, "--json", str(figures), "--html", str(page)],
            env={**os.environ, "PYTHONHASHSEED": number}, capture_output=True, check=True,
        )  # fmt: skip
        written.append((done.stdout, figures.read_bytes(), page.read_bytes()))
    assert written[0] == written[1]
    assert b"by few (" in written[0][0]


def test_the_faults_of_all_learned_files_are_said_at_once(tmp_path: Path) -> None:
    for name, text in (("a", "{"), ("b", '{"cohorts": [{}]}')):
        (tmp_path / name).write_text(text)
    result = run("--learned", str(tmp_path / "a"), "--learned", str(tmp_path / "b"))
    assert result.exit_code == 2
    assert f"{tmp_path}/a: Input data was truncated\n  hint: write it with proxyguard range learn" in result.output
    assert f"{tmp_path}/b: Object missing required field `name` - at `$.cohorts[0]`" in result.output


def test_a_gate_that_fails_names_scenario_and_cohort(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("name: x\nrules:\n  - name: no-probes\n    when: {path: /healthz}\n    action: reject\n")
    arguments = ["range", "--rules", str(tmp_path), "--cohort", "monitoring", "--days", "0.05", "--gate"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "a gate failed:\n  calm-day: monitoring: " in result.stderr
    assert "by no-probes (" in result.stderr


def test_what_is_learned_from_a_log_runs_beside_the_others_and_a_sitemap_adds_to_the_site(tmp_path: Path) -> None:
    log, sitemap, learned = tmp_path / "access.log", tmp_path / "sitemap.xml", tmp_path / "ours.json"
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
    line = f'203.0.113.{{}} - ada [01/Jun/2026:09:{{:02}}:00 +0000] "GET /profiles/{{}} HTTP/1.1" 200 900 "-" "{firefox}"\n'
    log.write_text("".join(line.format(at % 7, at, at) for at in range(40)))
    sitemap.write_text("<urlset><url><loc>https://example.org/ada/1</loc></url></urlset>")
    arguments = [str(log), "--rules", str(BUNDLED_RULES), "--sitemap", str(sitemap), "--name", "ours", "-o", str(learned)]
    result = CliRunner().invoke(main, ["range", "learn", *arguments])
    assert result.exit_code == 0, result.output
    assert "ours-desktop: 7 sessions a day from 7 addresses" in result.stderr
    assert "2 families of paths; words in them: profiles" in result.stderr
    assert [word for word in ("ada", "203.0", "example", "2026") if word in learned.read_text()] == []
    figures = tmp_path / "figures.json"
    result = run("--learned", str(learned), "--cohort", "ours-desktop", "--json", str(figures))
    assert result.exit_code == 0, result.output
    [row] = json.loads(figures.read_text())["cohorts"]
    assert (row["name"], row["kind"], row["sessions"], row["refused_sessions"]) == ("ours-desktop", "legitimate", 7, 0)
    assert "decisions in" in result.stderr
    assert "decisions in" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("learn",), 2, "nothing to learn from: a LOG, --sitemap FILE, or both"),
        (("learn", "-", "-"), 2, "standard input can be read only once"),
        (("learn", "/nowhere.log"), 1, "/nowhere.log: No such file"),
        (("--learned", "/nowhere.json"), 2, "/nowhere.json: No such file"),
        (("--peer", "varnish"), 2, "'varnish' is not one of"),
    ],
)
def test_what_cannot_be_learned_or_run_is_said(arguments: tuple[str, ...], status: int, said: str) -> None:
    head = () if "--peer" in arguments else ("--rules", str(BUNDLED_RULES))
    first = (*arguments[:1], *head, *arguments[1:]) if arguments[0] == "learn" else (*head, *arguments)
    result = CliRunner().invoke(main, ["range", *first])
    assert result.exit_code == status
    assert said in result.output


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = run("--scenario", "july", "--cohort", "sign-up-flood", "--peer", "crowdsec")
    assert result.exit_code == 1
    assert "crowdsec is not here; Debian has it in crowdsec" in result.output
