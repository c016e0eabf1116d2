"""Pausing rules, one by one or all: commands as an operator gives them, what workers are told, restarts, several instances."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from proxyguard.core.decision import Mode
from proxyguard.instance.control.pause_commands import PauseCommands
from proxyguard.instance.control.server import CommandError
from proxyguard.instance.load_rules import load_tested
from proxyguard.instance.loaded_rules import RulesRejected
from proxyguard.instance.pause_controller import NEWS_SECONDS, REPEAT_SECONDS, PauseController
from proxyguard.instance.policy_transfer import PolicyTransfer
from proxyguard.instance.reloader import Reloader
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.restrictions.override_file import OverrideFile
from proxyguard.restrictions.pauses import DEFAULT_SECONDS, EVERYTHING, KEPT_SECONDS, MAX_PAUSED, MAX_SECONDS, Pause, in_force
from proxyguard.restrictions.shared_overrides import SharedOverrides
from proxyguard.telemetry.metrics import Metrics

RULES = """
name: r
classes: [{name: member, when: {cookie.member: present}}]
rules:
  - {name: ours, when: {path: /ours}, action: allow}
  - {name: no-curl, when: {user_agent: {word: curl}}, action: reject}
  - {name: maybe, when: {path: /maybe}, action: reject, mode: shadow}
  - {name: never, when: {path: /never}, action: reject, mode: off}
restrictions:
  - {name: slow, why: Slow., classes: {member: 5/day}, until: 2090-01-01, standby: true}
