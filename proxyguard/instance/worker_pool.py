"""The worker processes of an instance: starts them, replaces those that die or grow old, gives them rules and commands.

Holds the listening sockets, so that connections waiting at a worker that died are not lost. Knows nothing of where rules come
from, or of what the workers' answers are for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pickle
import sys
from pathlib import Path
from time import monotonic
from typing import Any, Final

import msgspec

from proxyguard.core.decision import Mode
from proxyguard.core.settings import Listen, Settings
from proxyguard.instance.control.client import CommandRefused, ControlError
from proxyguard.instance.deploy import InForce, RulesRejected
from proxyguard.instance.policy_transfer import join, write_pieces
from proxyguard.instance.shared_port import Sockets, bind
from proxyguard.instance.worker_main import Assignment
from proxyguard.instance.worker_process import WorkerProcess
from proxyguard.telemetry.metrics import Family, Metrics, merge
from proxyguard.telemetry.shadow import TallyWindow

READY_SECONDS: Final = 60.0
"""A worker that has not come up by then is killed and started again."""

CHECK_SECONDS: Final = 5.0
"""Between looks at a worker's age and memory."""

BACKOFF_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits before the first, second, … restart in a row; a worker that lived STABLE_SECONDS starts over."""

STABLE_SECONDS: Final = 60.0

SOON_SECONDS: Final = 2.0
"""For an answer to what is asked every second."""

INSTALL_SECONDS: Final = 300.0
"""A worker may take so long over the largest policy on a busy machine."""

logger = logging.getLogger(__name__)


class WorkerPool:
    """The workers of one instance. Implements `upkeep.Workers`."""

    def __init__(
        self, settings: Settings, secret: bytes, folder: Path, parts: list[bytes], in_force: InForce, counts: Metrics
    ) -> None:
        """`folder` is the instance's own; `parts` and `in_force` are of the rules to start with. Starts nothing yet."""
        self._settings = settings
        self._folder = folder
        self._counts = counts
        self._pieces = folder / "policy"
        write_pieces(self._pieces, parts)
        self.store_path = folder / "store.sock"
        self._assignment = folder / "assignment"
        self._assignment.touch(mode=0o600)
        self._on = folder / "restrictions"
        self._on.write_text('{"on": {}}')
        assignment = Assignment(settings, secret, self.store_path, self._pieces, self._on)
        self._assignment.write_bytes(pickle.dumps(assignment))
        self._installs = 0
        self.retired: list[Family] = []
        """What workers counted that were recycled."""
        self._children: dict[int, WorkerProcess] = {}
        self._changing = asyncio.Lock()
        self._sockets: list[Sockets] = []
        self.addresses: tuple[str, ...] = ()
        """Where the workers listen, once bound."""
        self._keepers: list[asyncio.Task[None]] = []
        self._numbers = iter(range(1_000_000_000))
        self.restarts = 0
        counts.rules.update(in_force.rule_counts())
        counts.gauge("workers", "Workers alive.", lambda: sum(child.alive for child in self._children.values()))
        counts.gauge("worker_restarts", "Workers that died and were replaced.", lambda: self.restarts)

    @property
    def ready(self) -> bool:
        """Whether any carries traffic."""
        return any(child.alive for child in self._children.values())

    def bind(self) -> None:
        """Take the port. Raises OSError."""
        self._sockets = bind(self._settings)
        names = [listening.getsockname() for listening in self._sockets[0]]
        self.addresses = tuple(str(Listen(name[0], name[1])) for name in names)

    async def start(self) -> None:
        """Start every worker, wait until all carry traffic, and keep them. Raises OSError when one does not come up."""
        await asyncio.gather(*(self._spawn(slot) for slot in range(self._settings.workers)))
        self._keepers = [asyncio.create_task(self._keep(slot)) for slot in range(self._settings.workers)]

    async def stop(self) -> None:
        """Let all workers drain and end."""
        for keeper in self._keepers:
            keeper.cancel()
        for listening in (each for sockets in self._sockets for each in sockets):
            listening.close()
        limit = self._settings.drain_seconds + 10
        await asyncio.gather(*(child.stop(limit) for child in self._children.values()))

    async def install(self, parts: list[bytes]) -> InForce:
        """Hand a policy to every worker, one after the other, so that at no time all have less of a core for requests.

        The first answer counts for all: they compile the same. A worker that does not take what another took is replaced by
        one that starts with it. Workers that start from now on read the same file.
        """
        loaded = await asyncio.to_thread(join, parts)
        in_force = await asyncio.to_thread(InForce.of, loaded, self._settings.mode)
        fresh = self._folder / "policy.new"
        await asyncio.to_thread(write_pieces, fresh, parts)
        async with self._changing:
            await self._hand_out(fresh)
            fresh.replace(self._pieces)
            self._installs += 1
        self._counts.rules.update(in_force.rule_counts())
        return in_force

    async def broadcast(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        """As `answers`, for what is asked every second: a worker that hangs holds up nobody else for long.

        Workers that start from now on find the restrictions that are on in a file, before they take their first request.
        """
        if name == "restrictions":
            fresh = self._folder / "restrictions.new"
            fresh.write_text(json.dumps(arguments))
            fresh.replace(self._on)

        async def answer(child: WorkerProcess) -> dict[str, Any] | None:
            try:
                return await child.command(name, arguments, SOON_SECONDS)
            except ControlError as error:
                logger.debug("worker %d: %s: %s", child.process.pid, name, error)
                return None

        answers = await asyncio.gather(*(answer(child) for child in self._children.values() if child.alive))
        return [each for each in answers if each is not None]

    async def window(self, *, enforced_only: bool) -> TallyWindow:
        """Whom shadow rules would have stopped, and enforced ones did."""
        return TallyWindow.joined(await self.answers("tally", {"enforced_only": enforced_only}))

    async def forget(self, rule: str, mode: Mode) -> None:
        """Tally a rule from zero."""
        await self.answers("forget", {"rule": rule, "mode": mode})

    async def refresh_certificates(self) -> None:
        """Look for renewed certificates now."""
        await self.answers("refresh-certificates")

    async def answers(self, name: str, arguments: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Give a command to every worker; the answers of those that gave one."""
        answers = await asyncio.gather(
            *(child.try_command(name, arguments) for child in self._children.values() if child.alive)
        )
        return [answer for answer in answers if answer is not None]

    async def _spawn(self, slot: int) -> WorkerProcess:
        """Start a worker for a slot and wait until it listens. Raises OSError when it does not come up."""
        installs = self._installs
        control = self._folder / f"worker-{next(self._numbers)}.sock"
        listening = [each.fileno() for each in self._sockets[slot]]
        ready, told = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "proxyguard.instance.worker_main",
                str(self._assignment), str(control), str(told), *map(str, listening),
                stdin=asyncio.subprocess.PIPE, pass_fds=(told, *listening),
            )  # fmt: skip
        finally:
            os.close(told)
        child = WorkerProcess(process, control)
        try:
            up = await asyncio.wait_for(asyncio.to_thread(os.read, ready, 1), READY_SECONDS)
        except TimeoutError:
            up = b""
        finally:
            os.close(ready)
        if not up:
            await child.stop(1.0)
            raise OSError(f"a worker did not come up (exit code {process.returncode})")
        async with self._changing:  # while rules are handed out, nobody joins unseen
            self._children[slot] = child
            if installs != self._installs and await child.try_command("install", {"file": str(self._pieces)}) is None:
                await child.stop(1.0)  # its keeper starts another, with the rules in force
        return child

    async def _keep(self, slot: int) -> None:
        """Keep one slot filled until cancelled."""
        failures = 0
        while True:
            child = self._children[slot]
            await asyncio.wait((child.ended,), timeout=CHECK_SECONDS)
            if child.alive:
                if self._outlived(child):
                    await self._replace(slot, child)
                continue
            age = monotonic() - child.started
            failures = 0 if age > STABLE_SECONDS else failures + 1
            wait = BACKOFF_SECONDS[min(max(failures - 1, 0), len(BACKOFF_SECONDS) - 1)]
            logger.error(
                "worker %d ended with %s after %.0f s; a new one starts in %g s",
                child.process.pid,
                child.process.returncode,
                age,
                wait,
            )
            self.restarts += 1
            await asyncio.sleep(wait)
            try:
                await self._spawn(slot)
            except OSError as error:
                logger.error("%s", error)  # noqa: TRY400 - the worker has said why

    def _outlived(self, child: WorkerProcess) -> bool:
        recycle = self._settings.recycle
        if recycle.age_seconds is not None and monotonic() - child.started > recycle.age_seconds:
            return True
        return recycle.memory_bytes is not None and child.resident_bytes() > recycle.memory_bytes

    async def _replace(self, slot: int, old: WorkerProcess) -> None:
        """Start the new worker on the same socket before the old one stops accepting."""
        logger.info("worker %d is recycled", old.process.pid)
        last = await old.try_command("snapshot")
        try:
            await self._spawn(slot)
        except OSError as error:
            logger.error("%s; the old one goes on", error)  # noqa: TRY400 - the worker has said why
            return
        if last is not None:
            self.retired = merge([self.retired, [family for family in families(last) if family[1] != "gauge"]])
        await old.stop(self._settings.drain_seconds + 10)

    async def _hand_out(self, fresh: Path) -> None:
        """Tell every worker to take the rules in a file. Raises RulesRejected when the first that answers refuses them."""
        accepted = False
        lost: list[WorkerProcess] = []
        for child in [child for child in self._children.values() if child.alive]:
            try:
                await child.command("install", {"file": str(fresh)}, INSTALL_SECONDS)
                accepted = True
            except CommandRefused as error:
                if not accepted:
                    raise RulesRejected.because(self._settings.rules, str(error)) from error
                lost.append(child)
            except ControlError as error:
                logger.warning("worker %d: %s", child.process.pid, error)
                lost.append(child)
        if lost and not accepted:
            raise RulesRejected.because(self._settings.rules, "no worker answered when it was given the rules")
        for child in lost:
            logger.error("worker %d did not take the new rules and is replaced", child.process.pid)
            with contextlib.suppress(ProcessLookupError):
                child.process.terminate()


def families(snapshot: dict[str, Any]) -> list[Family]:
    """The metrics in a worker's answer to `snapshot`: JSON has lists where they have tuples. Raises msgspec.ValidationError."""
    return msgspec.convert(snapshot["families"], list[Family])
