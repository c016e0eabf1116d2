"""One worker process, as the supervisor sees it: whether it lives, how large it is, what it answers, how it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from time import monotonic
from typing import Any

from proxyguard.instance.control.client import TIMEOUT_SECONDS, ControlError, send_command

logger = logging.getLogger(__name__)


class WorkerProcess:
    """One worker process."""

    def __init__(self, process: asyncio.subprocess.Process, control: Path) -> None:
        self.process = process
        self.control = control
        self.started = monotonic()
        self.ended = asyncio.ensure_future(process.wait())

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def resident_bytes(self) -> int:
        """Resident memory; 0 where /proc does not say."""
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1])
        except (OSError, ValueError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGESIZE")

    async def stop(self, seconds: float) -> None:
        """SIGTERM, then SIGKILL when it has not ended in time."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(asyncio.shield(self.ended), seconds)
        except TimeoutError:
            logger.warning("worker %d did not end in %g s and is killed", self.process.pid, seconds)
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.ended

    async def command(
        self, name: str, arguments: dict[str, Any] | None = None, seconds: float = TIMEOUT_SECONDS
    ) -> dict[str, Any]:
        """A command's answer. Raises CommandRefused, or ControlError when the worker cannot answer now."""
        return await asyncio.to_thread(send_command, self.control, name, arguments, seconds)

    async def try_command(self, name: str, arguments: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """A command's answer; None when there is none."""
        try:
            return await self.command(name, arguments)
        except ControlError as error:
            logger.warning("worker %d: %s: %s", self.process.pid, name, error)
            return None
