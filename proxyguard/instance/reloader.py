"""Keeps the rules in force up to date: notices changed files, loads them in a child process and installs the policy.

On any error the last good policy stays. Knows nothing of how a policy is installed, or in how many processes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import time, time_ns
from typing import Any, Final, NamedTuple

from proxyguard.core.decision import Mode
from proxyguard.core.preset import DEFAULT_PRESET, RulesPreset
from proxyguard.core.problems import Problem, format_report
from proxyguard.instance.background import working_thread
from proxyguard.instance.in_force import InForce
from proxyguard.instance.loaded_rules import RulesRejected
from proxyguard.instance.loader_process import load_in_child
from proxyguard.instance.policy_transfer import PolicyTransfer, override
from proxyguard.instance.watch_signature import Signature, signature, signature_of_load
from proxyguard.policy.given import Plain
from proxyguard.policy.load import SUFFIXES
from proxyguard.policy.parse.kept_lists import KeptLists
from proxyguard.telemetry.metrics import Metrics

POLL_SECONDS: Final = 0.5
"""Between looks at the files. A change is acted on when two looks in a row agree, so a half-written save is not. Two looks and
the reading of the rules stay below two seconds, within which a changed restriction has to hold."""

SLOW_SECONDS: Final = 10.0
"""A reading that takes longer is worth a line in the log: until it ends, the rules of before stay in force."""

MAX_CHANGES: Final = 10
"""Looks in a row that may each find another change. Then the files are loaded as they are, so that a busy script cannot put off
a reload for ever."""

logger = logging.getLogger(__name__)


class _Load(NamedTuple):
    """A load in progress. One that began speculatively is used only if the files have not changed again when they settle."""

    signature: Signature
    started_ns: int
    policy: asyncio.Task[PolicyTransfer]

    def cancel(self) -> None:
        """End it; problems that it found are dropped."""
        self.policy.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.policy.cancel()


type Install = Callable[[list[bytes]], Awaitable[None]]
"""Puts the parts of a policy in force in every worker. Raises RulesRejected when that is not possible."""


class Reloader:
    """Reloads one rules directory, on request and when its files change.

    `last` is what `status` shows of the last reload: `result`, `time` (Unix seconds), and `digest` or `report`.
    """

    def __init__(
        self,
        rules: Path,
        mode: Mode,
        policy: PolicyTransfer,
        install: Install,
        counts: Metrics,
        *,
        preset: RulesPreset = DEFAULT_PRESET,
        poll_seconds: float = POLL_SECONDS,
        kept: Path | None = None,
    ) -> None:
        """`policy` is in force already; `mode` is that of the whole process. `kept` is a folder for what lists held when good."""
        self.rules = rules
        self.current: InForce = policy.in_force
        self.shadowed: frozenset[str] = frozenset()
        """Rules held in shadow whatever their file says."""
        self.mode = mode
        self.preset = preset
        """Of the bundled rules, for the next reload."""
        self.paused: frozenset[str] = frozenset()
        """Rules that an operator has only record for a while."""
        self.is_emergency = False
        """Whether rules for emergencies act."""
        self._install = install
        self._counts = counts
        self._poll_seconds = poll_seconds
        self._kept = kept
        self._busy = asyncio.Lock()
        self._waiting: asyncio.Future[dict[str, Any]] | None = None
        self._seen: Signature = signature(rules, self.current.files)
        self._tried: tuple[Path, ...] = ()
        self._files_policy = policy
        self._given: tuple[Plain, ...] = ()
        self._speculative: _Load | None = None
        self.last: dict[str, Any] = {"result": "loaded at start", "time": time(), "digest": self.current.digest}
        self._show_in_force()

    async def reload(self) -> dict[str, Any]:
        """Read the rules again and put them in force; returns what `status` shows of it. Raises RulesRejected.

        Calls while a reload waits for another to end share it: a storm of signals makes two reloads, not a hundred.
        """
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(self._reload())
            self._waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # every caller may have gone
        return await asyncio.shield(self._waiting)

    async def reload_quietly(self) -> None:
        """As `reload`, for a caller that needs no answer: refused rules are logged and counted."""
        try:
            await self.reload()
        except RulesRejected:
            return
        except Exception:
            logger.exception("reloading the rules failed; those of before stay in force")

    async def _reload(self) -> dict[str, Any]:
        await asyncio.sleep(0)  # `reload` has to keep this task first, and some loops (mitmproxy's) start tasks at once
        async with self._busy:
            self._waiting = None
            self._tried = ()
            before, digest_before = await self._signature(), self.current.digest
            load = self._speculative
            if load is None or load.signature != before:
                self._cancel_speculative()
                load = self._begin_load(before)
            self._speculative = None
            try:
                load, policy = await self._read(load)
                await self._put_in_force(policy)
            except RulesRejected as error:
                self._tried = error.files
                self._counts.reloads["refused"] += 1
                self.last = {"result": "refused; the rules of before stay in force", "time": time(), "report": error.report}
                logger.error("the changed rules are refused, those of before stay in force:\n%s", error.report)  # noqa: TRY400 - the report is the message
                raise
            except Exception:
                self._counts.reloads["failed"] += 1
                self.last = {"result": "failed; the rules of before stay in force", "time": time()}
                raise
            finally:
                self._seen = signature_of_load(load.signature, await self._signature(), load.started_ns)
            self._counts.reloads["applied"] += 1
            self.last = {"result": "applied", "time": time(), "digest": self.current.digest}
            what = "read again, and are the same" if self.current.digest == digest_before else "reloaded"
            logger.info("rules %s, digest %s", what, self.current.digest[:12])
            if self.current.stale:
                self._note_stale(self.current.stale)
            return self.last

    def _note_stale(self, stale: Sequence[Problem]) -> None:
        """Say loudly which lists are in force as they were before they broke."""
        report = format_report(stale)
        self.last |= {
            "result": "applied, but for lists that are broken: their content of before stays in force",
            "report": report,
        }
        logger.error("lists are broken, and their content of before stays in force:\n%s", report.rstrip())

    async def keep_lists(self) -> None:
        """Keep what the list files hold that are in force, in case that they break."""
        if self._kept is not None:
            lists = [path for path in self.current.files if path.suffix not in SUFFIXES]
            await asyncio.to_thread(KeptLists(self._kept).copy, lists)

    async def _read(self, load: _Load) -> tuple[_Load, PolicyTransfer]:
        """Wait for a reading. One whose files change meanwhile is given up for a new one. Raises RulesRejected."""
        changes, is_logged = 0, False
        try:
            while not (await asyncio.wait((load.policy,), timeout=self._poll_seconds))[0]:
                if not is_logged and time_ns() - load.started_ns > SLOW_SECONDS * 1e9:
                    is_logged = True
                    logger.warning("reading the rules takes more than %.0f s; those of before stay in force", SLOW_SECONDS)
                now = await self._signature()
                if now != load.signature and changes < MAX_CHANGES:
                    load.cancel()
                    logger.info("the rules changed while they were read, and are read again")
                    load = self._begin_load(now)
                    changes += 1
        except asyncio.CancelledError:
            load.cancel()
            raise
        return load, load.policy.result()

    async def hold_in_shadow(self, rule: str) -> None:
        """Put one rule of the policy in force into shadow, without reading any file, until `release`. Raises RulesRejected."""
        async with self._busy:
            self.shadowed |= {rule}
            await self._put_in_force(self._files_policy)

    async def give(self, given: Sequence[Plain]) -> None:
        """Put the restrictions that commands gave in force with the files' rules, without reading any. Raises RulesRejected."""
        async with self._busy:
            before, self._given = self._given, tuple(given)
            try:
                await self._put_in_force(self._files_policy)
            except BaseException:
                self._given = before
                raise

    @property
    def emergency_rules(self) -> tuple[str, ...]:
        """Rules that act in emergency mode only."""
        return self._files_policy.in_force.emergency

    async def pause(self, rules: frozenset[str], *, is_emergency: bool = False) -> None:
        """Have these rules, and no others, in shadow for a while, without reading any file. Raises RulesRejected.

        `is_emergency`: have those for emergencies act meanwhile.
        """
        async with self._busy:
            before = self.paused, self.is_emergency
            self.paused, self.is_emergency = rules, is_emergency
            try:
                await self._put_in_force(self._files_policy)
            except BaseException:
                self.paused, self.is_emergency = before
                raise

    async def install_again(self, mode: Mode) -> None:
        """Put the rules in force again, for a process of this mode or with other settings of it. Raises RulesRejected."""
        async with self._busy:
            self._cancel_speculative()
            before, files_policy = self.mode, self._files_policy
            self.mode = mode
            with working_thread():
                again = await asyncio.to_thread(override, files_policy, mode, (), ())
            try:
                await self._put_in_force(again)
            except BaseException:
                self.mode = before
                raise

    def release(self, rule: str) -> bool:
        """Let the rule's file decide its mode again, from the next reload on. Returns whether it was held."""
        held = rule in self.shadowed
        self.shadowed -= {rule}
        return held

    async def watch(self) -> None:
        """Reload whenever the files change, until cancelled."""
        changes = 0
        try:
            while True:
                await asyncio.sleep(self._poll_seconds)
                now = await self._signature()
                if now == self._seen:
                    self._cancel_speculative()
                    changes = 0
                elif changes < MAX_CHANGES and (self._speculative is None or now != self._speculative.signature):
                    self._cancel_speculative()
                    self._speculative = self._begin_load(now)
                    changes += 1
                else:
                    changes = 0
                    await self.reload_quietly()
        finally:
            self._cancel_speculative()

    def _begin_load(self, now: Signature) -> _Load:
        return _Load(now, time_ns(), asyncio.ensure_future(load_in_child(self.rules, self.mode, self.preset, self._kept)))

    def _cancel_speculative(self) -> None:
        if self._speculative is not None:
            self._speculative.cancel()
            self._speculative = None

    async def _signature(self) -> Signature:
        return await asyncio.to_thread(signature, self.rules, (*self.current.files, *self._tried))

    async def _put_in_force(self, files_policy: PolicyTransfer) -> None:
        """Install the policy of the files, with what commands and roll-backs override in it."""
        policy = files_policy
        shadowed = self.shadowed | self.paused
        is_emergency = self.is_emergency and bool(files_policy.in_force.emergency)
        if shadowed or self._given or is_emergency:
            with working_thread():
                policy = await asyncio.to_thread(override, policy, self.mode, shadowed, self._given, is_emergency=is_emergency)
        await self._install(policy.parts)
        self._files_policy = files_policy
        self.current = policy.in_force
        self._show_in_force()

    def _show_in_force(self) -> None:
        self._counts.policy = (self.current.digest, time())
        self._counts.rules = Counter(self.current.counts)
