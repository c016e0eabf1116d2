"""Reads log files as one stream of requests in time order, and counts the lines that could not be read.

Opens plain and compressed files and standard input; reads each once, a piece at a time. Lines of a file that are a little out
of order are sorted; files that overlap in time (several servers) are merged; files that follow one another (rotation) are
opened one after the other. Knows nothing of rules.
"""

from __future__ import annotations

import bz2
import gzip
import heapq
import lzma
import sys
import zlib
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec

from proxyguard.tools.replay.detect import MAX_SAMPLES, SAMPLE_LINES, Stated, detect_format
from proxyguard.tools.replay.fronts.front_type import FrontType
from proxyguard.tools.replay.hints import unreadable
from proxyguard.tools.replay.logged_request import MAX_LINE_BYTES, LineError, LogFormat, LoggedRequest, NoRequest, NotAnEntry
from proxyguard.tools.replay.order import REORDER_SECONDS, Order

CHUNK_BYTES: Final = 1 << 20
COMPRESSED: Final[dict[bytes, Callable[..., Any]]] = {
    b"\x1f\x8b": gzip.GzipFile, b"BZ": bz2.BZ2File, b"\xfd7": lzma.LZMAFile,
}  # fmt: skip
"""By the first two bytes: what reads the file."""

TOO_LONG: Final = f"the line is longer than {MAX_LINE_BYTES // 1024} KiB"
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


AS_DETECTED: Final = Stated()


class LogFile:
    """One log: a path, or `-` for standard input."""

    __slots__ = (
        "_at_start", "_buffered", "_order", "_raw", "_stream", "first_time", "format", "front", "name", "number", "size",
    )  # fmt: skip

    def __init__(self, name: str, stated: Stated = AS_DETECTED, *, reorder: float = REORDER_SECONDS) -> None:
        """Read the beginning and detect the format, as far as it is not `stated`. Raises LogUnreadable.

        `reorder`: the window in seconds within which lines are put in the order of time.
        """
        self.name = STANDARD_INPUT if name == "-" else name
        self._raw: IO[bytes] | None = None
        self._stream: IO[bytes] | None = None
        self._buffered: deque[bytes] = deque()
        self._order = Order(reorder, lambda: f"{self.name}:{self.number}")
        self.number = 0
        """Of the line that was read last."""
        self.size = 0 if name == "-" else _size(name)
        self._open(name)
        sample = self._sample()
        if not sample:
            raise LogUnreadable(f"{self.name}: the log is empty")
        found = detect_format(sample, stated)
        if found is None:
            raise LogUnreadable(unreadable(self.name, sample, stated))
        self.format: LogFormat = found.format
        self.front: FrontType | None = found.front
        self.first_time = self._earliest(sample)
        if name != "-":
            self.close()

    @property
    def format_name(self) -> str:
        """The format, and the front if lines have one."""
        return f"{self.format.name}, {self.front.name} in front" if self.front else self.format.name

    def notes(self) -> list[str]:
        """What the operator should know about the log, once it was read."""
        order = self._order.note(self.name)
        return [*(f"{self.name}: {note}" for note in self.format.notes()), *([order] if order else [])]

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
        """Every request of the log, in the order of time. Raises LogDisordered."""
        yield from self._order.sorted(self._as_written(journal, logged_in))
        self.close()

    def _as_written(self, journal: Journal, logged_in: Mark | None) -> Iterator[LoggedRequest]:
        self.format.reset()
        parse = self.format.parse
        strip = self.front.make() if self.front is not None else None
        number = 0
        for line in self._lines(journal):
            number += 1
            if not line:
                continue
            journal.lines += 1
            if len(line) > MAX_LINE_BYTES:
                journal.reject(self.name, number, TOO_LONG, line)
                continue
            try:
                if strip is not None:
                    line = strip(line)  # noqa: PLW2901 - the same line, without its front
                entry = parse(line)
            except LineError as error:
                journal.reject(self.name, number, str(error), line)
                continue
            except NoRequest:
                journal.no_request += 1
                continue
            except NotAnEntry:
                continue
            if logged_in is not None and not entry.user:
                entry.user = logged_in(line)
            self.number = number
            yield entry

    def _open(self, name: str) -> None:
        try:
            raw = _standard_input() if name == "-" else Path(name).open("rb")  # noqa: SIM115 - closed by `close`, when it was read
            start = raw.peek(2)[:2]
        except OSError as error:
            raise LogUnreadable(f"{self.name}: {error.strerror or error}") from error
        self._raw = raw
        opener = COMPRESSED.get(start)
        self._stream = raw if opener is None else cast("IO[bytes]", _decompressed(opener, raw))
        self._at_start = True

    def _sample(self) -> list[bytes]:
        """The first lines that are not blank. A last one that may be cut off is left out, unless it is the only one."""
        try:
            data = self._beginning()
        except _BROKEN as error:
            raise LogUnreadable(f"{self.name}: {error}") from error
        self._buffered.append(data)
        lines = [line.rstrip(b"\r") for line in data.split(b"\n")]
        if len(lines) > 1:
            lines.pop()
        return [line for line in lines if line and len(line) <= MAX_LINE_BYTES][: MAX_SAMPLES * SAMPLE_LINES]

    def _beginning(self) -> bytes:
        """The first CHUNK_BYTES, of standard input what comes in two reads and has a whole line."""
        pieces: list[bytes] = []
        size = 0
        while size < CHUNK_BYTES:
            piece = self._read()
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
            if self.name == STANDARD_INPUT and len(pieces) > 1 and any(b"\n" in piece for piece in pieces):
                break
        return b"".join(pieces)

    def _earliest(self, sample: list[bytes]) -> float:
        """The earliest time of the first requests, 0 when none of them can be read."""
        strip = self.front.make() if self.front is not None else None
        times = []
        for line in sample:
            try:
                times.append(self.format.parse(strip(line) if strip is not None else line).time)
            except (LineError, NoRequest, NotAnEntry):
                continue
            if len(times) == SAMPLE_LINES:
                break
        return min(times, default=0.0)

    def _read(self) -> bytes:
        if self._buffered:
            return self._buffered.popleft()
        stream: Any = self._stream
        data: bytes = stream.read1(CHUNK_BYTES)
        if self._at_start:
            self._at_start = False
            data = data.removeprefix(BOM_UTF8)  # some editors write one, and it belongs to no line
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


def _decompressed(opener: Callable[..., Any], raw: IO[bytes]) -> Any:
    return opener(fileobj=raw, mode="rb") if opener is gzip.GzipFile else opener(raw, "rb")


_BROKEN: Final = (OSError, EOFError, zlib.error, lzma.LZMAError)
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
