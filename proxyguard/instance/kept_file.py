"""What a process keeps in a file over restarts: saved now and then and at the end. Trouble is logged once, and nothing else
comes of it. Knows nothing of what is in the file."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from pathlib import Path

logger = logging.getLogger(__name__)


class KeptFile(ABC):
    """A file, or none, where the settings name no place for it."""

    def __init__(self, path: Path | None, what: str, every_seconds: float) -> None:
        """`what` is kept, as a warning says it, and written so often."""
        self.path = path
        self._what = what
        self._every_seconds = every_seconds
        self._is_losing = False

    async def watch(self) -> None:
        """Save it now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._every_seconds)
            await self.save()

    async def save(self) -> None:
        """Write it; trouble is logged once, and nothing else comes of it."""
        if self.path is None:
            return
        try:
            await self._save(self.path)
        except Exception as error:  # noqa: BLE001 - whatever it is, what is kept is no reason to disturb anything
            if not self._is_losing:
                logger.warning("%s cannot be kept in %s: %s", self._what, self.path, error)
            self._is_losing = True
        else:
            self._is_losing = False

    @abstractmethod
    async def _save(self, path: Path) -> None:
        """Write it. May raise anything."""
