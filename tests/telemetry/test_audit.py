"""The audit log: whole lines, rotation, a full disk, no secrets."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import msgspec

from proxyguard.telemetry.audit import MAX_TEXT, MAX_WAITING, AuditLog, Record, shown
from tests.paths import DOCS

REFERENCE = (DOCS / "reference/audit.md").read_text()


def record(reference: str = "r1") -> Record:
    return Record(
        time=1.5, reference=reference, client="192.0.2.1", port=1, method="GET", host="h", path="/", rule="r",
        action="reject", mode="enforce", score=0.0, status=403, milliseconds=0.1,
    )  # fmt: skip


def references(path: Path) -> list[str]:
    return [json.loads(line)["reference"] for line in path.read_text().splitlines()]


def test_each_record_is_one_json_line_and_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(str(path), lambda count: None)
    for number in range(500):
        log.write(record(f"r{number}"))
    log.close()
    assert references(path) == [f"r{number}" for number in range(500)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert json.loads(path.read_text().splitlines()[0])["client"] == "192.0.2.1"


def test_a_rotated_file_is_followed_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    for name in ("a", "b"):
        log = AuditLog(str(path), lambda count: None)
        log.write(record(name))
        log.close()
    assert references(path) == ["a", "b"]


def test_rotation_while_open_starts_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(str(path), lambda count: None)
    path.rename(tmp_path / "audit.log.1")
    log._follow_rotation()
    log.write(record("after"))
    log.close()
    assert references(path) == ["after"]


def test_a_full_disk_loses_records_loudly_and_nothing_else() -> None:
    dropped: list[int] = []
    log = AuditLog("/dev/full", dropped.append)
    log.write(record())
    log.close()
    assert sum(dropped) == 1


def test_a_reader_that_stalls_makes_us_drop_not_wait(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    dropped: list[int] = []
    log = AuditLog(str(path), dropped.append)
    for _ in range(MAX_WAITING * 2):
        log.write(record())
    assert sum(dropped) > 0
    assert len(log._waiting) <= MAX_WAITING
    os.close(reader)
    log.close()
    assert not log._writer.is_alive()


def test_bytes_of_clients_are_shown_bounded_and_printable() -> None:
    assert shown(b"/a\xff\n") == "/a\\xff\n"
    assert len(shown(b"x" * 5000)) == 1024


def test_the_reference_explains_every_field_in_its_order() -> None:
    rows = re.findall(r"^\| (`[a-z`, ]+`) \|", REFERENCE, re.MULTILINE)
    assert [name for row in rows for name in re.findall("[a-z]+", row)] == list(json.loads(msgspec.json.encode(record())))


def test_the_record_in_the_reference_is_one() -> None:
    [line] = re.findall(r"^\{.*\}$", REFERENCE, re.MULTILINE)
    assert msgspec.json.encode(msgspec.json.decode(line, type=Record)).decode() == line
    assert f"{MAX_WAITING:,} at most" in REFERENCE
    assert f"at most {MAX_TEXT:,} bytes" in REFERENCE
