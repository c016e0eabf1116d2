"""Retention: logs are turned over once a day and removed when their time is over; nothing else is touched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import pytest

from proxyguard.core.privacy import Audit, Privacy
from proxyguard.core.settings import Settings
from proxyguard.instance import retention
from proxyguard.instance.retention import Retention

DAY = 86_400.0
NOW = 20_000 * DAY + 3600.0


def kept(folder: Path, seconds: float | None = 3 * DAY) -> Retention:
    return Retention(Settings(audit=Audit(path=str(folder / "audit.jsonl")), privacy=Privacy(keep_audit_seconds=seconds)))


def log(path: Path, at: float) -> None:
    path.write_text(f'{{"time":{at},"reference":"r"}}\n')
    os.utime(path, (at, at))


def test_a_log_of_today_stays_and_one_of_yesterday_is_turned_over(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log(path, NOW - 1800)
    kept(tmp_path).look(NOW)
    assert [each.name for each in tmp_path.iterdir()] == ["audit.jsonl"]
    log(path, NOW - 7200)
    (tmp_path / "audit.jsonl-20241003").write_text("")
    os.utime(tmp_path / "audit.jsonl-20241003", (NOW, NOW))
    kept(tmp_path).look(NOW)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["audit.jsonl-20241003", "audit.jsonl-20241003.2"]


def test_a_log_of_a_day_that_is_still_to_come_is_turned_over_too(tmp_path: Path) -> None:
    """The clock was ahead when it was begun: until that day everything would go into one file."""
    log(tmp_path / "audit.jsonl", NOW + 400 * DAY)
    kept(tmp_path).look(NOW)
    assert [each.name for each in tmp_path.iterdir()] == ["audit.jsonl-20251108"]


def test_of_two_instances_of_one_log_one_turns_it_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one came first, between our look at the log and our move: what is there now is of today."""
    path = tmp_path / "audit.jsonl"
    log(path, NOW - 7200)

    def first_time(file: BinaryIO) -> float | None:
        found = real(file)
        path.rename(tmp_path / "audit.jsonl-20241003")
        log(path, NOW)
        return found

    real = retention.first_time
    monkeypatch.setattr(retention, "first_time", first_time)
    kept(tmp_path).look(NOW)
    assert {each.name: each.stat().st_mtime for each in tmp_path.iterdir()} == {
        "audit.jsonl": NOW, "audit.jsonl-20241003": NOW - 7200
    }  # fmt: skip


def test_rotated_files_go_by_their_age_and_others_stay(tmp_path: Path) -> None:
    for name in (
        "audit.jsonl",
        "audit.jsonl.1",
        "audit.jsonl-20240101.gz",
        "audit.jsonl-20240102.zst",
        "audit.jsonl.bak",
        "other.jsonl.1",
        "audit-notes.txt",
    ):
        log(tmp_path / name, NOW - 4 * DAY)
    log(tmp_path / "audit.jsonl.2", NOW - 2 * DAY)
    kept(tmp_path).look(NOW)
    left = sorted(each.name for each in tmp_path.iterdir())
    assert left == ["audit-notes.txt", "audit.jsonl.2", "audit.jsonl.bak", "other.jsonl.1"]


def test_the_oldest_of_very_many_files_go_too(tmp_path: Path) -> None:
    """A log that others turn over every minute: what is past its time stands behind all that is not."""
    for number in range(1, 1_202):
        log(tmp_path / f"audit.jsonl.{number}", NOW - (4 * DAY if number == 1_201 else DAY))
    kept(tmp_path).look(NOW)
    assert not (tmp_path / "audit.jsonl.1201").exists()
    assert len([*tmp_path.iterdir()]) == 1_200


def test_what_is_kept_for_ever_and_what_is_not_ours_stay(tmp_path: Path) -> None:
    log(tmp_path / "audit.jsonl.1", NOW - 400 * DAY)
    kept(tmp_path, None).look(NOW)
    (tmp_path / "audit.jsonl").write_text("hello\n")
    kept(tmp_path, 500 * DAY).look(NOW)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["audit.jsonl", "audit.jsonl.1"]


def test_trouble_is_no_reason_to_stop(tmp_path: Path) -> None:
    made = kept(tmp_path / "none")
    made.look(NOW)
    assert made._faults == {str(tmp_path / "none/audit.jsonl")}
