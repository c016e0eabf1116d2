"""Emergency mode: as an operator orders it, with its rules, its end, its preview, and learning that stops meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from proxyguard.core.address import DEFAULT_PREFIXES
from proxyguard.core.decision import Mode
from proxyguard.guard.campaigns import Campaigns
from proxyguard.instance.control.emergency_commands import EmergencyCommands
from proxyguard.instance.control.server import CommandError
from proxyguard.instance.learned_commands import LearnedCommands
from proxyguard.instance.load_rules import load_tested
from proxyguard.instance.pause_controller import REPEAT_SECONDS, PauseController
from proxyguard.instance.policy_transfer import PolicyTransfer, join
from proxyguard.instance.reloader import Reloader
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.hourly import HOUR_SECONDS, HOURS, HourlyUse
from proxyguard.limits.learning import Learning
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.model import Rule
from proxyguard.restrictions.override_file import OverrideFile
from proxyguard.restrictions.shared_overrides import SharedOverrides
from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.shadow import TallyWindow

RULES = """
name: r
rules:
  - name: by-owner
    when: {path: {prefix: /items/}}
    limit: {rate: 6/hour, window: calendar, per: [asn], learned: {times: 6, at_most: 1000000}}
    action: reject
    emergency: true
  - {name: no-curl, when: {user_agent: {word: curl}}, action: reject}
"""


class Bench:
    """One instance with one worker, which really learns."""

    def __init__(self, tmp_path: Path, store: MemoryStore | None = None, file: str = "orders", rules: str = RULES) -> None:
        folder = tmp_path / file
        folder.mkdir()
        (folder / "r.yaml").write_text(rules)
        self.installed: list[bytes] = []
        self.learning = Learning(float)
        self.worker = LearnedCommands(self.learning, Campaigns(b"x", DEFAULT_PREFIXES, self.learning, float)).commands
        metrics = self.metrics = Metrics()
        self.reloader = Reloader(
            folder, Mode.ENFORCE, PolicyTransfer.of(load_tested(folder), Mode.ENFORCE), self.install, metrics
        )
        shared = None if store is None else SharedOverrides(store, self.saved)
        self.keeper = PauseController(self.reloader, OverrideFile(tmp_path / f"{file}.json"), self.ask, metrics, shared)
        self.commands = EmergencyCommands(self.keeper, self.reloader, self.ask, self.window).commands

    def know(self) -> None:
        """Four days in which an owner had 20 reads an hour."""
        hours = HourlyUse()
        hours.restore([[20.0] * HOURS, [4] * HOURS, [0] * HOURS])
        data = {"daily": self.learning.daily.as_data(), "hourly": {"by-owner": hours.as_data()}}
        self.learning.restore({**data, "cells": {"by-owner~|64500": hours.as_data()}}, CLOCK())

    async def saved(self) -> bool:
        return True

    async def install(self, parts: list[bytes]) -> None:
        self.installed = parts

    async def ask(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        return [await self.worker[name](arguments)] if name in self.worker else []

    async def window(self, *, enforced_only: bool) -> TallyWindow:
        assert not enforced_only
        return TallyWindow.joined([])

    async def do(self, name: str, **arguments: Any) -> dict[str, Any]:
        return await self.commands[name](arguments)

    def mode(self) -> Mode:
        return self.reloader.current.modes["by-owner"]

    def rule(self) -> Rule:
        return next(rule for rule in join(self.installed).policy.rule_sets[0].rules if rule.name == "by-owner")


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def test_its_rules_act_until_its_end_and_only_record_otherwise(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.know()
        assert bench.reloader.current.modes == {"by-owner": Mode.SHADOW, "no-curl": Mode.ENFORCE}
        answer = await bench.do("emergency-on", seconds=60, why="a swarm", by="anna")
        assert bench.mode() is Mode.ENFORCE
        assert not bench.rule().emergency
        status = (await bench.do("emergency-status"))["emergency"]
        assert (status["why"], status["until"]) == ("a swarm", answer["until"])
        assert bench.metrics.gauges["emergency"][1]() == 1
        await bench.keeper.look(CLOCK() + 61)
        await bench.keeper._hold()
        assert bench.mode() is Mode.SHADOW
        assert (await bench.do("emergency-status"))["emergency"] is None

    run(story)


def test_it_is_refused_while_nothing_is_known(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        with pytest.raises(CommandError, match="nothing is known yet"):
            await bench.do("emergency-on", seconds=60)
        assert bench.mode() is Mode.SHADOW

    run(story)


def test_it_is_refused_where_no_rule_is_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path, rules="name: r\nrules: [{name: a, when: {path: /a}, action: reject}]\n")
        for command in ("emergency-on", "emergency-preview"):
            with pytest.raises(CommandError, match="no rule is for emergencies"):
                await bench.do(command)

    run(story)


def test_a_pause_of_one_of_its_rules_holds_in_it(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.know()
        await bench.keeper.order(("by-owner",), 60.0)
        await bench.do("emergency-on")
        assert bench.mode() is Mode.SHADOW
        await bench.keeper.order(("by-owner",), 0.0)
        assert bench.mode() is Mode.ENFORCE

    run(story)


def test_one_order_is_enough_for_all_instances(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        one, other = Bench(tmp_path, store, "one"), Bench(tmp_path, store, "other")
        one.know()
        await one.do("emergency-on")
        await other.keeper.look(CLOCK())
        await other.keeper._hold()
        assert other.mode() is Mode.ENFORCE
        assert (await other.do("emergency-off"))["was_on"]
        await one.keeper.look(CLOCK())
        await one.keeper._hold()
        assert one.mode() is Mode.SHADOW

    run(story)


def test_workers_learn_nothing_while_it_is_on(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.know()
        now = CLOCK()
        await bench.do("emergency-on", seconds=7_200)
        await bench.keeper.look(now + REPEAT_SECONDS * 2)
        assert bench.learning.cells.frozen_at >= now
        rule = HourlyUse()
        bench.learning.cells.observe("by-owner~|64500", rule, 5_000.0, now, now, is_refused=False)
        for hour in range(1, 4):
            later = now + hour * HOUR_SECONDS
            assert bench.learning.cells.usual("by-owner~|64500", later, later) == pytest.approx(20.0, rel=0.7)

    run(story)


def test_the_preview_names_cells_and_whom_they_hold(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.know()
        now, rule = CLOCK(), HourlyUse()
        for used in (130.0, 131.0):
            bench.learning.cells.observe("by-owner~|64500", rule, used, now, now, is_refused=used > 130)
        preview = await bench.do("emergency-preview")
        assert preview["known"] == ["by-owner"]
        cell = {"rule": "by-owner", "cell": ["64500"], "reads": 131.0, "refused": 1, "usual": pytest.approx(20.0)}
        assert preview["cells"] == [cell]
        assert set(preview["standings"]) >= {"signed-in", "unproven"}

    run(story)
