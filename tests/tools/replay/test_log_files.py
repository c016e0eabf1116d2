"""Logs as files: compressed, merged, broken, and never more of them in memory than a piece."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from proxyguard.tools.replay.log_files import CHUNK_BYTES, Journal, LogFile, LogUnreadable, Mark, in_time_order
from proxyguard.tools.replay.logged_request import MAX_LINE_BYTES
from tests.tools.replay.lines import START, line


def read(*paths: Path, mark: Mark | None = None) -> tuple[list[tuple[float, bytes]], Journal]:
    """Seconds after START and targets of all entries."""
    journal = Journal()
    files = [LogFile(str(path)) for path in paths]
    return [(entry.time - START, entry.target) for entry in in_time_order(files, journal, mark)], journal


def write(path: Path, *lines: str, end: str = "\n") -> Path:
    path.write_text(end.join(lines) + end)
    return path


def test_a_file_is_read_in_its_order(tmp_path: Path) -> None:
    entries, journal = read(write(tmp_path / "a", line(0, target="/1"), "", line(2, target="/2")))
    assert entries == [(0, b"/1"), (2, b"/2")]
    assert (journal.lines, journal.malformed, journal.no_request) == (2, 0, 0)


def test_lines_may_end_as_on_windows_and_the_last_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text(f"{line(0, target='/1')}\r\n{line(1, target='/2')}")
    assert read(path)[0] == [(0, b"/1"), (1, b"/2")]


def test_a_byte_order_mark_belongs_to_no_line(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text(f"{line(0, target='/1')}\n{line(1, target='/2')}\n", encoding="utf-8-sig")
    assert read(path)[0] == [(0, b"/1"), (1, b"/2")]
    assert read(path, write(tmp_path / "b", line(5)))[1].malformed == 0


def test_gzip_is_told_by_its_content_whatever_the_name(tmp_path: Path) -> None:
    path = tmp_path / "access.log.1"
    path.write_bytes(gzip.compress(f"{line(0)}\n".encode()))
    assert read(path)[0] == [(0, b"/")]


def test_a_gzip_file_that_ends_early_gives_what_there_is_and_says_so(tmp_path: Path) -> None:
    whole = gzip.compress("".join(f"{line(at, target=f'/{at}')}\n" for at in range(50_000)).encode())
    path = tmp_path / "a.gz"
    path.write_bytes(whole[: len(whole) // 2])
    entries, journal = read(path)
    assert 10_000 < len(entries) < 40_000
    assert entries[:1] == [(0, b"/0")]
    assert [note.partition(": ")[0] for note in journal.notes] == [f"{path} ends early"]


def test_files_that_follow_one_another_are_read_in_order_of_time_whatever_the_order_of_names(tmp_path: Path) -> None:
    late = write(tmp_path / "access.log", line(100, target="/3"), line(101, target="/4"))
    early = write(tmp_path / "access.log.1", line(0, target="/1"), line(50, target="/2"))
    assert read(late, early)[0] == [(0, b"/1"), (50, b"/2"), (100, b"/3"), (101, b"/4")]


def test_files_of_several_servers_are_merged(tmp_path: Path) -> None:
    one = write(tmp_path / "one", *(line(at, target="/one") for at in (0, 3, 4, 9)))
    two = write(tmp_path / "two", *(line(at, target="/two") for at in (1, 2, 5, 8)))
    three = write(tmp_path / "three", *(line(at, target="/three") for at in (6, 7)))
    entries, journal = read(one, two, three)
    assert [time for time, _ in entries] == list(range(10))
    assert journal.lines == 10


def test_a_file_is_opened_only_when_its_time_has_come(tmp_path: Path) -> None:
    files = [LogFile(str(write(tmp_path / str(day), line(day * 100)))) for day in range(3)]
    entries = in_time_order(files, Journal(), None)
    next(entries)
    assert [bool(file._raw) for file in files] == [True, False, False]
    assert len(list(entries)) == 2
    assert [bool(file._raw) for file in files] == [False, False, False]


def test_malformed_lines_are_counted_and_the_first_ones_kept(tmp_path: Path) -> None:
    bad = [f"rubbish {number} \x1b[31m" for number in range(8)]
    entries, journal = read(write(tmp_path / "a", line(0), bad[0], line(1), *bad[1:], *map(line, range(2, 8))))
    assert len(entries) == 8
    assert (journal.lines, journal.malformed) == (16, 8)
    assert [bad.line for bad in journal.shown] == [2, 4, 5, 6, 7]
    first = journal.shown[0]
    assert (first.file, first.line) == (str(tmp_path / "a"), 2)
    assert (first.reason, first.excerpt) == (
        "it is not a line of the combined log format",
        b"rubbish 0 \x1b[31m".decode("unicode_escape"),
    )


def test_lines_without_a_request_are_counted_by_themselves(tmp_path: Path) -> None:
    handshake = line(1).replace("GET / HTTP/1.1", "\\x16\\x03\\x01")
    _, journal = read(write(tmp_path / "a", line(0), handshake, line(2).replace("GET / HTTP/1.1", "-")))
    assert (journal.lines, journal.malformed, journal.no_request) == (3, 0, 2)


def test_an_endless_line_is_malformed_and_never_held_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("w") as file:
        file.write(line(0) + "\n")
        for _ in range(20):
            file.write("x" * CHUNK_BYTES)
        file.write("\n" + line(1) + "\n")
    entries, journal = read(path)
    assert [time for time, _ in entries] == [0, 1]
    assert journal.malformed == 1
    assert len(journal.shown[0].excerpt) < MAX_LINE_BYTES


def test_lines_are_found_wherever_pieces_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    lines = [line(at, target="/" + "y" * (at * 37 % 1000)) for at in range(5000)]
    path.write_text("\n".join(lines) + "\n")
    assert path.stat().st_size > 3 * CHUNK_BYTES // 2
    entries, journal = read(path)
    assert (len(entries), journal.malformed) == (5000, 0)


def test_who_is_logged_in_may_be_said_of_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a", line(0, user="ada"), line(1, target="/me"), line(2))
    journal = Journal()
    file = LogFile(str(path))
    assert [entry.user for entry in in_time_order([file], journal, lambda whole: b"/me " in whole)] == [True, True, False]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "the log is empty"), (b"\n\n", "the log is empty"), (b"hello\n", "is in no known format; its first line: 'hello'")],
)
def test_a_file_that_is_no_log_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(LogUnreadable, match=said):
        LogFile(str(path))


def test_a_file_that_cannot_be_opened_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(LogUnreadable, match="No such file or directory"):
        LogFile(str(tmp_path / "missing"))
    with pytest.raises(LogUnreadable, match="Is a directory"):
        LogFile(str(tmp_path))
