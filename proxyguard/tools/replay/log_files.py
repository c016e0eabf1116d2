"""Reads log files as one stream of requests in time order, and counts the lines that could not be read.

Opens plain and gzip files and standard input; reads each once, a piece at a time. Files that overlap in time (several
servers) are merged; files that follow one another (rotation) are opened one after the other. Knows nothing of rules.
"""

from __future__ import annotations

import gzip
import heapq
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec

from proxyguard.tools.replay.detect import SAMPLE_LINES, detect_format
from proxyguard.tools.replay.logged_request import MAX_LINE_BYTES, LineError, LogFormat, LoggedRequest, NoRequest

CHUNK_BYTES: Final = 1 << 20
GZIP_MAGIC: Final = b"\x1f\x8b"
MAX_SHOWN: Final = 5
"""Malformed lines that are shown; the others are counted."""

STANDARD_INPUT: Final = "standard input"

MAX_EXCERPT: Final = 120


class MalformedLine(msgspec.Struct, frozen=True):
    file: str
    line: int
    reason: str
    excerpt: str


@dataclass(slots=True)
class Journal:
    """Counts of lines. `no_request`: those of clients that sent nothing that a front takes for a request."""

    lines: int = 0
    malformed: int = 0
    no_request: int = 0
    shown: list[MalformedLine] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def reject(self, file: str, number: int, reason: str, line: bytes) -> None:
        """Count a malformed line and keep the first few."""
        self.malformed += 1
        if len(self.shown) < MAX_SHOWN:
            excerpt = line[:MAX_EXCERPT].decode("utf-8", "backslashreplace")
            self.shown.append(MalformedLine(file, number, reason, excerpt))


class LogUnreadable(Exception):
    """A log file cannot be used at all. The fault is the operator's; the message begins with the file."""


Mark = Callable[[bytes], bool]
"""Decides from a whole line whether somebody who is logged in made its request."""


class LogFile:
    """One log: a path, or `-` for standard input."""

    __slots__ = ("_buffered", "_raw", "_stream", "first_time", "format", "name", "size")

    def __init__(self, name: str, stated: str | None, *, forwarded: bool) -> None:
        """Read the beginning and detect the format, unless it is `stated`. Raises LogUnreadable."""
        self.name = STANDARD_INPUT if name == "-" else name
        self._raw: IO[bytes] | None = None
        self._stream: IO[bytes] | None = None
        self._buffered: deque[bytes] = deque()
        self.size = 0 if name == "-" else _size(name)
        self._open(name)
        sample = self._sample()
        if not sample:
            raise LogUnreadable(f"{self.name}: the log is empty")
        found = detect_format(sample, stated, forwarded=forwarded)
        if found is None:
            line = sample[0][:MAX_EXCERPT].decode("utf-8", "backslashreplace")
            what = "is in no known format" if stated is None else f"is not in the format {stated}"
            raise LogUnreadable(f"{self.name}: the log {what}; its first line: {line!r}\n  hint: name it with --format")
        self.format: LogFormat = found
        self.first_time = self._time_of_first(sample)
        if name != "-":
            self.close()

    def position(self) -> int:
        """Bytes of the file read so far."""
        return self._raw.tell() if self._raw is not None and self.size else 0

    def close(self) -> None:
        """Close the file; `lines` opens it again."""
        if self._raw is not None and self.name != STANDARD_INPUT:
            self._raw.close()
            self._raw = self._stream = None
            self._buffered.clear()

    def entries(self, journal: Journal, logged_in: Mark | None) -> Iterator[LoggedRequest]:
        """Every request of the log, in its order."""
        parse = self.format.parse
        number = 0
        for line in self._lines(journal):
            number += 1
            if not line:
                continue
            journal.lines += 1
            try:
                entry = parse(line)
            except LineError as error:
                journal.reject(self.name, number, str(error), line)
                continue
            except NoRequest:
                journal.no_request += 1
                continue
            if logged_in is not None and not entry.user:
                entry.user = logged_in(line)
            yield entry
        self.close()

    def _open(self, name: str) -> None:
        try:
            raw = _standard_input() if name == "-" else Path(name).open("rb")  # noqa: SIM115 - closed by `close`, when it was read
            start = raw.peek(2)[:2]
        except OSError as error:
            raise LogUnreadable(f"{self.name}: {error.strerror or error}") from error
        self._raw = raw
        self._stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw, mode="rb")) if start == GZIP_MAGIC else raw

    def _sample(self) -> list[bytes]:
        """The first lines that are not blank. A last one that may be cut off is left out, unless it is the only one."""
        try:
            data = self._read() + (self._read() if self.name == STANDARD_INPUT else b"")
        except _BROKEN as error:
            raise LogUnreadable(f"{self.name}: {error}") from error
        self._buffered.append(data)
        lines = [line.rstrip(b"\r") for line in data.split(b"\n")]
        if len(lines) > 1:
            lines.pop()
        return [line for line in lines if line and len(line) <= MAX_LINE_BYTES][:SAMPLE_LINES]

    def _time_of_first(self, sample: list[bytes]) -> float:
        for line in sample:
            try:
                return self.format.parse(line).time
            except (LineError, NoRequest):
                continue
        return 0.0

    def _read(self) -> bytes:
        if self._buffered:
            return self._buffered.popleft()
        stream: Any = self._stream
        data: bytes = stream.read1(CHUNK_BYTES)
        return data

    def _lines(self, journal: Journal) -> Iterator[bytes]:
        """Lines without their ends; one that is too long comes cut, and is malformed by that."""
        if self._stream is None:
            self._open(self.name)
        rest = b""
        while True:
            try:
                data = self._read()
            except _BROKEN as error:
                journal.notes.append(f"{self.name} ends early: {error}")
                data = b""
            if not data:
                break
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            if len(rest) > 2 * MAX_LINE_BYTES:
                rest = rest[: MAX_LINE_BYTES + 1]
            if data.find(b"\r") >= 0:
                lines = [line.rstrip(b"\r") for line in lines]
            yield from lines
        if rest:
            yield rest.rstrip(b"\r")


def _standard_input() -> BufferedReader:
    found = sys.stdin.buffer
    return found if isinstance(found, BufferedReader) else BufferedReader(cast("Any", found))


_BROKEN: Final = (OSError, EOFError, zlib.error)
"""Exceptions that reading a broken file or archive raises."""


def in_time_order(files: list[LogFile], journal: Journal, logged_in: Mark | None) -> Iterator[LoggedRequest]:
    """The requests of all files by time. A file is opened when the time of its first line has come."""
    waiting = sorted(files, key=lambda file: file.first_time)
    if len(waiting) == 1:
        yield from waiting[0].entries(journal, logged_in)
        return
    heap: list[tuple[float, int, LoggedRequest, Iterator[LoggedRequest]]] = []
    count = 0
    while waiting or heap:
        while waiting and (not heap or waiting[0].first_time <= heap[0][0]):
            _push(heap, waiting.pop(0).entries(journal, logged_in), count)
            count += 1
        if heap:
            _, order, entry, entries = heapq.heappop(heap)
            yield entry
            _push(heap, entries, order)


def _push(
    heap: list[tuple[float, int, LoggedRequest, Iterator[LoggedRequest]]], entries: Iterator[LoggedRequest], order: int
) -> None:
    entry = next(entries, None)
    if entry is not None:
        heapq.heappush(heap, (entry.time, order, entry, entries))


def _size(name: str) -> int:
    try:
        return Path(name).stat().st_size
    except OSError as error:
        raise LogUnreadable(f"{name}: {error.strerror}") from error
