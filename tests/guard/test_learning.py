"""Limits that learn, through the guard: one key is let on further than another, and clients are told the limit that they have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest

from proxyguard.core.address import Address
from proxyguard.core.request import Request
from proxyguard.guard.guard import Guard
from proxyguard.guard.interfaces import Ticket
from proxyguard.limits.daily import DAY_SECONDS
from proxyguard.limits.hourly import HOUR_SECONDS
from proxyguard.limits.learning import Learning
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.load import load_policy
from proxyguard.policy.sites import HostTable, Policies
from proxyguard.policy.testing.runner import run_tests
from proxyguard.telemetry.metrics import Metrics
from tests.late_store import LateStore

RULES = """
name: learned
rules:
  - name: of-a-network
    when: {path: {prefix: /items/}}
    limit: {rate: 20/day, window: calendar, per: [network], learned: {times: 2, at_most: 200}, announce: true}
    action: reject
  - name: of-all
    when: {path: /new}
    limit: {rate: 10/hour, window: calendar, per: [site], learned: {times: 2, at_most: 500}}
    action: reject
  - name: of-a-line
    when: {path: /signup}
    limit: {rate: 3/day, window: calendar, per: [client], learned: {times: 2, at_most: 12, until_known: 5}}
    action: reject
tests:
  - {request: {path: /items/1}, repeat: 20, expect: pass by default}
  - {request: {path: /items/1}, repeat: 21, expect: reject by of-a-network}
  - {request: {path: /items/1}, repeat: 50, usual: 30, expect: pass by default}
  - {request: {path: /items/1}, repeat: 201, usual: 1000, expect: reject by of-a-network}
  - {request: {path: /new}, repeat: 11, expect: reject by of-all}
  - {request: {path: /new}, repeat: 50, usual: 25, expect: pass by default}
