"""The files of an audit log: rotated ones, packed ones, copies, broken ones."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from pathlib import Path

import pytest

from proxyguard.telemetry.rotated import BROKEN, MAX_LINE_BYTES, lines_of, rotated_files


def test_rotated_files_are_found_and_copies_are_not(tmp_path: Path) -> None:
    ours = ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2.gz", "audit.jsonl-20260701.xz", "audit-2026-07-01.jsonl.gz"]
    others = [
        "audit.jsonl.bak",
        "audit.jsonl.old",
        "audit.jsonl.1.gz",
        "audit.jsonl.1~",
        "audit.jsonl.pub",
        "audit-b.jsonl",
        "x.1",
    ]
    for at, name in enumerate([*ours, *others]):
        (tmp_path / name).write_bytes(b"x\n")
        os.utime(tmp_path / name, (1000 - at, 1000 - at))
    os.link(tmp_path / "audit.jsonl.1", tmp_path / "audit.jsonl.9")
    (tmp_path / "audit.jsonl.8").symlink_to(tmp_path / "audit.jsonl")
    (tmp_path / "audit.jsonl.4").mkdir()
    os.mkfifo(tmp_path / "audit.jsonl.5")
    found = [path.name for path in rotated_files(tmp_path / "audit.jsonl", 0)]
    assert sorted({"audit.jsonl.1" if name == "audit.jsonl.9" else name for name in found}) == sorted(ours)
    assert len(found) == len(ours)
    assert [path.name for path in rotated_files(tmp_path / "audit.jsonl", 998.5)] == ["audit.jsonl", found[1]]
    assert rotated_files(tmp_path / "none.jsonl", 0) == []


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_lines_come_unpacked_and_long_ones_cut_once(tmp_path: Path, packed: type[bytes]) -> None:
    path = tmp_path / "log"
    path.write_bytes(packed(b"a\n" + b"x" * (3 * MAX_LINE_BYTES) + b"\nb\nc"))
    assert [line[:2] for line in lines_of(path)] == [b"a\n", b"xx", b"b\n", b"c"]


CUT = gzip.compress(b"a\n" * 9000, mtime=0)[:-9]


@pytest.mark.parametrize("broken", [CUT, b"\x1f\x8bno archive", b"\xfd7zXZ\0no archive"], ids=["cut", "gz", "xz"])
def test_a_broken_archive_is_an_error_that_is_known(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(broken)
    with pytest.raises(BROKEN):
        list(lines_of(path))
