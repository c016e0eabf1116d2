"""The trace of one request, as an operator reads it and as a program does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from proxyguard.core.decision import Allow, Ban, Mode, Reject, Score, Tag
from proxyguard.limits.limit import Ambiguous, KeyKind, KeyPart, Limit, Missing, Window
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.keys import rule_identity
from proxyguard.policy.explain.report import format_limit
from proxyguard.policy.explain.trace import trace
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Absent, Policy
from tests.build import asks, client_in, equal, limit, policy, request, rule, score_at_least, word

FLOOD_LIMIT = limit(2)
FLOOD_KEY = rule_identity("set-a", "flood", FLOOD_LIMIT, shadow=False) + "|192.0.2.1"


def rules() -> Policy:
    return policy(
        rule("no-accept", Score(40), asks("header.accept", Absent())),
        rule("office", Allow(), client_in("10.0.0.0/8")),
        rule("old", Reject(), expires=5.0),
        rule("off", Reject(), mode=Mode.OFF),
        rule("watched", Reject(), score_at_least(30), mode=Mode.SHADOW),
        rule("flood", Reject(), equal("path", "/signup"), FLOOD_LIMIT),
        rule("keys", Tag("x"), counted=limit(1, KeyPart(KeyKind.HEADER, "x-api-key"), missing=Missing.SKIP)),
        rule("curl", Ban(60.0), word("curl")),
        rule("last", Reject(), word("wget")),
    )


def test_the_text_has_a_line_for_each_rule_and_the_decision() -> None:
    asked = request("/signup?a=b", user_agent="curl/8", headers=(("Cookie", "session=hunter2"),))
    text = trace(rules(), asked, 10.0).as_text()
    assert text.splitlines() == [
        "GET https://example.org/signup?a=b from 192.0.2.1",
        "  no           office: allow -- client 192.0.2.1 is not in 10.0.0.0/8",
        "  applies      no-accept: score -- header.accept is absent",
        "  expired      old: reject",
        "  off          off (off): reject",
        "  would apply  watched (shadow): reject -- score is 40, at least 30",
        f"  within limit flood: reject -- path equals '/signup' -- limit 2 per 60 s, burst 2, per client: 2 left [{FLOOD_KEY}]",
        "  not counted  keys: tag",
        "  applies      curl: ban -- user_agent has the word 'curl'",
        "  1 later rules were not looked at",
        "decision: ban by curl (status 403), score 40",
        "why: because curl",
        "shadow: reject by watched",
    ]
    assert "hunter2" not in text


def test_the_fields_are_json_and_say_the_decision_first() -> None:
    store = MemoryStore(keys=100, bans=100)
    asked = request("/signup", headers=(("Accept", "*/*"),))
    for _ in range(2):
        assert trace(rules(), asked, 10.0, store).as_dict()["action"] == "pass"
    fields = trace(rules(), asked, 10.0, store).as_dict()
    decision = {
        name: fields[name] for name in ("action", "rule", "reason", "score", "matched", "status", "quota", "not_looked_at")
    }
    assert decision == {
        "action": "reject",
        "rule": "flood",
        "reason": "because flood",
        "score": 0.0,
        "matched": ["path equals '/signup'"],
        "status": 429,
        "quota": {"limit": 2, "period_seconds": 60.0, "remaining": 0, "retry_after_seconds": 30.0},
        "not_looked_at": 3,
    }
    assert fields["rules"][-1] == {
        "rule": "flood",
        "rule_set": "set-a",
        "place": "rules/a.yaml:1:1",
        "action": "reject",
        "mode": "enforce",
        "verdict": "applies",
        "reasons": ["path equals '/signup'"],
        "score": 0.0,
        "charge": {
            "key": FLOOD_KEY,
            "cost": 1.0,
            "limit": "2 per 60 s, burst 2, per client",
            "exceeded": True,
            "remaining": 0,
            "retry_after_seconds": 30.0,
        },
    }
    assert json.loads(json.dumps(fields)) == fields


def test_an_allowed_request_ends_at_its_rule() -> None:
    traced = trace(rules(), request(client="10.1.2.3"), 0.0)
    assert [looked.rule for looked in traced.looked] == ["office"]
    assert traced.not_looked_at == 8
    assert traced.as_dict()["status"] is None


def test_a_ban_in_force_is_told_and_a_new_one_is_stored() -> None:
    store = MemoryStore(keys=100, bans=100)
    assert trace(rules(), request(user_agent="curl/8"), 10.0, store).decision.banned
    traced = trace(rules(), request(), 30.0, store)
    assert traced.as_dict()["action"] == "ban"
    assert [looked.rule for looked in traced.looked] == ["office"]
    assert traced.as_text().splitlines()[-2] == "decision: ban by curl (status 403)"
    assert trace(rules(), request(), 71.0, store).decision.rule == "default"


def test_without_a_store_nothing_is_remembered() -> None:
    for _ in range(3):
        assert trace(rules(), request("/signup"), 10.0).decision.rule == "default"


def test_a_target_from_the_wire_cannot_move_the_terminal() -> None:
    text = trace(policy(), request("/\x1b[2J\u202e"), 0.0).as_text()
    assert text.splitlines()[0] == "GET https://example.org/\\x1b[2J\\u202e from 192.0.2.1"


@pytest.mark.parametrize(
    ("window", "said"),
    [
        (Window.SLIDING, "3 per 600 s, burst 3, per client"),
        (Window.SLIDING_LOG, "3 per any 600 s, per client"),
        (Window.CALENDAR, "3 per calendar 600 s of UTC, per client"),
    ],
)
def test_a_limit_says_its_window(window: Window, said: str) -> None:
    assert format_limit(Limit(3, 600.0, 3, (KeyPart(KeyKind.CLIENT),), window=window)) == said


def test_a_request_that_a_limit_cannot_count_and_refuses_is_refused() -> None:
    by_session = replace(limit(5, KeyPart(KeyKind.COOKIE, "session")), ambiguous=Ambiguous.REJECT)
    rules = policy(
        rule("points", Score(5), counted=by_session),
        rule("sessions", Reject(), score_at_least(5), by_session),
        rule("last", Reject()),
    )
    found = trace(rules, request(headers=(("Cookie", "session=a; session=b"),)), 10.0)
    assert (found.decision.rule, found.decision.score) == ("sessions", 5.0)
    assert found.matched == ("score is 5, at least 5", "sites may disagree about a part of its key")
    assert trace(rules, request(headers=(("Cookie", "session=a"),)), 10.0).decision.rule == "last"


def test_items_are_found_as_the_engine_finds_them(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("import: bundled/65-reading-by-jar\n")
    (tmp_path / "b.yaml").write_text(
        "name: mine\nitems: {staff: {path: /profiles/*}}\nrules: [{name: no-staff, when: {item: staff}, action: reject}]\n"
    )
    (tmp_path / "c.yaml").write_text(
        "name: off\nmode: 'off'\nitems: {pages: {path: /pages/*}}\nrules: [{name: none, when: {item: pages}, action: reject}]\n"
    )
    loaded = load_policy(tmp_path)
    assert loaded.policy is not None, loaded.problems
    found = {target: trace(loaded.policy, request(target), 10.0) for target in ("/profiles/1", "/pages/1")}
    assert found["/profiles/1"].decision.rule == "no-staff"
    assert found["/pages/1"].request.item is None
