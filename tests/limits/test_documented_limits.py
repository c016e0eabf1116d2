"""What the page on limits shows is what happens: its rules load, and its rows of requests are walked through the store."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from proxyguard.core.address import Address
from proxyguard.core.problems import format_report
from proxyguard.core.request import Request
from proxyguard.core.settings import Counting, Settings
from proxyguard.core.units import duration_text
from proxyguard.http.ratelimit_fields import format_wait
from proxyguard.limits.charge import Charge
from proxyguard.limits.limit import KeyKind, KeyPart, Limit
from proxyguard.limits.sliding_log import MAX_AMOUNT
from proxyguard.limits.stores.memory import KEYS_PER_LOG, KEYS_PER_LONG_LOG, LONG_LOG, MemoryStore
from proxyguard.limits.stores.table import OWN_COUNTERS, SHARED
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.engine import decide, due, match, owed
from proxyguard.policy.model import Policy
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.testing.runner import run_tests
from proxyguard.settings.file import read_settings
from tests.paths import DOCS

PAGE = DOCS / "concepts/limits.md"
TEXT = PAGE.read_text()
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SETTINGS_MARK = "# proxyguard.yaml\n"
START = 1_800_000_000.0
MONDAY = datetime(2026, 7, 6, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()

TIMELINE = re.compile(
    r"`rate: (\d+)/minute, burst: (\d+)`[^|]*?\| at second \| request \| left after it \|\n\|[-|]+\|\n((?:\|.*\|\n)+)"
)
ROW = re.compile(r"\| (\d+) \| (passes|refused, come back in (\d+) s) \| (\d+) \|")
TIMELINES = TIMELINE.findall(TEXT)


VISITS = re.compile(r"\| at \| ([a-z ]+) \| answer \|\n\|[-|]+\|\n((?:\|.*\|\n)+)")
VISIT = re.compile(r"\| (?:(Monday|Tuesday) )?(\d+):(\d\d) \| (\S+)(?: \((\d+)\))? \| (passes|refused, come back in (.+)) \|")
MARK = "<!-- the limit of this table: "
WALKS = [(limit, *table) for limit, table in zip(re.findall(rf"{MARK}(.*) -->", TEXT), VISITS.findall(TEXT), strict=True)]


def test_the_page_has_what_these_tests_are_about() -> None:
    assert len(TIMELINES) == 3
    assert TEXT.count("| at second |") == 3
    assert len(WALKS) == 4
    assert TEXT.count("| at |") == 4
    assert len(BLOCKS) == 7


@pytest.mark.parametrize(("limit", "heading", "rows"), WALKS, ids=["log", "calendar", "distinct", "status"])
def test_days_of_requests_are_answered_as_shown(limit: str, heading: str, rows: str) -> None:
    assert f"limit: {limit}" in TEXT or "sliding_log" in limit
    rule_set, problems = parse_rule_set(f"name: walk\nrules: [{{name: walk, limit: {limit}, action: reject}}]", "limits.md")
    assert format_report(problems) == ""
    assert rule_set is not None
    policy = compile_policy(Policy((rule_set,)), secret=b"page")
    store = MemoryStore()
    seen = []
    for row in rows.splitlines():
        found = VISIT.fullmatch(row)
        assert found is not None, row
        day, hour, minute, path, status = found.group(1, 2, 3, 4, 5)
        now = MONDAY + (86_400 if day == "Tuesday" else 0) + 3600 * int(hour) + 60 * int(minute)
        request = Request(Address.parse("192.0.2.1", 1), b"GET", b"https", b"example.org", path.encode(), ())
        looked = match(policy, request, now)
        outcome = store.charge(looked.charges, (), now)
        decision = decide(looked, outcome).decision
        if decision.forwards:
            store.charge(owed(due(looked, outcome, decision), int(status or 200), 0, 0.1, since=now, now=now), (), now)
        answer = "passes"
        if decision.quota is not None:
            answer = f"refused, come back in {format_wait(round(decision.quota.retry_after_seconds))}"
        said = f"{path} ({status})" if status else path
        seen.append(f"| {f'{day} ' if day else ''}{hour}:{minute} | {said} | {answer} |")
    assert seen == rows.splitlines()


@pytest.mark.parametrize(("amount", "burst", "rows"), TIMELINES, ids=lambda value: value if value.isdigit() else "rows")
def test_rows_of_requests_are_answered_as_shown(amount: str, burst: str, rows: str) -> None:
    limit = Limit(int(amount), 60.0, int(burst), (KeyPart(KeyKind.CLIENT),))
    store = MemoryStore()
    seen = []
    for second, _, _, _ in ROW.findall(rows):
        usage = store.charge([Charge("rule|client", limit)], (), START + int(second)).usages[0]
        answer = f"refused, come back in {usage.retry_after_seconds:.0f} s" if usage.exceeded else "passes"
        seen.append(f"| {second} | {answer} | {usage.remaining} |")
    assert seen == rows.splitlines()


def test_the_promised_totals_of_a_minute_and_an_hour_are_those_of_a_greedy_client() -> None:
    limit = Limit(3, 60.0, 3, (KeyPart(KeyKind.CLIENT),))
    for seconds, promised in ((60, 6), (3600, 183)):
        store = MemoryStore()
        passed = sum(
            not store.charge([Charge("rule|client", limit)], (), START + second).usages[0].exceeded
            for second in range(seconds + 1)
        )
        assert passed == promised
        assert {6: "at most six here", 183: "in an hour, 183"}[promised] in TEXT


@pytest.mark.parametrize("text", [block for block in BLOCKS if not block.startswith(SETTINGS_MARK)])
def test_rules_on_the_page_load_and_pass_their_tests(text: str) -> None:
    rule_set, problems = parse_rule_set(text, "limits.md")
    assert format_report(problems) == ""
    assert rule_set is not None
    assert [failure.problem for failure in run_tests(Policy((rule_set,)))] == []


def test_settings_on_the_page_are_read(tmp_path: Path) -> None:
    (text,) = (block for block in BLOCKS if block.startswith(SETTINGS_MARK))
    (tmp_path / "proxyguard.yaml").write_text(text)
    settings = read_settings(tmp_path / "proxyguard.yaml", {}, {})
    assert isinstance(settings, Settings), format_report(settings)
    assert settings.store.url == "rediss://proxyguard:password@valkey.example.net:6379/0"


def test_numbers_on_the_page_are_those_of_the_program() -> None:
    assert f"{SHARED:,} places with {OWN_COUNTERS} counters" in TEXT
    assert f"default {Counting().bans:,}" in TEXT
    assert (KEYS_PER_LOG, LONG_LOG, KEYS_PER_LONG_LOG) == (8, 64, 64)
    assert f"exact up to {MAX_AMOUNT:,}" in TEXT
    assert Counting().keys == 1_000_000
    assert f"timeout: {duration_text(Settings().store.timeout_seconds)}" in TEXT


PORTED = re.findall(r"^\| (?:nginx|HAProxy|fail2ban|CrowdSec|Cloudflare|Traefik|Caddy|mod_evasive).*\|$", TEXT, re.MULTILINE)


def test_limits_of_other_tools_are_limits_here() -> None:
    """Each limit in the last column loads, as it stands there."""
    limits = [found for row in PORTED for found in re.findall(r"`((?:rate|concurrent): [^`]*)`", row.split(" | ")[-1])]
    assert len(limits) == 16
    for limit in limits:
        _, problems = parse_rule_set(f"name: walk\nrules: [{{name: walk, limit: {{{limit}}}, action: reject}}]", "limits.md")
        assert format_report(problems) == ""
