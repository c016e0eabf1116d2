"""Commands about restrictions, in the words an operator reads; what the keeper tells the workers; several instances."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from time import time
from typing import Any

import pytest

from proxyguard.core.decision import Mode
from proxyguard.instance.control.restriction_commands import MAX_GIVEN, RestrictionCommands
from proxyguard.instance.control.server import CommandError
from proxyguard.instance.in_force import InForce
from proxyguard.instance.loaded_rules import LoadedRules
from proxyguard.instance.restriction_controller import RestrictionController
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.given import Plain, plain_restriction, with_given
from proxyguard.policy.load import load_policy
from proxyguard.restrictions.monitor import GivenRestriction
from proxyguard.restrictions.override_file import OverrideFile
from proxyguard.restrictions.shared_overrides import LEASE_SECONDS, SharedOverrides
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

    def __init__(self, rules: Path) -> None:
        self._rules = rules
        self.given: tuple[Plain, ...] = ()
        self.installs = 0
        self.disk_is_full = False
        self.reload()

    def reload(self) -> None:
        policy = load_policy(self._rules).policy
        assert policy is not None
        self.current = InForce.of(LoadedRules(with_given(policy, self.given), ()), Mode.ENFORCE)

    async def give(self, given: Sequence[Plain]) -> None:
        if self.disk_is_full:
            raise OSError(28, "No space left on device")
        self.given = tuple(given)
        self.installs += 1
        self.reload()


class Bench:
    """A keeper with `workers` that answer as told, and are asked for `requests` each in each second."""

    def __init__(self, tmp_path: Path, shared: SharedOverrides | None = None, rules: str = RULES) -> None:
        self.rules = tmp_path / "rules" / "r.yaml"
        self.rules.parent.mkdir(exist_ok=True)
        self.rules.write_text(rules)
        self.orders = OverrideFile(tmp_path / "orders")
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.collateral: dict[str, list[int]] = {}
        self.counts = Metrics()
        self.requests = self.asked = 0
        self.workers = 1
        self.reloader = FakeReloader(self.rules.parent)
        self.keeper = RestrictionController(self.reloader, self.orders, self.exchange, self.counts, shared)  # type: ignore[arg-type]  # a fake
        self.commands = RestrictionCommands(self.keeper).commands

    async def exchange(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        self.told.append((name, arguments))
        if name == "restrictions":
            self.asked += self.requests
            answer = {"totals": [self.asked, 0, 0, []], "collateral": self.collateral, "refused": {"always": 3}}
            return [answer] * self.workers
        reads = {"0": {"192.0.2.1": 40, "192.0.2.2": 9}, "300": {"192.0.2.1": 30}}, {"300": {"192.0.2.1": 30, "192.0.2.3": 66}}
        return [{"reads": [[each, True] for _ in arguments["allowances"]], "not_kept": 1} for each in reads]

    def do(self, command: str, /, **arguments: Any) -> dict[str, Any]:
        return asyncio.run(self.commands[f"restrictions-{command}"](arguments))  # type: ignore[arg-type]  # a coroutine function

    def on(self) -> list[str]:
        return sorted(self.told[-1][1]["on"])

    def listed(self, name: str) -> dict[str, Any]:
        return next(each for each in self.do("list")["restrictions"] if each["name"] == name)

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
    assert bench.listed("always")["reason"] == "rolled back: it touched 30 of 100 member clients, more than 10 %"
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
        ({**GIVEN, "until": None}, "the restriction does not end\n  hint: --until 2h; what nobody ends stays for years"),
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
    assert bench.orders.orders.given == {}
    assert bench.reloader.given == ()


def test_a_preview_changes_nothing_and_adds_up_the_workers(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    found = bench.do("preview", classes={"anonymous": "60/hour"}, path_prefix="/posts/")
    assert found == {
        "classes": [{"class": "anonymous", "limit": "60 requests an hour", "seen": 3, "touched": 1}],
        "not_kept": 2,
        "exact": True,
        "left_out": (),
        "workers": 2,
    }
    assert bench.told == [("restrictions-try", {"allowances": [["anonymous", 65.0, 120.0, [["/posts/", True]]]]})]
    assert bench.do("preview", name="always")["classes"][0]["limit"] == "5 requests a day"
    with pytest.raises(CommandError, match="sheds load"):
        bench.do("preview", name="shed")


SLOW = plain_restriction("slow", "Busy.", {"anonymous": "60/hour"}, "2090-01-01")


async def nothing_to_wait_for() -> bool:
    return True


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Bench, Bench]:
    """Two instances on one store."""
    return two(tmp_path)


def two(tmp_path: Path, rules: str = RULES) -> tuple[Bench, Bench]:
    store = MemoryStore()
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
    shared = SharedOverrides(store, nothing_to_wait_for), SharedOverrides(store, nothing_to_wait_for)
    return Bench(first, shared[0], rules), Bench(second, shared[1], rules)


def test_instances_on_one_store_share_what_was_ordered_last(pair: tuple[Bench, Bench]) -> None:
    first, second = pair
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
    assert second.listed("always")["reason"] == "by command"


def test_a_roll_back_reaches_all_instances(pair: tuple[Bench, Bench]) -> None:
    first, second = pair
    first.tick()
    first.collateral = {"always": [30, 100]}
    first.tick()
    first.tick()
    second.tick()
    assert second.on() == []


def give(bench: Bench, name: str = "slow", seconds: float = 60.0, **more: Any) -> dict[str, Any]:
    return bench.do("start", name=name, classes={"anonymous": "60/hour"}, why="Busy.", until=time() + seconds, **more)


def test_one_given_by_command_is_on_everywhere_until_somebody_ends_it(pair: tuple[Bench, Bench]) -> None:
    first, second = pair
    assert give(first, path_prefix="/search/")["saved"] is True
    second.tick()
    assert second.on() == ["always", "slow"]
    shown = second.listed("slow")
    assert (shown["why"], shown["classes"], shown["by_command"]) == (
        "Busy.", {"anonymous": "60 requests an hour"}, True,
    )  # fmt: skip
    assert second.reloader.given == first.reloader.given
    assert second.do("end", name="slow") == {"name": "slow", "on": False, "reason": "ended by command", "saved": True}
    first.tick()
    assert (first.on(), second.on(), first.orders.orders.given) == (["always"], ["always"], {})


def test_one_given_again_with_other_numbers_takes_the_place_of_the_first(pair: tuple[Bench, Bench]) -> None:
    first, second = pair
    give(first)
    second.tick()
    second.do("start", name="slow", classes={"anonymous": "9/hour"}, why="Very busy.", until=time() + 90)
    first.tick()
    for bench in pair:
        assert bench.listed("slow")["classes"] == {"anonymous": "9 requests an hour"}
    assert [list(bench.orders.orders.given) for bench in pair] == [[], ["slow"]]


def test_one_given_by_command_and_started_with_another_end_has_that_end_everywhere(pair: tuple[Bench, Bench]) -> None:
    first, second = pair
    give(first, path_prefix="/search/")
    second.tick()
    for by, seconds in ((first, 30), (first, 600), (second, 40), (second, 900)):
        ends = time() + seconds
        assert by.do("start", name="slow", until=ends)["ends"] == pytest.approx(ends, abs=2)
        for bench in pair:
            bench.tick()
            assert bench.listed("slow")["ends"] == pytest.approx(ends, abs=2)
    assert give(first, seconds=700)["ends"] == pytest.approx(time() + 700, abs=2)
    first.do("end", name="slow")
    second.tick()
    assert (first.on(), second.on()) == (["always"], ["always"])


def test_nothing_is_installed_while_nothing_changes_and_what_is_over_is_gone_everywhere(pair: tuple[Bench, Bench]) -> None:
    first, second = pair
    give(first)
    for _ in range(3):
        first.tick()
        second.tick()
    assert (first.reloader.installs, second.reloader.installs) == (1, 1)
    first.tick(time() + 61)
    second.tick(time() + 61)
    assert (first.reloader.given, second.reloader.given, first.orders.orders.given) == ((), (), {})
    assert [each["name"] for each in second.do("list")["restrictions"]] == ["prepared", "always", "shed", "past"]


def test_what_a_store_that_is_new_does_not_know_is_said_again_by_who_gave_it(tmp_path: Path) -> None:
    before, _ = two(tmp_path)
    give(before)
    store = MemoryStore()
    again = Bench(tmp_path / "a", SharedOverrides(store, nothing_to_wait_for))
    other = Bench(tmp_path / "b", SharedOverrides(store, nothing_to_wait_for))
    again.tick()
    other.tick()
    assert other.on() == ["always", "slow"]


def test_one_ended_elsewhere_while_its_giver_was_away_does_not_come_back(tmp_path: Path) -> None:
    first, second = two(tmp_path)
    give(first)
    second.tick()
    kept = first.orders.path.read_bytes()
    second.do("end", name="slow")
    assert first.keeper._shared is not None
    first.orders.path.write_bytes(kept)
    again = Bench(tmp_path / "a", first.keeper._shared)
    again.tick()
    assert again.on() == ["always"]
    second.tick()
    assert second.on() == ["always"]


def test_one_whose_name_a_file_has_on_another_instance_is_left_out_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = two(tmp_path)
    second.rules.write_text(RULES.replace("prepared", "slow"))
    second.reloader.reload()
    give(first)
    second.tick()
    second.tick()
    assert (second.on(), second.listed("slow")["why"]) == (["always"], "Prepared.")
    said = "restriction slow was given by command and does not go together with the rules: left out"
    assert [record.message for record in caplog.records].count(said) == 1


def test_so_many_can_be_given_on_all_instances_together(pair: tuple[Bench, Bench]) -> None:
    first, second = pair
    for number in range(MAX_GIVEN):
        give(pair[number % 2], f"slow-{number}")
    with pytest.raises(CommandError, match="20 restrictions are given by command already"):
        give(second, "one-more")
    give(second, "slow-0", 90.0)
    first.tick()
    assert len(first.on()) == MAX_GIVEN + 1


ALARMED = """
name: r
restrictions:
  - {name: auto, why: Busy., classes: {anonymous: 5/day}, until: 2090-01-01, hold: 5s,
     start_when: {site_rate: 50/second, for: 1s}}
  - {name: shed, why: Full., until: 2090-01-01, start_when: {site_rate: 50/second, for: 1s},
     shed: {every: 3s, steps: [suspected, anonymous]}}
