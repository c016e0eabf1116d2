"""The supervisor's handle of one worker process: is it running, how large is it, send it a command, end it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from proxyguard.instance.control.client import TIMEOUT_SECONDS, ControlError, send_command
from proxyguard.telemetry.metric_families import Exemplar, Family

logger = logging.getLogger(__name__)


class WorkerProcess:
    """One worker process."""

    def __init__(self, process: subprocess.Popen[bytes], control: Path) -> None:
        self._process = process
        self.control = control
        self.started = monotonic()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        threading.Thread(target=self._wait, args=(asyncio.get_running_loop(),), daemon=True).start()
        self.families: list[Family] = []
        """The metrics in its last snapshot."""
        self.status: dict[str, Any] = {}
        """The status in it."""
        self.exemplars: list[Exemplar] = []
        """The exemplars in it."""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal; None while it runs."""
        return self._process.returncode

    @property
    def is_running(self) -> bool:
        return self.exit_code is None

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread: the one place that waits for this child."""
        with self._process:  # closes its standard input, which nobody holds any more
            self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._on_end)

    def _on_end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def resident_bytes(self) -> int:
        """Resident memory; 0 where there is no /proc."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1])
        except (OSError, ValueError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGESIZE")

    def terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self, seconds: float) -> None:
        """Send SIGTERM, then SIGKILL when it has not ended after so many seconds."""
        self.terminate()
        try:
            await asyncio.wait_for(asyncio.shield(self.ended), seconds)
        except TimeoutError:
            logger.warning("worker %d did not end in %g s and is killed", self.pid, seconds)
            self.kill()
            await self.ended

    async def command(
        self, name: str, arguments: dict[str, Any] | None = None, seconds: float = TIMEOUT_SECONDS
    ) -> dict[str, Any]:
        """Send a command; returns the answer. Raises CommandRefused, or ControlError when the worker does not answer."""
        return await asyncio.to_thread(send_command, self.control, name, arguments, seconds)

    async def try_command(
        self, name: str, arguments: dict[str, Any] | None = None, seconds: float = TIMEOUT_SECONDS
    ) -> dict[str, Any] | None:
        """As `command`, but logs what goes wrong and returns None."""
        try:
            return await self.command(name, arguments, seconds)
        except ControlError as error:
            logger.warning("worker %d: %s: %s", self.pid, name, error)
            return None

    async def snapshot(self, seconds: float = TIMEOUT_SECONDS) -> dict[str, Any] | None:
        """The worker's metrics, which `families` then has, and its status; None when it does not answer in time."""
        answer = await self.try_command("snapshot", seconds=seconds)
        if answer is not None:
            self._keep(answer)
        return answer

    def read_farewell(self) -> None:
        """Once it has ended, take over the snapshot that it wrote last; one that crashed or was killed wrote none."""
        path = farewell_path(self.control)
        try:
            self._keep(json.loads(path.read_bytes()))
            path.unlink()
        except FileNotFoundError:
            logger.info("worker %d left nothing of what it counted last", self.pid)
        except OSError as error:
            logger.warning("%s: %s", path, error.strerror)

    def _keep(self, snapshot: dict[str, Any]) -> None:
        self.families, self.status = families(snapshot), snapshot["status"]
        self.exemplars = msgspec.convert(snapshot["exemplars"], list[Exemplar])


def farewell_path(control: Path) -> Path:
    """Where a worker with this control socket writes its last snapshot, as JSON."""
    return control.with_suffix(".last")


def families(snapshot: dict[str, Any]) -> list[Family]:
    """The metrics in a worker's answer to `snapshot`: JSON has lists where they have tuples. Raises msgspec.ValidationError."""
    return msgspec.convert(snapshot["families"], list[Family])
