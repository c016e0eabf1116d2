"""Where audit records go: a file that rotates, a FIFO, or a stream that was open at the start. Lines are whole or not there.

Used from the one thread that writes, which alone may wait: for a disk, a mount that stalls, a pipe that nobody reads.
Several processes append to one file, one at a time: while one of them takes half a line back, nobody may write behind it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import select
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

PIPE_CHUNK: Final = 4096
"""Writes to a pipe up to this size (PIPE_BUF) are whole, and not interleaved with those of other processes."""

FILE_CHUNK: Final = 256 * 1024

LOCK_TRIES: Final = 50
LOCK_SECONDS: Final = 0.01
"""Half a second in all; then somebody who is no writer of ours holds the lock, and we go on without."""

TAIL_BYTES: Final = 64 * 1024
"""More than the longest record: so far back the beginning of a half line is looked for."""

WRITABLE_SECONDS: Final = 0.2
"""How long a stream that is full is waited for at a time."""

OWN_START: Final = b'{"time":'
"""How every record begins: a half line that begins so is ours to take back."""

logger = logging.getLogger(__name__)


class AuditFile:
    """A path (None: standard output) that lines are appended to. Nothing is opened until `follow`."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._fd = -1 if path is not None else 1
        self._is_regular = False
        self._rest = b""
        """What a stream has not taken yet of the last line that it took a part of."""
        self.torn = 0
        """Records that were cut off half-way in the past and are lost; whoever counts them sets this to 0."""
        if path is None and stat.S_ISREG(os.fstat(1).st_mode):
            self._take_over_standard_output()

    def _take_over_standard_output(self) -> None:
        """Open the file that is standard output once more: workers share its offset, and shells do not open it for appending.

        Where that cannot be done it is written like a stream: nothing is taken back.
        """
        with contextlib.suppress(OSError):
            self._fd = os.open("/proc/self/fd/1", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._is_regular = True

    @property
    def name(self) -> str:
        return str(self._path or "-")

    @property
    def chunk(self) -> int:
        """How many bytes to write at a time."""
        return FILE_CHUNK if self._is_regular else PIPE_CHUNK

    def follow(self) -> None:
        """Open the path if it is not what is open: at the start, and after a rotation.

        Raises OSError when it cannot be opened. What was open stays so unless it has been deleted.
        """
        if self._path is None or self._is_open_at(self._path):
            return
        try:
            fresh = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o640)
        except OSError:
            if self._fd >= 0 and os.fstat(self._fd).st_nlink == 0:
                self.close()
            raise
        self.close()
        self._fd, self._is_regular = fresh, stat.S_ISREG(os.fstat(fresh).st_mode)
        if self._is_regular:
            self._mend_last_line()

    @property
    def is_fifo(self) -> bool:
        """Whether the path is a FIFO: it can be opened when somebody reads it."""
        return self._path is not None and self._path.is_fifo()

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    @property
    def is_lost(self) -> bool:
        """Whether what would be written now could never be read: nothing is open, or a file that has been deleted."""
        return self._fd < 0 or (self._is_regular and self._path is not None and os.fstat(self._fd).st_nlink == 0)

    def write(self, lines: Sequence[bytes]) -> int:
        """Append lines (without their ends); returns how many are written, or will be before any other.

        Less than all: the stream is full for now. Raises OSError when nothing can be written; then none of these lines has
        a byte in the file.
        """
        if self._rest and not self._write_rest():
            return 0
        data = b"\n".join(lines) + b"\n"
        if self._is_regular:
            with _lock(self._fd):
                return self._append(data)
        written = self._send(data)
        end = data.find(b"\n", max(0, written - 1)) + 1 if written else 0
        self._rest = data[written:end]
        return data.count(b"\n", 0, end)

    def close(self) -> None:
        """Close it, unless it is standard output."""
        if self._path is not None and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._rest = b""

    def _is_open_at(self, path: Path) -> bool:
        if self._fd < 0:
            return False
        try:
            return os.path.samestat(path.stat(), os.fstat(self._fd))
        except OSError:
            return False

    def _append(self, data: bytes) -> int:
        """Write to a regular file as many whole lines as there is room for; returns how many. Raises OSError for none."""
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:])
        except OSError:
            whole = data.rfind(b"\n", 0, done) + 1
            if whole < done:
                self._take_back(done - whole)
            if whole == 0:
                raise
            return data.count(b"\n", 0, whole)
        return data.count(b"\n")

    def _take_back(self, count: int) -> None:
        """Cut off the last `count` bytes, the half line that we have just written, unless somebody has written behind them."""
        with contextlib.suppress(OSError):
            end = os.lseek(self._fd, 0, os.SEEK_CUR)
            if os.fstat(self._fd).st_size == end:
                os.ftruncate(self._fd, end - count)
                return
        self.torn += 1

    def _mend_last_line(self) -> None:
        """Take back what a process left that was killed while it wrote; end a last line that is not ours."""
        with contextlib.suppress(OSError), _lock(self._fd):
            size = os.fstat(self._fd).st_size
            if size == 0 or self._path is None:
                return
            with self._path.open("rb") as file:
                file.seek(max(0, size - TAIL_BYTES))
                tail = file.read(TAIL_BYTES)
            half = tail[tail.rfind(b"\n") + 1 :]
            if not half or os.fstat(self._fd).st_size != size:
                return
            self.torn += 1
            if half.startswith(OWN_START[: len(half)]):
                os.ftruncate(self._fd, size - len(half))
            else:
                os.write(self._fd, b"\n")

    def _write_rest(self) -> bool:
        self._rest = self._rest[self._send(self._rest) :]
        return not self._rest

    def _send(self, data: bytes) -> int:
        """Write to a stream as far as it takes it within a moment; 0 when it takes nothing."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        if not poll.poll(WRITABLE_SECONDS * 1000):
            return 0
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            if self._rest.strip():
                self._rest, self.torn = b"\n", self.torn + 1
            raise


@contextlib.contextmanager
def _lock(fd: int) -> Iterator[None]:
    """Hold the lock of an open file if it can be had soon; go on without it where there are none."""
    locked = False
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_SECONDS)
        except OSError:
            break
        else:
            locked = True
            break
    try:
        yield
    finally:
        if locked:
            fcntl.flock(fd, fcntl.LOCK_UN)
