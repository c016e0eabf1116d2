"""The audit log: whole lines, rotation, a full disk, no secrets."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

import msgspec
import pytest

from proxyguard.core.printable import printable_json
from proxyguard.telemetry.audit import GATHER_SECONDS, MAX_WAITING, AuditLog
from proxyguard.telemetry.audit_file import FILE_CHUNK, AuditFile
from proxyguard.telemetry.audit_records import MAX_TEXT, Record, Summary, shown
from proxyguard.telemetry.audit_sums import RefusalSums
from tests.paths import DOCS, ROOT

HANGS = 20.0  # seconds: whoever takes longer waits for something

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


def test_a_line_has_its_record_alone_whatever_stood_in_the_buffer_before(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(str(path), lambda count: None)
    records = [
        msgspec.structs.replace(record(f"r{number}"), path="/" + text * number)
        for number, text in enumerate(("", "long" * 500, "", "\u00e9\u202e\x7f", "x"))
    ]
    for each in (*records, *reversed(records)):
        log.write(each)
    log.close()
    lines = [re.sub(rb',"chain":"[0-9a-f.]+"}$', b"}", line) for line in path.read_bytes().splitlines()]
    assert lines == [printable_json(msgspec.json.encode(each)) for each in (*records, *reversed(records))]


def test_records_that_never_cease_are_written_many_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(str(path), lambda count: None)
    writer = log._writer.native_id

    def writes() -> int:
        return int(re.findall(r"syscw: (\d+)", Path(f"/proc/self/task/{writer}/io").read_text())[0])

    before, began, number = writes(), monotonic(), 0
    while monotonic() - began < 5 * GATHER_SECONDS:
        log.write(record(f"r{number}"))
        number += 1
        sum(range(10_000))  # a thread that is as busy as one that answers requests
    passed = monotonic() - began
    assert 0 < writes() - before <= passed / GATHER_SECONDS + 1 + path.stat().st_size / FILE_CHUNK
    log.close()
    assert references(path) == [f"r{each}" for each in range(number)]


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
    log.reopen()
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
    rows = re.findall(r"^\| (`[a-z0-9`, _]+`) \|", REFERENCE, re.MULTILINE)
    assert [name for row in rows for name in re.findall("[a-z0-9_]+", row)] == list(json.loads(msgspec.json.encode(record())))


def test_the_record_in_the_reference_is_one() -> None:
    [line] = re.findall(r"^\{.*\"milliseconds\".*\}$", REFERENCE, re.MULTILINE)
    assert msgspec.json.encode(msgspec.json.decode(line, type=Record)).decode() == line
    assert f"{MAX_WAITING:,} at most" in REFERENCE
    assert f"at most {MAX_TEXT:,} bytes" in REFERENCE


@contextmanager
def small_disk(folder: Path, size: str = "128k") -> Iterator[Path]:
    """A file system that is soon full."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for the writer's thread, which has no clock to be given."""
    deadline = monotonic() + 20.0
    while not holds():
        assert monotonic() < deadline
        sleep(0.01)


@pytest.mark.slow
def test_a_full_disk_leaves_no_half_line_and_loses_nothing_that_had_room_to_wait(tmp_path: Path) -> None:
    dropped: list[int] = []
    with small_disk(tmp_path / "disk") as disk:
        (disk / "filler").write_bytes(b"x" * 60_000)
        log = AuditLog(str(disk / "a"), dropped.append)
        for number in range(1000):
            log.write(record(f"r{number}"))
        eventually(lambda: bool(log._faults))
        lines = (disk / "a").read_text()
        assert lines.endswith("\n")
        assert 0 < len(references(disk / "a")) < 1000
        (disk / "filler").unlink()
        eventually(lambda: log.waiting() == 0 or (disk / "a").stat().st_size > 120_000)
        log.close()
        found = references(disk / "a")
    assert found == [f"r{number}" for number in range(len(found))]
    assert len(found) + sum(dropped) == 1000


def test_half_a_line_of_a_killed_process_is_taken_back_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(msgspec.json.encode(record("whole")) + b"\n" + msgspec.json.encode(record("half"))[:50])
    dropped: list[int] = []
    log = AuditLog(str(path), dropped.append)
    log.write(record("next"))
    log.close()
    assert references(path) == ["whole", "next"]
    assert dropped == [1]


def test_a_last_line_that_is_not_ours_is_ended_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b"a note of the operator")
    log = AuditLog(str(path), lambda count: None)
    log.write(record("next"))
    log.close()
    first, second = path.read_text().splitlines()
    assert first == "a note of the operator"
    assert json.loads(second)["reference"] == "next"


def test_a_fifo_without_a_reader_blocks_nothing_and_is_used_when_one_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    dropped: list[int] = []
    began = monotonic()
    log = AuditLog(str(path), dropped.append)
    assert monotonic() - began < HANGS
    log.write(record("waited"))
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    seen = bytearray()
    eventually(lambda: _more(reader, seen))
    os.close(reader)
    for number in range(MAX_WAITING + 5):
        log.write(record(f"r{number}"))
    began = monotonic()
    log.close()
    assert monotonic() - began < HANGS
    assert json.loads(seen)["reference"] == "waited"
    assert sum(dropped) >= MAX_WAITING + 5 - 20  # what was in the pipe itself went with its reader
    assert sum("nobody reads the pipe" in message for message in caplog.messages) <= 2


def _more(reader: int, seen: bytearray) -> bool:
    with suppress(BlockingIOError):
        seen += os.read(reader, 65536)
    return seen.endswith(b"\n")


