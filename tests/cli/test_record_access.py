"""That somebody looked at records is in the log before anything is shown, not only on its way there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxyguard.cli import record_access
from proxyguard.cli.record_access import Places, not_looked_through, record_notice
from proxyguard.core.settings import Settings
from proxyguard.telemetry.audit import AuditLog
from proxyguard.telemetry.audit_records import Notice


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_access, "WRITTEN_SECONDS", 0.0)


def note(log: Path) -> None:
    record_notice(Places(Settings(), log, None, log.parent / "control.sock"), "reveal", "c-5f2b8e01c77a", "case 17", 1)


def test_what_an_instance_took_and_has_not_written_is_written_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_access, "_noted_by", lambda _socket, _notice: True)
    note(tmp_path / "audit.jsonl")
    assert b'"subject":"c-5f2b8e01c77a","reason":"case 17"' in (tmp_path / "audit.jsonl").read_bytes()


def test_what_an_instance_has_written_is_not_written_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "audit.jsonl"

    def noted(_socket: Path, notice: Notice) -> bool:
        audit = AuditLog(str(log), lambda count: None)
        audit.note(notice)
        audit.close()
        return True

    monkeypatch.setattr(record_access, "_noted_by", noted)
    note(log)
    assert len(log.read_bytes().splitlines()) == 1


def test_a_log_that_there_is_not_is_no_answer_about_a_person(tmp_path: Path) -> None:
    sealed = tmp_path / "sealed"
    sealed.touch()
    assert not_looked_through(Places(Settings(), None, sealed, None)) == (
        "the audit log is standard output: what keeps it is not looked through, name the file that keeps it: --audit FILE",
    )
    for missing in (tmp_path / "audit.jsonl", tmp_path / "nowhere/audit.jsonl"):
        (note,) = not_looked_through(Places(Settings(), missing, sealed, None))
        assert note == f"{missing}: no such file, so nothing was looked through"
    (tmp_path / "audit.jsonl.1").touch()
    assert not_looked_through(Places(Settings(), tmp_path / "audit.jsonl", None, None)) == ()


def test_where_nobody_can_tell_the_instance_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_access, "_noted_by", lambda _socket, _notice: True)
    os.mkfifo(tmp_path / "audit.fifo")
    note(tmp_path / "audit.fifo")
