"""The command `range`: what it writes, and what it says of a command line that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxyguard.cli import main
from tests.paths import BUNDLED_RULES

KEYS = {
    "name", "kind", "requests", "sessions", "refused_requests", "refused_sessions", "delayed_requests", "items",
    "items_unprotected",
    "first_action_seconds", "addresses_per_1000_items", "addresses_per_1000_items_unprotected", "cost_per_1000_items",
    "cost_per_1000_items_unprotected",
}  # fmt: skip


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["range", "--rules", str(BUNDLED_RULES), *arguments])


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
        (("--front", "https://127.0.0.1"), "the range stays on this machine"),
        (("--front", "http://127.0.0.1:99999"), "Port out of range"),
        (("--front", "http://127.0.0.1:1", "--for", "2h"), "2h is more than 15m"),
        (("--seed", "-1"), "-1 is not in the range"),
    ],
)
def test_a_command_line_that_cannot_be_is_refused_at_once(arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_a_gate_that_fails_names_scenario_and_cohort(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("name: x\nrules:\n  - name: no-probes\n    when: {path: /healthz}\n    action: reject\n")
    arguments = ["range", "--rules", str(tmp_path), "--cohort", "monitoring", "--days", "0.05", "--gate"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "a gate failed:\n  calm-day: monitoring: " in result.stderr
    assert "by no-probes (" in result.stderr
