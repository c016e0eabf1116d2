"""One temporary file of a worker, cut into blocks: what slow clients have not taken of responses waits there.

The file has no name, so nothing is left of it when the process ends, however it ends. What cannot be written is refused, and
the caller goes on without: a full disk, a slow one or none costs nothing but the relief that the file is for. Reads and writes
are of one block, mostly of the system's cache of the file, so the loop is not held up for long.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

BLOCK_BYTES: Final = 64 * 1024

SLOW_SECONDS: Final = 0.5
"""A write that takes longer held up every client of the worker."""
REST_SECONDS: Final = 5.0
"""After a write that failed or was slow: how long the file is not written to."""

IN_MEMORY_BYTES: Final = 64 * 1024 * 1024
"""The most that is used of a file system that lies in memory itself."""

SPARE_SHARE: Final = 10
SPARE_BYTES: Final = 1024**3
"""A tenth of the disk, or this if that is less, is left to others: logs may lie on it."""
BLOCKS_PER_LOOK: Final = 64
"""How often the free space is looked at: once in so many blocks by which the file grows."""

_MEMORY_SYSTEMS: Final = frozenset({"tmpfs", "ramfs"})


class SpoolFile:
    """Stores blocks of at most BLOCK_BYTES by number. The file is made when it is needed for the first time.

    `clock` counts seconds, monotonic. `on_bound` is told `spool_failed` or `spool_slow`.
    """

    __slots__ = ("_blocks", "_clock", "_directory", "_fd", "_free", "_most", "_on_bound", "_rests_until", "_used", "_warned")

    def __init__(
        self, directory: Path | None, most_bytes: int, clock: Callable[[], float], on_bound: Callable[[str], None]
    ) -> None:
        self._directory = directory
        self._most = most_bytes // BLOCK_BYTES
        self._clock = clock
        self._on_bound = on_bound
        self._fd = -1
        self._blocks = 0
        self._free: list[int] = []
        self._used = 0
        self._rests_until = 0.0
        self._warned = False

    def write(self, data: bytes) -> int:
        """Store a block; returns its number, or -1 when there is no room for it at the moment."""
        began = self._clock()
        if began < self._rests_until:
            return -1
        number = -1
        try:
            number = self._allocate()
            is_written = number >= 0 and os.pwrite(self._fd, data, number * BLOCK_BYTES) == len(data)
        except OSError as error:
            is_written = False
            self._fail(error.strerror or str(error))
        if not is_written:
            if number >= 0:
                self._free.append(number)
                self._fail("the disk is full")
            return -1
        self._used += 1
        took = self._clock() - began
        if took > SLOW_SECONDS:
            self._rests_until = began + took + REST_SECONDS
            self._on_bound("spool_slow")
        return number

    def read(self, number: int, size: int) -> bytes:
        """The first `size` bytes of a block. Raises OSError: the response cannot go on."""
        data = os.pread(self._fd, size, number * BLOCK_BYTES)
        if len(data) < size:
            raise OSError(f"{len(data)} of {size} bytes came back from the file of held responses")
        return data

    def release(self, number: int) -> None:
        """Forget a block. With the last one the file gives its room back to the disk."""
        self._used -= 1
        if self._used:
            self._free.append(number)
            return
        self._free.clear()
        self._blocks = 0
        try:
            os.ftruncate(self._fd, 0)
        except OSError as error:
            self._fail(error.strerror or str(error))

    def close(self) -> None:
        """Give everything back. Nothing may be read afterwards."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _allocate(self) -> int:
        """The number of a free block, or -1. Raises OSError."""
        if self._free:
            return self._free.pop()
        if self._fd < 0:
            self._open()
        if self._blocks >= self._most:
            return -1
        if self._blocks % BLOCKS_PER_LOOK == 0 and not _has_room(self._fd):
            self._fail("the disk is nearly full")
            return -1
        self._blocks += 1
        return self._blocks - 1

    def _open(self) -> None:
        directory = Path(self._directory or tempfile.gettempdir())
        handle = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - lives as long as the worker
        with handle:
            self._fd = os.dup(handle.fileno())
        if _is_in_memory(directory):
            self._most = min(self._most, IN_MEMORY_BYTES // BLOCK_BYTES)
            logger.warning(
                "buffering.directory: %s lies in memory, so %d MiB of it are used at most for responses that slow clients"
                " have not taken; name a directory on a disk", directory, self._most * BLOCK_BYTES >> 20,
            )  # fmt: skip

    def _fail(self, why: str) -> None:
        self._rests_until = self._clock() + REST_SECONDS
        self._on_bound("spool_failed")
        if not self._warned:
            self._warned = True
            logger.warning("buffering.directory: responses for slow clients are not held there, the site waits: %s", why)


def _has_room(fd: int) -> bool:
    room = os.fstatvfs(fd)
    spare = min(room.f_blocks * room.f_frsize // SPARE_SHARE, SPARE_BYTES)
    return room.f_bavail * room.f_frsize > spare


def _is_in_memory(directory: Path) -> bool:
    """Whether a directory lies on a file system without a disk, as far as Linux says so."""
    device = directory.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    for line in lines:
        fields = line.split(" ")
        if fields[2] == wanted:
            return fields[fields.index("-") + 1] in _MEMORY_SYSTEMS
    return False
