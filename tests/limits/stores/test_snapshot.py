"""The snapshot: what survives a stop and a kill, and what damaged, full, locked and foreign files do."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from time import time

import pytest

from proxyguard.core.decision import Drop, Reject, Tarpit
from proxyguard.limits.charge import Charge
from proxyguard.limits.limit import Limit, Window
from proxyguard.limits.stores import snapshot as snapshot_module
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.snapshot import Snapshot
from proxyguard.limits.stores.snapshot_file import SnapshotFile
from proxyguard.limits.stores.snapshot_seal import KeySeal, seal_for
from proxyguard.limits.stores.store import BanTerms
from tests.scenes import CLIENT, run, until

NOW = 1_800_000_000.0
A_DAY = Limit(1000, 86_400.0, 1000, CLIENT)
A_SECOND = Limit(1000, 1.0, 1000, CLIENT)
HOUR = BanTerms(3600.0, Reject())


@asynccontextmanager
async def kept(path: Path, now: float = NOW, keys: int = 1000) -> AsyncIterator[tuple[MemoryStore, Snapshot]]:
    store = MemoryStore(keys=keys, bans=100)
    snapshot = Snapshot(path, store, clock=lambda: now)
    snapshot.load()
    await snapshot.start()
    yield store, snapshot
    await snapshot.stop()


def remaining(store: MemoryStore, key: str, now: float, limit: Limit = A_DAY) -> int:
    return store.charge([Charge(key, limit, 0.0)], (), now).usages[0].remaining


def test_bans_strikes_and_lasting_counters_survive_a_restart(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "state"
        terms = BanTerms(600.0, Tarpit(5.0, 1.0, 3), escalation=2.0, forget_seconds=3600.0, note="note")
        async with kept(path) as (store, _):
            first = store.ban("client:a", "rule", "why", terms, NOW)
            over = store.ban("client:over", "rule", "", BanTerms(60.0, Drop(), escalation=3.0), NOW)
            store.ban("client:lifted", "rule", "", HOUR, NOW)
            store.unban("client:lifted")
            store.charge([Charge("rule|a", A_DAY, 400.0), Charge("fast|a", A_SECOND, 400.0)], (), NOW)
        async with kept(path, NOW + 100.0) as (store, _):
            assert list(store.bans(NOW + 100.0)) == [first]
            assert remaining(store, "rule|a", NOW + 100.0) == 601
            assert remaining(store, "fast|a", NOW) == 1000
            again = store.ban("client:over", "rule", "", BanTerms(60.0, Drop(), escalation=3.0), NOW + 100.0)
            assert (over.strikes, again.strikes, again.until) == (1, 2, NOW + 100.0 + 180.0)
            assert store.ban("client:lifted", "rule", "", HOUR, NOW + 100.0).strikes == 1
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    run(scene())


def test_logs_survive_a_restart_time_by_time(tmp_path: Path) -> None:
    short = Limit(3, 3600.0, 3, CLIENT, window=Window.SLIDING_LOG)
    long = Limit(900, 3600.0, 900, CLIENT, window=Window.SLIDING_LOG)

    async def scene() -> None:
        path = tmp_path / "state"
        async with kept(path) as (store, _):
            for later in (0.0, 600.0, 1200.0):
                store.charge([Charge("short|a", short), Charge("long|a", long, 300.0)], (), NOW + later)
        with closing(sqlite3.connect(path)) as database:
            database.execute("INSERT INTO counters VALUES ('short|bad', ?, x'00')", (NOW + 5000.0,))
            database.commit()
        store = MemoryStore()
        restored = Snapshot(path, store, clock=lambda: NOW + 1300.0).load()
        assert restored is not None
        assert restored.unreadable == 1
        assert (store.stats().logs, store.stats().long_logs, store.stats().sketches) == (1, 1, 0)
        look = [Charge("short|a", short, 0.0), Charge("long|a", long, 0.0)]
        for later, expected in ((1300.0, (0, 0)), (3600.0, (1, 300)), (4200.0, (2, 600)), (4800.0, (3, 900))):
            usages = store.charge(look, (), NOW + later).usages
            assert tuple(usage.remaining for usage in usages) == expected

    run(scene())


@pytest.mark.parametrize("window", [Window.SLIDING, Window.SLIDING_LOG])
def test_what_was_given_back_stays_so_over_a_restart(tmp_path: Path, window: Window) -> None:
    limit = Limit(3, 3600.0, 3, CLIENT, window=window)

    async def scene() -> None:
        path = tmp_path / "state"
        async with kept(path) as (store, _):
            store.charge([Charge("rule|a", limit, 3.0)], (), NOW)
        async with kept(path) as (store, _):
            assert remaining(store, "rule|a", NOW, limit) == 0
            store.charge([Charge("rule|a", limit, -3.0, stops=False, owed=True)], (), NOW + 1.0)
        async with kept(path, NOW + 5.0) as (store, _):
            assert remaining(store, "rule|a", NOW + 5.0, limit) == 3

    run(scene())


def test_notes_survive_a_restart_also_in_a_file_of_an_older_release(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "state"
        async with kept(path) as (store, _):
            store.ban("client:a", "rule", "", HOUR, NOW)
        with closing(sqlite3.connect(path)) as database:
            database.execute("DROP TABLE notes")
        async with kept(path) as (store, _):
            for name, text, until in (("a", "first", 60.0), ("a", "ü", 90.0), ("over", "", 10.0)):
                store.put_note(name, text, NOW + until, NOW)
        async with kept(path, NOW + 30.0) as (store, _):
            assert [(note.text, note.until) for note in store.notes(NOW + 30.0)] == [("ü", NOW + 90.0)]
            assert [ban.key for ban in store.bans(NOW + 30.0)] == ["client:a"]
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE notes SET text = x'00'")
        with closing(SnapshotFile(path)) as file:
            assert (file.restore(NOW).notes, file.restore(NOW).unreadable) == ([], 2)

    run(scene())


def test_what_is_over_is_not_restored_and_leaves_the_file(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "state"
        async with kept(path) as (store, _):
            store.ban("client:a", "rule", "", BanTerms(60.0, Reject(), forget_seconds=60.0), NOW)
            store.charge([Charge("rule|a", A_DAY, 10.0)], (), NOW)
        later = NOW + 86_400.0
        async with kept(path, later) as (store, _):
            assert store.stats()[:4] == (0, 1000, 0, 100)
            store.charge([Charge("rule|b", A_DAY, 10.0)], (), later)
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("SELECT key FROM counters").fetchall() == [("rule|b",)]
            assert database.execute("SELECT key FROM bans").fetchall() == []

    run(scene())


def test_a_ban_that_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "state"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.limits.stores.ban_process", str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(50)]
    process.kill()
    acknowledged += [int(line) for line in process.stdout.read().splitlines() if line]
    process.wait()
    process.stdout.close()
    store = MemoryStore()
    restored = Snapshot(path, store).load()
    assert restored is not None
    assert restored.unreadable == 0
    assert {f"client:{number}" for number in acknowledged} <= {record.key for record in store.bans(time())}


def test_counters_reach_the_disk_every_few_seconds_without_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_module, "COUNTERS_SECONDS", 0.01)

    async def scene() -> None:
        async with kept(tmp_path / "state", keys=10_000) as (store, snapshot):
            for number in range(2000):
                store.charge([Charge(f"rule|{number}", A_DAY, 100.0)], (), NOW)
            await until(lambda: snapshot.saved_at > 0 and not any(store.dirty or ()) and snapshot._jobs.empty())
            await snapshot.saved()
            (tmp_path / "copy").write_bytes((tmp_path / "state").read_bytes())
            (tmp_path / "copy-wal").write_bytes((tmp_path / "state-wal").read_bytes())
            other = MemoryStore()
            Snapshot(tmp_path / "copy", other, clock=lambda: NOW).load()
            assert other.stats().keys == 2000

    run(scene())


def damage_nothing_of_ours(path: Path) -> None:
    path.write_bytes(b"this is no database, but long enough to look at" * 100)


def damage_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 200] = b"\xa5" * 200
    path.write_bytes(data)


def damage_by_cutting(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 + 100])


def damage_by_another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE letters (text)")


def damage_by_a_newer_release(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


def damage_a_name(path: Path) -> None:
    """What SQLite then says of it is no UTF-8."""
    data = path.read_bytes()
    assert data.count(b"counters_by_end") == 2
    path.write_bytes(data.replace(b"counters_by_end", b"\xff" * 15, 1))


@pytest.mark.parametrize(
    "damage",
    [
        damage_nothing_of_ours, damage_pages, damage_by_cutting, damage_by_another_program, damage_by_a_newer_release,
        damage_a_name,
    ],
)  # fmt: skip
def test_a_damaged_file_is_set_aside_reported_and_replaced(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        path = tmp_path / "state"
        async with kept(path) as (store, _):
            for number in range(90):
                store.ban(f"client:{number}", "rule", "why" * 50, HOUR, NOW)
        damage(path)
        damaged = path.read_bytes()
        async with kept(path) as (store, snapshot):
            assert list(store.bans(NOW)) == []
            assert snapshot.troubles == 1
            store.ban("client:new", "rule", "", HOUR, NOW)
            assert await snapshot.saved()
        aside = tmp_path / "state.damaged-20270115T080000Z"
        assert aside.read_bytes() == damaged
        assert f"is set aside as {aside.name}" in caplog.text
        async with kept(path) as (store, _):
            assert [record.key for record in store.bans(NOW)] == ["client:new"]

    run(scene())


def test_rows_that_are_not_what_they_should_be_are_left_out(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "state"
        async with kept(path) as (store, _):
            good = store.ban("client:good", "rule", "", HOUR, NOW)
            store.charge([Charge("rule|good", A_DAY, 500.0)], (), NOW)
        with closing(sqlite3.connect(path)) as database:
            database.execute("INSERT INTO bans VALUES ('client:bad', 9e9, 9e9, x'00ff')")
            database.execute(
                "INSERT INTO bans SELECT 'client:other', until, forget_at, record FROM bans WHERE key = 'client:good'"
            )
            database.execute("INSERT INTO counters VALUES ('rule|eternal', 9e99, 0)")
            database.execute("INSERT INTO counters VALUES (x'00', 9e9, 0)")
            database.execute("INSERT INTO counters VALUES ('rule|when', 'a text', 1.0)")
            database.execute("INSERT INTO notes VALUES ('since', '', x'00', 9e9)")
            database.execute("INSERT INTO notes VALUES ('until', '', 1.0, 'a text')")
            database.commit()
        store = MemoryStore()
        restored = Snapshot(path, store, clock=lambda: NOW).load()
        assert restored is not None
        assert restored.unreadable == 7
        assert list(store.bans(NOW)) == [good]
        assert store.stats().keys == 1

    run(scene())


def test_a_full_disk_is_reported_and_made_good_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(snapshot_module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(snapshot_module, "COUNTERS_SECONDS", 0.01)
    pages = [8]

    class SmallDisk(SnapshotFile):
        def __init__(self, path: Path, seal: KeySeal | None = None) -> None:
            super().__init__(path, seal)
            self._connection.execute(f"PRAGMA max_page_count = {pages[0]}")

    monkeypatch.setattr(snapshot_module, "SnapshotFile", SmallDisk)

    async def scene() -> None:
        path = tmp_path / "state"
        store = MemoryStore(keys=1000, bans=1000)
        snapshot = Snapshot(path, store)
        await snapshot.start()
        now = time()
        for number in range(500):
            store.ban(f"client:{number}", "rule", "why" * 30, HOUR, now)
            store.charge([Charge(f"rule|{number}", A_DAY, 500.0)], (), now)
        assert await snapshot.saved() is False
        assert snapshot.sound is False
        assert len(list(store.bans(now))) == 500
        store.unban("client:0")
        pages[0] = 100_000
        await until(lambda: snapshot.sound)
        await snapshot.stop()
        assert caplog.text.count("database or disk is full") == 1
        assert "is written again" in caplog.text
        other = MemoryStore()
        Snapshot(path, other).load()
        assert {record.key for record in other.bans(now)} == {f"client:{number}" for number in range(1, 500)}
        assert other.stats().keys == 500

    run(scene())


def test_a_file_that_another_process_uses_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        path = tmp_path / "state"
        async with kept(path) as (store, snapshot):
            store.ban("client:a", "rule", "", HOUR, NOW)
            assert await snapshot.saved()
            other = Snapshot(path, MemoryStore(), clock=lambda: NOW)
            assert other.load() is None
            assert "cannot be read (database is locked)" in caplog.text
            assert path.exists()
            store.ban("client:b", "rule", "", HOUR, NOW)
            assert await snapshot.saved()

    run(scene())


def test_a_folder_that_does_not_exist_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with kept(tmp_path / "no" / "state") as (store, snapshot):
            store.ban("client:a", "rule", "", HOUR, NOW)
            assert await snapshot.saved() is False
            assert [record.key for record in store.bans(NOW)] == ["client:a"]
            assert "cannot be written ([Errno 2] No such file or directory" in caplog.text

    run(scene())


def test_what_cannot_be_written_down_is_reported_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with kept(tmp_path / "state") as (store, snapshot):
            store.ban("client:a", "rule", "half of a character: \udce9", HOUR, NOW)
            assert await snapshot.saved() is False
            assert not snapshot.sound
            assert "cannot be written ('utf-8' codec can't encode" in caplog.text
            assert snapshot._thread is not None
            assert snapshot._thread.is_alive()

    run(scene())


def test_more_counters_than_there_is_room_for_are_restored_as_far_as_it_goes(tmp_path: Path) -> None:
    async def scene() -> None:
        async with kept(tmp_path / "state") as (store, _):
            for number in range(100):
                store.charge([Charge(f"rule|{number}", A_DAY, 500.0)], (), NOW)
        async with kept(tmp_path / "state", keys=10) as (store, _):
            assert store.stats().keys == 10

    run(scene())


def test_metrics_show_the_state_of_the_snapshot(tmp_path: Path) -> None:
    async def scene() -> None:
        async with kept(tmp_path / "state") as (_, snapshot):
            assert await snapshot.saved()
            assert {name: read() for name, _, read in snapshot.gauges()} == {
                "snapshot_sound": 1.0,
                "snapshot_troubles": 0.0,
                "snapshot_saved_at": NOW,
            }

    run(scene())


def test_a_sealed_snapshot_names_nobody_and_gives_everything_back(tmp_path: Path) -> None:
    path = tmp_path / "state"

    async def written() -> None:
        store = MemoryStore(keys=100, bans=100)
        snapshot = Snapshot(path, store, clock=lambda: NOW)
        await snapshot.start()
        store.ban("client:203.0.113.7", "rule", "why", HOUR, NOW)
        store.charge([Charge("rule|203.0.113.8", A_DAY, 5.0)], (), NOW)
        await snapshot.stop()

    def on_disk() -> bytes:
        return b"".join(each.read_bytes() for each in tmp_path.iterdir())

    run(written())
    assert b"203.0.113.7" in on_disk()
    seal = seal_for(path, None)
    for _ in range(2):  # rows of an older version are sealed, and stay readable
        other = MemoryStore(keys=100, bans=100)
        restored = Snapshot(path, other, clock=lambda: NOW, seal=lambda: seal).load()
        assert restored is not None
        assert [ban.key for ban, _ in restored.bans] == ["client:203.0.113.7"]
        assert [key for key, *_ in restored.counters] == ["rule|203.0.113.8"]
        assert b"203.0.113." not in on_disk()
    stranger = Snapshot(path, MemoryStore(keys=100, bans=100), clock=lambda: NOW, seal=lambda: KeySeal(b"another")).load()
    assert stranger is not None
    assert (stranger.bans, stranger.counters, stranger.unreadable) == ([], [], 2)


def test_rows_that_an_older_version_left_beside_sealed_ones_win_and_odd_ones_are_left_out(tmp_path: Path) -> None:
    """Whoever goes back a version and on again has both; a key that is no text is a damaged row, not a reason to stop."""
    path, seal = tmp_path / "state", KeySeal(b"secret")
    with closing(SnapshotFile(path, seal)) as file:
        file.write((), [("rule|203.0.113.8", NOW + 60, 1.0), ("rule|203.0.113.9", NOW + 60, 3.0)])
    with closing(SnapshotFile(path)) as file:
        file.write((), [("rule|203.0.113.8", NOW + 60, 2.0)])
        file._connection.execute("INSERT INTO counters VALUES (x'00ff', ?, 1.0)", (NOW + 60,))
        file._connection.execute("INSERT INTO bans VALUES (x'00ff', ?, ?, x'00')", (NOW + 60, NOW + 60))
    for _ in range(2):
        with closing(SnapshotFile(path, seal)) as file:
            restored = file.restore(NOW)
        assert sorted(restored.counters) == [("rule|203.0.113.8", NOW + 60, 2.0), ("rule|203.0.113.9", NOW + 60, 3.0)]
        assert restored.unreadable == 2


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    """As a power cut may leave one: what is sealed with nothing anybody could open."""
    secret = tmp_path / "state.key"
    secret.write_bytes(b"\n")
    first, again = seal_for(tmp_path / "state", None), seal_for(tmp_path / "state", None)
    assert again.open_key(first.key("client:203.0.113.7")) == "client:203.0.113.7"
    assert len(secret.read_bytes()) >= 32
    with pytest.raises(ValueError, match="another secret"):
        KeySeal(b"").open_key(first.key("client:203.0.113.7"))


def test_nothing_is_written_while_the_secret_cannot_be_read_and_all_of_it_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Unsealed it would name people: a snapshot less is better."""
    monkeypatch.setattr(snapshot_module, "RETRY_SECONDS", 0.0)
    path, secret = tmp_path / "state", tmp_path / "state.key"
    secret.mkdir()  # as unreadable for root as for everybody else

    async def scene() -> None:
        store = MemoryStore(keys=100, bans=100)
        snapshot = Snapshot(path, store, clock=lambda: NOW, seal=partial(seal_for, path, None))
        snapshot.load()
        await snapshot.start()
        store.ban("client:203.0.113.7", "rule", "why", HOUR, NOW)
        assert not await snapshot.saved()
        assert not snapshot.sound
        assert not path.exists()
        secret.rmdir()
        await snapshot.stop()

    run(scene())
    assert "cannot be written ([Errno 21] Is a directory: " in caplog.text
    assert b"203.0.113.7" not in b"".join(each.read_bytes() for each in tmp_path.iterdir())
    restored = Snapshot(path, MemoryStore(keys=100, bans=100), clock=lambda: NOW, seal=partial(seal_for, path, None)).load()
    assert restored is not None
    assert [ban.key for ban, _ in restored.bans] == ["client:203.0.113.7"]