"""

OFFICE, HOME = "192.0.2.1", "198.51.100.1"


class Bench:
    """The guard of one site, on a clock of its own that begins at midnight."""

    def __init__(self, folder: Path, store: MemoryStore | LateStore | None = None) -> None:
        (folder / "10-learned.yaml").write_text(RULES)
        policy = load_policy(folder).policy
        assert policy is not None
        assert run_tests(policy) == ()
        policies = Policies("", HostTable([]), compile_policy(policy, secret=b"x"))
        self.now = 20_000 * DAY_SECONDS
        self.learning = Learning(float)
        self.guard = Guard(
            policies, store or MemoryStore(), Metrics(), None, learning=self.learning, clock=lambda: self.now, wall=float
        )

    def ask(self, client: str, path: str, times: int = 1) -> tuple[int, Ticket]:
        """How many of so many requests were let through, and the last decision."""
        found: list[Ticket] = []
        for _ in range(times):
            ticket = self.guard.check(Request(Address.parse(client), b"GET", b"https", b"a", path.encode(), ()))
            assert isinstance(ticket, Ticket)
            found.append(ticket)
        return sum(each.decision.forwards for each in found), found[-1]

    def days(self, days: int, use: dict[str, int]) -> None:
        for _ in range(days):
            for client, times in use.items():
                self.ask(client, "/items/1", times)
            self.now += DAY_SECONDS


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_before_three_days_a_limit_may_be_narrower_than_its_ceiling(bench: Bench) -> None:
    for _ in range(3):
        assert bench.ask(HOME, "/signup", 13)[0] == 6  # the next step above 5
        bench.now += DAY_SECONDS
    assert bench.ask(HOME, "/signup", 13)[0] == 12
    assert bench.ask(OFFICE, "/signup", 13)[0] == 3


def test_before_three_days_a_limit_is_as_wide_as_its_ceiling(bench: Bench) -> None:
    assert bench.ask(HOME, "/items/1", 300)[0] == 200


def test_an_office_has_twice_what_is_usual_and_a_new_home_what_the_rule_says(bench: Bench) -> None:
    bench.days(4, {OFFICE: 60})
    passed, ticket = bench.ask(OFFICE, "/items/1", 300)
    assert 120 <= passed <= 150  # the next step above 120
    assert ticket.decision.quota is not None
    assert ticket.decision.quota.limit == passed
    passed, ticket = bench.ask(HOME, "/items/1", 300)
    assert passed == 20
    assert ticket.decision.rule == "of-a-network"
    assert ticket.decision.quota is not None
    assert (ticket.decision.quota.limit, ticket.decision.quota.remaining) == (20, 0)


def test_a_ceiling_holds_whatever_is_usual(bench: Bench) -> None:
    bench.days(7, {OFFICE: 200})
    assert bench.ask(OFFICE, "/items/1", 999)[0] == 200


def test_refused_requests_earn_nothing(bench: Bench) -> None:
    bench.days(4, {OFFICE: 60})
    bench.days(3, {HOME: 500, OFFICE: 60})
    assert bench.ask(HOME, "/items/1", 500)[0] == 20
    bench.now += DAY_SECONDS
    assert bench.ask(HOME, "/items/1", 500)[0] in range(40, 51)  # four days at the limit: twice that, and no more


def test_what_another_rule_refuses_is_nobodys_use(tmp_path: Path) -> None:
    (tmp_path / "05-refused.yaml").write_text("name: refused\nrules: [{name: a, when: {query.a: present}, action: reject}]\n")
    bench = Bench(tmp_path)
    bench.days(4, {OFFICE: 60})
    bench.ask(HOME, "/items/1?a=1", 5_000)
    bench.ask(OFFICE, "/items/1")
    data = bench.learning.as_data()["daily"]
    assert data["rules"]["of-a-network"][1] == 1  # of today
    assert [place for place in data["keys"] if HOME.rpartition(".")[0] in place] == []


def test_what_a_store_says_after_midnight_is_no_use_of_the_new_day(tmp_path: Path) -> None:
    bench = Bench(tmp_path, LateStore())

    def asked(client: str, path: str) -> Awaitable[Ticket]:
        found = bench.guard.check(Request(Address.parse(client), b"GET", b"https", b"a", path.encode(), ()))
        assert not isinstance(found, Ticket)
        return found

    async def over_midnight() -> None:
        await asked(HOME, "/items/1")
        bench.now += DAY_SECONDS - 1
        for _ in range(60):
            await asked(OFFICE, "/items/1")
            await asked(OFFICE, "/new")
        late = asked(OFFICE, "/items/1"), asked(OFFICE, "/new")
        bench.now += 2
        for path in ("/items/1", "/new"):
            assert (await asked(HOME, path)).decision.forwards
        for each in late:
            assert (await each).decision.forwards

    asyncio.run(over_midnight())
    [(day, _, today, _)] = bench.learning.as_data()["daily"]["keys"].values()
    assert (day, today) == (0, 60.0)
    assert bench.learning.hours("of-all", bench.now).let_through == 1


def test_stores_see_few_different_limits(bench: Bench) -> None:
    clients = {f"10.{each}.0.1": 12 + 4 * each for each in range(20)}
    bench.days(4, clients)
    found = set()
    for client in clients:
        ticket = bench.ask(client, "/items/1")[1]
        assert ticket.decision.quotas
        found.add(ticket.decision.quotas[0].limit)
    assert 4 < len(found) <= 10


def test_a_budget_follows_the_hour(bench: Bench) -> None:
    for _ in range(3 * 24):
        bench.ask(OFFICE, "/new", 40)
        bench.now += HOUR_SECONDS
    passed = bench.ask(HOME, "/new", 500)[0]
    assert 2 * 40 <= passed <= 2 * 40 * 1.6


def test_a_frozen_hour_and_day_teach_nothing(bench: Bench) -> None:
    bench.days(5, {OFFICE: 60})
    bench.learning.freeze(bench.now)
    before = bench.learning.as_data()["daily"]["rules"]["of-a-network"][2]
    bench.days(1, {OFFICE: 150})
    bench.ask(OFFICE, "/items/1")
    assert bench.learning.as_data()["daily"]["rules"]["of-a-network"][2] == before


GROWING = """
name: growing
rules:
  - name: goes-on-and-on
    when: {refused: {at_least: 5, within: 1h}}
    action: {ban: {for: 10m}}
  - name: of-an-address
    when: {path: {prefix: /pages/}}
    limit: {rate: 10/day, window: calendar, per: [client], learned: {times: 2, at_most: 20}}
    action: reject
"""


@pytest.mark.parametrize(("path", "is_banned"), [("/items/1", False), ("/new", False), ("/pages/1", True)])
def test_only_what_a_client_used_up_alone_grows_into_a_ban(tmp_path: Path, path: str, is_banned: bool) -> None:
    """Neither the budget of all nor a network's quota does, whatever they have learned."""
    (tmp_path / "05-growing.yaml").write_text(GROWING)
    bench = Bench(tmp_path)
    tickets = [bench.ask(HOME, path)[1] for _ in range(600)]
    assert sum(not each.decision.forwards for each in tickets) >= 90
    assert any(each.decision.banned for each in tickets) is is_banned


def test_a_limit_that_nobody_uses_learns_that(bench: Bench) -> None:
    for _ in range(4 * 24):
        bench.ask(OFFICE, "/other")
        bench.now += HOUR_SECONDS
    assert bench.ask(HOME, "/new", 500)[0] == 10
    assert bench.ask(HOME, "/items/1", 500)[0] == 20
