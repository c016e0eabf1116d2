"""Keeps the rules in force up to date: notices changed files, builds in another process, installs; the last good policy stays.

Knows nothing of how a policy is installed, or in how many processes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import time, time_ns
from typing import Any, Final, NamedTuple

from proxyguard.instance.deploy import InForce, RulesRejected, Signature, signature, signature_of_load
from proxyguard.instance.loader_process import load_elsewhere
from proxyguard.instance.policy_transfer import given_piece, rest
from proxyguard.policy.given import Plain
from proxyguard.telemetry.metrics import Metrics

POLL_SECONDS: Final = 0.5
"""Between looks at the files. A change is acted on when two looks in a row agree, so a half-written save is not. Two looks and
the reading of the rules stay below two seconds, within which a changed restriction has to hold."""

MAX_RESTLESS: Final = 10
"""Looks in a row that each found another change; then what is there is tried, so that a busy script cannot put off a reload."""

logger = logging.getLogger(__name__)


class _Ahead(NamedTuple):
    """A reading that began as soon as a change was seen: of use if the files still look so when they are found at rest."""

    seen: Signature
    started_ns: int
    parts: asyncio.Task[list[bytes]]


type Install = Callable[[list[bytes]], Awaitable[InForce]]
"""Puts a policy's pieces in force. Raises RulesRejected when it cannot."""


class Reloader:
    """Reloads one rules directory, on request and when its files change.

    `last` is what `status` shows of the last reload: `result`, `time` (Unix seconds), and `digest` or `report`.
    """

    def __init__(
        self,
        rules: Path,
        current: InForce,
        parts: list[bytes],
        install: Install,
        counts: Metrics,
        *,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """`current` and `parts` are of the rules in force."""
        self.rules = rules
        self.current = current
        self.shadowed: frozenset[str] = frozenset()
        """Rules held in shadow whatever their file says."""
        self._install = install
        self._counts = counts
        self._poll_seconds = poll_seconds
        self._busy = asyncio.Lock()
        self._waiting: asyncio.Future[dict[str, Any]] | None = None
        self._seen: Signature = signature(rules, current.files)
        self._tried: tuple[Path, ...] = ()
        self._parts = parts
        self._given: tuple[Plain, ...] = ()
        self._ahead: _Ahead | None = None
        self.last: dict[str, Any] = {"result": "loaded at start", "time": time(), "digest": current.digest}
        counts.policy = (current.digest, time())

    async def reload(self) -> dict[str, Any]:
        """Read the rules again and put them in force; what `status` shows of it. Raises RulesRejected; the last good stays.

        Whoever asks while a reload waits for another to end shares it: a storm of signals makes two reloads, not a hundred.
        """
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(self._reload())
            self._waiting.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )  # nobody may be left to ask
        return await asyncio.shield(self._waiting)

    async def reload_quietly(self) -> None:
        """As `reload`, when nobody waits for the answer; what is refused has been logged and counted."""
        try:
            await self.reload()
        except RulesRejected:
            return
        except Exception:
            logger.exception("reloading the rules failed; those of before stay in force")

    async def _reload(self) -> dict[str, Any]:
        async with self._busy:
            self._waiting = None
            self._tried = ()
            before = await self._look()
            ahead, self._ahead = self._ahead, None
            if ahead is None or ahead.seen != before:
                _give_up(ahead)
                ahead = self._reading(before)
            started = ahead.started_ns
            try:
                await self._put_in_force(await ahead.parts)
            except RulesRejected as error:
                self._tried = error.files
                self._counts.reloads["refused"] += 1
                self.last = {
                    "result": "refused; the rules of before stay in force",
                    "time": time(),
                    "report": error.report,
                }
                logger.error("the changed rules are refused, those of before stay in force:\n%s", error.report)  # noqa: TRY400 - the report is the message
                raise
            except Exception:
                self._counts.reloads["failed"] += 1
                self.last = {"result": "failed; the rules of before stay in force", "time": time()}
                raise
            finally:
                self._seen = signature_of_load(before, await self._look(), started)
            self._counts.reloads["applied"] += 1
            self.last = {"result": "applied", "time": time(), "digest": self.current.digest}
            logger.info("rules reloaded, digest %s", self.current.digest[:12])
            return self.last

    async def hold_in_shadow(self, rule: str) -> None:
        """Put one rule of the policy in force into shadow, without reading any file, until `release`. Raises RulesRejected."""
        async with self._busy:
            self.shadowed |= {rule}
            await self._put_in_force(self._parts)

    async def give(self, given: Sequence[Plain]) -> None:
        """Put the restrictions that commands gave in force with the files' rules, without reading any. Raises RulesRejected."""
        async with self._busy:
            before, self._given = self._given, tuple(given)
            try:
                await self._put_in_force(self._parts)
            except RulesRejected:
                self._given = before
                raise

    def release(self, rule: str) -> bool:
        """Let the rule's file say its mode again, from the next reload on; whether it was held."""
        held = rule in self.shadowed
        self.shadowed -= {rule}
        return held

    async def watch(self) -> None:
        """Reload whenever the files change, until cancelled."""
        restless = 0
        try:
            while True:
                await asyncio.sleep(self._poll_seconds)
                now = await self._look()
                if now == self._seen:
                    self._drop_ahead()
                    restless = 0
                elif restless < MAX_RESTLESS and (self._ahead is None or now != self._ahead.seen):
                    self._drop_ahead()
                    self._ahead = self._reading(now)
                    restless += 1
                else:
                    restless = 0
                    await self.reload_quietly()
        finally:
            self._drop_ahead()

    def _reading(self, seen: Signature) -> _Ahead:
        """Begin to read the files, which look so."""
        return _Ahead(seen, time_ns(), asyncio.ensure_future(load_elsewhere(self.rules)))

    def _drop_ahead(self) -> None:
        ahead, self._ahead = self._ahead, None
        _give_up(ahead)

    async def _look(self) -> Signature:
        return await asyncio.to_thread(signature, self.rules, (*self.current.files, *self._tried))

    async def _put_in_force(self, parts: list[bytes]) -> None:
        rested = await asyncio.to_thread(rest, parts, self.shadowed) if self.shadowed else parts
        self.current = await self._install([*rested, given_piece(self._given)] if self._given else rested)
        self._parts = parts
        self._counts.policy = (self.current.digest, time())


def _give_up(ahead: _Ahead | None) -> None:
    """End a reading that nobody waits for; what it found wrong is nobody's business."""
    if ahead is not None:
        ahead.parts.add_done_callback(lambda done: done.cancelled() or done.exception())
        ahead.parts.cancel()
