"""What limits learned over restarts: kept beside the snapshot, and no trouble with the file disturbs anything."""

from __future__ import annotations

import asyncio
import json
import os
from array import array
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any
from zlib import compress

import pytest

from proxyguard.core.address import DEFAULT_PREFIXES, Address
from proxyguard.core.jar_settings import Items
from proxyguard.core.number64 import Number64
from proxyguard.core.request import Request
from proxyguard.core.settings import Settings, StoreChoice
from proxyguard.guard.acquaintances import BITS, KNOWN, Acquaintances
from proxyguard.guard.disclosure import Disclosure
from proxyguard.instance.kept_state import MAX_AGE_SECONDS, PIECE_CHARACTERS, KeptPart, KeptState, kept_state
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.daily import DAY_SECONDS
from proxyguard.limits.heat import CELLS, ROWS
from proxyguard.limits.learning import Learning
from proxyguard.limits.packed import PIECE_BYTES, packed, unpacked
from proxyguard.limits.stores.snapshot_seal import KeySeal

KEY = "quota~aaaaaa|192.0.2.1"


def learned(days: int = 5) -> Learning:
    """What a process knows that was there for some days before this moment."""
    learning = Learning(CLOCK.wall)
    for ago in range(days, 0, -1):
        now = CLOCK() - ago * DAY_SECONDS
        learning.daily.turn(now, CLOCK.wall(now))
        learning.daily.observe("quota", KEY, "network:192.0.2.0/24", 300.0, 50.0)
    learning.daily.turn(CLOCK(), CLOCK.wall(CLOCK()))
    return learning


def restarted(path: Path) -> Learning:
    learning = Learning(CLOCK.wall)
    KeptState(path, {"learned": learning})
    learning.daily.turn(CLOCK(), CLOCK.wall(CLOCK()))
    return learning


