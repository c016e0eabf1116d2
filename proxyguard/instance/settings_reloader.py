"""Reads the settings again and has the running instance take over those that can be; says which need a restart.

On any error the settings of before stay. Knows nothing of how settings reach a worker.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from proxyguard.core.problems import Problem, format_report
from proxyguard.core.settings import Settings
from proxyguard.instance.background import working_thread
from proxyguard.instance.loaded_rules import RulesRejected
from proxyguard.instance.reloader import Reloader
from proxyguard.settings.changes import changes

logger = logging.getLogger(__name__)

type ReadSettings = Callable[[], Settings | tuple[Problem, ...]]
"""Reads file, variables and command line as at the start."""

type ApplySettings = Callable[[Settings], Awaitable[None]]
"""Gives settings to every worker, and to those that start later."""


class SettingsReloader:
    """`current` are the settings in force."""

    def __init__(self, settings: Settings, read: ReadSettings | None, apply: ApplySettings, reloader: Reloader) -> None:
        """`read` None: there is nothing to read again."""
        self.current = settings
        self._read = read
        self._apply = apply
        self._reloader = reloader
        self._busy = asyncio.Lock()

    async def reload(self) -> dict[str, Any]:
        """Read them again; the names of those `applied` and of those that need a `restart`, or a `report` of what is wrong."""
        if self._read is None:
            return {"applied": [], "restart": [], "report": ""}
        async with self._busy:
            with working_thread():
                found = await asyncio.to_thread(self._read)
            if not isinstance(found, Settings):
                return _refused(format_report(found))
            before = self.current
            after, applied, restart = changes(before, found)
            if applied:
                try:
                    await self._put_in_force(after)
                except RulesRejected as error:
                    await self._put_in_force(before)
                    return _refused(error.report)
        if applied:
            logger.info("settings reloaded: %s", ", ".join(applied))
        if restart:
            logger.warning("changed settings that need a restart, and are as before: %s", ", ".join(restart))
        return {"applied": list(applied), "restart": list(restart), "report": ""}

    async def _put_in_force(self, settings: Settings) -> None:
        """Give settings to the workers, and compile the rules in force with them. Raises RulesRejected."""
        await self._apply(settings)
        self._reloader.preset = settings.preset
        await self._reloader.install_again(settings.mode)
        self.current = settings


def _refused(report: str) -> dict[str, Any]:
    logger.error("the changed settings are refused, those of before stay in force:\n%s", report)
    return {"applied": [], "restart": [], "report": report}
