"""The timer wheel against a loop whose time the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from proxyguard.adapters.mitmproxy.timers import UNPLACED, TimerWheel, call_from


class FakeLoop:
    """Keeps the one timer that a wheel may have."""

    def __init__(self) -> None:
        self.callback: Callable[[], None] | None = None
        self.calls = 0

    def call_later(self, _: float, callback: Callable[[], None]) -> FakeLoop:
        assert self.callback is None, "one timer only"
        self.callback = callback
        self.calls += 1
        return self

    def cancel(self) -> None:
        self.callback = None


class Entry:
    """Notes when it is told."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.placed_at = UNPLACED
        self.told: list[float] = []
        self.then: Callable[[], None] | None = None

    def on_deadline(self, now: float) -> None:
        self.told.append(now)
        self.deadline = inf
        if self.then is not None:
            self.then()


class Rig:
    def __init__(self) -> None:
        self.now = 100.0
        self.loop = FakeLoop()
        self.errors: list[str] = []
        loop: asyncio.AbstractEventLoop = self.loop  # type: ignore[assignment]  # all that a wheel asks of a loop
        self.wheel = TimerWheel(loop, 0.5, lambda: self.now, lambda where, _: self.errors.append(where))

    def to(self, time: float) -> None:
        while self.now < time:
            self.now = min(time, self.now + 0.5)
            callback, self.loop.callback = self.loop.callback, None
            if callback is not None:
                callback()


def test_an_entry_is_told_once_and_at_most_a_tick_or_two_late() -> None:
    rig = Rig()
    entry = Entry(103.2)
    rig.wheel.watch(entry)
    rig.to(103.0)
    assert entry.told == []
    rig.to(110.0)
    assert entry.told == [103.5]
    assert (len(rig.wheel), rig.loop.callback) == (0, None)


def test_a_deadline_that_moves_away_needs_no_call() -> None:
    rig = Rig()
    entry = Entry(102.0)
    rig.wheel.watch(entry)
    entry.deadline = 105.0
    rig.to(104.5)
    assert entry.told == []
    rig.to(106.0)
    assert entry.told == [105.5]


def test_a_deadline_that_comes_closer_is_watched_anew() -> None:
    rig = Rig()
    entry = Entry(160.0)
    rig.wheel.watch(entry)
    entry.deadline = 101.0
    assert entry.deadline < entry.placed_at
    rig.wheel.watch(entry)
    assert len(rig.wheel) == 1
    rig.to(102.0)
    assert entry.told == [101.5]


def test_a_forgotten_entry_is_not_told_even_by_one_that_is_told_before_it() -> None:
    rig = Rig()
    entries = [Entry(101.0), Entry(101.0)]
    for entry, other in (entries, reversed(entries)):
        entry.then = lambda other=other: rig.wheel.forget(other)
        rig.wheel.watch(entry)
    rig.to(103.0)
    assert sorted(len(entry.told) for entry in entries) == [0, 1]
    assert len(rig.wheel) == 0


def fail() -> None:
    raise ValueError("told at a bad moment")


def test_an_entry_that_fails_does_not_stop_the_others() -> None:
    rig = Rig()
    entries = [Entry(101.0) for _ in range(3)]
    for entry in entries:
        entry.then = fail
        rig.wheel.watch(entry)
    rig.to(103.0)
    assert ([len(entry.told) for entry in entries], rig.errors) == ([1, 1, 1], ["timer"] * 3)


def test_a_loop_that_was_late_catches_up_at_once() -> None:
    rig = Rig()
    entries = [Entry(100.0 + number) for number in range(1, 50)]
    for entry in entries:
        rig.wheel.watch(entry)
    rig.now = 200.0
    callback, rig.loop.callback = rig.loop.callback, None
    assert callback is not None
    callback()
    assert all(entry.told == [200.0] for entry in entries)
    assert rig.loop.calls == 1


def test_a_stopped_wheel_tells_nobody() -> None:
    rig = Rig()
    entry = Entry(101.0)
    rig.wheel.watch(entry)
    rig.wheel.stop()
    assert (rig.loop.callback, entry.placed_at, len(rig.wheel)) == (None, UNPLACED, 0)


class Milliseconds:
    """A loop as libuv's: it knows the time in whole milliseconds, and rounds what is waited."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.waiting.append(((int(self.now * 1000) + round(seconds * 1000)) / 1000, callback))

    def run(self) -> None:
        while self.waiting:
            at, callback = self.waiting.pop()
            self.now = max(self.now, at)
            callback()


def test_when_a_call_comes_does_not_hang_on_when_it_was_asked_for() -> None:
    due, called = 1.2502, list[float]()
    for asked in (1.0003, 1.0007, 1.1234, 1.2489, 1.2491, 1.2499):
        loop = Milliseconds(asked)
        call_from(loop, lambda loop=loop: loop.now, due, lambda loop=loop: called.append(loop.now))  # type: ignore[arg-type, misc]
        assert len(called) < 6
        loop.run()
    assert called == [1.251] * 6
