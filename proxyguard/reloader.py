"""Keeps the rules in force up to date: notices changed files, builds in another process, installs; the last good policy stays.

Knows nothing of how a policy is installed, or in how many processes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from time import time
from typing import Any, Final

from proxyguard.builder import load_elsewhere
from proxyguard.reload import RulesRejected, Signature, signature

POLL_SECONDS: Final = 1.0
"""Between looks at the files. A change is acted on when two looks in a row agree, so a half-written save is not."""

logger = logging.getLogger(__name__)

type Install = Callable[[list[bytes]], Awaitable[tuple[str, tuple[Path, ...]]]]
"""Puts a policy's pieces in force; its digest and files. Raises RulesRejected when it cannot."""


class Reloader:
    """Reloads one rules directory, on request and when its files change."""

    def __init__(
        self,
        rules: Path,
        files: Iterable[Path],
        install: Install,
        *,
        on_result: Callable[[str], None],
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._rules = rules
        self._files = tuple(files)
        self._install = install
        self._on_result = on_result
        self._poll_seconds = poll_seconds
        self._busy = asyncio.Lock()
        self._seen: Signature = signature(rules, self._files)
        self.last: dict[str, Any] = {"result": "loaded at start", "time": time()}

    async def reload(self) -> dict[str, Any]:
        """Read the rules again and put them in force; what `status` shows of it. Raises RulesRejected; the last good stays."""
        async with self._busy:
            self._seen = await asyncio.to_thread(signature, self._rules, self._files)
            try:
                digest, self._files = await self._install(await load_elsewhere(self._rules))
            except RulesRejected as error:
                self._on_result("refused")
                self.last = {
                    "result": "refused; the rules of before stay in force",
                    "time": time(),
                    "report": error.report,
                }
                logger.error("the changed rules are refused, those of before stay in force:\n%s", error.report)  # noqa: TRY400 - the report is the message
                raise
            self._seen = await asyncio.to_thread(signature, self._rules, self._files)
            self._on_result("applied")
            self.last = {"result": "applied", "time": time(), "digest": digest}
            logger.info("rules reloaded, digest %s", digest[:12])
            return self.last

    async def watch(self) -> None:
        """Reload whenever the files change, until cancelled."""
        pending: Signature | None = None
        while True:
            await asyncio.sleep(self._poll_seconds)
            now = await asyncio.to_thread(signature, self._rules, self._files)
            if now == self._seen:
                pending = None
            elif now != pending:
                pending = now
            else:
                pending = None
                try:
                    await self.reload()
                except RulesRejected:
                    continue
                except Exception:
                    logger.exception("reloading the rules failed; those of before stay in force")
                    self._on_result("failed")
