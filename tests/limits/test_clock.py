"""The line of a process: it goes on evenly whatever the wall does, over restarts too; the calendar follows the wall."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from proxyguard.core.decision import Reject
from proxyguard.limits.charge import Charge, distinct_key
from proxyguard.limits.clock import ClockStamp, LineClock
from proxyguard.limits.limit import Count, CountKind, Limit, Window
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.snapshot import Snapshot
from proxyguard.limits.stores.store import BanTerms
from proxyguard.limits.stores.table import SHARDS
from proxyguard.restrictions.monitor import GivenRestriction, Overrides, Started
from proxyguard.restrictions.override_file import OverrideFile

NOON = 1_795_867_200.0
"""28 November 2026, 12:00 UTC."""

STEPS = [-86_400.0 * 365, -7_200.0, -130.0, -1.0, 1.0, 130.0, 7_200.0, 86_400.0 * 365]


class Machine:
    """A system whose clock on the wall can be set."""

    def __init__(self) -> None:
        self.up = 1_000.0
        self.set_by = 0.0
        self.booted_at = NOON - self.up
        self.boot = "a"

    def wall(self) -> float:
        return self.booted_at + self.up + self.set_by

    def process(self) -> LineClock:
        """The clock of a new process."""
        return LineClock(self.wall, lambda: self.up, lambda: self.boot)

    def reboot(self, seconds: float) -> None:
        """Be off for so long."""
        self.booted_at += self.up + seconds
        self.up, self.boot = 5.0, self.boot + "b"


@pytest.mark.parametrize("step", STEPS)
def test_the_line_goes_on_and_the_wall_is_followed(step: float, caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    clock = machine.process()
    assert (clock(), clock.wall(clock()), clock.look()) == (NOON, NOON, 0.0)
    machine.set_by += step
    machine.up += 10
    with caplog.at_level(logging.WARNING):
        moved = clock.look()
        assert clock.look() == 0.0
    assert moved == pytest.approx(step)
    assert len(caplog.records) == 1
    assert clock() == NOON + 10
    assert clock.wall(clock()) == pytest.approx(machine.wall())
    assert clock.line(machine.wall()) == pytest.approx(clock())


def test_a_small_step_is_followed_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    clock = machine.process()
    machine.set_by = 0.5
    assert clock.look() == 0.0
    assert clock.wall(clock()) == NOON + 0.5
    assert caplog.records == []


def test_a_worker_has_the_line_of_its_instance() -> None:
    machine = Machine()
    supervisor = machine.process()
    machine.set_by = -7_200.0
    worker = machine.process()
    assert worker() == NOON - 7_200.0
    worker.share(supervisor.anchor)
    assert worker() == supervisor() == NOON
    assert worker.wall(NOON) == NOON - 7_200.0


@pytest.mark.parametrize("step", STEPS)
def test_a_restart_goes_on_with_the_line(step: float) -> None:
    machine = Machine()
    before = machine.process()
    stamp = before.stamp()
    machine.set_by += step
    machine.up += 60
    after = machine.process()
    after.go_on(stamp)
    assert after() == before() == NOON + 60
    assert after.wall(after()) == pytest.approx(machine.wall())


def test_after_a_reboot_the_wall_says_how_long_it_was_and_never_less_than_nothing() -> None:
    machine = Machine()
    stamp = machine.process().stamp()
    machine.reboot(600.0)
    after = machine.process()
    after.go_on(stamp)
    assert after() == pytest.approx(NOON + 605)
    machine.set_by = -86_400.0
    set_back = machine.process()
    set_back.go_on(stamp)
    assert set_back() == pytest.approx(NOON)


DAILY = Limit(10, 86_400.0, 10, (), window=Window.CALENDAR)
SLIDING = Limit(10, 3_600.0, 10, ())
DISTINCT = Limit(3, 3_600.0, 3, (), count=Count(CountKind.DISTINCT))
DAILY_DISTINCT = Limit(3, 86_400.0, 3, (), window=Window.CALENDAR, count=Count(CountKind.DISTINCT))


def used(store: MemoryStore, limit: Limit, now: float, cost: float = 0.0, item: int = 0) -> int:
    """What of a limit is used, after charging some of it."""
    key = (
        f"r|{limit.window}"
        if limit.count.kind is not CountKind.DISTINCT
        else distinct_key(f"d|{limit.window}", (item + 1).to_bytes(8))
    )
    [usage] = store.charge([Charge(key, limit, cost, stops=True, owed=False)], (), now).usages
    return limit.amount - usage.remaining


@pytest.mark.parametrize("step", [-7_200.0, -130.0, 130.0, 7_200.0])
@pytest.mark.parametrize("limit", [DAILY, SLIDING, DISTINCT, DAILY_DISTINCT])
def test_a_step_within_the_day_changes_no_count(step: float, limit: Limit) -> None:
    machine = Machine()
    clock = machine.process()
    store = MemoryStore(keys=100, wall=clock.wall)
    for item in range(2):
        used(store, limit, clock(), 1.0, item)
    machine.set_by = step
    clock.look()
    assert used(store, limit, clock()) == 2
    for _ in range(SHARDS):
        store.tidy(clock())
    assert used(store, limit, clock()) == 2


@pytest.mark.parametrize("limit", [DAILY, DAILY_DISTINCT])
def test_the_calendar_follows_the_wall_and_what_slides_does_not(limit: Limit) -> None:
    machine = Machine()
    clock = machine.process()
    store = MemoryStore(keys=100, wall=clock.wall)
    used(store, limit, clock(), 1.0)
    used(store, SLIDING, clock(), 5.0)
    machine.set_by = 12 * 3_600.0
    clock.look()
    assert used(store, limit, clock()) == 0
    assert used(store, SLIDING, clock()) == 5
    for _ in range(SHARDS):
        store.tidy(clock())
    assert store.stats().keys <= 1
    assert used(store, SLIDING, clock()) == 5


@pytest.mark.parametrize("limit", [DAILY, DAILY_DISTINCT])
def test_what_a_calendar_counts_is_kept_to_the_end_of_its_day_when_the_wall_was_set_back(limit: Limit) -> None:
    machine = Machine()
    clock = machine.process()
    store = MemoryStore(keys=100, wall=clock.wall)
    used(store, limit, clock(), 1.0)
    machine.set_by = -6 * 3_600.0
    clock.look()
    machine.up += 17 * 3_600.0  # 23:00 on the wall, 05:00 of the next day on the line
    for _ in range(SHARDS):
        store.tidy(clock())
    assert used(store, limit, clock()) == 1


@pytest.mark.parametrize("step", [-86_400.0 * 30, -7_200.0, 7_200.0, 86_400.0 * 30])
@pytest.mark.parametrize("when", ["while it ran", "while it was down"])
def test_a_snapshot_means_after_a_step_what_it_meant(tmp_path: Path, step: float, when: str) -> None:
    machine = Machine()
    clock = machine.process()
    store = MemoryStore(keys=100, wall=clock.wall)
    snapshot = Snapshot(tmp_path / "state", store, clock=clock)

    async def life() -> None:
        await snapshot.start()
        store.ban("key", "rule", "", BanTerms(for_seconds=600.0, then=Reject()), clock())
        store.put_note("note", "text", clock() + 600.0, clock())
        used(store, SLIDING, clock(), 5.0)
        used(store, DAILY, clock(), 4.0)
        if when == "while it ran":
            machine.set_by = step
            clock.look()
        await snapshot.stop()

    asyncio.run(life())
    machine.set_by = step
    machine.up += 300
    later = machine.process()
    again = MemoryStore(keys=100, wall=later.wall)
    Snapshot(tmp_path / "state", again, clock=later).load()
    [ban] = again.bans(later())
    assert ban.until - later() == pytest.approx(300.0)
    assert [note.until - later() for note in again.notes(later())] == pytest.approx([300.0])
    assert used(again, SLIDING, later()) == pytest.approx(5, abs=1)
    assert used(again, DAILY, later()) == (4 if abs(step) < 86_400 else 0)
    machine.up += 301
    assert list(again.bans(later())) == []


@pytest.mark.parametrize("step", [-7_200.0, 7_200.0])
def test_orders_mean_after_a_step_what_they_meant(tmp_path: Path, step: float) -> None:
    machine = Machine()
    clock = machine.process()
    kept = OverrideFile(tmp_path / "orders", clock)
    orders = Overrides(
        {"a": Started(clock(), clock() + 600.0)}, {}, {"b": GivenRestriction(clock(), clock() + 900.0, {"name": "b"})}
    )
    assert kept.keep(orders)
    machine.set_by = step
    machine.up += 300
    later = machine.process()
    read = OverrideFile(tmp_path / "orders", later).orders
    until = read.started["a"].until
    assert until is not None
    assert until - later() == pytest.approx(300.0)
    assert read.given["b"].until - later() == pytest.approx(600.0)


def test_orders_without_a_stamp_have_times_of_the_wall(tmp_path: Path) -> None:
    machine = Machine()
    clock = machine.process()
    clock.go_on(ClockStamp("a", machine.up, machine.wall(), NOON + 50.0))
    (tmp_path / "orders").write_text(
        json.dumps({"started": {"a": [NOON, NOON + 600.0], "b": [NOON, None]}, "ended": {}, "given": {}})
    )
    read = OverrideFile(tmp_path / "orders", clock).orders
    assert read.started == {"a": Started(NOON + 50.0, NOON + 650.0), "b": Started(NOON + 50.0, None)}
