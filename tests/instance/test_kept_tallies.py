"""Tallies of shadow rules over restarts: what is kept, of which rules, and what no trouble with the file may do."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path

import pytest

from proxyguard.core.address import DEFAULT_PREFIXES, Address
from proxyguard.core.decision import PASS, Decision, Mode, ShadowHit
from proxyguard.core.settings import Settings, StoreChoice
from proxyguard.instance import kept_tallies
from proxyguard.instance.kept_tallies import KeptTallies, tally_file
from proxyguard.limits.clock import CLOCK, LineClock
from proxyguard.telemetry.shadow import WINDOW_SECONDS, Tally, TallyWindow

MARKS = {"a": "1", "b": "1"}


class Life:
    """An instance from a start to its end."""

    def __init__(self, path: Path, marks: dict[str, str] = MARKS, clock: LineClock = CLOCK) -> None:
        self.tally = Tally(b"k" * 32, DEFAULT_PREFIXES, clock)
        self.kept = KeptTallies(path, self.tally.window, lambda: marks)

    def see(self, rule: str, clients: int, class_: str = "") -> None:
        for number in range(clients):
            decision = Decision(PASS, shadow=(ShadowHit(rule, "reject"),))
            self.tally.observe(Address.parse(f"198.51.100.{number}"), class_, decision)

    def window(self) -> TallyWindow:
        return asyncio.run(self.kept.window())

    def end(self) -> None:
        asyncio.run(self.kept.save())


def counts(window: TallyWindow) -> dict[str, tuple[int, int]]:
    return {rule: (hits.requests, hits.clients.count()) for rule, hits in sorted(window.shadow.items())}


def test_what_was_tallied_before_is_added_and_kept_through_a_second_restart(tmp_path: Path) -> None:
    path = tmp_path / "t"
    first = Life(path)
    first.see("a", 5, "signed-in")
    since = first.window().since
    first.end()
    second = Life(path)
    second.see("a", 7)
    second.see("b", 1)
    assert counts(second.window()) == {"a": (12, 7), "b": (1, 1)}
    assert second.window().seen.count() == 5
    second.end()
    third = Life(path)
    assert counts(third.window()) == {"a": (12, 7), "b": (1, 1)}
    assert third.window().since_of("a") == pytest.approx(since, abs=0.1)
    assert third.window().seen_recently.count() == 0


def test_addresses_of_clients_are_not_written(tmp_path: Path) -> None:
    life = Life(tmp_path / "t")
    life.see("a", 5)
    life.end()
    text = (tmp_path / "t").read_text()
    assert "198.51.100.0/24" in text
    assert "198.51.100.1" not in text
    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o600


def test_a_rule_that_changed_or_left_shadow_begins_anew(tmp_path: Path) -> None:
    first = Life(tmp_path / "t")
    first.see("a", 5)
    first.see("b", 5)
    first.end()
    began = CLOCK()
    second = Life(tmp_path / "t", {"a": "2", "c": "1"})
    assert counts(second.window()) == {}
    assert second.window().since_of("a") >= began
    assert second.window().since_of("c") >= began


def test_after_a_day_it_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "t"
    first = Life(path)
    first.see("a", 5)
    first.end()
    plain = json.loads(path.read_text())
    plain["saved"] -= WINDOW_SECONDS
    path.write_text(json.dumps(plain))
    assert counts(Life(path).window()) == {}


def test_after_some_days_it_is_forgotten_however_often_it_was_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_800_000_000.0]
    clock = LineClock(wall=lambda: now[0], since_boot=lambda: now[0], boot=lambda: "one")
    monkeypatch.setattr(kept_tallies, "CLOCK", clock)
    life = Life(tmp_path / "t", clock=clock)
    life.see("a", 5, "signed-in")
    life.end()
    found = []
    for _ in range(4):
        now[0] += 20 * 3600.0
        life = Life(tmp_path / "t", clock=clock)
        found.append(counts(life.window()))
        now[0] += 3600.0
        life.end()
    assert (found[0], found[-1]) == ({"a": (5, 5)}, {})


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"saved": 1, "marks": [], "tally": {}}', '{"saved": "x"}', "\x00",
        pytest.param("[" * 100_000, id="deep"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_left_aside(tmp_path: Path, text: str) -> None:
    (tmp_path / "t").write_text(text)
    assert counts(Life(tmp_path / "t").window()) == {}


def test_a_file_that_does_not_say_which_rules_it_is_about_is_left_aside(tmp_path: Path) -> None:
    life = Life(tmp_path / "t")
    life.see("a", 5, "signed-in")
    life.end()
    kept = json.loads((tmp_path / "t").read_text())
    for marks in ({}, {"marks": 1}):
        (tmp_path / "t").write_text(json.dumps({name: value for name, value in kept.items() if name != "marks"} | marks))
        assert counts(Life(tmp_path / "t").window()) == {}


@pytest.mark.parametrize("change", [{"marks": 5}, {"saved": 10**400}, {"tally": {"since": 10**400}}])
def test_a_file_with_one_thing_wrong_is_left_aside(
    tmp_path: Path, change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t"
    life = Life(path)
    life.see("a", 5)
    life.end()
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert counts(Life(path).window()) == {}
    assert "cannot be read, and begin anew" in caplog.text


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    life = Life(tmp_path / "missing" / "t")
    life.end()
    life.end()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_it_lies_beside_what_else_is_kept() -> None:
    assert tally_file(Settings()) is None
    assert tally_file(Settings(restrictions_file=Path("/x/orders"))) == Path("/x/orders.tallies")
    both = Settings(restrictions_file=Path("/x/orders"), store=StoreChoice(snapshot=Path("/y/s")))
    assert tally_file(both) == Path("/y/s.tallies")


def test_a_rule_that_is_forgotten_is_tallied_only_since_then() -> None:
    tally = Tally(b"k" * 32, DEFAULT_PREFIXES, CLOCK)
    tally.forget("a", Mode.SHADOW)
    window = asyncio.run(partial(tally.window, enforced_only=False)())
    assert window.since_of("a") >= window.since == window.since_of("b")