"""


def test_an_alarm_of_one_instance_starts_it_on_all_and_its_end_ends_it_on_all(tmp_path: Path) -> None:
    first, second = two(tmp_path, ALARMED)
    first.requests = 1000
    at = [time()]

    def seconds(number: int) -> None:
        for _ in range(number):
            at[0] += 1.0
            first.tick(at[0])
            second.tick(at[0])

    seconds(4)
    assert (first.on(), second.on()) == (["auto", "shed"], ["auto", "shed"])
    assert first.listed("auto")["reason"] == "by alarm"
    assert second.listed("auto")["reason"] == "by the alarm of another instance"
    assert second.listed("shed")["shedding"] == ["suspected"]
    seconds(20)
    assert second.listed("shed")["shedding"] == ["suspected", "anonymous"]
    first.requests = 0
    seconds(40)
    assert (first.on(), second.on()) == ([], [])


def test_an_alarm_ends_elsewhere_when_the_instance_that_said_so_is_gone(tmp_path: Path) -> None:
    first, second = two(tmp_path, ALARMED)
    first.requests = 1000
    now = time()
    for tick in range(4):
        first.tick(now + tick)
    second.tick(now + 4)
    assert second.on() == ["auto", "shed"]
    second.tick(now + 3 + LEASE_SECONDS)
    assert second.on() == []


def test_one_that_an_alarm_started_and_somebody_ended_stays_off_everywhere(tmp_path: Path) -> None:
    first, second = two(tmp_path, ALARMED)
    first.requests = 1000
    now = time() - 10
    for tick in range(4):
        first.tick(now + tick)
    second.tick(now + 4)
    second.do("end", name="shed")
    first.tick(time() + 1)
    assert (first.listed("shed")["reason"], second.listed("shed")["on"]) == ("ended by command", False)
    second.tick(time() + 1)
    assert second.listed("shed")["reason"] == "ended by command"
    assert first.do("start", name="shed")["reason"] == "by alarm"
    second.tick(time() + 2)
    assert second.listed("shed")["reason"] == "by the alarm of another instance"


def test_two_alarms_do_not_need_each_other(tmp_path: Path) -> None:
    first, second = two(tmp_path, ALARMED)
    now = time()
    first.requests = second.requests = 1000
    for tick in range(4):
        for bench in (first, second):
            bench.tick(now + tick)
    second.requests = 0
    for tick in range(4, 30):
        for bench in (first, second):
            bench.tick(now + tick)
        assert second.on() == ["auto", "shed"]
    assert second.listed("auto")["reason"] == "by the alarm of another instance"


def test_a_worker_that_misses_a_look_is_no_surge(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.asked, bench.requests = 1_000_000, 10
    now, seen = time(), []
    for tick in range(30):
        bench.workers = 1 if tick == 10 else 2
        bench.tick(now + tick)
        seen.append(round(bench.keeper.signals.requests_per_second))
    assert seen == [0, *[20] * 9, 0, 0, *[20] * 18]


def test_one_given_while_the_disk_is_full_is_in_force_as_soon_as_there_is_room(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.orders.keep(bench.orders.orders.give("slow", GivenRestriction(time(), time() + 60, SLOW)))
    bench.reloader.disk_is_full = True
    bench.tick()
    assert (bench.reloader.given, bench.on()) == ((), ["always"])
    bench.reloader.disk_is_full = False
    bench.tick()
    assert (bench.reloader.given, bench.on()) == ((SLOW,), ["always", "slow"])
