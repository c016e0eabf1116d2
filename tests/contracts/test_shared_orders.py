"""What two instances say to each other about restrictions, over each store that can stand between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from proxyguard.core.decision import Reject
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.store import AsyncStore, BanTerms, Store
from proxyguard.policy.model import Alarm, Restriction
from proxyguard.restrictions.monitor import Ended, GivenRestriction, Overrides, Started, identity
from proxyguard.restrictions.shared_overrides import (
    ALARM_SLOTS,
    GIVEN_SLOTS,
    LEASE_SECONDS,
    CollectedOverrides,
    SharedOverrides,
)
from tests.contracts.servers import valkey
from tests.contracts.store_contract import START
from tests.contracts.test_shared_store import SharedDriver
from tests.contracts.test_valkey_store import ValkeyDriver

UNTIL = START + 3600.0
PREPARED = Restriction(name="prepared", why="Because.", until=UNTIL, standby=True)
AUTO = Restriction(name="auto", why="Because.", until=UNTIL, alarm=Alarm(requests_per_second=5.0), steps=3)
BOTH = (PREPARED, AUTO)


def given(name: str = "slow", since: float = START, until: float = UNTIL) -> GivenRestriction:
    return GivenRestriction(since, until, {"name": name, "why": "Büsy.", "classes": {"anonymous": "5/day"}})


class Pair:
    """Two instances, in any order of saying and hearing; `settle` lets all news arrive."""

    def __init__(self, stores: list[Store | AsyncStore], settle: Callable[[float], None]) -> None:
        self.stores = stores
        self.settle = settle
        self.first, self.second = (SharedOverrides(store, self._saved) for store in stores)
        settle(START)

    async def _saved(self) -> bool:
        return True

    def collect(self, now: float = START + 1) -> CollectedOverrides:
        """What both hear, their own alarms aside."""
        self.settle(now)
        first, second = (each.collect(BOTH, ("slow",), now) for each in (self.first, self.second))
        assert first.orders == second.orders
        return CollectedOverrides(first.orders, {**first.alarms, **second.alarms})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("valkey") / "s"
    with valkey(path):
        yield path


@pytest.fixture(params=["memory", "workers of a machine", "valkey"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    if request.param == "memory":
        store = MemoryStore(bans=50)
        yield Pair([store, store], lambda _: None)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        driver: SharedDriver | ValkeyDriver
        if request.param == "valkey":
            driver = ValkeyDriver(request.getfixturevalue("server"), runner)
        else:
            driver = SharedDriver(tmp_path / "store.sock", runner)

        def settle(now: float) -> None:
            driver.now = now
            runner.run(driver.settled())

        for each in driver.stores:
            for record in list(each.bans(START)):
                each.unban(record.key)
        yield Pair(list(driver.stores), settle)
        runner.run(driver.stop())


def test_of_a_start_and_an_end_the_later_counts_wherever_it_was_given(pair: Pair) -> None:
    pair.first.start(PREPARED, Started(START, START + 60.0))
    assert pair.collect().orders == Overrides({"prepared": Started(START, START + 60.0)})
    pair.second.end(PREPARED, Ended(START + 1, "ended by command", identity(PREPARED)))
    over = Ended(START + 1, "ended by command", identity(PREPARED))
    assert pair.collect(START + 2).orders == Overrides({}, {"prepared": over})
    pair.first.start(PREPARED, Started(START + 3))
    assert pair.collect(START + 4).orders == Overrides({"prepared": Started(START + 3, UNTIL)})
    assert pair.collect(UNTIL).orders == Overrides()


def test_one_that_is_given_is_known_to_all_until_it_is_over_or_ended(pair: Pair) -> None:
    pair.first.give("slow", given())
    pair.settle(START + 1)
    pair.second.give("fast", given("fast", START + 1, START + 30))
    assert pair.collect(START + 2).orders.given == {"slow": given(), "fast": given("fast", START + 1, START + 30)}
    assert pair.collect(START + 30).orders.given == {"slow": given()}
    slow = Restriction(name="slow", why="Büsy.", until=UNTIL)
    pair.second.end(slow, Ended(START + 31, "ended by command", "x"))
    collect = pair.collect(START + 32).orders
    assert (dict(collect.given), set(collect.ended)) == ({}, {"slow"})
    pair.first.give("slow", given(since=START + 33))
    assert pair.collect(START + 34).orders == Overrides(given={"slow": given(since=START + 33)})


def test_one_that_is_given_again_takes_the_place_of_the_first(pair: Pair) -> None:
    pair.first.give("slow", given())
    pair.settle(START)
    pair.second.give("slow", given(since=START + 1, until=UNTIL + 9))
    assert pair.collect(START + 2).orders.given == {"slow": given(since=START + 1, until=UNTIL + 9)}
    assert sum(record.key.startswith("restriction-given:") for record in pair.stores[0].bans(START + 2)) == 1


def test_who_loses_a_slot_to_another_instance_sees_it_and_takes_another(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.choice", lambda free: free[0])
    pair.first.give("slow", given())
    pair.second.give("fast", given("fast"))
    known = pair.collect().orders.given
    for name, order in {"slow": given(), "fast": given("fast")}.items():
        if name not in known:
            pair.first.give(name, order)
    assert pair.collect().orders.given == {"slow": given(), "fast": given("fast")}


def test_alarms_are_followed_by_others_and_end_with_a_word_or_a_lease(pair: Pair) -> None:
    pair.first.alarm("auto", 1, START)
    pair.settle(START + 1)
    assert pair.second.collect(BOTH, (), START + 1).alarms == {"auto": 1}
    assert pair.first.collect(BOTH, (), START + 1).alarms == {}
    pair.first.alarm("auto", 2, START + 2)
    pair.settle(START + 2)
    pair.second.alarm("auto", 1, START + 2)
    pair.settle(START + 3)
    assert pair.second.collect(BOTH, (), START + 3).alarms == {"auto": 2}
    assert pair.first.collect(BOTH, (), START + 3).alarms == {"auto": 1}
    pair.first.alarm("auto", None, START + 4)
    pair.settle(START + 5)
    assert pair.second.collect(BOTH, (), START + 5).alarms == {}
    assert pair.first.collect(BOTH, (), START + 5).alarms == {"auto": 1}
    assert pair.first.collect(BOTH, (), START + 2 + LEASE_SECONDS).alarms == {}


def test_a_lease_is_renewed_without_a_gap_and_never_takes_more_than_one_slot(pair: Pair) -> None:
    for second in range(60):
        now = START + second
        pair.first.alarm("auto", 1, now)
        pair.settle(now)
        assert pair.second.collect(BOTH, (), now + 0.9).alarms == {"auto": 1}
        assert sum(record.key.startswith("restriction-alarm:") for record in pair.stores[1].bans(now)) == 1


def test_full_slots_refuse_nobody_else(pair: Pair) -> None:
    for number in range(GIVEN_SLOTS + 5):
        pair.first.give(f"slow-{number}", given(f"slow-{number}"))
    others = [SharedOverrides(pair.stores[0], pair._saved) for _ in range(ALARM_SLOTS + 3)]
    for other in others:
        other.alarm("auto", 1, START)
    collect = pair.collect()
    assert (len(collect.orders.given), collect.alarms) == (GIVEN_SLOTS, {"auto": 1})


@pytest.mark.parametrize(
    "note", ["", "{", "[]", "null", '{"name": 1}', '{"name": "x"}', '{"name":"x","until_seconds":"y"}']
)
def test_what_is_no_order_is_not_heard(pair: Pair, note: str) -> None:
    terms = BanTerms(3600.0, Reject(), note=note)
    for key in ("restriction-given:0", "restriction-alarm:auto:0", "restriction-other:1"):
        pair.stores[0].ban(key, "operator", "", terms, START)
    assert pair.collect() == CollectedOverrides()


def test_orders_do_not_give_way_when_bans_fill_the_table() -> None:
    store = MemoryStore(bans=50)
    orders = SharedOverrides(store, _yes)
    orders.start(PREPARED, Started(START, START + 5.0))
    orders.give("slow", given(until=START + 6.0))
    for number in range(200):
        store.ban(f"client:192.0.2.{number}", "flood", "", BanTerms(60.0 + number, Reject()), START)
    collect = orders.collect(BOTH, (), START + 1).orders
    assert (set(collect.started), set(collect.given)) == ({"prepared"}, {"slow"})
    assert len(list(store.bans(START))) == 50


async def _yes() -> bool:
    return True