"""


class Bench:
    """One instance's pauses, with a real reloader, and a worker that notes what it is told."""

    def __init__(self, tmp_path: Path, store: MemoryStore | None = None, file: str = "orders") -> None:
        rules = tmp_path / "rules"
        rules.mkdir(exist_ok=True)
        (rules / "r.yaml").write_text(RULES)
        self.told: list[float] = []
        self.frozen = 0
        self.metrics = Metrics()
        self.refuses = self.disk_is_full = False
        self.reloader = Reloader(
            rules, Mode.ENFORCE, PolicyTransfer.of(load_tested(rules), Mode.ENFORCE), self.install, Metrics()
        )
        shared = None if store is None else SharedOverrides(store, self.saved)
        self.orders = OverrideFile(tmp_path / file)
        self.keeper = PauseController(self.reloader, self.orders, self.ask, self.metrics, shared)
        self.commands = PauseCommands(self.keeper, self.reloader).commands

    async def saved(self) -> bool:
        return True

    async def install(self, _parts: list[bytes]) -> None:
        if self.refuses:
            raise RulesRejected.because(Path("rules"), "no")
        if self.disk_is_full:
            raise OSError(28, "No space left on device")

    async def ask(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        assert name in {"shadow", "freeze-learning"}
        if name == "shadow":
            self.told.append(arguments["until"])
        else:
            self.frozen += 1
        return []

    async def do(self, name: str, **arguments: Any) -> dict[str, Any]:
        return await self.commands[name](arguments)

    def gauge(self, name: str) -> float:
        return self.metrics.gauges[name][1]()


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def test_the_switch_is_told_to_workers_shown_logged_and_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        bench = Bench(tmp_path)
        answer = await bench.do("shadow-on", seconds=60, why="people\nare  refused", by="anna")
        assert (answer["why"], answer["saved"], answer["by"].partition("@")[0]) == ("people are refused", True, "anna")
        until = bench.keeper.paused[EVERYTHING].until
        assert bench.told == [until]
        assert bench.keeper.status()["shadow"]["until"] == pytest.approx(answer["until"])
        assert (bench.gauge("shadow_switch"), bench.gauge("rules_paused")) == (1, 0)
        assert bench.gauge("shadow_switch_end_timestamp_seconds") == pytest.approx(answer["until"])
        now = CLOCK()
        await bench.keeper.look(now + REPEAT_SECONDS / 2)
        await bench.keeper.look(now + REPEAT_SECONDS * 2)
        await bench.keeper.look(now + 61)
        await bench.keeper.look(now + 62)
        assert bench.told == [until, until, 0.0, 0.0]  # one that missed it would not act until the end that was ordered first
        await bench.keeper.look(now + 61 + NEWS_SECONDS)
        assert bench.told[3:] == [0.0]
        assert bench.keeper.status() == {"shadow": None, "emergency": None, "paused": {}}
        assert bench.gauge("shadow_switch_end_timestamp_seconds") == 0

    run(story)
    first, last = (record.getMessage() for record in caplog.records)
    assert first.startswith("nothing acts, all rules only record, until ")
    assert first.endswith("; people are refused")
    assert last == "rules act again"


def test_it_is_switched_off_by_hand_once(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        assert (await bench.do("shadow-on"))["replaced"] is None
        assert (await bench.do("shadow-on"))["replaced"] == pytest.approx(CLOCK.wall(CLOCK()) + DEFAULT_SECONDS, abs=60)
        assert (await bench.do("shadow-off"))["was_on"]
        assert not (await bench.do("shadow-off"))["was_on"]
        assert bench.told[2:] == [0.0]

    run(story)


@pytest.mark.parametrize("seconds", [0, -1, MAX_SECONDS + 1, "1h", True, None, float("nan"), float("inf")])
def test_it_has_an_end_within_a_day(tmp_path: Path, seconds: object) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        with pytest.raises(CommandError, match="a pause lasts at most 1d, so that nobody forgets it"):
            await bench.do("shadow-on", seconds=seconds)
        assert bench.told == []

    run(story)


def test_rules_are_paused_by_name_and_act_again(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        answer = await bench.do("pause", rules=["no-curl", "ours", "maybe", "never", "ours"])
        assert (answer["rules"], answer["allowing"]) == (["no-curl", "ours", "maybe", "never"], ["ours"])
        assert answer["quiet"] == {"maybe": "shadow", "never": "off"}
        assert answer["replaced"] == {}
        modes = bench.reloader.current.modes
        assert [modes[name].value for name in answer["rules"]] == ["shadow", "shadow", "shadow", "off"]
        until = bench.keeper.paused["no-curl"].until
        again = await bench.do("pause", rules=["no-curl"])
        assert (again["quiet"], again["replaced"]) == ({}, {"no-curl": pytest.approx(CLOCK.wall(until))})
        assert (await bench.do("resume", rules=["no-curl"]))["rules"] == ["no-curl"]
        assert bench.reloader.current.modes["no-curl"] is Mode.ENFORCE
        assert (await bench.do("resume", all=True))["rules"] == ["maybe", "never", "ours"]
        assert bench.reloader.paused == frozenset()
        assert bench.told == []

    run(story)


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        (
            "pause",
            {"rules": ["no-crul", "x"]},
            "there is no rule 'no-crul'\n  hint: did you mean 'no-curl'?\nthere is no rule 'x'",
        ),
        ("pause", {"rules": ["slow-member"]}, "'slow-member' belongs to a class or a restriction"),
        ("pause", {"rules": [EVERYTHING]}, "there is no rule '*'"),
        ("pause", {"rules": "no-curl"}, "no rule is named"),
        ("pause", {}, "no rule is named"),
        ("resume", {"rules": ["ours"]}, "'ours' is not paused\n  hint: no rule is paused"),
        ("resume", {"rules": [EVERYTHING]}, "'*' is not paused"),
    ],
)
def test_what_cannot_be_paused_is_said_and_nothing_is(tmp_path: Path, command: str, arguments: dict[str, Any], said: str) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        with pytest.raises(CommandError) as caught:
            await bench.do(command, **arguments)
        assert str(caught.value).startswith(said)
        assert not bench.keeper.paused

    run(story)


def test_so_many_rules_are_paused_at_a_time(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        now = CLOCK()
        for number in range(MAX_PAUSED):
            bench.orders.orders = bench.orders.orders.pause(f"r{number}", Pause(now, now + 60, now + 120))
        await bench.keeper.look(now)
        with pytest.raises(CommandError, match="at most 100 rules are paused at a time"):
            await bench.do("pause", rules=["no-curl"])

    run(story)


def test_both_outlive_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        await bench.do("shadow-on", why="x", by="anna")
        await bench.do("pause", rules=["no-curl"])
        again = Bench(tmp_path)
        await again.keeper.prepare()
        assert again.told == [pytest.approx(bench.told[0], abs=0.1)]
        assert again.reloader.current.modes["no-curl"] is Mode.SHADOW
        assert again.keeper.paused[EVERYTHING].why == "x"

    run(story)


def test_a_file_of_a_release_before_and_one_that_was_tampered_with(tmp_path: Path) -> None:
    old = {"clock": list(CLOCK.stamp()), "started": {}, "ended": {}, "given": {}}
    (tmp_path / "orders").write_text(json.dumps(old))
    assert not Bench(tmp_path).orders.orders.paused
    for paused in ({"*": [1, 2]}, {"*": ["a", 1, 2, "", ""]}, {"*": [1, 2, 3, 4, "", ""]}, [1]):
        (tmp_path / "orders").write_text(json.dumps({**old, "paused": paused}))
        assert not Bench(tmp_path).orders.orders.paused
        assert (tmp_path / "orders.damaged").exists()


def test_instances_on_one_store_follow_each_other_and_the_last_word_holds_after_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        one, other = Bench(tmp_path, store, "one"), Bench(tmp_path, store, "other")
        await one.do("shadow-on", seconds=600)
        await one.do("pause", rules=["no-curl"])
        await other.keeper.prepare()
        assert other.told == [pytest.approx(one.told[0], abs=0.01)]
        assert other.reloader.paused == {"no-curl"}
        assert (await other.do("shadow-off"))["was_on"]
        await one.keeper.look(CLOCK())
        assert one.told[-1] == 0.0
        again = Bench(tmp_path, store, "one")
        await again.keeper.prepare()
        assert (again.told, list(again.keeper.paused)) == ([], ["no-curl"])

    run(story)


def test_a_shorter_order_outlasts_the_longer_one_that_an_instance_remembers(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        one, other = Bench(tmp_path, store, "one"), Bench(tmp_path, store, "other")
        await one.do("shadow-on", seconds=600)
        await other.do("shadow-on", seconds=10)
        later = CLOCK() + 60
        for bench in (one, other, Bench(tmp_path, store, "one")):
            await bench.keeper.look(later)
            assert not bench.keeper.paused
        assert not in_force(one.keeper.ordered(later), later)

    run(story)


def test_a_store_that_comes_back_empty_is_told_again(tmp_path: Path) -> None:
    async def story() -> None:
        await Bench(tmp_path, MemoryStore(), "one").do("shadow-on")
        empty = MemoryStore()
        await Bench(tmp_path, empty, "one").keeper.prepare()
        other = Bench(tmp_path, empty, "other")
        await other.keeper.prepare()
        assert EVERYTHING in other.keeper.paused

    run(story)


@pytest.mark.parametrize("text", ["", "{}", '{"seconds": "x"}', "[1]", '{"seconds": 1e400}', "\x00"])
def test_notes_that_are_no_pauses_are_left_out(tmp_path: Path, text: str) -> None:
    async def story() -> None:
        store = MemoryStore()
        store.put_note(f"pause:{EVERYTHING}", text, CLOCK() + 60, CLOCK())
        bench = Bench(tmp_path, store)
        await bench.keeper.prepare()
        assert not bench.keeper.paused

    run(story)


def test_rules_that_cannot_be_put_in_force_are_tried_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.refuses = True
        await bench.do("pause", rules=["no-curl"])
        await bench.keeper.prepare()
        assert bench.reloader.paused == frozenset()

    run(story)
    assert [record.getMessage().splitlines()[0] for record in caplog.records if record.levelname == "ERROR"] == [
        "paused rules cannot be put in force:"
    ]


def test_a_pause_that_found_the_disk_full_is_in_force_as_soon_as_there_is_room(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.disk_is_full = True
        with pytest.raises(OSError, match="No space left"):
            await bench.do("pause", rules=["no-curl"])
        bench.disk_is_full = False
        await bench.keeper.prepare()
        assert bench.reloader.current.modes["no-curl"] is Mode.SHADOW

    run(story)


def test_a_worker_that_missed_the_end_of_the_switch_is_told_again(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        await bench.do("shadow-on", seconds=3600)
        await bench.do("shadow-off")
        now = CLOCK()
        bench.told.clear()  # it hung
        for later in range(1, 6):
            await bench.keeper.look(now + later)
        assert bench.told == [0.0] * 5

    run(story)


def test_an_order_is_remembered_for_as_long_as_any_that_it_replaced() -> None:
    first = Pause.replacing(None, 100.0, 600.0)
    assert (first.until, first.kept) == (700.0, 700.0 + KEPT_SECONDS)
    assert Pause.replacing(first, 110.0, 0.0) == Pause(110.0, 110.0, 700.0 + KEPT_SECONDS)
    assert Pause.replacing(first, 110.0, 1000.0).kept == 1110.0 + KEPT_SECONDS
