"""The guard: failure modes, sites, what is recorded and what is not."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from proxyguard.core.address import Address
from proxyguard.core.decision import Allow, Ban, Mode, Reject, Score, Tarpit
from proxyguard.core.origin import Origin
from proxyguard.core.privacy import Privacy, PrivacyPreset
from proxyguard.core.request import Request
from proxyguard.core.settings import FailureMode
from proxyguard.guard.guard import Guard
from proxyguard.guard.interfaces import Refusal, Served, Ticket
from proxyguard.limits.charge import Charge
from proxyguard.limits.limit import KeyKind, KeyPart, Limit
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.store import Outcome, StoreUnavailable
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.model import AccountSource, Field, FieldKind, Policy, Rule, RuleSet, Test, Text, TextKind
from proxyguard.policy.sites import HostTable, Policies
from proxyguard.restrictions.history import Allowance, PathText, Tried, tried
from proxyguard.telemetry.audit import AuditLog
from proxyguard.telemetry.discretion import Discretion
from proxyguard.telemetry.metrics import Metrics
from tests.late_store import LateStore

SECRET = b"test"
BY_CLIENT = (KeyPart(KeyKind.CLIENT),)


def path_is(text: bytes) -> Test:
    return Test(Field(FieldKind.PATH), Text(TextKind.EQUAL, (text,)))


RULES = (
    Rule(name="robots", action=Allow(), when=path_is(b"/robots.txt")),
    Rule(name="no-secret", action=Reject(), when=path_is(b"/secret"), why="Nobody may."),
    Rule(name="odd", action=Score(20), when=path_is(b"/odd")),
    Rule(name="maybe", action=Reject(), when=path_is(b"/shadowed"), mode=Mode.SHADOW),
    Rule(name="flood", action=Ban(for_seconds=60), when=path_is(b"/signup"), limit=Limit(2, 60.0, 2, BY_CLIENT)),
)


def policies(*rules: Rule) -> Policies:
    compiled = compile_policy(Policy((RuleSet(name="all", file="all.yaml", rules=rules),), "d"), secret=SECRET)
    none = compile_policy(Policy((), "d"), secret=SECRET)
    return Policies("d", HostTable([("free.example", none)]), compiled)


def request(target: bytes = b"/", host: bytes = b"example.org") -> Request:
    headers = ((b"Cookie", b"session=s3cret"), (b"Authorization", b"Bearer s3cret"), (b"User-Agent", b"x"))
    return Request(Address.parse("192.0.2.1", 4711), b"GET", b"https", host, target, headers)


class Bench:
    """A guard with what it tells kept at hand."""

    def __init__(
        self, tmp_path: Path, *, store: object = None, mode: FailureMode = FailureMode.OPEN, passes: float = 0.0
    ) -> None:
        self.path = tmp_path / "audit.log"
        self.now = 1000.0
        self.metrics = Metrics()
        self.audit = AuditLog(str(self.path), lambda count: None)
        self.guard = Guard(
            policies(*RULES), store or MemoryStore(), self.metrics, self.audit,  # type: ignore[arg-type] # fakes of the store
            failure_mode=mode, audit_passes=passes, clock=lambda: self.now,
            discretion=Discretion(Privacy(preset=PrivacyPreset.FULL), b"secret"),
        )  # fmt: skip

    def ask(self, target: bytes = b"/", host: bytes = b"example.org") -> Ticket:
        ticket = self.guard.check(request(target, host))
        assert isinstance(ticket, Ticket)
        return ticket

    def records(self) -> list[dict[str, object]]:
        self.audit.close()
        return [json.loads(line) for line in self.path.read_text().splitlines()]


def test_a_refusal_is_recorded_with_what_an_operator_needs_and_no_secret(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ticket = bench.ask(b"/secret?token=s3cret")
    assert (ticket.decision.name, ticket.decision.rule) == ("reject", "no-secret")
    [record] = bench.records()
    milliseconds = record.pop("milliseconds")
    assert re.fullmatch(r"[0-9a-f]{12}\.1\.[0-9a-f]{32}", str(record.pop("chain")))
    assert isinstance(milliseconds, float)
    assert record == {
        "time": 1000.0, "reference": ticket.reference, "client": "192.0.2.1", "port": 4711, "method": "GET",
        "host": "example.org", "path": "/secret", "rule": "no-secret", "action": "reject", "mode": "enforce", "score": 0.0,
        "status": 403, "reason": "Nobody may.", "class": "",
        "tags": [], "shadow": [], "fault": "", "http_version": "1.1", "user_agent": "x", "referer_host": "",
        "bytes_sent": 0, "bytes_received": 0, "upstream_milliseconds": None, "upstream": "",
        "country": "", "asn": None, "identity": "", "verified": None,
        "network": "192.0.2.0/24", "ja4": "", "client_kind": "", "http2": "", "robots": "", "robots_version": "",
    }  # fmt: skip
    assert "s3cret" not in bench.path.read_text()


def test_a_plain_pass_that_came_to_grief_is_recorded_with_the_reference_that_its_client_was_shown(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    shown, left = bench.ask(b"/"), bench.ask(b"/")
    bench.guard.settle(shown, Served(503, fault="upstream-connect", upstream="http://192.0.2.9:80"))
    bench.guard.settle(left, Served(499, fault="client-gone"))
    [record] = bench.records()
    assert (record["reference"], record["rule"], record["action"]) == (shown.reference, "default", "pass")
    assert (record["status"], record["fault"], record["upstream"]) == (503, "upstream-connect", "http://192.0.2.9:80")


def test_what_the_front_refused_by_itself_is_recorded(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.guard.refused(Refusal("r9", bench.ask(b"/").request.client, 421, "host-unknown", b"GET", b"other.example", b"/a"))
    [record] = bench.records()
    assert (record["reference"], record["rule"], record["status"], record["fault"]) == ("r9", "", 421, "host-unknown")
    assert (record["host"], record["path"], record["time"]) == ("other.example", "/a", 1000.0)


def test_a_body_that_is_malformed_counts_as_one_fault_whatever_is_wrong_with_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for fault in ("chunk", "body-size", "loop"):
        bench.guard.settle(bench.ask(b"/"), Served(400, fault=fault))
    assert bench.metrics.faults == {"client-malformed": 2, "loop": 1}
    assert [record["fault"] for record in bench.records()] == ["chunk", "body-size", "loop"]


def test_plain_passes_are_not_recorded_but_allowed_scored_and_shadowed_ones_are(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for target in (b"/", b"/robots.txt", b"/odd", b"/shadowed"):
        bench.guard.settle(bench.ask(target), Served(status=200, total_seconds=0.25))
    assert [(r["rule"], r["action"], r["mode"], r["score"], r["shadow"], r["milliseconds"]) for r in bench.records()] == [
        ("robots", "allow", "enforce", 0.0, [], 250.0),
        ("default", "pass", "enforce", 20.0, [], 250.0),
        ("default", "pass", "shadow", 0.0, ["reject by maybe"], 250.0),
    ]
    assert bench.metrics.decisions["maybe", "reject", "shadow"] == 1


@pytest.mark.parametrize("status", [200, 403])
def test_a_tarpit_is_recorded_once_with_what_the_client_got(tmp_path: Path, status: int) -> None:
    bench = Bench(tmp_path)
    bench.guard.swap(policies(Rule(name="slow", action=Tarpit(), when=path_is(b"/trap"))))
    bench.guard.settle(bench.ask(b"/trap"), Served(status=status))
    assert [(record["action"], record["status"]) for record in bench.records()] == [("tarpit", status)]


def test_passes_are_sampled_when_asked_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, passes=1.0)
    bench.guard.settle(bench.ask(), Served(status=200))
    assert [record["action"] for record in bench.records()] == ["pass"]


def test_a_ban_follows_a_flood_ends_in_time_and_never_touches_what_is_allowed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert [bench.ask(b"/signup").decision.name for _ in range(4)] == ["pass", "pass", "ban", "ban"]
    assert bench.ask(b"/").decision.banned
    assert bench.ask(b"/robots.txt").decision.name == "allow"
    bench.now += 61
    assert bench.ask(b"/").decision.name == "pass"


def test_each_site_has_its_own_rules(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.ask(b"/secret", b"free.example").decision.name == "pass"
    assert bench.ask(b"/secret", b"other.example").decision.name == "reject"


class BrokenStore:
    """A store with a bug."""

    def charge(self, charges: Sequence[Charge], ban_keys: Sequence[str], now: float) -> Outcome:
        raise ZeroDivisionError


@pytest.mark.parametrize(("mode", "action"), [(FailureMode.OPEN, "pass"), (FailureMode.CLOSED, "reject")])
def test_a_fault_of_ours_is_counted_and_decided_by_the_failure_mode(tmp_path: Path, mode: FailureMode, action: str) -> None:
    bench = Bench(tmp_path, store=BrokenStore(), mode=mode)
    ticket = bench.ask(b"/secret")
    assert (ticket.decision.name, ticket.decision.rule) == (action, "failure-mode")
    assert bench.metrics.internal_errors == {"check": 1}
    bench.guard.settle(ticket, Served(status=200))
    assert [record["rule"] for record in bench.records()] == ["failure-mode"]


def test_a_remote_store_is_awaited(tmp_path: Path) -> None:
    bench = Bench(tmp_path, store=LateStore())

    async def ask() -> list[str]:
        waiting = [bench.guard.check(request(b"/signup")) for _ in range(3)]
        return [(await ticket).decision.name for ticket in waiting if not isinstance(ticket, Ticket)]

    assert asyncio.run(ask()) == ["pass", "pass", "ban"]


def asked(bench: Bench, target: bytes) -> tuple[str, str, object]:
    async def ask() -> Ticket:
        ticket = bench.guard.check(request(target))
        return ticket if isinstance(ticket, Ticket) else await ticket

    decision = asyncio.run(ask()).decision
    status = decision.action.status if isinstance(decision.action, Reject) else None
    return decision.name, decision.rule, status


@pytest.mark.parametrize("mode", FailureMode)
def test_an_unavailable_store_refuses_what_it_would_count_whatever_the_failure_mode(tmp_path: Path, mode: FailureMode) -> None:
    bench = Bench(tmp_path, store=LateStore(StoreUnavailable("gone")), mode=mode)
    assert asked(bench, b"/signup") == ("reject", "store-down", 503)
    assert asked(bench, b"/secret") == ("reject", "no-secret", None)
    assert asked(bench, b"/robots.txt") == ("allow", "robots", None)
    assert asked(bench, b"/") == ("pass", "default", None)
    assert bench.metrics.internal_errors == {"store": 3}


def test_what_a_rule_without_a_limit_refuses_is_refused_by_it_though_the_store_is_down(tmp_path: Path) -> None:
    bench = Bench(tmp_path, store=LateStore(StoreUnavailable("gone")))
    counted = Rule(name="pages", action=Reject(), limit=Limit(2, 60.0, 2, BY_CLIENT))
    bench.guard.swap(policies(counted, *RULES))
    assert asked(bench, b"/secret") == ("reject", "no-secret", None)
    assert asked(bench, b"/") == ("reject", "store-down", 503)


def test_a_store_that_refuses_at_once_is_no_different(tmp_path: Path) -> None:
    class DownStore(LateStore):
        def charge(self, charges: Sequence[Charge], ban_keys: Sequence[str], now: float) -> Outcome:
            raise StoreUnavailable("gone")

    assert asked(Bench(tmp_path, store=DownStore()), b"/signup") == ("reject", "store-down", 503)


def test_rules_in_shadow_refuse_nothing_when_the_store_is_down(tmp_path: Path) -> None:
    bench = Bench(tmp_path, store=LateStore(StoreUnavailable("gone")))
    shadow = tuple(replace(rule, mode=Mode.SHADOW) for rule in RULES)
    bench.guard.swap(policies(*shadow))
    assert asked(bench, b"/signup") == ("pass", "default", None)


def test_references_are_opaque_and_distinct(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    references = {bench.ask().reference for _ in range(1000)}
    assert len(references) == 1000
    assert {len(reference) for reference in references} == {16}


SESSION = Field(FieldKind.COOKIE, "session")


@pytest.mark.parametrize("mode", FailureMode)
def test_a_failed_check_still_hides_the_account_header_and_learns_from_it(tmp_path: Path, mode: FailureMode) -> None:
    """Else failure mode open would forward the client's own header, and the client would see the upstream's."""
    bench = Bench(tmp_path, store=BrokenStore(), mode=mode)
    account = AccountSource(SESSION, "x-account-class")
    rule_set = RuleSet(name="all", file="all.yaml", account=account, rules=RULES)
    bench.guard.swap(Policies("d", HostTable([]), compile_policy(Policy((rule_set,), "d"), secret=SECRET)))
    ticket = bench.ask(b"/signup")
    assert ticket.decision.rule == "failure-mode"
    assert ticket.forwarding is not None
    assert (ticket.forwarding.hide, ticket.forwarding.add) == (b"x-account-class", ())
    assert ticket.forwarding.on_hidden_value is not None
    ticket.forwarding.on_hidden_value(b"member")
    assert bench.ask(b"/signup").request.account == b"member"


def test_who_asked_for_what_is_remembered_before_any_class_or_restriction_exists(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for target in (b"/posts/1", b"/posts/2", b"/posts/3", b"/", b"/robots.txt"):
        bench.ask(target)
    recent = bench.guard.restrictions.recent
    posts = Allowance("anonymous", 2.0, 2.0, (PathText(b"/posts/"),))
    assert tried(posts, [recent.reads(posts, bench.now)]) == Tried(seen=1, touched=1)
    all_of_it = Allowance("anonymous", 4.0, 4.0)
    assert tried(all_of_it, [recent.reads(all_of_it, bench.now)]) == Tried(seen=1, touched=0)


def test_while_nothing_acts_everything_passes_and_the_record_says_what_would_have_been_done(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.guard.restrictions.shadow_until = 1010.0
    for target in (b"/secret", b"/robots.txt", b"/shadowed", *[b"/signup"] * 4):
        ticket = bench.ask(target)
        assert ticket.decision.forwards
        bench.guard.settle(ticket, Served(status=200))
    bench.now = 1010.0
    assert [bench.ask(target).decision.name for target in (b"/secret", b"/", b"/signup", b"/")] == [
        "reject",
        "pass",
        "ban",
        "ban",
    ]
    assert [(r["rule"], r["action"], r["mode"], r["status"], r["shadow"], r["reason"]) for r in bench.records()][:4] == [
        ("shadow-switch", "pass", "shadow", 200, ["reject by no-secret"], "Nobody may."),
        ("robots", "allow", "enforce", 200, [], ""),
        ("default", "pass", "shadow", 200, ["reject by maybe"], ""),
        ("shadow-switch", "pass", "shadow", 200, ["ban by flood"], ""),
    ]
    assert bench.metrics.decisions["shadow-switch", "pass", "enforce"] == 3
    assert bench.metrics.decisions["flood", "ban", "shadow"] == 2


def test_a_ban_of_before_does_not_act_while_nothing_does(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for _ in range(3):
        bench.ask(b"/signup")
    assert bench.ask(b"/").decision.banned
    bench.guard.restrictions.shadow_until = 1010.0
    ticket = bench.ask(b"/")
    assert (ticket.decision.name, ticket.decision.rule, ticket.decision.banned) == ("pass", "shadow-switch", False)
    assert [(hit.action, hit.rule) for hit in ticket.decision.shadow] == [("ban", "flood")]


@pytest.mark.parametrize("mode", FailureMode)
def test_a_fault_of_ours_refuses_nobody_while_nothing_acts(tmp_path: Path, mode: FailureMode) -> None:
    bench = Bench(tmp_path, store=BrokenStore(), mode=mode)
    bench.guard.restrictions.shadow_until = 1010.0
    assert bench.ask(b"/").decision.forwards


def test_an_origin_is_looked_for_only_when_a_rule_asks_and_is_recorded(tmp_path: Path) -> None:
    asked: list[Request] = []

    def find_origin(request: Request) -> Origin:
        asked.append(request)
        return Origin(country="DE", asn=24940, claim="googlebot", verified=False)

    forged = Rule(name="forged", action=Reject(), when=Test(Field("verified"), Text(TextKind.EQUAL, (b"false",))))
    audit = AuditLog(str(tmp_path / "audit.log"), lambda count: None)
    guard = Guard(policies(*RULES), MemoryStore(), Metrics(), audit, find_origin=find_origin)
    guard.check(request())
    assert asked == []
    guard.swap(policies(forged))
    ticket = guard.check(request())
    assert isinstance(ticket, Ticket)
    assert (ticket.decision.rule, len(asked)) == ("forged", 1)
    audit.close()
    record = json.loads((tmp_path / "audit.log").read_text())
    assert (record["country"], record["asn"], record["identity"], record["verified"]) == ("DE", 24940, "googlebot", False)
    guard.swap(policies(Rule(name="by-network", action=Reject(), limit=Limit(1, 60.0, 1, (KeyPart("asn"),)))))
    guard.check(request())
    assert len(asked) == 2
