"""The engine, `explain` and the tests inside rule files decide the same about ten thousand recorded requests.

With all of the bundled rules in force, so that every rule has something to decide; and, on the first thousand, with the rules as
they are.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from time import time
from typing import Any

import pytest
from click.testing import CliRunner

from proxyguard.cli import main
from proxyguard.core.decision import Decision, Mode
from proxyguard.core.item import ItemHeat
from proxyguard.core.request import Request
from proxyguard.http.responses import refusal_status
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.store import Outcome
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.compile.items import item_of
from proxyguard.policy.engine import decide, match
from proxyguard.policy.explain.trace import trace
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Expectation, Place, Policy, RuleSet, RuleTest, TestStep
from proxyguard.policy.testing.runner import self_test
from proxyguard.policy.testing.sample_requests import parse_batch_line
from tests.paths import BUNDLED_RULES
from tests.requests_corpus import COUNT, batch_lines, corpus

pytestmark = pytest.mark.long

LINES = list(batch_lines(corpus()))
MANY = 700
"""Requests with all rules in force; more go through the live proxy (tests/end_to_end/test_agreement.py)."""

FEWER = 250
"""Requests for the rules as they are, which differ in modes only."""


@pytest.fixture(scope="module", params=["as they are", "all in force"])
def rules(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled rules, and a copy in which nothing waits. Its tests go: they are about the rules as they are."""
    if request.param == "as they are":
        return BUNDLED_RULES
    copy: Path = tmp_path_factory.mktemp("all") / "rules"
    shutil.copytree(BUNDLED_RULES, copy)
    for path in copy.glob("*.yaml"):
        text = re.sub(r'^(\s+)mode: (?:shadow|"off").*$', r"\1mode: enforce", path.read_text(), flags=re.MULTILINE)
        path.write_text(text.partition("\ntests:")[0] + "\n")
    return copy


@cache
def loaded(rules: Path) -> Policy:
    policy = load_policy(rules).policy
    assert policy is not None
    return policy


def lines_for(rules: Path) -> list[str]:
    return LINES[: FEWER if rules == BUNDLED_RULES else MANY]


def requests(lines: list[str]) -> list[Request]:
    return [parse_batch_line(line) for line in lines]


def decided(policy: CompiledPolicy, request: Request, store: MemoryStore, now: float) -> Decision:
    """What the guard does with a request, when nobody has read anything yet."""
    request.item = item_of(policy.items, request, ItemHeat.COLD)
    found = match(policy, request, now)
    outcome = Outcome(None, ()) if found.decision else store.charge(found.charges, found.ban_keys, now)
    ruling = decide(found, outcome)
    if ruling.ban is not None:
        order = ruling.ban
        store.ban(order.key, order.rule, order.reason, order.terms, now)
    return ruling.decision


def alone(rules: Path, now: float) -> list[Decision]:
    """Each request as if it were the only one."""
    policy = compile_policy(loaded(rules), secret=b"x")
    return [decided(policy, request, MemoryStore(keys=10, bans=10), now) for request in requests(lines_for(rules))]


def said(decision: Decision) -> dict[str, Any]:
    status = None if decision.forwards else refusal_status(decision)
    shadow = [{"rule": hit.rule, "action": hit.action} for hit in decision.shadow]
    return {
        "action": decision.name, "rule": decision.rule, "reason": decision.reason, "score": decision.score, "status": status,
        "banned": decision.banned, "tags": sorted(decision.tags), "shadow": shadow,
    }  # fmt: skip


def test_the_corpus_is_the_same_everywhere_and_has_everything() -> None:
    recorded = corpus()
    assert (len(recorded), len(LINES)) == (COUNT, 10_000)
    assert list(batch_lines(corpus(500))) == LINES[:500]
    assert [each.seconds for each in recorded] == sorted(each.seconds for each in recorded)
    requests_made = requests(LINES)
    assert len({request.client.text for request in requests_made}) > 500
    assert {request.method for request in requests_made} >= {b"GET", b"POST", b"HEAD", b"OPTIONS", b"PROPFIND"}
    assert len({request.user_agent for request in requests_made}) > 500


def test_explain_decides_as_the_engine(rules: Path) -> None:
    lines, expected = lines_for(rules), alone(rules, time())
    result = CliRunner().invoke(
        main, ["explain", "--rules", str(rules), "--batch", "-"], input=io.BytesIO("".join(lines).encode())
    )
    assert result.exit_code == 0, result.output[-500:]
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(answers) == len(expected)
    for line, answer, decision in zip(lines, answers, expected, strict=True):
        assert {name: answer[name] for name in said(decision)} == said(decision), line
    actions = Counter(decision.name for decision in expected)
    assert set(actions) >= {"allow", "pass", "reject", "tarpit"}


def test_tests_in_rule_files_decide_as_the_engine(rules: Path) -> None:
    policy = loaded(rules)
    tests = []
    for line, recorded, decision in zip(lines_for(rules), corpus(), alone(rules, 0.0), strict=False):
        status = None if decision.forwards else refusal_status(decision)
        expect = Expectation(decision.name, decision.rule, status, decision.score)
        tests.append(
            RuleTest((TestStep(recorded.sketch, 1, 0.0, expect, Place("corpus", 1, 1)),), Place("corpus", 1, 1), line[:200])
        )
    only_these = [replace(each, tests=()) for each in policy.rule_sets]
    outcome = self_test(Policy((*only_these, RuleSet(name="corpus", file="corpus", tests=tuple(tests)))))
    assert outcome.tests == len(tests)
    assert [failure.problem.message for failure in outcome.failures] == []


def test_a_trace_decides_as_the_engine_when_requests_are_counted_together(rules: Path) -> None:
    """One store for the first two thousand, in the time that they took: limits fill and empty."""
    policy = loaded(rules)
    compiled = compile_policy(policy, secret=b"x")
    stores = MemoryStore(keys=10_000, bans=1000), MemoryStore(keys=10_000, bans=1000)
    limited = 0
    for recorded, request in zip(corpus()[:2000], requests(LINES[:2000]), strict=True):
        decision = decided(compiled, request, stores[0], recorded.seconds)
        traced = trace(policy, request, recorded.seconds, stores[1], mode=Mode.ENFORCE, secret=b"x")
        assert traced.decision == decision
        limited += decision.quota is not None
    assert limited > 0
