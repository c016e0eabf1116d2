"""The audit log: one JSON line for each refusal, fault and other decision that is not a plain pass, and a sample of those.

Never holds cookies, authorization, query strings or bodies. A thread opens and writes, so that a slow disk, a mount that
stalls or a pipe that nobody reads delays no request; what waits is bounded, and what does not fit is dropped and counted. What a
flood of refusals writes is bounded too: beyond so many a second they are summed. Knows nothing of how decisions are made.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, Final

import msgspec

from proxyguard.core.printable import printable_json
from proxyguard.telemetry.audit_chain import LINK_BYTES, AuditChain
from proxyguard.telemetry.audit_file import AuditFile
from proxyguard.telemetry.audit_records import Notice, Record
from proxyguard.telemetry.audit_sums import RefusalSums

MAX_WAITING: Final = 20_000
"""Records that may wait for the disk: about 8 MiB."""

MAX_RECENT: Final = 200
"""Records that are kept to be shown."""

RETRY_SECONDS: Final = 1.0
"""Between tries after a failure, and between looks for a rotated file."""

GATHER_SECONDS: Final = 0.05
"""The writer waits so long after the first record, so that one write takes many of them under load."""

OPEN_SECONDS: Final = 1.0
"""How long a start waits to learn that the log cannot be opened; then it goes on, and records wait."""

STALLED_SECONDS: Final = 5.0
"""A reader that takes nothing for so long is reported."""

logger = logging.getLogger(__name__)


class AuditLog:
    """Appends records to a file, a FIFO or standard output (`-`). `on_drop(count)` is called when records are lost."""

    def __init__(self, path: str, on_drop: Callable[[int], None], sums: RefusalSums | None = None) -> None:
        """Open it for appending. Raises OSError when that fails, but a FIFO without a reader, or a path that stalls, may come."""
        self._file = AuditFile(None if path == "-" else Path(path))
        self._on_drop = on_drop
        self._sums = sums
        self.recent: deque[bytes] = deque(maxlen=MAX_RECENT)
        """The lines of the last records, for whoever watches; also those that are lost."""
        self.recorded = 0
        self._waiting: deque[bytes] = deque()
        self._taken: list[bytes] = []
        """Lines that the writer has taken and not written yet."""
        self._encode = msgspec.json.Encoder().encode
        self._faults: dict[str, str] = {}
        self._chain = AuditChain()
        self._lost = 0
        self._is_losing = False
        self._stalled_at: float | None = None
        self._looked = 0.0
        self._counting = threading.Lock()
        self._wake = threading.Event()
        self._is_roused = False
        """Whether the writer will look for lines once more anyway."""
        self._closing = threading.Event()
        self._opened = threading.Event()
        self._refused: OSError | None = None
        self._writer = threading.Thread(target=self._run, name="audit-log", daemon=True)
        self._writer.start()
        if not self._opened.wait(OPEN_SECONDS):
            logger.error("audit log %s: opening it takes more than %g s; records wait", self._file.name, OPEN_SECONDS)
        self._raise_refusal()

    def _raise_refusal(self) -> None:
        if self._refused is not None:
            raise self._refused

    def sums_up(self, rule: str, action: str, reference: str, time: float, fault: str = "") -> bool:
        """Whether this is beyond what a second may write: then it is in the sum of its rule, and there is no record to make."""
        if self._sums is None or not self._sums.takes(rule, action, reference, time, fault):
            return False
        self._rouse()
        return True

    def write(self, record: Record) -> bool:
        """Queue one record; whether there was room. Never blocks, never raises."""
        return self.write_line(printable_json(self._encode(record)))

    def write_line(self, line: bytes) -> bool:
        """Queue a record that is a line already, all of it printable; as `write`."""
        self.recorded += 1
        self.recent.append(line)
        return self._queue(line)

    def note(self, notice: Notice) -> bool:
        """Queue what somebody did with the records; whether there was room."""
        return self._queue(printable_json(self._encode(notice)))

    def _queue(self, line: bytes) -> bool:
        """Queue a line, if there is room; it is counted as lost otherwise."""
        if len(self._waiting) >= MAX_WAITING:
            self._drop(1)
            return False
        self._waiting.append(line)
        self._rouse()
        return True

    def _rouse(self) -> None:
        if not self._is_roused:  # to ask the event itself costs a call of Python
            self._is_roused = True
            self._wake.set()

    def reopen(self) -> None:
        """Look now whether the path is another file than the one that is open."""
        self._looked = 0.0
        self._wake.set()

    def waiting(self) -> int:
        """How many records wait to be written."""
        return len(self._waiting) + len(self._taken)

    def state(self) -> dict[str, Any]:
        """How many records wait to be written and were lost, and why they cannot be written; no `trouble`: they are."""
        trouble = next(iter(self._faults.copy().values()), "")
        return {"waiting": self.waiting(), "lost": self._lost, **({"trouble": trouble} if trouble else {})}

    def close(self, seconds: float = 5.0) -> None:
        """Write what waits, for at most so long, and stop. What cannot be written at the first try is dropped."""
        self._closing.set()
        self._wake.set()
        self._writer.join(seconds)
        if self._writer.is_alive():
            self._drop(self.waiting())
            logger.error("audit log %s: the disk does not answer; %d records lost", self._file.name, self.waiting())

    def _run(self) -> None:
        try:
            self._file.follow()
        except OSError as error:
            if error.errno != errno.ENXIO or not self._file.is_fifo:
                self._refused = error
                self._opened.set()
                return
            self._report("open", _reason(error))
        self._looked = monotonic()
        self._opened.set()
        closing = False
        while not closing:
            if not self._waiting and not self._taken:
                self._wake.wait(RETRY_SECONDS if self._faults or (self._sums and self._sums.pending) else None)
            self._wake.clear()  # before the look at `_closing`: `close` sets that first
            self._is_roused = False  # after that: else it could stay true while nothing wakes the writer
            closing = self._closing.wait(RETRY_SECONDS if self._faults else GATHER_SECONDS)
            self._follow_rotation()
            self._take_sums(closing=closing)
            self._write_waiting(everything=closing)
        lost = self.waiting()
        if lost:
            self._drop(lost)
            logger.error("audit log %s: %d records that waited are lost", self._file.name, lost)
        self._file.close()

    def _follow_rotation(self) -> None:
        if monotonic() - self._looked < RETRY_SECONDS and not self._file.is_lost:
            return
        self._looked = monotonic()
        try:
            self._file.follow()
        except OSError as error:
            self._report("open", _reason(error))
        else:
            self._report("open", "")
        self._count_torn()

    def _take_sums(self, *, closing: bool) -> None:
        """Queue the sums of a second that is over, unless there is no room: then they go on growing."""
        if self._sums is not None and len(self._waiting) < MAX_WAITING:
            self._waiting.extend(map(self._encode, self._sums.take(everything=closing)))

    def _write_waiting(self, *, everything: bool) -> None:
        """Write what waits now. What comes meanwhile waits for the next turn unless it is the last: each write makes two threads
        wait for each other, and a busy loop would find a record or two to write at any time."""
        due = self.waiting()
        while due > 0 and (written := self._write_chunk()):
            due = self.waiting() if everything else due - written

    def _write_chunk(self) -> int:
        """Write some lines; returns how many, or 0 when there is no use in trying to write more now."""
        if not self._file.is_open:
            return 0
        lines, size = self._taken, sum(map(len, self._taken))
        while self._waiting and (not lines or size + len(self._waiting[0]) + LINK_BYTES + len(lines) < self._file.chunk):
            lines.append(self._chain.link(self._waiting.popleft()))
            size += len(lines[-1])
        if not lines:
            return 0
        try:
            written = self._file.write(lines)
        except OSError as error:
            self._report("write", _reason(error))
            self._count_torn()
            return 0
        self._count_torn()
        whole = written == len(lines)
        del lines[:written]
        if written:
            self._stalled_at = None
            if whole:
                self._report("write", "")
            if len(self._waiting) < MAX_WAITING // 2:
                self._is_losing = False
        elif self._stalled_at is None:
            self._stalled_at = monotonic()
        elif monotonic() - self._stalled_at > STALLED_SECONDS:
            self._report("write", "its reader takes nothing")
        return written if whole else 0

    def _report(self, what: str, fault: str) -> None:
        """Log a fault once, and that it is over."""
        before = self._faults.pop(what, "")
        if fault:
            self._faults[what] = fault
            if fault != before:
                hint = "" if self._file.is_open and what == "open" else f"; at most {MAX_WAITING:,} records wait, more are lost"
                logger.error("audit log %s: %s%s", self._file.name, fault, hint)
        elif before and not self._faults:
            logger.info("audit log %s: written again; %d records were lost so far", self._file.name, self._lost)

    def _count_torn(self) -> None:
        torn, self._file.torn = self._file.torn, 0
        if torn:
            self._drop(torn)
            logger.error("audit log %s: %d records were cut off half-way, and are lost", self._file.name, torn)

    def _drop(self, count: int) -> None:
        with self._counting:
            self._lost += count
            self._on_drop(count)
        if count == 1 and not self._is_losing:
            self._is_losing = True
            logger.error("audit log %s: records are lost, as more than %d wait", self._file.name, MAX_WAITING)


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENXIO, errno.EPIPE):
        return "nobody reads the pipe"
    return error.strerror or str(error)
