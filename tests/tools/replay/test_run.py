"""Virtual time: limits, bans and expiry as the log's clock has them, and decisions as the live engine makes them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.engine import policy_of as bench_policy
from bench.engine import random_requests
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Policy
from proxyguard.tools.replay.log_files import Journal, LogFile, in_time_order
from proxyguard.tools.replay.run import Replay
from tests.paths import BUNDLED_RULES
from tests.tools.replay.lines import START, line, replayed

pytestmark = pytest.mark.long

LIMIT = "  - {name: limit, limit: {rate: 3/minute, per: [client]}, action: reject}\n"


def stopped(tmp_path: Path, rules: str, lines: list[str]) -> int:
    return replayed(tmp_path, rules, lines)[0].stopped.requests


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [([0, 0, 0], 0), ([0, 0, 0, 0], 1), ([0, 0, 0, 0, 0], 2), ([0, 0, 0, 20], 0), ([0, 0, 0, 19, 20], 1), ([0, 1, 0, 1, 60], 1)],
)
def test_limits_count_by_the_time_of_the_log(tmp_path: Path, seconds: list[int], expected: int) -> None:
    assert stopped(tmp_path, LIMIT, [line(second) for second in seconds]) == expected


LOG = "  - {name: limit, limit: {rate: 3/minute, window: sliding_log, per: [client]}, action: reject}\n"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [([0, 10, 20, 40], 1), ([0, 10, 20, 59, 60, 61], 2), ([0, 10, 20, 60, 70, 80, 81], 1), ([5, 3, 4, 4], 1)],
)
def test_a_log_counts_by_the_time_of_the_log_file(tmp_path: Path, seconds: list[int], expected: int) -> None:
    assert stopped(tmp_path, LOG, [line(second) for second in seconds]) == expected


def test_a_ban_lasts_as_long_as_it_would_have(tmp_path: Path) -> None:
    rules = "  - {name: ban, when: {path: /trap}, action: {ban: {for: 10m}}}\n"
    lines = [line(0), line(1, target="/trap"), line(2), line(600), line(602), line(603, client="192.0.2.8")]
    report, _ = replayed(tmp_path, rules, lines)
    [found] = report.by_rule
    assert (found.rule, found.action, found.share.requests, found.share.clients) == ("ban", "ban", 3, 1)


def test_a_rule_ends_when_its_time_came_in_the_log(tmp_path: Path) -> None:
    rules = '  - {name: old, when: {path: /x}, action: reject, expires: "2026-11-23T09:01Z"}\n'
    assert stopped(tmp_path, rules, [line(0, target="/x"), line(59, target="/x"), line(60, target="/x")]) == 2


def test_the_clock_stands_still_for_lines_that_are_a_little_early(tmp_path: Path) -> None:
    report, findings = replayed(tmp_path, LIMIT, [line(0), line(60), line(75), line(30), line(31), line(76)])
    assert report.stopped.requests == 2
    assert (findings.clock.backwards, findings.clock.restarts) == (2, 0)
    assert (report.log.first, report.log.last) == (START, START + 76)


def test_a_log_that_begins_again_begins_with_empty_counters(tmp_path: Path) -> None:
    lines = [line(5000), line(5000), line(5000), line(0), line(0), line(0), line(0)]
    report, findings = replayed(tmp_path, LIMIT, lines)
    assert report.stopped.requests == 1
    assert findings.clock.restarts == 1
    assert (report.log.first, report.log.last) == (START, START + 5000)
    [note] = report.notes
    assert note.startswith("time ran far backwards 1 time: counters began anew each time. ")


def test_one_line_from_the_far_future_spoils_nothing(tmp_path: Path) -> None:
    lines = [line(0), line(1), line(10**9), line(2), line(3), line(4), line(5), line(6)]
    assert stopped(tmp_path, LIMIT, lines) == 2


def test_shadow_rules_are_counted_and_change_nothing(tmp_path: Path) -> None:
    rules = (
        "  - {name: would, when: {path: {prefix: /x}}, action: reject, mode: shadow}\n"
        "  - {name: does, when: {path: /x/y}, action: tarpit}\n"
        "  - {name: notes, when: {path: /z}, action: {tag: seen}, mode: shadow}\n"
    )
    report, _ = replayed(tmp_path, rules, [line(0, target=target) for target in ("/x", "/x/y", "/z", "/")])
    found = {(each.rule, each.mode, each.action): each.share.requests for each in report.by_rule}
    assert found == {("would", "shadow", "reject"): 2, ("does", "enforce", "tarpit"): 1, ("notes", "shadow", "tag"): 1}
    assert (report.stopped.requests, report.shadowed.requests, report.all.requests) == (1, 1, 4)
    assert (sum(report.over_time.passed), sum(report.over_time.shadowed), sum(report.over_time.stopped)) == (2, 1, 1)


def test_rules_that_let_through_are_counted_as_such(tmp_path: Path) -> None:
    rules = (
        "  - {name: robots, when: {path: /robots.txt}, action: allow}\n"
        "  - {name: slow, when: {path: /slow}, action: {delay: 1s}}\n"
    )
    report, _ = replayed(tmp_path, rules, [line(0, target=target) for target in ("/robots.txt", "/slow", "/slow")])
    assert {each.rule: (each.action, each.share.requests, each.stops) for each in report.by_rule} == {
        "robots": ("allow", 1, False),
        "slow": ("delay", 2, False),
    }
    assert report.stopped.requests == 0


def test_a_client_without_an_address_is_malformed_but_not_fatal(tmp_path: Path) -> None:
    report, findings = replayed(tmp_path, LIMIT, [line(0), line(0), line(1, client="host.example.org")])
    assert report.all.requests == 2
    assert (findings.not_addresses, report.log.malformed) == (1, 1)
    assert report.notes[0].startswith("1 line with a client that is not an address")


def test_what_an_unjudged_allow_rule_may_let_through_is_counted(tmp_path: Path) -> None:
    rules = (
        "  - {name: keys, when: {path: {prefix: /api/}, header.x-api-key: present}, action: allow}\n"
        "  - {name: no-curl, when: {user_agent: {word: curl}}, action: reject}\n"
    )
    report, _ = replayed(tmp_path, rules, [line(0, target=target, agent="curl/8.5") for target in ("/api/1", "/api/2", "/x")])
    assert report.stopped.requests == 3
    [unjudged] = report.unjudged
    assert (unjudged.rule, unjudged.lacks, unjudged.in_part) == ("keys", ("header.x-api-key",), False)
    assert unjudged.concerns is not None
    assert unjudged.concerns.requests == 2


def test_limits_on_responses_count_what_the_log_says_of_them(tmp_path: Path) -> None:
    rules = "  - {name: scans, limit: {rate: 3/minute, count: {status: [404]}}, action: reject}\n"
    scan = [line(at, status=404) for at in range(6)]
    reader = [line(at, client="192.0.2.8") for at in range(6)]
    report, _ = replayed(tmp_path, rules, sorted(scan + reader, key=lambda each: each[20:40]))
    assert (report.unjudged, report.stopped.requests, report.stopped.clients) == ((), 3, 1)


def test_two_policies_are_compared_request_by_request(tmp_path: Path) -> None:
    old = (
        "  - {name: curl, when: {user_agent: {word: curl}}, action: reject}\n"
        "  - {name: wget, when: {user_agent: {word: wget}}, action: reject}\n"
    )
    new = (
        "  - {name: curl, when: {user_agent: {word: curl}, path: {prefix: /x}}, action: reject}\n"
        "  - {name: tools, when: {user_agent: {word: [wget, fetch]}}, action: reject}\n"
    )
    agents = ["curl/8", "Wget/1", "Wget/2", "fetch/1", "fetch/1", "Mozilla"]
    lines = [line(at, client=f"192.0.2.{at}", agent=agent, user="ada" if at == 3 else "-") for at, agent in enumerate(agents)]
    difference = replayed(tmp_path, new, lines, against=old)[0].difference
    assert difference is not None
    assert [(each.before, each.after, each.share.requests) for each in difference.changes] == [
        (None, "tools", 2),
        ("curl", None, 1),
        ("wget", "tools", 2),
    ]
    assert (difference.newly_stopped.requests, difference.newly_stopped.clients, difference.newly_stopped.logged_in) == (2, 2, 1)
    assert (difference.no_longer_stopped.requests, difference.no_longer_stopped.networks) == (1, 1)


def test_each_policy_of_a_comparison_has_counters_of_its_own(tmp_path: Path) -> None:
    looser = LIMIT.replace("3/minute", "5/minute")
    difference = replayed(tmp_path, LIMIT, [line(0)] * 7, against=looser)[0].difference
    assert difference is not None
    assert [(each.before, each.after, each.share.requests) for each in difference.changes] == [(None, "limit", 2)]


def bundled() -> Policy:
    policy = load_policy(BUNDLED_RULES).policy
    assert policy is not None
    return policy


@pytest.mark.parametrize(("make", "rules"), [(lambda: bench_policy(300), 3), (bundled, 5)])
def test_a_replay_decides_as_the_engine_does_live(tmp_path: Path, make: Callable[[], Policy], rules: int) -> None:
    """10,000 requests with all their headers, as Caddy logs them."""
    policy = compile_policy(make(), secret=b"live")
    requests = random_requests(10_000, seed=5)
    store = MemoryStore()
    expected: Counter[tuple[str, str, bool]] = Counter()
    path = tmp_path / "caddy.log"
    with path.open("w") as log:
        for number, request in enumerate(requests):
            now = START + number * 0.01
            headers: dict[str, list[str]] = {}
            for name, value in request.headers:
                headers.setdefault(name.decode(), []).append(value.decode())
            headers.pop("Host", None)
            written = {
                "remote_ip": request.client.text, "proto": "HTTP/1.1", "method": request.method.decode(),
                "host": request.host.decode(), "uri": request.target.decode(), "headers": headers, "tls": {"version": 772},
            }  # fmt: skip
            log.write(json.dumps({"ts": now, "status": 200, "size": 1, "request": written}) + "\n")
            found = match(policy, request, now)
            ruling = decide(found, store.charge(found.charges, found.ban_keys, now)) if found.decision is None else None
            decision = ruling.decision if ruling is not None else found.decision
            assert decision is not None
            if ruling is not None and ruling.ban is not None:
                store.ban(*ruling.ban, now)
            if decision.rule != "default":
                expected[decision.rule, decision.name, False] += 1
            expected.update((hit.rule, hit.action, True) for hit in decision.shadow)
    file = LogFile(str(path))
    findings = Replay(policy).run(in_time_order([file], Journal(), None))
    assert {tuple(key): found.requests for key, found in findings.rules.items()} == expected
    assert findings.stopped.requests > 500
    assert len(expected) >= rules
