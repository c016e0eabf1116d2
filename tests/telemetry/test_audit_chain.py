"""The chain of the audit log: what is changed or left out shows, what is erased by request does not break it."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import random
from itertools import permutations
from pathlib import Path

import pytest

from proxyguard.telemetry.audit import AuditLog
from proxyguard.telemetry.audit_chain import AuditChain, check_chain, tombstone
from proxyguard.telemetry.audit_records import Notice, Record
from proxyguard.telemetry.person_records import CannotErase, erase, files_of, is_about, lines_about
from proxyguard.telemetry.rotated import BROKEN


def record(client: str, number: int) -> Record:
    return Record(
        time=1.5, reference=f"r{number}", client=client, port=None, method="GET", host="h", path="/", rule="r", action="reject",
        mode="enforce", score=0.0, status=403, milliseconds=0.1,
    )  # fmt: skip


def write(path: Path, *clients: str) -> None:
    log = AuditLog(str(path), lambda count: None)
    for number, client in enumerate(clients):
        log.write(record(client, number))
    log.note(Notice(time=2.0, kind="reveal", who="root", subject="r1", reason="case 17", records=1))
    log.close()


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_two_writers_have_a_chain_each_and_both_hold(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, "c-000000000001", "c-000000000002")
    write(path, "c-000000000001")
    assert check_chain(lines(path)) == (5, 0, 0, 2, ())
    assert [json.loads(line).get("kind", "") for line in lines(path)] == ["", "", "reveal", "", "reveal"]


@pytest.mark.parametrize("at", range(4))
def test_a_line_that_is_missing_or_changed_is_found(tmp_path: Path, at: int) -> None:
    path = tmp_path / "a"
    write(path, *(f"c-00000000000{number}" for number in range(4)))
    whole = lines(path)
    changed = check_chain([line.replace(b'"r"', b'"q"') if place == at else line for place, line in enumerate(whole)])
    assert len(changed.problems) == 1
    assert f"line {at + 1}: record {at + 1} of writer" in changed.problems[0]
    assert "was changed" in changed.problems[0]
    missing = check_chain(whole[:at] + whole[at + 1 :]).problems
    assert len(missing) == (at > 0)  # what is older may have been deleted in time
    swapped = check_chain([*whole[:at], whole[at + 1], whole[at], *whole[at + 2 :]]).problems
    assert swapped != ()


def test_erasing_a_client_leaves_the_others_and_a_chain_that_holds(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, "c-000000000001", "c-000000000002", "c-000000000001", "203.0.113.9")
    before = path.stat().st_size
    assert erase(path, ("c-000000000001", "203.0.113.9"), 7.0) == 3
    assert path.stat().st_size == before
    assert check_chain(lines(path)) == (5, 3, 0, 1, ())
    assert [json.loads(line).get("kind", "") for line in lines(path)] == ["erased", "", "erased", "erased", "reveal"]
    assert erase(path, ("c-000000000001",), 8.0) == 0
    assert list(lines_about(path, ("c-000000000002",))) == [(path, lines(path)[1])]


def test_a_tombstone_that_somebody_made_up_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, "c-000000000001", "c-000000000002")
    whole = lines(path)
    fake = tombstone(whole[0], 7.0)
    assert fake is not None
    assert check_chain([fake.replace(b'"content":"', b'"content":"0')[: len(fake)], *whole[1:]]).problems != ()
    assert tombstone(fake, 8.0) is None


def test_a_packed_file_is_written_anew_and_one_that_cannot_be_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, "c-000000000001", "c-000000000002")
    packed = tmp_path / "a.1.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert erase(packed, ("c-000000000002",), 7.0) == 1
    assert check_chain(gzip.decompress(packed.read_bytes()).splitlines(keepends=True)) == (3, 1, 0, 1, ())
    (tmp_path / "a.2.xz").write_bytes(lzma.compress(path.read_bytes()))
    with pytest.raises(CannotErase):
        erase(tmp_path / "a.2.xz", ("c-000000000002",), 7.0)
    assert erase(tmp_path / "a.2.xz", ("c-000000000009",), 7.0) == 0, "where nothing is, nothing is in the way"


def test_how_a_file_is_packed_says_its_content_not_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, "c-000000000001", "c-000000000002")
    (tmp_path / "a.1").write_bytes(gzip.compress(path.read_bytes()))
    assert [erase(each, ("c-000000000002",), 7.0) for each in files_of(path)] == [1, 1]
    assert gzip.decompress((tmp_path / "a.1").read_bytes()) == path.read_bytes()


@pytest.mark.parametrize(("name", "begin"), [("a.1.zst", b"\x28\xb5\x2f\xfd"), ("a.1.lz4", b"\x04\x22\x4d\x18")])
def test_a_file_that_cannot_be_read_is_named_and_not_passed_over(tmp_path: Path, name: str, begin: bytes) -> None:
    (tmp_path / name).write_bytes(begin + bytes(90))
    assert files_of(tmp_path / "a") == [tmp_path / name]
    for reading in (lambda: [*lines_about(tmp_path / "a", ("c",))], lambda: erase(tmp_path / name, ("c",), 7.0)):
        with pytest.raises(OSError, match=f"not read here: unpack it.*{name}"):
            reading()


def test_erasing_leaves_a_file_the_time_by_which_it_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a.1"
    write(path, "c-000000000001", "c-000000000002")
    os.utime(path, (100.0, 200.0))
    assert erase(path, ("c-000000000002",), 7.0) == 1
    assert path.stat().st_mtime == 200.0


def test_the_chain_holds_in_whatever_order_files_come() -> None:
    """As after copying them, which gives them other times."""
    chains = [AuditChain(), AuditChain()]
    files = [[chain.link(b'{"time":%d.0,"rule":"r"}' % number) for chain in chains] for number in range(3)]
    for order in permutations(files):
        assert check_chain(*order) == (6, 0, 0, 2, ())
    (problem,) = check_chain(files[2], files[0], files[1][1:]).problems
    assert "record 2 of writer" in problem
    assert "is missing: 3 follows 1" in problem
    (changed,) = check_chain(files[1], [line.replace(b'"r"', b'"q"') for line in files[2][:1]], files[0]).problems
    assert "record 3 of writer" in changed
    assert "was changed" in changed


def test_a_packed_file_keeps_its_mode_and_one_that_breaks_off_leaves_no_copy(tmp_path: Path) -> None:
    packed = tmp_path / "a.1.gz"
    packed.write_bytes(gzip.compress(b'{"time":1.0,"client":"c-000000000002"}\n'))
    packed.chmod(0o640)
    assert erase(packed, ("c-000000000002",), 7.0) == 1
    assert packed.stat().st_mode & 0o777 == 0o640
    broken = tmp_path / "a.2.gz"
    content = b'{"time":1.0,"client":"c-000000000002"}\n' + random.Random(7).randbytes(1 << 20)
    broken.write_bytes(gzip.compress(content)[:-1000])
    before = broken.read_bytes()
    with pytest.raises(BROKEN):
        erase(broken, ("c-000000000002",), 7.0)
    assert (sorted(each.name for each in tmp_path.iterdir()), broken.read_bytes()) == (["a.1.gz", "a.2.gz"], before)


def test_a_line_without_a_link_is_erased_and_counted_apart(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b'{"time":1.0,"client":"203.0.113.9","path":"/a/long/enough/path"}\n{"time":2.0,"client":"203.0.113.90"}\n')
    assert check_chain(lines(path)).unchained == 2
    assert erase(path, ("203.0.113.9",), 7.0) == 1
    assert path.read_bytes().startswith(b'{"time":7.000,"kind":"erased"}  ')
    assert b'"203.0.113.90"' in path.read_bytes()


def test_lines_about_several_clients_are_about_each() -> None:
    line = b'{"time":1.0,"client":"several","clients":["c-000000000001","c-000000000002"]}'
    assert is_about(line, frozenset({b"c-000000000002"}))
    assert not is_about(line, frozenset({b"c-00000000000"}))


def test_a_link_is_within_its_bound() -> None:
    from proxyguard.telemetry.audit_chain import LINK_BYTES  # noqa: PLC0415 - beside what it bounds

    chain = AuditChain()
    chain._number = 10**17
    assert len(chain.link(b'{"time":1}')) - len(b'{"time":1}') <= LINK_BYTES
