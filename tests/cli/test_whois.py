"""`whois`, `lists`, and what `explain` and `replay` make of origins: with lists of today, without any network."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxyguard.cli import main
from tests.guard.origin.tables import asn_table, country_table

RULES = """\
name: mine
rules:
  - {name: forged, when: {verified: false}, action: reject}
  - {name: abroad, when: {country: GB}, action: {score: 5}}
"""
GPTBOT = "Mozilla/5.0 (compatible; GPTBot/1.2)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Settings with a folder of lists and tables, and rules."""
    today = datetime.now(UTC).date()
    origin = tmp_path / "origin"
    (origin / "ranges").mkdir(parents=True)
    (origin / "ranges/gptbot.txt").write_text(f"# date: {today}\n# source: test\n# complete: yes\n93.184.216.0/24\n")
    country_table(origin / "country.mmdb", {"81.2.69.0/24": "GB"})
    asn_table(origin / "asn.mmdb", {"81.2.69.0/24": (20712, "Andrews & Arnold")})
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/mine.yaml").write_text(RULES)
    (tmp_path / "proxyguard.yaml").write_text("upstream: http://127.0.0.1:9000\norigin: {directory: origin}\n")
    return tmp_path


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--config", str(folder / "proxyguard.yaml")])


def facts(result: Result) -> dict[str, str]:
    assert result.exit_code == 0, result.output
    return {fact["name"]: fact["value"] for fact in json.loads(result.stdout)["facts"]}


def test_an_address_is_shown_with_what_each_fact_rests_on(folder: Path) -> None:
    assert facts(run(folder, "whois", "81.2.69.142", "--user-agent", GPTBOT, "--offline", "--json")) == {
        "country": "GB", "network": "AS20712 Andrews & Arnold", "network_kind": "unknown",
        "claimed_identity": "gptbot (ai-training)", "verified": "false", "bot": "ai-training",
    }  # fmt: skip
    proven = run(folder, "whois", "93.184.216.34", "--user-agent", GPTBOT, "--offline").output
    today = datetime.now(UTC).date()
    assert f"verified: true -- its address is in a list that the operator publishes (gptbot of {today}); sure\n" in proven
    assert f"list: gptbot -- of {today}, test\n" in proven


def test_a_user_agent_is_shown_with_the_ways_in_which_it_can_prove_itself(folder: Path) -> None:
    output = run(folder, "whois", "DuckDuckBot/1.1").output
    assert output.startswith(
        "claimed_identity: duckduckbot (search) -- by name, which proves nothing\nproof: published addresses -- "
    )
    assert "proof: signature -- with a key of bot.duckduckgo.com" in output
    assert "it names no bot that can prove itself" in run(folder, "whois", "curl/8.5.0").output
    assert run(folder, "whois", "curl/8.5.0", "--user-agent", "x").exit_code == 2


def test_of_a_private_address_nothing_is_known(folder: Path) -> None:
    assert facts(run(folder, "whois", "10.0.0.1", "--user-agent", GPTBOT, "--json")) == {
        "address": "not of the internet", "bot": "ai-training",
    }  # fmt: skip


def test_explain_looks_at_the_origin_and_says_what_it_rests_on(folder: Path) -> None:
    rules = ("explain", "--rules", str(folder / "rules"))
    output = run(folder, *rules, "--client", "81.2.69.142", "--user-agent", GPTBOT).output
    assert "decision: reject by forged" in output
    assert "fact: verified: false -- its address is in none of the operator's complete lists (gptbot of " in output
    assert "decision: pass by default, score 5" in run(folder, *rules, "--client", "81.2.69.142").output
    assert "decision: reject by forged" in run(folder, *rules, "--fact", "verified=false").output
    wrong = run(folder, *rules, "--fact", "verified=maybe")
    assert (wrong.exit_code, "'maybe' is not a verdict" in wrong.output) == (2, True)
    assert "'colour' is no fact that can be given" in run(folder, *rules, "--fact", "colour=red").output


def test_replay_takes_origins_into_account(folder: Path) -> None:
    log = folder / "access.log"
    form = '{} - - [28/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "{}"\n'
    log.write_text(form.format("81.2.69.142", GPTBOT) + form.format("93.184.216.34", GPTBOT) + form.format("81.2.69.142", "x"))
    report = json.loads(run(folder, "replay", str(log), "--rules", str(folder / "rules"), "--json").stdout)
    assert [rule["rule"] for rule in report["by_rule"]] == ["forged"]
    assert report["stopped"]["requests"] == 1
    assert report["unjudged"] == []


def test_lists_are_shown_with_what_they_still_say(folder: Path) -> None:
    old = datetime.now(UTC).date() - timedelta(days=400)
    (folder / "origin/ranges/claudebot.txt").write_text(f"# date: {old}\n93.184.216.0/24\n")
    shown = json.loads(run(folder, "lists", "show", "--json").stdout)
    says = {each["name"]: each["says"] for each in shown["lists"]}
    assert says["gptbot"] == "who is and who is not"
    assert says["hosting"] == "kind of network"
    assert shown["tables"] == {"country": str(folder / "origin/country.mmdb"), "asn": str(folder / "origin/asn.mmdb")}
    assert "gptbot" in run(folder, "lists", "show").output


def test_what_a_list_says_of_itself_cannot_steer_the_terminal(folder: Path) -> None:
    (folder / "origin/ranges/claudebot.txt").write_text("# date: 2026-11-01\n# source: \x1b]0;title\n93.184.216.0/24\n")
    shown = run(folder, "lists", "show").output
    assert "\\x1b]0;title" in shown
    assert "\x1b" not in shown


def test_lists_are_updated_from_files_and_from_allowed_hosts_only(folder: Path) -> None:
    source = folder / "new.json"
    source.write_text('{"prefixes": [{"ipv4Prefix": "93.184.217.0/24"}]}')
    installed = run(folder, "lists", "update", "gptbot", "--from", str(source))
    assert installed.exit_code == 0, installed.output
    assert "gptbot: 1 networks of " in installed.output
    assert facts(run(folder, "whois", "93.184.216.34", "--user-agent", GPTBOT, "--offline", "--json"))["verified"] == "false"
    assert (
        "error: no host may be asked for lists\n  hint: identity.update_hosts: ['*'] allows"
        in run(folder, "lists", "update").output
    )
    foreign = run(folder, "lists", "update", "gptbot", "--from", "https://evil.example/x")
    assert (foreign.exit_code, "evil.example is not one of identity.update_hosts" in foreign.output) == (1, True)
    assert "there is no list 'gptbott'" in run(folder, "lists", "update", "gptbott").output
    assert run(folder, "lists", "update", "--from", str(source)).exit_code == 2
    (folder / "proxyguard.yaml").write_text("upstream: http://127.0.0.1:9000\n")
    assert "hint: set origin.directory" in run(folder, "lists", "update", "gptbot").output
