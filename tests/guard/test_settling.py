"""Limits that count responses, through the guard: what is charged when, and what never counts against a client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.core.address import Address
from proxyguard.core.problems import format_report
from proxyguard.core.request import Request
from proxyguard.guard.guard import Guard
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.guard.owed_charges import MAX_SETTLING, OwedCharges
from proxyguard.limits.charge import Charge
from proxyguard.limits.limit import LEASE_SECONDS, Count, CountKind, Limit
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.store import AsyncStore, BanRecord, BanTerms, Store, StoreUnavailable
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.model import Policy
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.sites import HostTable, Policies
from proxyguard.telemetry.metrics import Metrics
from tests.late_store import LateStore
from tests.scenes import CLIENT, HUNDRED_AN_HOUR, charged


def ended(status: int, fault: str = "") -> Served:
    return Served(status, bytes_sent=1000, upstream_seconds=0.5, total_seconds=0.5, fault=fault)


OK, MISSING = ended(200), ended(404)


def compiled(rules: str) -> CompiledPolicy:
    rule_set, problems = parse_rule_set(f"name: settling\nrules:\n{rules}", "settling.yaml")
    assert format_report(problems) == ""
    assert rule_set is not None
    return compile_policy(Policy((rule_set,)), secret=b"test")


class Desk:
    """A guard on a clock of its own."""

    def __init__(
        self, policy: CompiledPolicy, store: Store | AsyncStore | None = None, wall: Callable[[float], float] = float
    ) -> None:
        self.now = 1_800_000_000.0
        self.metrics = Metrics()
        policies = Policies("", HostTable([]), policy)
        self.guard = Guard(policies, store or MemoryStore(wall=wall), self.metrics, None, clock=lambda: self.now, wall=wall)

    def check(self, target: bytes = b"/", address: str = "192.0.2.1") -> Ticket:
        headers = ((b"Host", b"example.org"),)
        request = Request(Address.parse(address, 4711), b"GET", b"https", b"example.org", target, headers)
        ticket = self.guard.check(request)
        assert isinstance(ticket, Ticket)
        return ticket

    def serve(self, target: bytes = b"/", served: Served = OK, address: str = "192.0.2.1") -> str:
        ticket = self.check(target, address)
        self.guard.settle(ticket, served)
        return f"{ticket.decision.name} by {ticket.decision.rule}"


SCAN = "  - {name: scan, limit: {rate: 3/minute, count: {status: 404}}, action: {ban: {for: 10m}}}\n"


def test_a_scan_for_pages_that_are_not_there_is_banned_and_a_reader_is_not() -> None:
    desk = Desk(compiled(SCAN))
    assert {desk.serve(b"/page", OK, "192.0.2.9") for _ in range(50)} == {"pass by default"}
    assert [desk.serve(b"/wp-%d" % number, MISSING) for number in range(5)] == ["pass by default"] * 3 + ["ban by scan"] * 2
    assert desk.serve(b"/page", OK, "192.0.2.9") == "pass by default"
    desk.now += 601
    assert desk.serve() == "pass by default"


def test_a_log_counts_statuses_within_any_period_and_a_reader_is_never_stopped() -> None:
    rule = "  - {name: scan, limit: {rate: 3/10m, window: sliding_log, count: {status: 404}}, action: reject}\n"
    desk = Desk(compiled(rule))
    seen = []
    for minute in range(0, 30, 3):
        desk.now = 1_800_000_000.0 + 60 * minute
        seen.append(desk.serve(b"/a", MISSING))
        assert desk.serve(b"/page", OK, "192.0.2.9") == "pass by default"
    assert (
        seen
        == ["pass by default"] * 3 + ["reject by scan"] + ["pass by default"] * 3 + ["reject by scan"] + ["pass by default"] * 2
    )
    assert {desk.serve(b"/page", OK, "192.0.2.8") for _ in range(500)} == {"pass by default"}


def test_failed_log_ins_count_and_successful_ones_do_not() -> None:
    desk = Desk(
        compiled("  - {name: guess, when: {path: /login}, limit: {rate: 3/hour, count: {status: [401, 403]}}, action: reject}\n")
    )
    assert {desk.serve(b"/login", OK) for _ in range(20)} == {"pass by default"}
    for status in (401, 403, 401):
        assert desk.serve(b"/login", ended(status)) == "pass by default"
    assert desk.serve(b"/login", OK) == "reject by guess"
    assert desk.serve(b"/", OK) == "pass by default"
    desk.now += 1200
    assert desk.serve(b"/login", OK) == "pass by default"


@pytest.mark.parametrize(
    ("count", "rate", "passes"), [("bytes", "3000/hour", 3), ("upstream_seconds", "2/minute", 3), ("bytes", "2500/hour", 3)]
)
def test_what_responses_cost_is_charged_when_they_end(count: str, rate: str, passes: int) -> None:
    desk = Desk(compiled(f"  - {{name: cost, limit: {{rate: {rate}, count: {count}}}, action: reject}}\n"))
    assert [desk.serve() for _ in range(passes + 2)] == ["pass by default"] * passes + ["reject by cost"] * 2


def test_distinct_pages_are_counted_and_the_same_page_is_free() -> None:
    desk = Desk(compiled("  - {name: crawl, limit: {rate: 3/day, count: {distinct: path}}, action: reject}\n"))
    assert {desk.serve(b"/one") for _ in range(10)} == {"pass by default"}
    assert [desk.serve(b"/%d" % number) for number in range(4)] == ["pass by default"] * 2 + ["reject by crawl"] * 2
    assert desk.serve(b"/one?again") == "pass by default"


@pytest.mark.parametrize(
    ("served", "counts"),
    [
        (MISSING, True),
        (ended(404, "client-gone"), True),
        (ended(404, "upstream-broken"), False),
        (Served(404), False),
        (OK, False),
    ],
)
def test_only_what_the_site_answered_counts_as_its_answer(served: Served, counts: bool) -> None:
    desk = Desk(compiled(SCAN))
    for _ in range(4):
        desk.serve(b"/", served)
    assert desk.serve() == ("ban by scan" if counts else "pass by default")


def test_a_time_out_of_the_site_costs_the_seconds_that_it_took() -> None:
    desk = Desk(compiled("  - {name: slow, limit: {rate: 30s/minute, count: upstream_seconds}, action: reject}\n"))
    desk.serve(b"/", Served(504, upstream_seconds=60.0, fault="upstream-timeout"))
    assert desk.serve() == "reject by slow"


def test_a_rule_in_shadow_is_charged_like_any_other() -> None:
    desk = Desk(compiled(SCAN.replace("action", "mode: shadow, action")))
    hits = []
    for _ in range(5):
        ticket = desk.check()
        desk.guard.settle(ticket, MISSING)
        hits.append([hit.action for hit in ticket.decision.shadow])
    assert hits == [[], [], [], ["ban"], ["ban"]]


COUNTS = (
    "requests",
    "bytes",
    "upstream_seconds",
    "{status: 404}",
    "{status: [2xx, 404]}",
    "{distinct: path}",
    "{distinct: query.q}",
)
RATES = {"bytes": "2500/hour"}

counts = st.lists(st.sampled_from(COUNTS), min_size=1, max_size=3)
targets = st.sampled_from([b"/a", b"/b", b"/c", b"/d?q=1", b"/d?q=2", b"/e?q=3", b"/no", b"/tar", b"/cut", b"/health"])
visits = st.lists(st.tuples(targets, st.sampled_from([OK, MISSING]), st.sampled_from([0.0, 1.0, 700.0])), max_size=40)


@pytest.mark.thorough
@given(counts, st.sampled_from(["sliding", "calendar"]), visits)
def test_refusals_tarpits_and_health_checks_never_count(
    kinds: list[str], window: str, seen: list[tuple[bytes, Served, float]]
) -> None:
    rules = "  - {name: health, when: {path: /health}, action: allow}\n"
    for number, kind in enumerate(kinds):
        rate = RATES.get(kind, "3/hour")
        action = ("reject", "tarpit", "{score: 1}")[number]
        limit = f"{{rate: {rate}, count: {kind}, window: {window}}}"
        rules += f"  - {{name: limit-{number}, limit: {limit}, action: {action}}}\n"
    rules += "".join(
        f"  - {{name: r-{action}, when: {{path: {path}}}, action: {action}}}\n"
        for path, action in (("/no", "reject"), ("/tar", "tarpit"), ("/cut", "drop"))
    )
    policy = compiled(rules)
    everything, only_served = Desk(policy), Desk(policy)
    for target, served, wait in seen:
        everything.now += wait
        only_served.now += wait
        ticket = everything.check(target)
        everything.guard.settle(ticket, served)
        if ticket.decision.forwards and target != b"/health":
            alone = only_served.check(target)
            only_served.guard.settle(alone, served)
            assert alone.decision == ticket.decision
        else:
            assert ticket.due == ()


def test_nobody_waits_for_a_store_elsewhere_to_hear_of_a_response() -> None:
    async def scan() -> list[str]:
        desk = Desk(compiled(SCAN), LateStore())
        decided = []
        for _ in range(5):
            request = Request(Address.parse("192.0.2.1", 1), b"GET", b"https", b"example.org", b"/", ())
            ticket = desk.guard.check(request)
            assert not isinstance(ticket, Ticket)
            settled = await ticket
            desk.guard.settle(settled, MISSING)
            decided.append(settled.decision.name)
            await asyncio.sleep(0.001)
        return decided

    assert asyncio.run(scan()) == ["pass", "pass", "pass", "ban", "ban"]


@pytest.mark.parametrize(("error", "counted"), [(StoreUnavailable("gone"), {}), (OSError("odd"), {"settle": 1})])
def test_a_response_that_cannot_be_charged_harms_nobody(error: Exception, counted: dict[str, int]) -> None:
    async def serve() -> dict[str, int]:
        store = LateStore()
        desk = Desk(compiled(SCAN), store)
        request = Request(Address.parse("192.0.2.1", 1), b"GET", b"https", b"example.org", b"/", ())
        ticket = desk.guard.check(request)
        assert not isinstance(ticket, Ticket)
        settled = await ticket
        store.error = error
        desk.guard.settle(settled, OK)
        await asyncio.sleep(0.001)
        return dict(desk.metrics.internal_errors)

    assert asyncio.run(serve()) == counted


GUESSES = "  - {name: guess, when: {path: /login}, limit: {rate: 10/hour, count: {status: [401]}}, action: reject}\n"
REFUSED = ended(401)


@pytest.mark.parametrize("window", ["", ", window: calendar"])
def test_tries_that_are_under_way_together_are_as_many_as_the_limit(window: str) -> None:
    desk = Desk(compiled(GUESSES.replace("10/hour", f"10/hour{window}")))
    tickets = [desk.check(b"/login") for _ in range(300)]
    passed = [ticket for ticket in tickets if ticket.decision.forwards]
    assert len(passed) == 10
    for ticket in passed[:4]:
        desk.guard.settle(ticket, OK)
    for ticket in passed[4:]:
        desk.guard.settle(ticket, REFUSED)
    assert [desk.check(b"/login").decision.forwards for _ in range(5)] == [True] * 4 + [False]


@pytest.mark.parametrize(
    "end",
    [
        OK,
        Served(0, fault="client-gone"),
        Served(499, upstream_seconds=0.1, fault="client-gone"),
        Served(502, fault="upstream-connect"),
        Served(504, upstream_seconds=60.0, fault="upstream-timeout"),
        Served(200, upstream_seconds=1.0, fault="upstream-broke"),
    ],
)
@pytest.mark.parametrize("limit", ["{rate: 10/hour, count: {status: 401}}", "{concurrent: 10}"])
def test_what_is_reserved_comes_back_however_the_exchange_ends(end: Served, limit: str) -> None:
    desk = Desk(compiled(f"  - {{name: guess, limit: {limit}, action: reject}}\n"))
    for _ in range(100):
        tickets = [desk.check() for _ in range(10)]
        assert all(ticket.decision.forwards for ticket in tickets)
        assert not desk.check().decision.forwards
        for ticket in tickets:
            desk.guard.settle(ticket, end)


@pytest.mark.parametrize("limit", ["{rate: 3/hour, count: {status: 401}}", "{concurrent: 3}", "{rate: 3/hour, count: bytes}"])
def test_a_request_that_another_rule_refuses_reserves_nothing(limit: str) -> None:
    score = "  - {name: points, when: {path: /bad}, action: {score: 9}}\n"
    score += "  - {name: many, limit: {rate: 1000/hour}, action: {score: 1}}\n"
    refuse = "  - {name: bad, when: {all: [{path: /bad}, {score: {at_least: 9}}]}, action: reject}\n"
    counted = f"  - {{name: few, limit: {limit}, action: tarpit}}\n"
    desk = Desk(compiled(score + counted + refuse))
    assert {desk.check(b"/bad").decision.rule for _ in range(50)} == {"bad"}
    assert desk.check().decision.forwards


def test_a_reserved_unit_of_yesterday_is_not_given_back_today() -> None:
    desk = Desk(compiled(GUESSES.replace("10/hour", "2/day, window: calendar")))
    yesterday = [desk.check(b"/login") for _ in range(2)]
    desk.now += 86_400.0
    today = [desk.check(b"/login") for _ in range(2)]
    for ticket in yesterday:
        desk.guard.settle(ticket, OK)
    assert not desk.check(b"/login").decision.forwards
    for ticket in today:
        desk.guard.settle(ticket, OK)
    assert desk.check(b"/login").decision.forwards


def test_ten_requests_under_way_are_ten_whatever_they_ask_for() -> None:
    desk = Desk(compiled("  - {name: few, limit: {concurrent: 10, per: [client]}, action: reject}\n"))
    tickets = [desk.check(b"/%d" % number) for number in range(40)]
    assert [ticket.decision.forwards for ticket in tickets] == [True] * 10 + [False] * 30
    assert desk.check(address="192.0.2.2").decision.forwards
    refused = tickets[10].decision
    assert refused.quota is not None
    assert (refused.quota.limit, refused.quota.retry_after_seconds) == (10, 1.0)
    desk.now += 86_400.0  # a download of a day
    assert not desk.check().decision.forwards
    desk.guard.settle(tickets[0], OK)
    assert desk.check().decision.forwards
    assert not desk.check().decision.forwards


def test_requests_under_way_are_given_back_to_a_store_elsewhere() -> None:
    async def serve() -> list[bool]:
        desk = Desk(compiled("  - {name: few, limit: {concurrent: 2}, action: reject}\n"), LateStore())
        passed = []
        for _ in range(5):
            tickets = []
            for _ in range(3):
                request = Request(Address.parse("192.0.2.1", 1), b"GET", b"https", b"example.org", b"/", ())
                ticket = desk.guard.check(request)
                assert not isinstance(ticket, Ticket)
                tickets.append(await ticket)
            passed += [ticket.decision.forwards for ticket in tickets]
            for settled in tickets:
                desk.guard.settle(settled, OK)
            await asyncio.sleep(0.001)
        return passed

    assert asyncio.run(serve()) == [True, True, False] * 5


@pytest.mark.parametrize("ahead", [0.0, 1800.0, -1800.0, 7200.0, -7200.0])
def test_a_calendar_window_gives_back_by_the_wall_however_far_it_is_from_the_line(ahead: float) -> None:
    rule = "  - {name: scan, limit: {rate: 3/hour, window: calendar, count: {status: 404}}, action: reject}\n"
    desk = Desk(compiled(rule), wall=lambda moment: moment + ahead)
    desk.now += 3590.0 - ahead  # ten seconds before a full hour of the wall
    assert {desk.serve() for _ in range(10)} == {"pass by default"}
    before = [desk.check() for _ in range(3)]
    desk.now += 20.0
    assert [desk.serve(b"/", MISSING) for _ in range(3)] == ["pass by default"] * 3
    for ticket in before:
        desk.guard.settle(ticket, OK)
    assert desk.serve() == "reject by scan"


def test_requests_under_way_are_given_back_however_many_charges_wait_for_a_store() -> None:
    limit = Limit(1, LEASE_SECONDS, 1, CLIENT, count=Count(CountKind.CONCURRENT))

    async def serve() -> list[bool]:
        store = LateStore()
        owed = OwedCharges(store, Metrics(), float)
        first = await charged(store, "few!|a", limit)
        for _ in range(MAX_SETTLING):
            owed.charge((Charge("scan!|a", HUNDRED_AN_HOUR),), 1_800_000_000.0)
        owed.put_right((Charge("few!|a", limit),), (0, 0, None), 1_800_000_000.0, 1_800_000_000.0)
        await asyncio.sleep(0)
        return [each.usages[0].exceeded for each in (first, await charged(store, "few!|a", limit))]

    assert asyncio.run(serve()) == [False, False]


class NoBans(LateStore):
    """Counts, and has a fault when somebody is to be banned."""

    def ban(self, key: str, rule: str, reason: str, terms: BanTerms, now: float) -> BanRecord:
        raise RuntimeError("a fault of ours")


def test_a_request_that_met_a_fault_after_it_was_charged_holds_no_place() -> None:
    rules = "  - {name: few, limit: {concurrent: 2}, action: reject}\n"
    rules += "  - {name: many, when: {path: /bad}, limit: {rate: 1/hour}, action: {score: 9}}\n"
    rules += "  - {name: bad, when: {score: {at_least: 9}}, action: {ban: {for: 10m}}}\n"
    desk = Desk(compiled(rules), NoBans())

    async def serve(target: bytes) -> str | None:
        request = Request(Address.parse("192.0.2.1", 1), b"GET", b"https", b"example.org", target, ())
        ticket = desk.guard.check(request)
        assert not isinstance(ticket, Ticket)
        settled = await ticket
        desk.guard.settle(settled, OK)
        await asyncio.sleep(0.001)
        return settled.decision.rule

    async def serve_all() -> list[str | None]:
        return [await serve(target) for target in (b"/bad", b"/bad", b"/bad", b"/bad", b"/")]

    assert asyncio.run(serve_all()) == ["default", *["failure-mode"] * 3, "default"]
    assert desk.metrics.internal_errors["check"] == 3
