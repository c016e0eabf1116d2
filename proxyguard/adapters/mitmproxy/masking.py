"""Has answers masked by the process for that, one after the other. A thread waits for it, so that no request does. Client
networks take turns: pages of one that take long hold up others by one page at a time.

What takes too long ends with the process, and the next job gets a new one. Nothing comes back unmasked: a job whose process is
gone has a fault for a result.
"""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Condition, Thread
from time import monotonic
from typing import IO, BinaryIO, Final, cast

import msgspec

from proxyguard.adapters.mitmproxy.masking_process import READY, MaskJob, MaskResult, frame_of
from proxyguard.core.shares import Shares

JOB_SECONDS: Final = 2.0
"""For one answer. A page of 500 KB takes some 50 ms."""

START_SECONDS: Final = 10.0
"""For a new process to load its libraries."""

MAX_WAITING: Final = 128
"""Answers that wait for the process; their bodies count towards `buffering`'s memory besides."""

MAX_OF_NETWORK: Final = 32
"""Of these, those of one client network."""

REST_SECONDS: Final = 5.0
"""After a process that could not even start: until then nothing is masked, and no other one is tried."""

_Entry = tuple[MaskJob, Callable[[MaskResult], None]]

_MODULE: Final = "proxyguard.adapters.mitmproxy.masking_process"


class _Turns:
    """Jobs that wait, by client network. Put in by the loop's thread, taken by the other."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[_Entry]] = {}
        self._changed = Condition()
        self._closed = False

    def put(self, network: str, entry: _Entry) -> None:
        with self._changed:
            self._waiting.setdefault(network, deque()).append(entry)
            self._changed.notify()

    def take(self) -> _Entry | None:
        """The first job of the network whose turn it is, once there is one; None after `close`."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            network = next(iter(self._waiting))
            entries = self._waiting.pop(network)
            entry = entries.popleft()
            if entries:
                self._waiting[network] = entries  # its next turn comes after everybody else's
            return entry

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()


class Masking:
    """One per worker. The thread and the process start with the first job."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs = _Turns()
        self._thread: Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._resting_until = 0.0
        self._of_network = Shares()
        self.waiting = 0

    def mask(self, job: MaskJob, network: str, done: Callable[[MaskResult], None]) -> bool:
        """Have `done` called with the result, in a later turn of the loop. False when too many wait already, in all or of
        this client network."""
        if self.waiting >= MAX_WAITING or self._of_network.of(network) >= MAX_OF_NETWORK:
            return False
        self.waiting += 1
        self._of_network.add(network)
        if self._thread is None:
            self._thread = Thread(target=self._run, name="masking", daemon=True)
            self._thread.start()
        self._jobs.put(network, (job, partial(self._deliver, network, done)))
        return True

    def close(self) -> None:
        """End the process. What waits gets no result any more."""
        if self._thread is not None:
            self._jobs.close()
            child = self._child
            if child is not None:
                child.kill()

    # -- in the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (entry := self._jobs.take()) is not None:
            job, deliver = entry
            result = self._result(job)
            try:
                self._loop.call_soon_threadsafe(deliver, result)
            except RuntimeError:  # the loop is closed
                break
        self._end()

    def _deliver(self, network: str, done: Callable[[MaskResult], None], result: MaskResult) -> None:
        self.waiting -= 1
        self._of_network.take(network)
        done(result)

    def _result(self, job: MaskJob) -> MaskResult:
        try:
            self._process()
            due = monotonic() + JOB_SECONDS
            self._write(frame_of(job), due)
            size = self._read(4, due)
            result: MaskResult = msgspec.msgpack.decode(self._read(int.from_bytes(size), due), type=MaskResult)
        except (OSError, EOFError, msgspec.DecodeError) as error:
            self._end()
            return "mask-timeout" if isinstance(error, TimeoutError) else "mask-crashed", "", b""
        return result

    def _process(self) -> subprocess.Popen[bytes]:
        """The process, ready for a job. Raises OSError, EOFError."""
        child = self._child
        if child is None or child.poll() is not None:
            self._end()
            if monotonic() < self._resting_until:
                raise EOFError
            command = (sys.executable, "-m", _MODULE)
            child = self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - of ours
            os.set_blocking(cast("BinaryIO", child.stdin).fileno(), False)
            try:
                self._read(len(READY), monotonic() + START_SECONDS)
            except (OSError, EOFError):
                self._resting_until = monotonic() + REST_SECONDS
                raise
        return child

    def _write(self, data: bytes, due: float) -> None:
        """Hand a job over; a process that does not read on holds up nobody for longer. Raises TimeoutError, OSError."""
        pipe = cast("subprocess.Popen[bytes]", self._child).stdin
        if pipe is None:
            raise EOFError
        rest = memoryview(data)
        while rest:
            _await(pipe, select.POLLOUT, due)
            rest = rest[os.write(pipe.fileno(), rest) :]

    def _read(self, size: int, due: float) -> bytes:
        """So many bytes of the process's answer. Raises TimeoutError, EOFError."""
        pipe = cast("subprocess.Popen[bytes]", self._child).stdout
        if pipe is None:
            raise EOFError
        data = bytearray()
        while len(data) < size:
            _await(pipe, select.POLLIN, due)
            piece = os.read(pipe.fileno(), size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()


def _await(pipe: IO[bytes], event: int, due: float) -> None:
    """Wait until a pipe takes or gives bytes. Raises TimeoutError."""
    poll = select.poll()
    poll.register(pipe, event)
    left = due - monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError
