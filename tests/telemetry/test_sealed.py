"""The sealed log: only the private key opens it, and what waits for the disk is bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyguard.telemetry import sealed as module
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


def test_a_full_disk_loses_entries_beyond_the_bound_and_counts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 60.0)
    dropped: list[int] = []
    log = SealedLog(tmp_path / "sealed", new_keys()[1], dropped.append)
    for number in range(MAX_WAITING + 5):
        log.add("c-000000000000", "203.0.113.0", None, f"r{number}", 1.0)
    assert (log.waiting(), sum(dropped)) == (MAX_WAITING, 5)
    log.close()


def test_what_is_no_line_is_none() -> None:
    assert read_line(b'{"client":1}') is None
    assert read_line(b"[" * 5000) is None