def test_a_path_that_becomes_a_fifo_and_a_file_again_comes_back_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    dropped: list[int] = []
    log = AuditLog(str(path), dropped.append)
    log.write(record("before"))
    eventually(lambda: log.waiting() == 0)
    path.rename(tmp_path / "old")
    os.mkfifo(path)
    log.reopen()
    log.write(record("meanwhile"))
    eventually(lambda: "open" in log._faults)
    path.unlink()
    log.write(record("after"))
    log.reopen()
    eventually(path.exists)
    log.close()
    assert references(tmp_path / "old") + references(path) == ["before", "meanwhile", "after"]
    assert dropped == []


def test_a_deleted_file_that_cannot_be_made_again_makes_records_wait(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = AuditLog(str(folder / "a"), lambda count: None)
    (folder / "a").unlink()
    folder.rmdir()
    log.write(record("one"))
    eventually(lambda: "open" in log._faults)
    folder.mkdir()
    eventually((folder / "a").exists)
    log.close()
    assert references(folder / "a") == ["one"]


def test_standard_output_into_a_full_disk_has_whole_lines_of_all_its_writers(tmp_path: Path) -> None:
    """Two processes with one standard output, as a shell makes it: one offset, not for appending."""
    program = (
        "import os\nfrom proxyguard.telemetry.audit import AuditLog\nfrom tests.telemetry.test_audit import record\n"
        "log = AuditLog('-', lambda count: None)\n"
        "for number in range(2000): log.write(record(f'{os.getpid()}-{number}'))\n"
        "log.close()\n"
    )
    with small_disk(tmp_path / "disk") as disk:
        with (disk / "out").open("wb") as output:
            writers = [subprocess.Popen([sys.executable, "-c", program], stdout=output, cwd=ROOT) for _ in range(2)]
            assert [writer.wait(60) for writer in writers] == [0, 0]
        found = references(disk / "out")
    assert len(set(found)) == len(found) > 150


def test_what_cannot_be_opened_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AuditLog(str(tmp_path / "none" / "a"), lambda count: None)


@pytest.mark.slow
def test_several_processes_append_to_one_full_disk_in_whole_lines(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        files = [AuditFile(disk / "a") for _ in range(4)]
        threads = [Thread(target=_write_until_full, args=(file, name)) for file, name in zip(files, "abcd", strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(json.loads(line)["time"] == 1.5 for line in (disk / "a").read_text().splitlines())
        assert sum(file.torn for file in files) == 0
        for file in files:
            file.close()


def _write_until_full(file: AuditFile, name: str) -> None:
    file.follow()
    lines = [msgspec.json.encode(record(f"{name}{number}" * 7)) for number in range(17)]
    full = 0
    while full < 20:
        try:
            full += file.write(lines) < len(lines)
        except OSError:
            full += 1


def test_refusals_beyond_the_bound_are_summed_by_rule() -> None:
    now, summed = [100.0], []
    sums = RefusalSums(20, lambda: summed.append(1), lambda: now[0])
    recorded = [number for number in range(50) if not sums.takes("flood", "reject", f"r{number}", 1.0 + number)]
    assert recorded == list(range(20))
    assert [sums.takes("other-rule", "drop", "x", 60.0) for _ in range(12)] == [False] * 10 + [True] * 2
    assert not sums.takes("shadow", "pass", "p", 60.0)
    assert sums.take() == []
    now[0] = 101.0
    flood, other = sums.take()
    assert (flood.rule, flood.count, flood.since, flood.time) == ("flood", 30, 21.0, 50.0)
    assert flood.references == [f"r{number}" for number in range(20, 50)]
    assert (other.rule, other.action, other.count) == ("other-rule", "drop", 2)
    assert len(summed) == 32
    assert not sums.takes("flood", "reject", "next", 61.0)


def test_a_flood_of_one_fault_hides_no_other_and_clients_that_left_are_no_flood() -> None:
    now = [100.0]
    sums = RefusalSums(20, lambda: None, lambda: now[0])
    recorded = [number for number in range(50) if not sums.takes("", "reject", f"r{number}", 1.0, "target-size")]
    assert recorded == list(range(20))
    assert [sums.takes("", "reject", "x", 1.0, "host-unknown") for _ in range(12)] == [False] * 10 + [True] * 2
    assert [sums.takes("default", "pass", "x", 1.0, "upstream-connect") for _ in range(12)] == [False] * 10 + [True] * 2
    assert not sums.takes("default", "pass", "x", 1.0, "client-gone")
    now[0] = 101.0
    found = [(each.rule, each.action, each.fault, each.count) for each in sums.take()]
    assert found == [
        ("", "reject", "target-size", 30), ("", "reject", "host-unknown", 2), ("default", "pass", "upstream-connect", 2),
    ]  # fmt: skip


def test_the_requests_of_a_banned_client_are_summed_too() -> None:
    sums = RefusalSums(20, lambda: None, lambda: 100.0)
    assert [sums.takes("flood", "ban", "x", 1.0) for _ in range(25)] == [False] * 20 + [True] * 5


def test_a_flood_is_bounded_in_bytes_and_every_refusal_is_accounted_for(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(str(path), lambda count: None, RefusalSums(100, lambda: None))
    for number in range(5000):
        if not log.sums_up("no-curl", "reject", f"r{number}", 1.5):
            log.write(record(f"r{number}"))
    log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    counts = [line["count"] if line.get("kind") == "summed" else 1 for line in lines]
    assert sum(counts) == 5000
    assert len(lines) < 1000


def test_the_reference_explains_every_field_of_a_sum() -> None:
    [line] = re.findall(r"^\{.*\"summed\".*\}$", REFERENCE, re.MULTILINE)
    assert msgspec.json.encode(msgspec.json.decode(line, type=Summary)).decode() == line
    for name in json.loads(line):
        assert f"`{name}`" in REFERENCE
