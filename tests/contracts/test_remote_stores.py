"""What both stores outside this process promise when instances meet on one and when things go wrong with it."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path
from time import time

import pytest

from proxyguard.core.settings import OnStoreDown
from proxyguard.limits.charge import Charge
from proxyguard.limits.limit import Count, CountKind, Limit, Window
from proxyguard.limits.stores import mirror
from proxyguard.limits.stores.remote import MAX_WAITING, RemoteStore
from proxyguard.limits.stores.store import BanTerms, Outcome, StoreUnavailable
from tests.contracts.remote_rig import HOUR, RIGS, Rig
from tests.scenes import CLIENT, HUNDRED_AN_HOUR, charged, run, until

pytestmark = pytest.mark.long

THREE_AN_HOUR = Limit(3, 3600.0, 3, CLIENT)

over_both = pytest.mark.parametrize("rig", RIGS, ids=lambda rig: rig.name)


@over_both
@pytest.mark.parametrize("window", [Window.SLIDING, Window.SLIDING_LOG])
def test_four_instances_under_concurrent_load_admit_exactly_the_limit(rig: Rig, window: Window, tmp_path: Path) -> None:
    limit = Limit(777, 3600.0, 777, CLIENT, window=window)

    async def scene() -> None:
        path = tmp_path / "s"
        async with (
            rig.instance(path, timeout_seconds=10.0) as (one, _),
            rig.instance(path, timeout_seconds=10.0) as (two, _),
            rig.instance(path, timeout_seconds=10.0) as (three, _),
            rig.instance(path, timeout_seconds=10.0) as (four, _),
        ):
            stores = (one, two, three, four)
            outcomes = await asyncio.gather(*(charged(store, limit=limit) for _ in range(500) for store in stores))
            assert sum(not outcome.usages[0].exceeded for outcome in outcomes) == 777
            assert [store.fallback.answers for store in stores] == [0] * 4

    with rig.serving(tmp_path / "s"):
        run(scene())


@over_both
def test_a_ban_or_a_lift_by_one_instance_is_in_force_in_all_within_a_second(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig.instance(tmp_path / "s") as (one, _), rig.instance(tmp_path / "s") as (two, _):
            one.ban("client:a", "rule", "why", HOUR, time())
            await until(lambda: two.ban_table.find("client:a", time()) is not None)
            outcome = two.charge([Charge("rule|a", HUNDRED_AN_HOUR)], ["client:a"], time())
            assert isinstance(outcome, Outcome)
            assert outcome.ban is not None
            assert outcome.ban.reason == "why"
            two.charge((), (), time())
            assert two.unban("client:a") is True
            await until(lambda: one.ban_table.find("client:a", time()) is None)

    with rig.serving(tmp_path / "s"):
        run(scene())


@over_both
def test_of_two_bans_at_the_same_time_the_same_holds_everywhere(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig.instance(tmp_path / "s") as (one, _), rig.instance(tmp_path / "s") as (two, _):
            one.ban("client:a", "first", "", HOUR, time())
            two.ban("client:a", "second", "", BanTerms(60.0, HOUR.then), time())
            await until(lambda: not (one.mirror.unconfirmed or two.mirror.unconfirmed))
            await until(lambda: [record.rule for record in one.bans(time())] == [record.rule for record in two.bans(time())])
            assert len(list(one.bans(time()))) == 1

    with rig.serving(tmp_path / "s"):
        run(scene())


@over_both
def test_of_two_notes_of_one_name_the_later_holds_everywhere(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig.instance(tmp_path / "s") as (one, _), rig.instance(tmp_path / "s") as (two, _):
            now = time()
            one.put_note("a", "later", now + 100.0, now + 2.0)
            two.put_note("a", "earlier", now + 100.0, now)
            await until(lambda: not (one.mirror.unconfirmed or two.mirror.unconfirmed))
            await until(lambda: [note.text for note in (*one.notes(now), *two.notes(now))] == ["later"] * 2)
            async with rig.instance(tmp_path / "s") as (three, _):
                await until(lambda: [note.text for note in three.notes(now)] == ["later"])

    with rig.serving(tmp_path / "s"):
        run(scene())


@over_both
def test_a_server_restarted_empty_gets_the_notes_back(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        with rig.serving(path) as first:
            async with rig.instance(path) as (one, _), rig.instance(path) as (two, _):
                now = time()
                one.put_note("before", "1", now + 100.0, now)
                await until(lambda: len(two.notes(now)) == 1)
                first.kill()
                await until(lambda: not (one.fallback.up or two.fallback.up))
                two.put_note("before", "2", now + 100.0, now + 1.0)
                two.put_note("during", "3", now + 100.0, now)
                assert [note.text for note in one.notes(now)] == ["1"]
                first.wait()
                with rig.serving(path):
                    async with rig.instance(path) as (three, _):
                        stores = (one, two, three)
                        await until(lambda: [note.text for store in stores for note in store.notes(now)] == ["2", "3"] * 3)

    run(scene())


@over_both
def test_notes_come_back_to_one_that_was_away(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig.instance(tmp_path / "s") as (one, _), rig.instance(tmp_path / "s") as (two, _):
            one.ban("client:a", "rule", "", HOUR, time())
            await until(lambda: len(two.ban_table) == 1)
            two.on_failure("cut")
            now = time()
            one.put_note("a", "meanwhile", now + 100.0, now)
            assert await one.saved()
            await until(lambda: [note.text for note in two.notes(now)] == ["meanwhile"])

    with rig.serving(tmp_path / "s"):
        run(scene())


@over_both
def test_a_newcomer_learns_all_bans(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig.instance(tmp_path / "s") as (one, _):
            for number in range(1234):
                one.ban(f"client:{number}", "rule", "", HOUR, time())
            assert await one.saved()
            async with rig.instance(tmp_path / "s") as (two, _):
                await until(lambda: len(two.ban_table) == 1234)

    with rig.serving(tmp_path / "s"):
        run(scene())


@over_both
@pytest.mark.parametrize("on_down", list(OnStoreDown))
def test_a_server_that_is_killed_is_answered_for_as_declared_and_used_again(
    rig: Rig, on_down: OnStoreDown, tmp_path: Path
) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        with rig.serving(path) as first:
            async with rig.instance(path, on_down=on_down) as (store, said):
                assert (await charged(store, limit=THREE_AN_HOUR)).usages[0].remaining == 2
                first.kill()
                await until(lambda: not store.fallback.up)
                if on_down is OnStoreDown.CLOSED:
                    with pytest.raises(StoreUnavailable):
                        await charged(store, limit=THREE_AN_HOUR)
                else:
                    passed = [not (await charged(store, limit=THREE_AN_HOUR)).usages[0].exceeded for _ in range(5)]
                    assert passed == ([True] * 3 + [False] * 2 if on_down is OnStoreDown.LOCAL else [True] * 5)
                first.wait()
                with rig.serving(path):
                    await until(lambda: store.fallback.up)
                    assert (await charged(store, limit=THREE_AN_HOUR)).usages[0].remaining == 2
                    assert said[0].startswith("down: the connection ended (")
                    assert said[1].startswith("up: shared ")
                    assert len(said) == 2

    run(scene())


@over_both
def test_a_server_that_is_not_there_yet_is_used_when_it_is(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig.instance(tmp_path / "s") as (store, said):
            assert said == ["down: [Errno 2] No such file or directory"]
            assert (await charged(store)).usages[0].remaining == 99
            figures = {name: read() for name, _, read in store.gauges()}
            assert figures.pop("store_changed_timestamp_seconds") > 1_000_000_000
            assert figures == {
                "store_up": 0.0,
                "store_outages": 1.0,
                "store_timeouts": 0.0,
                "store_fallbacks": 1.0,
                "store_bans": 0.0,
                "store_under_way": 0.0,
            }
            with rig.serving(tmp_path / "s"):
                await until(lambda: store.fallback.up)
                assert (await charged(store)).usages[0].remaining == 99

    run(scene())


@over_both
def test_a_server_restarted_empty_gets_the_bans_back(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        with rig.serving(path) as first:
            async with rig.instance(path) as (one, _), rig.instance(path) as (two, _):
                before = one.ban("client:before", "rule", "", HOUR, time())
                await until(lambda: len(two.ban_table) == 1)
                first.kill()
                await until(lambda: not (one.fallback.up or two.fallback.up))
                during = two.ban("client:during", "rule", "", HOUR, time())
                assert one.ban_table.find("client:during", time()) is None
                first.wait()
                with rig.serving(path):
                    await until(lambda: len(one.ban_table) == len(two.ban_table) == 2)
                    async with rig.instance(path) as (three, _):
                        await until(lambda: len(three.ban_table) == 2)
                        found = {record.key: record for record in three.bans(time())}
                        assert found["client:before"].until == pytest.approx(before.until, abs=1.0)
                        assert found["client:during"].until == pytest.approx(during.until, abs=1.0)

    run(scene())


@over_both
def test_a_stopped_server_keeps_nobody_waiting_longer_than_the_time_out(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        with rig.serving(tmp_path / "s") as process:
            async with rig.instance(tmp_path / "s", timeout_seconds=0.05) as (store, said):
                assert (await charged(store)).usages[0].remaining == 99
                os.kill(process.pid, signal.SIGSTOP)
                outcomes = await asyncio.gather(*(charged(store) for _ in range(20)))
                assert [outcome.usages[0].remaining for outcome in outcomes] == list(range(99, 79, -1))
                assert store.timeouts == 20
                for _ in range(100):
                    await charged(store)
                assert store.timeouts < 40  # what is known to be down is not waited for
                os.kill(process.pid, signal.SIGCONT)
                await until(lambda: store.fallback.up)
                remaining = (await charged(store)).usages[0].remaining
                assert remaining in range(78, 99)  # what was on its way may have been counted; what was counted is kept
                assert said[0] == "down: no answer within 50 ms"
                assert [line.partition(":")[0] for line in said] == ["down", "up"]

    run(scene())


@over_both
def test_a_ban_is_not_called_saved_while_the_server_is_down(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "SAVED_SECONDS", 0.05)

    async def scene() -> None:
        async with rig.instance(tmp_path / "s") as (one, _):
            assert await one.saved() is True
            one.ban("client:a", "rule", "", HOUR, time())
            assert await one.saved() is False
            with rig.serving(tmp_path / "s"):
                await until(lambda: one.fallback.up)
                await until(lambda: not one.mirror.unconfirmed)
                assert await one.saved() is True

    run(scene())


@over_both
def test_calls_beyond_the_bound_are_answered_by_the_fallback_at_once(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        options = {"on_down": OnStoreDown.OPEN, "timeout_seconds": 10.0}
        async with rig.instance(tmp_path / "s", **options) as (store, _):
            now = time()
            waiting = [store.charge([Charge("rule|a", HUNDRED_AN_HOUR, 0.0)], (), now) for _ in range(MAX_WAITING)]
            assert isinstance(store.charge([Charge("rule|a", HUNDRED_AN_HOUR)], (), now), Outcome)
            await asyncio.gather(*(one for one in waiting if not isinstance(one, Outcome)))
            assert (store.fallback.answers, store.fallback.up) == (1, True)

    with rig.serving(tmp_path / "s"):
        run(scene())


@over_both
def test_a_caller_that_gives_up_does_not_disturb_the_others(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig.instance(tmp_path / "s") as (store, _):
            first = asyncio.ensure_future(charged(store))
            second = asyncio.ensure_future(charged(store))
            await asyncio.sleep(0)
            first.cancel()
            assert (await second).usages[0].remaining == 98

    with rig.serving(tmp_path / "s"):
        run(scene())


@over_both
def test_stopping_answers_those_who_wait(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig.instance(tmp_path / "s") as (store, _):
            waiting = store.charge([Charge("rule|a", HUNDRED_AN_HOUR)], (), time())
            assert not isinstance(waiting, Outcome)
            await store.stop()
            assert (await waiting).usages[0].remaining == 99

    with rig.serving(tmp_path / "s"):
        run(scene())


UNDER_WAY = Limit(3, 30.0, 3, CLIENT, count=Count(CountKind.CONCURRENT))
BEGIN = Charge("rule|a", UNDER_WAY)
END = BEGIN.arisen(-1.0)


async def begun(store: RemoteStore) -> bool:
    outcome = store.charge([BEGIN], (), time())
    outcome = outcome if isinstance(outcome, Outcome) else await outcome
    return not outcome.usages[0].exceeded


async def ended(store: RemoteStore) -> None:
    outcome = store.charge([END], (), time())
    if not isinstance(outcome, Outcome):
        await outcome


@over_both
def test_requests_under_way_are_counted_over_all_instances_and_none_is_lost(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        async with rig.instance(path, timeout_seconds=10.0) as (one, _), rig.instance(path, timeout_seconds=10.0) as (two, _):
            for _ in range(20):
                taken = await asyncio.gather(*(begun(store) for _ in range(10) for store in (one, two)))
                assert sum(taken) == 3
                for store, fits in zip((one, two) * 10, taken, strict=True):
                    if fits:
                        await ended(store)
            assert (len(one.held), len(two.held)) == (0, 0)
            assert [await begun(two) for _ in range(4)] == [True, True, True, False]

    with rig.serving(tmp_path / "s"):
        run(scene())


@over_both
def test_the_lease_of_an_instance_that_died_ends_and_that_of_one_that_lives_does_not(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxyguard.limits.stores.remote.RENEW_SECONDS", 0.1)
    short = BEGIN.within(replace(UNDER_WAY, period_seconds=1.5))

    async def fits(store: RemoteStore) -> bool:
        outcome = store.charge([short], (), time())
        assert not isinstance(outcome, Outcome)
        return not (await outcome).usages[0].exceeded

    async def scene() -> None:
        path = tmp_path / "s"
        async with rig.instance(path) as (alive, _):
            async with rig.instance(path) as (dead, _):
                assert await fits(dead)
                assert await fits(dead)
            assert await fits(alive)
            assert not await fits(alive)
            await asyncio.sleep(1.8)
            assert [await fits(alive) for _ in range(3)] == [True, True, False]
            await asyncio.sleep(1.8)
            assert not await fits(alive)

    with rig.serving(tmp_path / "s"):
        run(scene())
