"""The folder that an instance has to itself while it runs: what its workers start with, the secret of keys among it.

An instance that is killed cannot remove its folder: the next one of the same user does. One in use is known by a lock, which ends
with its process.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from proxyguard.instance.control.socket_file import is_own

PREFIX: Final = "proxyguard-"
LOCK: Final = "lock"

logger = logging.getLogger(__name__)


class OwnFolder:
    """One instance's folder, at `path`."""

    def __init__(self) -> None:
        """Make it, and remove those that instances left which were killed. Raises OSError."""
        for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
            _remove_left(lock)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        fresh = self.path / f"{LOCK}.new"
        self._lock = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        fresh.rename(self.path / LOCK)  # there only once it is locked

    def remove(self) -> None:
        """Remove it, as far as possible."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _remove_left(lock: Path) -> None:
    """Remove the folder of a lock that nobody holds."""
    if not is_own(lock.parent):
        return
    with suppress(OSError):
        file = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
            logger.info("removed %s, which an instance left that was killed", lock.parent)
        finally:
            os.close(file)