def test_what_is_usual_survives_a_restart_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.learned"
    learning = learned()
    asyncio.run(KeptState(path, {"learned": learning}).save())
    assert path.stat().st_mode & 0o777 == 0o600
    assert restarted(path).daily.usual("quota", KEY) == learning.daily.usual("quota", KEY) == 300.0
    assert [each.name for each in tmp_path.iterdir()] == ["snapshot.learned"]


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", '{"saved": 1e300, "learned": {"daily": 5, "hourly": {}}}',
        f'{{"saved": {10**400}}}', pytest.param("[" * 100_000, id="deep"),
        '{"saved": 1e300, "learned": {"daily": {"rules": {"a": [1e999, 0, [], [], 0]}}, "hourly": {}}}',
    ],
)  # fmt: skip
def test_a_file_that_is_none_begins_anew(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "learned"
    path.write_text(text)
    assert restarted(path).daily.usual("quota", KEY) == -1.0
    assert "cannot be read, and begins anew" in caplog.text


@pytest.mark.parametrize("place", ["snapshot", "learned"])
def test_what_was_learned_is_kept_where_the_settings_say_by_the_secret_of_the_instance(tmp_path: Path, place: str) -> None:
    path = tmp_path / "kept"
    store = StoreChoice(snapshot=path) if place == "snapshot" else StoreChoice(url="redis://127.0.0.1:1", learned=path)
    settings = replace(Settings(), store=store, key_secret="0123456789abcdef")
    asyncio.run(kept_state(settings, {"learned": learned()}).save())
    [written] = tmp_path.iterdir()
    assert written.name == ("kept.learned" if place == "snapshot" else "kept")
    assert b"192.0.2" not in written.read_bytes()
    again = Learning(CLOCK.wall)
    kept_state(settings, {"learned": again})
    again.daily.turn(CLOCK(), CLOCK.wall(CLOCK()))
    assert again.daily.usual("quota", KEY) == 300.0
    other = Learning(CLOCK.wall)
    kept_state(replace(settings, key_secret="fedcba9876543210"), {"learned": other})
    assert other.daily.usual("quota", KEY) == -1.0


class Knowing:
    """A process that knows what is read and who was here."""

    def __init__(self, path: Path) -> None:
        self.heat = Disclosure(Items())
        self.visitors = Acquaintances(b"secret", DEFAULT_PREFIXES, CLOCK.wall)
        self.kept = KeptState(path, {"learned": Learning(CLOCK.wall), "reads": self.heat, "visitors": self.visitors})

    def is_hot(self, number: int) -> bool:
        """Whether an item was read eight times lately."""
        return self.heat._heat.reads(Number64.of(number), CLOCK()) >= 8

    def knows(self, client: str, days: int) -> bool:
        """Whether a client is known, so many days from now."""
        now = CLOCK() + days * DAY_SECONDS
        return self.visitors.of(Request(Address.parse(client), b"GET", b"https", b"a", b"/", ()), now) == KNOWN

    def live(self) -> None:
        """Learn something of each."""
        for _ in range(8):
            self.heat._heat.add(Number64.of(7), CLOCK())
        self.visitors.observe(Request(Address.parse("192.0.2.1"), b"GET", b"https", b"a", b"/", ()), CLOCK())


def test_what_is_read_and_who_was_here_survive_a_restart(tmp_path: Path) -> None:
    before = Knowing(tmp_path / "learned")
    before.live()
    asyncio.run(before.kept.save())
    after = Knowing(tmp_path / "learned")
    assert (after.is_hot(7), after.is_hot(8), after.visitors.today) == (True, False, 1)
    assert (after.knows("192.0.2.1", 1), after.knows("192.0.2.2", 1)) == (True, False)


@pytest.mark.parametrize("part", ["reads", "visitors"])
@pytest.mark.parametrize(
    "with_what",
    [
        5, {}, {"tables": ["AA"], "days": ["AA"]}, {"tables": ["!"], "days": ["!"]}, {"ends": 1e300, "began": "x"},
        {"ends": -1.0, "today": -1}, {"ends": float("-inf"), "began": float("inf")},
        {"ends": float("nan"), "began": float("nan")},
    ],
)  # fmt: skip
def test_one_part_that_is_damaged_takes_no_other_with_it(
    tmp_path: Path, part: str, with_what: object, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "learned"
    before = Knowing(path)
    before.live()
    asyncio.run(before.kept.save())
    plain = json.loads(path.read_text())
    plain[part] = {**plain[part], **with_what} if isinstance(with_what, dict) and with_what else with_what
    path.write_text(json.dumps(plain))
    after = Knowing(path)
    assert after.is_hot(7) is (part != "reads")
    assert after.knows("192.0.2.1", 1) is (part != "visitors")


def test_a_file_of_before_these_were_kept_is_taken_without_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(KeptState(tmp_path / "learned", {"learned": learned()}).save())
    assert not Knowing(tmp_path / "learned").is_hot(7)
    assert restarted(tmp_path / "learned").daily.usual("quota", KEY) == 300.0
    assert caplog.text == ""


def test_no_text_makes_more_bytes_than_there_is_room_for() -> None:
    bomb = packed(bytes(100_000_000))
    with pytest.raises(ValueError, match="instead of"):
        unpacked(bomb, 1000)
    with pytest.raises(ValueError, match="instead of"):
        unpacked(bomb[:1] * 100_000, 1000)


def test_what_is_older_than_a_week_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "learned"
    asyncio.run(KeptState(path, {"learned": learned()}).save())
    plain = json.loads(path.read_text())
    path.write_text(json.dumps({**plain, "saved": plain["saved"] - MAX_AGE_SECONDS - 60}))
    assert restarted(path).daily.usual("quota", KEY) == -1.0


def test_a_folder_that_takes_nothing_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = KeptState(tmp_path / "missing" / "learned", {"learned": learned()})
    for _ in range(3):
        asyncio.run(kept.save())
    assert caplog.text.count("cannot be kept") == 1


def test_what_a_killed_process_or_a_full_disk_left_half_written_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "learned"
    left, young = tmp_path / "learned.4711.new", tmp_path / "learned.4712.new"
    left.write_bytes(b"192.0.2.1")
    os.utime(left, (1e9, 1e9))
    young.touch()
    asyncio.run(KeptState(path, {"learned": learned()}).save())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["learned", "learned.4712.new"]
    path.unlink()
    path.mkdir()  # what cannot be put in place
    kept = KeptState(None, {"learned": learned()})
    kept.path = path
    asyncio.run(kept.save())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["learned", "learned.4712.new"]


def test_it_is_kept_where_the_snapshot_is_and_sealed_by_its_secret(tmp_path: Path) -> None:
    assert kept_state(Settings(), {"learned": learned()}).path is None
    settings = replace(Settings(), store=StoreChoice(snapshot=tmp_path / "store"))
    kept = kept_state(settings, {"learned": learned()})
    asyncio.run(kept.save())
    assert kept.path == tmp_path / "store.learned"
    assert b"192.0.2" not in kept.path.read_bytes()
    for secret, usual in ((None, 300.0), ("another secret of the operator's", -1.0)):
        restarted = Learning(CLOCK.wall)
        kept_state(replace(settings, key_secret=secret), {"learned": restarted})
        restarted.daily.turn(CLOCK(), CLOCK.wall(CLOCK()))
        assert restarted.daily.usual("quota", KEY) == usual


def test_without_its_secret_nothing_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "store.key").mkdir()
    kept = kept_state(replace(Settings(), store=StoreChoice(snapshot=tmp_path / "store")), {"learned": learned()})
    asyncio.run(kept.save())
    assert "cannot be kept" in caplog.text
    assert [each.name for each in tmp_path.iterdir()] == ["store.key"]


class WatchedSeal(KeySeal):
    """Notes how much it seals at a time."""

    def __init__(self) -> None:
        super().__init__(b"secret")
        self.sizes: list[int] = []

    def record(self, record: bytes) -> bytes:
        self.sizes.append(len(record))
        return super().record(record)


def full_site() -> tuple[Disclosure, Acquaintances]:
    """What a process knows of so many items and visitors that nothing of it is zero."""
    heat, visitors = Disclosure(Items()), Acquaintances(b"secret", DEFAULT_PREFIXES, CLOCK.wall)
    visitors.observe(Request(Address.parse("192.0.2.1"), b"GET", b"https", b"a", b"/", ()), CLOCK())
    visitors._today = bytearray(os.urandom(len(visitors._today)))
    visitors._earlier = [visitors._today] * 7
    heat._heat.reads(Number64.of(7), CLOCK())
    heat._heat._tables = [array("H", os.urandom(2 * len(table))) for table in heat._heat._tables]
    return heat, visitors


def test_much_is_written_in_pieces_that_hold_up_no_request(tmp_path: Path) -> None:
    """`json.dumps` of eight days of visitors keeps the interpreter for 30 ms, and so does sealing them."""
    seal = WatchedSeal()
    heat, visitors = full_site()
    before: dict[str, KeptPart] = {"reads": heat, "visitors": visitors}
    asyncio.run(KeptState(tmp_path / "learned", before, lambda: seal).save())
    assert sum(seal.sizes) > 8 * 1024 * 1024
    assert max(seal.sizes) <= PIECE_CHARACTERS + 4 * PIECE_BYTES // 3 + 100
    after = Knowing(tmp_path / "none")
    KeptState(tmp_path / "learned", {"reads": after.heat, "visitors": after.visitors}, lambda: seal)
    assert {"reads": after.heat.as_data(), "visitors": after.visitors.as_data()} == {
        name: part.as_data() for name, part in before.items()
    }


def test_a_file_that_was_sealed_as_a_whole_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As the release before wrote it, with one text for each table."""
    before = Knowing(tmp_path / "learned")
    before.live()
    asyncio.run(before.kept.save())
    plain = json.loads((tmp_path / "learned").read_text())
    plain["reads"]["tables"] = [packed_whole(unpacked(each, 2 * ROWS * CELLS)) for each in plain["reads"]["tables"]]
    plain["visitors"]["days"] = [packed_whole(unpacked(each, BITS // 8)) for each in plain["visitors"]["days"]]
    seal = WatchedSeal()
    (tmp_path / "learned").write_bytes(seal.record(json.dumps(plain).encode()))
    after = Knowing(tmp_path / "none")
    KeptState(tmp_path / "learned", {"reads": after.heat, "visitors": after.visitors}, lambda: seal)
    assert (after.is_hot(7), after.knows("192.0.2.1", 1), caplog.text) == (True, True, "")


def packed_whole(plain: bytes) -> str:
    """As it was before there were pieces."""
    return b64encode(compress(plain, 1)).decode()


def test_a_file_that_breaks_off_begins_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "learned"
    seal = WatchedSeal()
    asyncio.run(KeptState(path, {"learned": learned()}, lambda: seal).save())
    whole = path.read_bytes()
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        caplog.clear()
        KeptState(path, {"learned": Learning(CLOCK.wall)}, lambda: seal)
        assert "begins anew" in caplog.text


class Slow:
    """A part that takes its time over its first state."""

    def __init__(self) -> None:
        self.state = 0
        self.gate = Event()

    def as_data(self) -> dict[str, Any]:
        state = self.state
        if not state:
            self.gate.wait(10)
        return {"state": state, "much": "x" * 1_000_000}

    def restore(self, data: dict[str, Any], now: float) -> None:
        self.state = data["state"]


def test_who_is_erased_while_it_is_written_is_not_in_what_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`privacy erase` and the end of a worker write it while what is written now and then may be under way."""
    slow = Slow()
    kept = KeptState(tmp_path / "learned", {"part": slow})

    async def scene() -> None:
        watching = asyncio.create_task(kept.save())
        await asyncio.sleep(0.1)
        watching.cancel()
        slow.state = 1
        erasing = asyncio.create_task(kept.save())
        await asyncio.wait((erasing,), timeout=0.2)
        slow.gate.set()
        await erasing

    asyncio.run(scene())
    assert json.loads((tmp_path / "learned").read_text())["part"]["state"] == 1
    assert ([each.name for each in tmp_path.iterdir()], caplog.text) == (["learned"], "")
