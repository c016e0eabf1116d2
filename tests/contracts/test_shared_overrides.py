"""What two instances share about restrictions, over each store that can stand between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from proxyguard.core.decision import Reject
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.notes import MAX_NOTE_BYTES, MAX_NOTES
from proxyguard.limits.stores.store import AsyncStore, BanTerms, Store
from proxyguard.policy.model import Alarm, Restriction
from proxyguard.restrictions.monitor import Ended, GivenRestriction, Overrides, Started, identity
from proxyguard.restrictions.shared_overrides import (
    LEASE_SECONDS,
    MAX_FOLLOWED,
    MAX_SHARED_GIVEN,
    CollectedOverrides,
    SharedOverrides,
)
from tests.contracts.servers import command, valkey
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
    """Two instances, which write and read in any order; `settle` lets all news arrive."""

    def __init__(self, stores: list[Store | AsyncStore], settle: Callable[[float], None]) -> None:
        self.stores = stores
        self.settle = settle
        self.first, self.second = (SharedOverrides(store, self._saved) for store in stores)
        settle(START)

    async def _saved(self) -> bool:
        return True

    def collect(self, now: float = START + 1) -> CollectedOverrides:
        """What both collect, their own alarms aside."""
        self.settle(now)
        first, second = (each.collect(now) for each in (self.first, self.second))
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
            command(request.getfixturevalue("server"), "FLUSHALL")
            driver = ValkeyDriver(request.getfixturevalue("server"), runner)
        else:
            driver = SharedDriver(tmp_path / "store.sock", runner)

        def settle(now: float) -> None:
            driver.now = now
            runner.run(driver.settled())

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
    assert [note.name for note in pair.stores[0].notes(START + 2)] == ["override:slow"]


def test_of_two_that_write_one_name_at_once_all_follow_the_same(pair: Pair) -> None:
    pair.first.give("slow", given(until=UNTIL + 1))
    pair.second.give("slow", given(until=UNTIL + 2))
    pair.second.give("fast", given("fast"))
    known = pair.collect().orders.given
    assert known.keys() == {"slow", "fast"}
    assert known["slow"].until in (UNTIL + 1, UNTIL + 2)


def test_alarms_are_followed_by_others_and_end_with_a_word_or_a_lease(pair: Pair) -> None:
    pair.first.alarm("auto", 1, START)
    pair.settle(START + 1)
    assert pair.second.collect(START + 1).alarms == {"auto": 1}
    assert pair.first.collect(START + 1).alarms == {}
    pair.first.alarm("auto", 2, START + 2)
    pair.settle(START + 2)
    pair.second.alarm("auto", 1, START + 2)
    pair.settle(START + 3)
    assert pair.second.collect(START + 3).alarms == {"auto": 2}
    assert pair.first.collect(START + 3).alarms == {"auto": 1}
    pair.first.alarm("auto", None, START + 4)
    pair.settle(START + 5)
    assert pair.second.collect(START + 5).alarms == {}
    assert pair.first.collect(START + 5).alarms == {"auto": 1}
    assert pair.first.collect(START + 2 + LEASE_SECONDS).alarms == {}


def test_a_lease_is_renewed_without_a_gap_and_never_takes_more_than_one_note(pair: Pair) -> None:
    for second in range(60):
        now = START + second
        pair.first.alarm("auto", 1, now)
        pair.settle(now)
        assert pair.second.collect(now + 0.9).alarms == {"auto": 1}
        assert sum(note.name.startswith("alarm:") for note in pair.stores[1].notes(now)) == 1


def test_orders_that_are_too_many_hold_up_nobody_else(pair: Pair) -> None:
    for number in range(MAX_SHARED_GIVEN + 5):
        pair.first.give(f"slow-{number}", given(f"slow-{number}"))
    others = [SharedOverrides(pair.stores[0], pair._saved) for _ in range(MAX_FOLLOWED + 3)]
    for other in others:
        other.alarm("auto", 1, START)
    collect = pair.collect()
    assert (len(collect.orders.given), collect.alarms) == (MAX_SHARED_GIVEN, {"auto": 1})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"type":"take"}', '{"type":"end"}', '{"type":"give","plain":{"name":"other"},"until":1.0}']
)
def test_what_is_no_order_is_not_followed(pair: Pair, text: str) -> None:
    for name in ("override:slow", "alarm:auto:0", "other:1", "slow"):
        pair.stores[0].put_note(name, text, UNTIL, START)
    assert pair.collect() == CollectedOverrides()


def test_orders_do_not_give_way_when_bans_fill_the_table() -> None:
    store = MemoryStore(bans=50)
    orders = SharedOverrides(store, _yes)
    orders.start(PREPARED, Started(START, START + 5.0))
    orders.give("slow", given(until=START + 6.0))
    for number in range(200):
        store.ban(f"client:192.0.2.{number}", "flood", "", BanTerms(60.0 + number, Reject()), START)
    collect = orders.collect(START + 1).orders
    assert (set(collect.started), set(collect.given)) == ({"prepared"}, {"slow"})
    assert len(list(store.bans(START))) == 50


def test_an_order_that_finds_no_room_is_not_called_shared() -> None:
    store = MemoryStore()
    orders = SharedOverrides(store, _yes)
    long = GivenRestriction(START, UNTIL, {"name": "slow", "why": "x" * MAX_NOTE_BYTES})
    assert not orders.give("slow", long)
    assert orders.end(PREPARED, Ended(UNTIL, "ended by command", "x"))  # it is over: nobody has to know
    for number in range(MAX_NOTES):
        store.put_note(str(number), "", UNTIL, START)
    assert not orders.start(PREPARED, Started(START))
    assert orders.collect(START) == CollectedOverrides()


async def _yes() -> bool:
    return True
