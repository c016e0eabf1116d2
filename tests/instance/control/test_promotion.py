"""Promotion: the guard before, the watch after, the roll-back in memory and in the file.

A real reloader, real files and a real tally; decisions by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from proxyguard.core.address import DEFAULT_PREFIXES, Address
from proxyguard.core.decision import PASS, Decision, Mode, Reject, ShadowHit
from proxyguard.instance.control.promotion import MAX_SHARE, MIN_QUIET_SECONDS, MIN_SECONDS, Promotions, judge
from proxyguard.instance.control.server import CommandError
from proxyguard.instance.load_rules import load_tested
from proxyguard.instance.policy_transfer import PolicyTransfer
from proxyguard.instance.reloader import Reloader
from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.shadow import Tally, TallyWindow

pytestmark = pytest.mark.long

RULES = """\
name: one
classes: [{name: signed-in, when: {cookie.session: present}}]
rules:
  - name: no-curl   # scripts
    when: {user_agent: {word: curl}}
    action: reject
    mode: shadow
  - name: other
    when: {path: /other}
    action: reject
"""


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Instance:
    """A reloader that only notes modes, a real tally, and the promotions over them."""

    def __init__(self, rules: Path) -> None:
        self.rules = rules
        self.clock = Clock()
        self.disk_is_full = False
        self.metrics = Metrics()
        self.tally = Tally(b"k" * 32, DEFAULT_PREFIXES, self.clock)
        self.clock.now += 7200.0
        loaded = load_tested(rules)
        policy = PolicyTransfer.of(loaded, Mode.ENFORCE)
        self.reloader = Reloader(rules, Mode.ENFORCE, policy, self._install, self.metrics)
        self.promotions = Promotions(self.reloader, self._window, self._forget, self.metrics, clock=self.clock)

    @property
    def mode(self) -> str:
        return self.reloader.current.modes["no-curl"].value

    @property
    def file(self) -> str:
        return (self.rules / "10.yaml").read_text()

    async def tell(self, name: str, **arguments: Any) -> dict[str, Any]:
        return await self.promotions.commands[name](arguments)

    def seen(self, count: int, class_: str, *, hits: int = 0, stops: int = 0) -> None:
        """So many clients of a class; the first of them hit by the shadow rule, or stopped by it."""
        for number in range(count):
            decision = Decision(action=PASS)
            if number < hits:
                decision = Decision(action=PASS, shadow=(ShadowHit("no-curl", "reject"),))
            if number < stops:
                decision = Decision(action=Reject(), rule="no-curl")
            self.tally.observe(Address.parse(f"198.51.{number // 200}.{number % 200}"), class_, decision)

    async def _install(self, parts: list[bytes]) -> None:
        if self.disk_is_full:
            raise OSError(28, "No space left on device")

    async def _window(self, *, enforced_only: bool) -> TallyWindow:
        return TallyWindow.joined([(await self.tally.window(enforced_only=enforced_only)).as_data()])

    async def _forget(self, rule: str, mode: Mode) -> None:
        self.tally.forget(rule, mode)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "10.yaml").write_text(RULES)
    return folder


def run(rules: Path, story: Callable[[Instance], Coroutine[Any, Any, None]]) -> Instance:
    async def main() -> Instance:
        instance = Instance(rules)
        await story(instance)
        return instance

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("protected", "hits", "allowed", "said"),
    [
        (0, 0, True, "stopped 0 requests of 0 clients in 2 h 0 min"),
        (25, 1, True, "1 of 25 clients of protected classes (4.0%; allowed 4.0%)"),
        (25, 2, False, "2 of 25 clients of protected classes (8.0%; allowed 4.0%)"),
    ],
)
def test_the_guard_counts_protected_clients(rules: Path, protected: int, hits: int, allowed: bool, said: str) -> None:
    async def story(instance: Instance) -> None:
        instance.seen(protected, "signed-in", hits=hits)
        verdict = judge(await instance.tally.window(), "no-curl", 0.04, instance.clock.now)
        assert verdict.allowed is allowed
        assert said in "\n".join(verdict.lines)

    run(rules, story)


def test_without_classes_nothing_can_be_told_and_force_is_needed(rules: Path) -> None:
    async def story(instance: Instance) -> None:
        instance.seen(10, "", hits=5)
        with pytest.raises(CommandError, match="no request of a class other than anonymous was seen"):
            await instance.tell("promote", rule="no-curl")
        assert instance.file == RULES
        answer = await instance.tell("promote", rule="no-curl", force=True)
        assert answer["file"] == f"{rules}/10.yaml:7"
        assert [line for line in answer["lines"] if line.startswith("hint: ")] == []

    assert run(rules, story).mode == "enforce"


def test_a_promotion_changes_one_word_of_the_file_and_takes_effect(rules: Path) -> None:
    async def story(instance: Instance) -> None:
        instance.seen(50, "anonymous", hits=50)
        instance.seen(50, "signed-in")
        await instance.tell("promote", rule="no-curl")

    instance = run(rules, story)
    assert instance.file == RULES.replace("mode: shadow", "mode: enforce")
    assert (instance.mode, list(instance.promotions.status()["watched"])) == ("enforce", ["no-curl"])


def test_a_refusal_lists_the_networks_and_changes_nothing(rules: Path) -> None:
    async def story(instance: Instance) -> None:
        instance.seen(300, "signed-in", hits=250)
        with pytest.raises(CommandError) as caught:
            await instance.tell("promote", rule="no-curl")
        assert str(caught.value).splitlines() == [
            "no-curl stays in shadow:",
            *(f"  {line}" for line in judge(await instance.tally.window(), "no-curl", MAX_SHARE, instance.clock.now).lines),
        ]
        assert "    198.51.0.0/24: 200 requests of protected clients" in str(caught.value)
        told = await instance.tell("promote", rule="no-curl", dry_run=True)
        assert told["would"] == "refuse"

    assert run(rules, story).file == RULES


def test_a_dry_run_tries_the_rules_as_the_promotion_does(rules: Path) -> None:
    (rules / "99.yaml").write_text("name: whole\ntests: [{request: {user_agent: curl/8}, expect: pass by default}]\n")

    async def story(instance: Instance) -> None:
        told = await instance.tell("promote", rule="no-curl", dry_run=True)
        assert told["would"] == "refuse"
        assert told["lines"][-1] == "not changed: with no-curl in enforce the rules are refused"
        with pytest.raises(CommandError, match="not changed: with no-curl in enforce the rules are refused"):
            await instance.tell("promote", rule="no-curl", force=True)
        assert instance.reloader.last["result"] == "loaded at start"

    assert run(rules, story).file == RULES


def test_a_watched_rule_that_stops_too_many_goes_back_in_memory_and_in_the_file(rules: Path) -> None:
    async def story(instance: Instance) -> None:
        instance.seen(30, "signed-in", stops=20)  # of an earlier time, forgotten at the promotion
        await instance.tell("promote", rule="no-curl", max_share=0.1)
        instance.seen(30, "signed-in", stops=3)
        await instance.promotions.look()
        assert instance.mode == "enforce"
        instance.seen(30, "signed-in", stops=4)
        await instance.promotions.look()

    instance = run(rules, story)
    assert (instance.mode, instance.file) == ("shadow", RULES)
    status = instance.promotions.status()
    assert (status["watched"], status["held_in_shadow"]) == ({}, [])
    assert [(each["rule"], each["stopped"], each["seen"], each["trouble"]) for each in status["rolled_back"]] == [
        ("no-curl", 4, 30, "")
    ]
    assert instance.metrics.rollbacks == {"no-curl": 1}


def test_a_roll_back_works_when_the_rules_are_broken_meanwhile(rules: Path) -> None:
    async def story(instance: Instance) -> None:
        await instance.tell("promote", rule="no-curl")
        (rules / "20.yaml").write_text("name: [half a\n")
        instance.seen(10, "signed-in", stops=10)
        await instance.promotions.look()
        assert instance.mode == "shadow"
        assert "20.yaml:2:1: error: " in instance.promotions.status()["rolled_back"][0]["trouble"]
        assert instance.promotions.status()["held_in_shadow"] == ["no-curl"]
        assert "mode: enforce" in instance.file
        (rules / "20.yaml").unlink()
        await instance.reloader.reload()
        assert instance.mode == "shadow"
        await instance.tell("promote", rule="no-curl", force=True)

    instance = run(rules, story)
    assert (instance.mode, instance.promotions.status()["held_in_shadow"]) == ("enforce", [])


def test_a_roll_back_that_found_the_disk_full_is_tried_again(rules: Path) -> None:
    async def story(instance: Instance) -> None:
        await instance.tell("promote", rule="no-curl", force=True)
        instance.seen(50, "signed-in", stops=20)
        instance.disk_is_full = True
        with pytest.raises(OSError, match="No space left"):
            await instance.promotions.look()
        assert list(instance.promotions.status()["watched"]) == ["no-curl"]
        instance.disk_is_full = False
        await instance.promotions.look()

    instance = run(rules, story)
    assert (instance.mode, instance.file, instance.metrics.rollbacks) == ("shadow", RULES, {"no-curl": 1})


def test_a_watch_ends_by_itself(rules: Path) -> None:
    async def story(instance: Instance) -> None:
        await instance.tell("promote", rule="no-curl", watch_seconds=60)
        instance.clock.now += 61
        instance.seen(10, "signed-in", stops=10)
        await instance.promotions.look()

    assert run(rules, story).mode == "enforce"


def test_a_promotion_among_broken_rules_is_refused_and_leaves_the_file_as_it_was(rules: Path) -> None:
    async def story(instance: Instance) -> None:
        (rules / "20.yaml").write_text("name: two\nrules: []\n\tx: 1\n")
        with pytest.raises(CommandError, match=r"20\.yaml:3:1: error: .*\n(.*\n)*not changed: with no-curl in enforce"):
            await instance.tell("promote", rule="no-curl")

    instance = run(rules, story)
    assert (instance.file, instance.mode) == (RULES, "shadow")


def test_a_demotion_is_the_way_back(rules: Path) -> None:
    async def story(instance: Instance) -> None:
        answer = await instance.tell("demote", rule="other")
        assert (answer["file"], answer["trouble"]) == (f"{rules}/10.yaml:9", "")

    instance = run(rules, story)
    assert instance.file == RULES.replace("  - name: other\n", "  - name: other\n    mode: shadow\n")
    assert instance.reloader.current.modes["other"] is Mode.SHADOW


def test_a_rule_that_acts_is_not_promoted_again(rules: Path) -> None:
    async def story(instance: Instance) -> None:
        for arguments in ({}, {"dry_run": True}, {"force": True}):
            answer = await instance.tell("promote", rule="other", **arguments)
            assert (answer["would"], answer["lines"], answer["watch"]) == ("nothing", ("other acts already",), "")
        await instance.tell("promote", rule="no-curl", watch_seconds=60)
        assert (await instance.tell("promote", rule="no-curl"))["watch"].startswith("watched until ")

    assert run(rules, story).mode == "enforce"


def test_a_demotion_of_a_rule_in_shadow_changes_nothing_and_says_so(rules: Path) -> None:
    async def story(instance: Instance) -> None:
        answer = await instance.tell("demote", rule="no-curl")
        assert answer == {"rule": "no-curl", "file": f"{rules}/10.yaml:7", "trouble": "", "already": True}
        assert (await instance.tell("demote", rule="other"))["already"] is False

    run(rules, story)


def test_a_rule_that_is_off_is_not_said_to_be_in_shadow(rules: Path) -> None:
    (rules / "10.yaml").write_text(RULES.replace("mode: shadow", "mode: off"))

    async def story(instance: Instance) -> None:
        with pytest.raises(CommandError) as caught:
            await instance.tell("promote", rule="no-curl")
        assert str(caught.value).splitlines() == [
            "no-curl stays off:",
            "  nothing is known of what it would stop",
            "  hint: put it into shadow first: proxyguard demote; or use --force",
        ]
        assert (await instance.tell("promote", rule="no-curl", dry_run=True))["would"] == "refuse"
        assert (await instance.tell("demote", rule="no-curl"))["already"] is False

    assert run(rules, story).mode == "shadow"


def test_a_rule_set_in_shadow_is_said(rules: Path) -> None:
    (rules / "10.yaml").write_text(RULES.replace("rules:", "mode: shadow\nrules:"))

    async def story(instance: Instance) -> None:
        with pytest.raises(
            CommandError, match=r"would stay in shadow: its rule set \(.*10.yaml\) or the whole process is in shadow"
        ):
            await instance.tell("promote", rule="no-curl")

    assert run(rules, story).file == RULES.replace("rules:", "mode: shadow\nrules:")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rule": "no-crul"}, "there is no rule 'no-crul'\n  hint: did you mean 'no-curl'?"),
        ({"rule": "no-curl", "max_share": 2}, "max_share is a number from 0 to 1, not 2"),
        ({"rule": "no-curl", "watch_seconds": "1h"}, "watch_seconds is a number from 0 to 2.592e\\+06, not '1h'"),
    ],
)
def test_wrong_arguments_are_said(rules: Path, arguments: dict[str, Any], said: str) -> None:
    async def story(instance: Instance) -> None:
        with pytest.raises(CommandError, match=said.replace("?", r"\?")):
            await instance.tell("promote", **arguments)

    run(rules, story)


def test_the_report_shows_networks_and_addresses_only_when_asked(rules: Path) -> None:
    async def story(instance: Instance) -> None:
        instance.seen(4, "anonymous", hits=4)
        shown = (await instance.tell("shadow-report"))["rules"]
        assert [(each["rule"], each["requests"], each["clients"], each["networks"]) for each in shown] == [("no-curl", 4, 4, 1)]
        assert shown[0]["top"] == [{"name": "198.51.0.0/24", "requests": 4}]
        full = (await instance.tell("shadow-report", full=True))["rules"]
        assert {each["name"] for each in full[0]["top"]} == {f"198.51.0.{number}" for number in range(4)}
        await instance.tell("promote", rule="no-curl", force=True)
        assert (await instance.tell("shadow-report"))["rules"] == []

    run(rules, story)


@pytest.mark.parametrize(("hits", "seconds", "wanted"), [(5, MIN_SECONDS, "15m"), (0, MIN_QUIET_SECONDS, "1h")])
def test_a_rule_is_promoted_on_evidence_or_by_force(rules: Path, hits: int, seconds: float, wanted: str) -> None:
    async def story(instance: Instance) -> None:
        instance.tally.forget("no-curl", Mode.SHADOW)
        instance.seen(1000, "signed-in", hits=hits)
        instance.clock.now += seconds - 1
        with pytest.raises(CommandError, match=f"hint: wait until it has been in shadow for {wanted}, or use --force"):
            await instance.tell("promote", rule="no-curl")
        assert (await instance.tell("promote", rule="no-curl", dry_run=True))["would"] == "refuse"
        instance.clock.now += 1
        assert (await instance.tell("promote", rule="no-curl", dry_run=True))["would"] == "promote"
        instance.tally.forget("no-curl", Mode.SHADOW)
        assert (await instance.tell("promote", rule="no-curl", force=True))["file"]

    assert run(rules, story).mode == "enforce"


@pytest.mark.parametrize(
    ("old", "new", "watch"),
    [
        ("", "", "watched for 1h: it goes back to shadow when it stops more than 1.0% of the clients of signed-in that are seen"),
        ("classes:", "# classes:", "not watched: the rules define no class of clients, so nobody is protected"),
        ("action: reject\n    mode", "action: {score: 5}\n    mode", "not watched: its action, score, stops nobody by itself"),
    ],
)
def test_it_is_said_what_is_watched_and_what_cannot_be(rules: Path, old: str, new: str, watch: str) -> None:
    (rules / "10.yaml").write_text(RULES.replace(old, new, 1))

    async def story(instance: Instance) -> None:
        assert (await instance.tell("promote", rule="no-curl", dry_run=True))["watch"].startswith(watch)
        assert (await instance.tell("promote", rule="no-curl"))["watch"].startswith(watch)
        assert bool(instance.promotions.status()["watched"]) is watch.startswith("watched")

    assert run(rules, story).mode == "enforce"


def test_what_a_switch_let_through_is_in_the_report_though_no_rule_is_in_shadow(rules: Path) -> None:
    async def story(instance: Instance) -> None:
        other = Decision(action=PASS, rule="shadow-switch", shadow=(ShadowHit("other", "reject"),))
        instance.tally.observe(Address.parse("198.51.100.1"), "", other)
        instance.promotions._switched_since = lambda: instance.clock.now + 1
        assert (await instance.tell("shadow-report"))["rules"] == []
        instance.promotions._switched_since = lambda: instance.clock.now - 1
        assert [each["rule"] for each in (await instance.tell("shadow-report"))["rules"]] == ["other"]

    run(rules, story)


def test_a_rule_that_an_edit_keeps_from_acting_is_watched_no_longer(rules: Path) -> None:
    instance = Instance(rules)

    async def run() -> None:
        await instance.tell("promote", rule="no-curl", force=True)
        assert list(instance.promotions.status()["watched"]) == ["no-curl"]
        (rules / "10.yaml").write_text(instance.file.replace("mode: enforce", "mode: off"))
        await instance.reloader.reload()
        assert instance.promotions.status()["watched"] == {}

    asyncio.run(run())
