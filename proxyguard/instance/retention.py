"""Deletes records when their time is over: turns the audit log and the sealed log over once a day, and removes old files.

Whoever turns logs over by other means goes on doing so: files beside a log are removed by their age, whoever made them.
Removes only what is named like a rotated file of a log of ours. Knows nothing of what records say.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import BinaryIO, Final

from proxyguard.core.privacy import DAY_SECONDS
from proxyguard.core.settings import Settings
from proxyguard.telemetry.rotated import rotated_files

LOOK_SECONDS: Final = 600.0
"""Between looks: what is deleted is at most this much older than it may be, and a day, as a file has the records of a day."""

FIRST_BYTES: Final = 64
"""Enough of a log for the time of its first record."""

STANDARD_OUTPUT: Final = "-"

logger = logging.getLogger(__name__)


class Retention:
    """Enforces how long the logs of one instance are kept."""

    def __init__(self, settings: Settings) -> None:
        chosen = settings.privacy.in_force()
        kept = (
            (None if settings.audit.path == STANDARD_OUTPUT else Path(settings.audit.path), chosen.keep_audit_seconds),
            (chosen.sealed, chosen.keep_sealed_seconds),
        )
        self._kept = tuple((path, seconds) for path, seconds in kept if path is not None and seconds is not None)
        self._faults: set[str] = set()

    async def watch(self) -> None:
        """Look now and then, until cancelled."""
        while self._kept:
            await asyncio.to_thread(self.look, time())
            await asyncio.sleep(LOOK_SECONDS)

    def look(self, now: float) -> None:
        """Turn over and remove what is due. Trouble is logged once, and nothing else comes of it."""
        for path, seconds in self._kept:
            try:
                turn_over(path, now)
                removed = remove_old(path, now - seconds)
            except OSError as error:
                if str(path) not in self._faults:
                    logger.error("%s cannot be kept to its time: %s", path, error.strerror or error)  # noqa: TRY400 - the message has it all
                self._faults.add(str(path))
            else:
                self._faults.discard(str(path))
                if removed:
                    logger.info("%s: %d files are past their time and removed", path, removed)


def turn_over(log: Path, now: float) -> None:
    """Move a log of another day (UTC) to `NAME-YYYYMMDD`, where writers follow within a second. Raises OSError."""
    if not log.is_file():
        return
    with log.open("r+b") as file:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)  # instances that share a log take turns
        since = first_time(file)
        if os.path.samestat(log.stat(), os.fstat(file.fileno())):
            _move(log, since, now)


def _move(log: Path, since: float | None, now: float) -> None:
    if since is None or now // DAY_SECONDS == since // DAY_SECONDS:  # a later day: of a clock that was ahead
        return
    day = datetime.fromtimestamp(since, UTC).strftime("%Y%m%d")
    aside = log.with_name(f"{log.name}-{day}")
    number = 1
    while aside.exists():
        number += 1
        aside = log.with_name(f"{log.name}-{day}.{number}")
    log.rename(aside)


def first_time(log: BinaryIO) -> float | None:
    """When the first record of a log was written (Unix seconds); None when there is none, or nothing of ours."""
    begin = log.read(FIRST_BYTES)
    try:
        found = float(begin.removeprefix(b'{"time":').partition(b",")[0]) if begin.startswith(b'{"time":') else None
    except ValueError:
        return None
    return found if found is not None and 0 <= found < 1e11 else None


def remove_old(log: Path, before: float) -> int:
    """Remove the rotated files of a log that nobody has written to since a time; how many. Raises OSError."""
    old = [path for path in rotated_files(log, 0.0, doubles=True) if path != log and path.stat().st_mtime < before]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)
