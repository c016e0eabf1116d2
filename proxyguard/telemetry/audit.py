"""The audit log: one JSON line per decision that is not a plain pass, and a sample of the plain passes.

Never holds cookies, authorization, query strings or bodies. A thread writes, so that a slow disk or a full pipe delays no
request; what waits is bounded, and what does not fit is dropped and counted. Knows nothing of how decisions are made.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from proxyguard.core.printable import printable_json

MAX_WAITING: Final = 20_000
"""Records that may wait for the disk: about 8 MiB."""

MAX_TEXT: Final = 1024
"""Bytes of host and path that a record keeps."""

PIPE_CHUNK: Final = 4096
"""Writes to a pipe up to this size (PIPE_BUF) are not interleaved with those of other processes."""

FILE_CHUNK: Final = 256 * 1024

RETRY_SECONDS: Final = 1.0
"""Between tries after a failed write, and between looks for a rotated file."""

GATHER_SECONDS: Final = 0.05
"""The writer waits so long after the first record, so that one write takes many of them under load."""

logger = logging.getLogger(__name__)


class Record(msgspec.Struct, omit_defaults=False, frozen=True):
    """One decision. `time` is UTC, Unix seconds; `milliseconds` what deciding took, or the whole exchange if it was forwarded."""

    time: float
    reference: str
    client: str
    port: int | None
    method: str
    host: str
    path: str
    rule: str
    action: str
    mode: str
    score: float
    status: int
    milliseconds: float
    reason: str = ""
    class_: str = msgspec.field(name="class", default="")
    """The class of the client; empty when the rules define none, or the request was allowed before it was known."""
    tags: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()
    fault: str = ""


def shown(value: bytes) -> str:
    """Bytes that a client chose, as a record keeps them: the first MAX_TEXT, undecodable ones escaped."""
    return value[:MAX_TEXT].decode("utf-8", "backslashreplace")


class AuditLog:
    """Appends records to a file or to standard output (`-`). `on_drop(count)` is called when records are lost."""

    def __init__(self, path: str, on_drop: Callable[[int], None]) -> None:
        """Open the file for appending. Raises OSError when that fails."""
        self._path = None if path == "-" else Path(path)
        self._on_drop = on_drop
        self._waiting: deque[bytes] = deque()
        self._encode = msgspec.json.Encoder().encode
        self._fd = self._open()
        self._chunk = self._chunk_size()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._run, name="audit-log", daemon=True)
        self._writer.start()

    def write(self, record: Record) -> None:
        """Queue one record; never blocks, never raises."""
        if len(self._waiting) >= MAX_WAITING:
            self._on_drop(1)
            return
        self._waiting.append(printable_json(self._encode(record)))
        if not self._wake.is_set():
            self._wake.set()

    def close(self, seconds: float = 5.0) -> None:
        """Write what waits, for at most so long, and stop. What cannot be written at the first try is dropped."""
        self._closing.set()
        self._wake.set()
        self._writer.join(seconds)

    def _run(self) -> None:
        looked = 0.0
        closing = False
        while not closing:
            if not self._waiting:
                self._wake.wait()
            self._wake.clear()  # before the look at `_closing`: `close` sets that first
            closing = self._closing.wait(GATHER_SECONDS)
            now = time.monotonic()
            if now - looked >= RETRY_SECONDS:
                looked = now
                self._follow_rotation()
            while self._waiting and self._write_chunk():
                pass
        if self._waiting:
            self._on_drop(len(self._waiting))
        if self._path is not None and self._fd >= 0:
            os.close(self._fd)

    def _write_chunk(self) -> bool:
        lines: list[bytes] = []
        size = 0
        while self._waiting and (not lines or size + len(self._waiting[0]) < self._chunk):
            line = self._waiting.popleft()
            lines.append(line)
            size += len(line) + 1
        data = b"\n".join(lines) + b"\n"
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            self._on_drop(len(lines))
            logger.error("audit log %s: %s; %d records lost", self._path or "-", error.strerror, len(lines))  # noqa: TRY400 - a full disk needs no traceback
            self._closing.wait(RETRY_SECONDS)
            return False
        return True

    def _open(self) -> int:
        if self._path is None:
            return sys.stdout.fileno()
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def _chunk_size(self) -> int:
        return FILE_CHUNK if stat.S_ISREG(os.fstat(self._fd).st_mode) else PIPE_CHUNK

    def _follow_rotation(self) -> None:
        """Open the path again when a rotation has moved or removed the file that is open."""
        if self._path is None:
            return
        try:
            if os.path.samestat(self._path.stat(), os.fstat(self._fd)):
                return
        except FileNotFoundError:
            pass
        except OSError:
            return
        try:
            fresh = self._open()
        except OSError as error:
            logger.error("audit log %s: cannot be opened again: %s", self._path, error.strerror)  # noqa: TRY400 - the message has it all
            return
        os.close(self._fd)
        self._fd = fresh
