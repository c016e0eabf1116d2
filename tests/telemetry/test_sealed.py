"""The sealed log: only the private key opens it, and what waits for the disk is bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyguard.telemetry import sealed as module
from proxyguard.telemetry.audit_file import TAIL_BYTES
from proxyguard.telemetry.person_records import lines_about
from proxyguard.telemetry.rotated import MAX_LINE_BYTES
from proxyguard.telemetry.sealed import MAX_WAITING, SealedLog, Sighting, new_keys, opened, read_line


def test_what_is_sealed_is_opened_by_its_key_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BOXES", 2)
    private, public = new_keys()
    path = tmp_path / "sealed"
    log = SealedLog(path, public, lambda count: None)
    for number in range(4):
        log.add(f"c-00000000000{number}", f"203.0.113.{number}", 4000 + number, f"r{number}", 9.0 + number)
    log.add("c-000000000000", "203.0.113.0", None, "r9", 20.0)
    log.close()
    assert b"203.0.113" not in path.read_bytes()
    entries = [read_line(line) for line in path.read_bytes().splitlines()]
    assert [(entry.client, entry.clients, entry.records) for entry in entries if entry is not None] == [
        ("c-000000000000", [], 2),
        ("c-000000000001", [], 1),
        ("several", ["c-000000000002", "c-000000000003"], 2),
    ]
    first = entries[0]
    assert first is not None
    assert opened(first, private) == [
        Sighting("c-000000000000", "203.0.113.0", 4000, "r0", 9.0),
        Sighting("c-000000000000", "203.0.113.0", None, "r9", 20.0),
    ]
    with pytest.raises(ValueError, match="does not open it"):
        opened(first, new_keys()[0])


def test_what_a_flood_leaves_can_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one client with many records nor many clients at once make a line that no reader takes whole."""
    monkeypatch.setattr(module, "SECONDS", 60.0)
    private, public = new_keys()
    log = SealedLog(tmp_path / "sealed", public, lambda count: None)
    address = "2001:db8:1111:2222:3333:4444:5555:6666"
    for number in range(MAX_WAITING):
        name = "c-000000000000" if number % 2 else f"c-{number:012x}"
        log.add(name, address, 65_535, f"{number:016x}", 1_800_000_000.123)
    log.close(60.0)
    with (tmp_path / "sealed").open("rb") as file:
        assert max(map(len, file)) < min(TAIL_BYTES, MAX_LINE_BYTES)
    for name, count in (("c-000000000000", MAX_WAITING // 2 + 1), (f"c-{MAX_WAITING - 2:012x}", 1)):
        entries = [read_line(line) for _, line in lines_about(tmp_path / "sealed", (name,))]
        found = [each for entry in entries if entry is not None for each in opened(entry, private) if each.client == name]
        assert len(found) == count


def test_a_full_disk_loses_entries_beyond_the_bound_and_counts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 60.0)
    dropped: list[int] = []
    log = SealedLog(tmp_path / "sealed", new_keys()[1], dropped.append)
    for number in range(MAX_WAITING + 5):
        log.add("c-000000000000", "203.0.113.0", None, f"r{number}", 1.0)
    assert (log.waiting(), sum(dropped)) == (MAX_WAITING, 5)
    log.close()


def test_after_a_rotation_without_a_new_file_entries_go_on_into_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder that only logrotate may write to, which has not made the new file yet."""
    monkeypatch.setattr(module, "SECONDS", 0.0)
    dropped: list[int] = []
    (tmp_path / "logs").mkdir()
    log = SealedLog(tmp_path / "logs/sealed", new_keys()[1], dropped.append)
    (tmp_path / "logs").rename(tmp_path / "moved")
    log.add("c-000000000000", "203.0.113.0", None, "r", 1.0)
    log.close()
    assert len((tmp_path / "moved/sealed").read_bytes().splitlines()) == 1
    assert (log.waiting(), dropped) == (0, [])
    assert "No such file or directory; the file that was moved goes on" in caplog.text


def test_what_cannot_be_written_at_the_end_is_counted_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "SECONDS", 60.0)
    dropped: list[int] = []
    log = SealedLog(Path("/dev/full"), new_keys()[1], dropped.append)
    for number in range(3):
        log.add("c-000000000000", "203.0.113.0", None, f"r{number}", 1.0)
    log.close()
    assert dropped == [3]
    assert "sealed log /dev/full: 3 entries that waited are lost" in caplog.text


def test_what_is_no_line_is_none() -> None:
    assert read_line(b'{"client":1}') is None
    assert read_line(b"[" * 5000) is None
