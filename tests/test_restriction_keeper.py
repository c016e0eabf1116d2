"""Commands about restrictions, in the words an operator reads; and what the keeper tells the workers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import time
from typing import Any

import pytest

from proxyguard.admin.server import CommandError
from proxyguard.decision import Mode
from proxyguard.limits.memory import MemoryStore
from proxyguard.orders import OrderFile
from proxyguard.policy.load import load_policy
from proxyguard.reload import InForce, Loaded
from proxyguard.restriction_keeper import RestrictionKeeper
from proxyguard.shared_orders import SharedOrders
from proxyguard.telemetry.metrics import Metrics

RULES = """
name: r
classes: [{name: member, when: {cookie.member: present}}]
restrictions:
  - {name: prepared, why: Prepared., classes: {anonymous: 5/day}, until: 2090-01-01, standby: true}
  - {name: always, why: Always., classes: {member: 5/day}, until: 2090-01-01, roll_back: {class: member, share: 10%}}
  - {name: shed, why: Too much., shed: true, start_when: {site_rate: 5/second}, until: 2090-01-01}
  - {name: past, why: Long ago., classes: {anonymous: 5/day}, until: 2020-01-01}
"""


class FakeReloader:
    """Reads the rules in this process."""

    def __init__(self, rules: Path, ordered: Path) -> None:
        self.rules, self.ordered = rules, ordered
        self.read()

    def read(self) -> None:
        loaded = load_policy(self.rules, self.ordered)
        assert loaded.policy is not None, loaded.problems
        self.current = InForce.of(Loaded(loaded.policy, ()), Mode.ENFORCE)

    async def reload(self) -> dict[str, Any]:
        self.read()
        return {}


class Bench:
    """A keeper with one worker that answers as told."""

    def __init__(self, tmp_path: Path, shared: SharedOrders | None = None) -> None:
        rules = tmp_path / "rules"
        rules.mkdir(exist_ok=True)
        (rules / "r.yaml").write_text(RULES)
        self.orders = OrderFile(tmp_path / "orders")
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.collateral: dict[str, list[int]] = {}
        self.counts = Metrics()
        reloader = FakeReloader(rules, self.orders.rules)
        self.keeper = RestrictionKeeper(reloader, self.orders, self.exchange, self.counts, shared)  # type: ignore[arg-type]  # a fake

    async def exchange(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        self.told.append((name, arguments))
        if name == "restrictions":
            return [{"totals": [0, 0, 0, []], "collateral": self.collateral, "refused": {"always": 3}}]
        return [{"tried": [[10, 2] for _ in arguments["allowances"]], "not_kept": 1}] * 2

    def do(self, command: str, /, **arguments: Any) -> dict[str, Any]:
        return asyncio.run(self.keeper.commands[f"restrictions-{command}"](arguments))  # type: ignore[arg-type]  # a coroutine function

    def on(self) -> list[str]:
        return sorted(self.told[-1][1]["on"])

    def tick(self, now: float | None = None) -> None:
        asyncio.run(self.keeper.tick(time() if now is None else now))


def test_workers_are_told_what_is_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.tick()
    assert bench.on() == ["always"]
    bench.do("start", name="prepared", until=time() + 60)
    assert bench.on() == ["always", "prepared"]
    bench.do("end", name="always")
    assert bench.on() == ["prepared"]
    again = Bench(tmp_path)
    again.tick()
    assert again.on() == ["prepared"]
    assert bench.counts.restriction_changes == {"on": 2, "off": 1, "rolled-back": 0}


def test_one_given_by_command_is_in_force_until_its_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    shown = bench.do(
        "start", name="slow", classes={"anonymous": "60/hour"}, path_prefix="/search/", why="Busy.", until=time() + 60
    )
    assert (shown["on"], shown["classes"], shown["by_command"]) == (True, {"anonymous": "60 requests an hour"}, True)
    assert bench.on() == ["always", "slow"]
    assert bench.do("end", name="slow")["on"] is False
    assert bench.on() == ["always"]


def test_a_roll_back_is_an_order_that_stays(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.tick()
    bench.collateral = {"always": [30, 100]}
    bench.tick()
    bench.tick()
    bench.tick()
    assert bench.on() == []
    always = next(each for each in bench.do("list")["restrictions"] if each["name"] == "always")
    assert always["reason"] == "rolled back: it touched 30 of 100 member clients, more than 10 %"
    assert bench.counts.restriction_changes["rolled-back"] == 1
    again = Bench(tmp_path)
    again.tick()
    assert again.on() == []


GIVEN = {"name": "new", "classes": {"anonymous": "5/day"}, "why": "Because.", "until": 4e9}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "nothing"}, "there is no restriction 'nothing'\n  hint: restrictions: prepared, always, shed, past"),
        ({"name": "shed"}, "'shed' sheds load by its alarm; it cannot be started by command"),
        ({"name": "past"}, "'past' ended at 2020-01-01 00:00 UTC; say another until in its file"),
        ({"name": "prepared", "until": 1.0}, "the end must lie in the future"),
        (
            {**GIVEN, "until": None},
            "the restriction does not end\n  hint: --until 2h; what nobody ends stays for years",
        ),
        ({**GIVEN, "why": ""}, "why is empty"),
        ({**GIVEN, "classes": {"gold": "5/day"}}, "there is no class 'gold'\n  hint: classes: anonymous, member"),
        (
            {**GIVEN, "classes": {"anonymous": "5"}},
            "rate cannot be '5'\n  hint: a number and a period: 10/minute, 300/hour or 20/90s",
        ),
        ({**GIVEN, "name": "Not Kebab"}, "the name of the restriction is not in kebab-case: 'Not Kebab'"),
        ({**GIVEN, "name": "always"}, "a file has a restriction 'always' already\n  hint: choose another name"),
        ({**GIVEN, "path_prefix": "posts"}, "the path 'posts' does not begin with /\n  hint: did you mean '/posts'?"),
    ],
)
def test_what_cannot_be_started_says_why(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(CommandError) as caught:
        bench.do("start", **arguments)
    assert str(caught.value).startswith(words)
    assert bench.orders.given == {}


def test_a_preview_changes_nothing_and_adds_up_the_workers(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    found = bench.do("preview", classes={"anonymous": "60/hour"}, path_prefix="/posts/")
    assert found == {
        "classes": [{"class": "anonymous", "limit": "60 requests an hour", "seen": 20, "touched": 4}],
        "not_kept": 2,
        "exact": True,
        "workers": 2,
    }
    assert bench.told == [("restrictions-try", {"allowances": [["anonymous", 65.0, 120.0, "/posts/"]]})]
    assert bench.do("preview", classes={"anonymous": "60/hour"}, path_prefix="/posts/1")["exact"] is False
    assert bench.do("preview", name="always")["classes"][0]["limit"] == "5 requests a day"
    with pytest.raises(CommandError, match="sheds load"):
        bench.do("preview", name="shed")


def test_instances_on_one_store_share_what_was_ordered_last(tmp_path: Path) -> None:
    store = MemoryStore()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (Bench(tmp_path / name, SharedOrders(store)) for name in "ab")
    first.do("start", name="prepared", until=time() + 60)
    second.tick()
    assert second.on() == ["always", "prepared"]
    second.do("end", name="prepared")
    first.tick()
    assert first.on() == ["always"]
    second.do("end", name="always")
    first.tick()
    assert first.on() == []
    first.do("start", name="always")
    second.tick()
    assert second.on() == ["always"]
    assert (
        next(each for each in second.do("list")["restrictions"] if each["name"] == "always")["reason"] == "by command"
    )


def test_a_roll_back_reaches_all_instances(tmp_path: Path) -> None:
    store = MemoryStore()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (Bench(tmp_path / name, SharedOrders(store)) for name in "ab")
    first.tick()
    first.collateral = {"always": [30, 100]}
    first.tick()
    first.tick()
    second.tick()
    assert second.on() == []
