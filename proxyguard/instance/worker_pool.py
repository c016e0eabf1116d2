"""The worker processes of an instance: starts them, replaces those that die or grow old, sends them rules and commands.

Holds the listening sockets, so that connections in the backlog of a worker that died are not lost. Knows nothing of where rules
come from, or of what the workers' answers are for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import subprocess
from collections.abc import Iterable
from pathlib import Path
from time import monotonic
from typing import Any, Final

from proxyguard.adapters.mitmproxy.listener import close_sockets, listen_of
from proxyguard.core.decision import Mode
from proxyguard.core.instance_secrets import Secrets
from proxyguard.core.settings import Settings
from proxyguard.instance.assignment import Assignment
from proxyguard.instance.children import spawn_module
from proxyguard.instance.control.client import CommandRefused, ControlError
from proxyguard.instance.loaded_rules import RulesRejected
from proxyguard.instance.policy_transfer import write_parts
from proxyguard.instance.shared_port import Sockets, bind, distinct
from proxyguard.instance.status_counts import added_up
from proxyguard.instance.worker_process import WorkerProcess
from proxyguard.limits.clock import CLOCK
from proxyguard.telemetry.metric_families import Exemplar, Family, counters, merge, newest
from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.shadow import TallyWindow

READY_SECONDS: Final = 60.0
"""A worker that has not come up by then is killed and started again."""

CHECK_SECONDS: Final = 5.0
"""Between checks of a worker's age and memory."""

BACKOFF_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits before the first, second, … restart in a row; a worker that lived STABLE_SECONDS starts over."""

STABLE_SECONDS: Final = 60.0

SOON_SECONDS: Final = 2.0
"""Timeout of commands that are sent every second, and of scrapes, which must be answered whatever a worker does."""

HURRY_SECONDS: Final = 10.0
"""More than a worker needs to end when it drains no longer: its records may take five."""

INSTALL_SECONDS: Final = 300.0
"""Timeout of an install: the largest policy on a busy machine."""

STANDING: Final = ("restrictions", "shadow")
"""Commands whose last arguments hold for workers that start later, too."""

logger = logging.getLogger(__name__)


class WorkerPool:
    """The workers of one instance. Implements `controller.Workers`."""

    def __init__(self, settings: Settings, secrets: Secrets, folder: Path, parts: list[bytes], counts: Metrics) -> None:
        """`folder` is the instance's own; `parts` are of the policy to start with. Starts no process yet."""
        self._settings = settings
        self._folder = folder
        self._policy = folder / "policy"
        write_parts(self._policy, parts)
        self.store_path = folder / "store.sock"
        self._secrets = secrets
        self._assignment = folder / "assignment"
        self._standing: dict[str, dict[str, Any]] = {}
        self._standing_file = folder / "standing"
        self._standing_file.write_text("{}")
        self._is_behind = False
        """Whether the file is of before."""
        self._assign(settings)
        self._installs = self._told = 0
        self._retired: list[Family] = []
        """The counters of workers that were replaced, as last known."""
        self._retired_counts: dict[str, Any] = {}
        """What of their status goes on."""
        self._processes: dict[int, WorkerProcess] = {}
        """By slot: the index of a worker's listening sockets."""
        self._leaving: dict[tuple[int, WorkerProcess], asyncio.Task[None]] = {}
        """Workers that drain, as another has their slot, and what waits for their end. What they counted so far is in the sum."""
        self._changing = asyncio.Lock()
        self._sockets: list[Sockets] = []
        self.addresses: tuple[str, ...] = ()
        """Where the workers listen, once bound."""
        self._watches: list[asyncio.Task[None]] = []
        self._numbers = iter(range(1_000_000_000))
        self.restarts = 0
        counts.gauge("workers", "Workers alive.", lambda: len(self._running()))
        counts.gauge("worker_restarts", "Workers that died and were replaced.", lambda: self.restarts)

    @property
    def ready(self) -> bool:
        """Whether all workers came up, and any carries traffic now. Before that, the end of one ends the start of all."""
        return bool(self._watches and self._running())

    def bind(self) -> None:
        """Bind the listening sockets. Raises OSError."""
        self._sockets = bind(self._settings)
        self.addresses = tuple(str(listen_of(listening, self._settings.listen)) for listening in self._sockets[0])

    async def start(self) -> None:
        """Start every worker, wait until all carry traffic, and keep them running. Raises OSError when one does not come up."""
        await asyncio.gather(*(self._spawn(slot) for slot in range(self._settings.workers)))
        self._watches = [asyncio.create_task(self._keep_running(slot)) for slot in range(self._settings.workers)]

    async def stop(self) -> None:
        """Let all workers drain and end."""
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)  # a worker that is starting is known then, or ended
        close_sockets(distinct(self._sockets))
        await asyncio.gather(*map(self._drain, self._processes.values()), *self._leaving.values())

    async def _drain(self, process: WorkerProcess) -> None:
        await process.stop(self._settings.drain_seconds + 10)

    def _let_go(self, slot: int, process: WorkerProcess) -> None:
        """Have a worker drain and end, beside whatever else there is to do."""
        self._leaving[slot, process] = asyncio.create_task(self._leave(slot, process))

    async def _leave(self, slot: int, process: WorkerProcess) -> None:
        try:
            await self._drain(process)
        finally:
            del self._leaving[slot, process]
            self._retire(process)

    def _retire(self, process: WorkerProcess) -> None:
        """Keep what a worker counted that has ended."""
        process.read_farewell()
        self._retired = merge([self._retired, counters(process.families)])
        self._retired_counts = added_up([process.status, self._retired_counts])

    async def install(self, parts: list[bytes]) -> None:
        """Send a policy to every worker, one after the other, so that not all have less of a core for requests at a time.

        The first answer counts for all: they compile the same. A worker that does not take what another took is replaced by
        one that starts with it. Workers that start from now on read the same file. Raises RulesRejected.
        """
        fresh = self._folder / "policy.new"
        await asyncio.to_thread(write_parts, fresh, parts)
        async with self._changing:
            await self._send_rules(fresh)
            fresh.replace(self._policy)
            self._installs += 1

    async def apply(self, settings: Settings) -> None:
        """Have every worker, and those that start later, take over settings."""
        await asyncio.to_thread(self._assign, settings)
        self._told += 1
        running, arguments = self._running(), {"file": str(self._assignment)}
        answers = await asyncio.gather(*(each.try_command("settings", arguments) for each in running))
        for process, answer in zip(running, answers, strict=True):
            if answer is None:
                logger.error("worker %d did not take the new settings and is replaced", process.pid)
                process.terminate()

    def _assign(self, settings: Settings) -> None:
        """Write what workers start with."""
        fresh = self._folder / "assignment.new"
        fresh.touch(mode=0o600)
        assignment = Assignment(settings, self._secrets, self.store_path, self._policy, CLOCK.anchor, self._standing_file)
        fresh.write_bytes(pickle.dumps(assignment))
        fresh.replace(self._assignment)

    async def broadcast(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        """As `answers`, for commands that are sent every second: a worker that hangs delays the others for SOON_SECONDS only.

        Workers that start from now on find what STANDING commands said in a file, before they take their first request.
        """
        if name in STANDING:
            self._standing[name] = arguments
            self._told += 1
            self._keep_standing()

        async def answer(process: WorkerProcess) -> dict[str, Any] | None:
            try:
                return await process.command(name, arguments, SOON_SECONDS)
            except ControlError as error:
                logger.debug("worker %d: %s: %s", process.pid, name, error)
                return None

        return _answered(await asyncio.gather(*map(answer, self._running())))

    def _keep_standing(self) -> None:
        """Write what workers start with. Trouble is logged once: the workers that run are told all the same."""
        fresh = self._folder / "standing.new"
        try:
            fresh.write_text(json.dumps(self._standing))
            fresh.replace(self._standing_file)
        except OSError as error:
            if not self._is_behind:
                logger.error("%s cannot be written: %s", self._standing_file, error.strerror)  # noqa: TRY400 - the message has it all
            self._is_behind = True
        else:
            self._is_behind = False

    async def snapshots(self) -> list[dict[str, Any]]:
        """The snapshots of the workers that answer within SOON_SECONDS; `families` then has their metrics."""
        return _answered(await asyncio.gather(*(each.snapshot(SOON_SECONDS) for each in self._running())))

    def families(self) -> list[Family]:
        """The metrics of all workers, added up, as of their last answers.

        No counter falls when a worker crashes, is replaced or does not answer: its last known counters stay in the sum.
        Prometheus would read a fall as a restart, and show a spike.
        """
        running = [process.families for process in self._running()]
        others = [process for process in self._processes.values() if not process.is_running]
        others += [process for _, process in self._leaving]
        return merge([*running, *(counters(process.families) for process in others), self._retired])

    def counts(self) -> dict[str, Any]:
        """What is counted in `status` since the start, as last known of each worker; it does not fall when one is replaced."""
        known = [*self._processes.values(), *(process for _, process in self._leaving)]
        return added_up([*(process.status for process in known), self._retired_counts])

    def exemplars(self) -> list[Exemplar]:
        """The last exemplar of each sample, as of the last answers of all workers."""
        return newest(exemplar for process in self._running() for exemplar in process.exemplars)

    async def window(self, *, enforced_only: bool) -> TallyWindow:
        """The clients that shadow rules would have stopped, and those that enforced rules stopped."""
        return TallyWindow.joined(await self.answers("tally", {"enforced_only": enforced_only}))

    async def forget(self, rule: str, mode: Mode) -> None:
        """Tally a rule from zero."""
        await self.answers("forget", {"rule": rule, "mode": mode})

    async def refresh_certificates(self) -> None:
        """Look for renewed certificates now."""
        await self.answers("refresh-certificates")

    async def reopen_logs(self) -> None:
        """Open the audit log again if it was moved, now."""
        await self.answers("reopen-logs")

    async def hurry(self) -> None:
        """End the drain of every worker; one that does not follow is killed."""
        draining = [*self._running(), *(process for _, process in self._leaving)]
        await asyncio.gather(*(each.try_command("hurry", seconds=SOON_SECONDS) for each in draining))
        await asyncio.sleep(HURRY_SECONDS)
        for each in [each for each in draining if each.is_running]:
            logger.warning("worker %d did not end and is killed", each.pid)
            each.kill()

    async def answers(self, name: str, arguments: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Send a command to every worker; returns the answers of those that answer."""
        return _answered(await asyncio.gather(*(each.try_command(name, arguments) for each in self._running())))

    def _running(self) -> list[WorkerProcess]:
        return [process for process in self._processes.values() if process.is_running]

    async def _spawn(self, slot: int) -> None:
        """Start a worker for a slot and wait until it listens. Raises OSError when it does not come up."""
        installs, told = self._installs, self._told
        control = self._folder / f"worker-{next(self._numbers)}.sock"
        listening = [each.fileno() for each in self._sockets[slot]]
        ready, write_end = os.pipe()
        starting = asyncio.ensure_future(asyncio.to_thread(
            spawn_module, "proxyguard.instance.worker_main",
            str(self._assignment), str(control), str(write_end), *map(str, listening),
            stdin=subprocess.PIPE, pass_fds=(write_end, *listening),
        ))  # fmt: skip
        try:
            process = WorkerProcess(await asyncio.shield(starting), control)
        except asyncio.CancelledError:
            (await starting).kill()  # it has begun nothing
            raise
        finally:
            os.close(write_end)
        is_up = False
        try:
            is_up = await self._came_up(ready, process)
            if is_up:
                async with self._changing:  # a worker that came up during an install has the rules of before
                    self._fill(slot, process)
                    late: dict[str, dict[str, Any]] = {}
                    if told != self._told or self._is_behind:  # what it read when it began may be of before
                        late = {"settings": {"file": str(self._assignment)}, **self._standing}
                    if installs != self._installs:
                        late["install"] = {"file": str(self._policy)}
                    for name, arguments in late.items():
                        if await process.try_command(name, arguments) is None:
                            await process.stop(1.0)  # `_keep_running` starts another, with what is in force
                            break
        except BaseException:
            if not is_up:
                process.kill()
            elif self._processes.get(slot) is not process:  # it has clients already
                self._let_go(slot, process)
            raise
        finally:
            os.close(ready)
        if not is_up:
            await process.stop(1.0)
            raise OSError(f"a worker did not come up (exit code {process.exit_code})")

    async def _came_up(self, ready: int, process: WorkerProcess) -> bool:
        """Wait until a worker writes to `ready`; False when it ends before. Raises OSError when it takes too long."""
        loop = asyncio.get_running_loop()
        answered = asyncio.Event()
        loop.add_reader(ready, answered.set)
        waiting = asyncio.ensure_future(answered.wait())
        try:
            done, _ = await asyncio.wait((waiting, process.ended), timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(ready)
            waiting.cancel()
        if not done:
            raise OSError(f"a worker was not ready within {READY_SECONDS:g} s, and was ended; the machine may be too busy")
        return answered.is_set() and os.read(ready, 1) == b"1"

    def _fill(self, slot: int, process: WorkerProcess) -> None:
        old = self._processes.get(slot)
        self._processes[slot] = process
        if old is not None:
            if old.is_running:
                self._let_go(slot, old)
            else:
                self._retire(old)

    async def _keep_running(self, slot: int) -> None:
        """Keep one slot filled until cancelled."""
        failures = 0
        while True:
            process = self._processes[slot]
            await asyncio.wait((process.ended,), timeout=CHECK_SECONDS)
            if process.is_running:
                if self._outlived(process) and all(each != slot for each, _ in self._leaving):
                    await self._replace(slot, process)
                continue
            age = monotonic() - process.started
            failures = 0 if age > STABLE_SECONDS else failures + 1
            logger.error("worker %d ended with %s after %.0f s", process.pid, process.exit_code, age)
            self.restarts += 1
            failures = await self._fill_again(slot, failures)

    async def _fill_again(self, slot: int, failures: int) -> int:
        """Start workers for a slot until one comes up; `failures` in a row, and how many there are then."""
        while True:
            wait = BACKOFF_SECONDS[min(max(failures - 1, 0), len(BACKOFF_SECONDS) - 1)]
            logger.info("a new worker starts in %g s", wait)
            await asyncio.sleep(wait)
            try:
                await self._spawn(slot)
            except OSError as error:
                logger.error("%s", error)  # noqa: TRY400 - the worker has logged why
                failures += 1
            else:
                return failures

    def _outlived(self, process: WorkerProcess) -> bool:
        recycle = self._settings.recycle
        if recycle.age_seconds is not None and monotonic() - process.started > recycle.age_seconds:
            return True
        return recycle.memory_bytes is not None and process.resident_bytes() > recycle.memory_bytes

    async def _replace(self, slot: int, old: WorkerProcess) -> None:
        """Start the new worker on the same socket before the old one stops accepting, which then drains."""
        logger.info("worker %d is recycled", old.pid)
        await old.snapshot()
        try:
            await self._spawn(slot)
        except OSError as error:
            logger.error("%s; the old one goes on", error)  # noqa: TRY400 - the worker has logged why

    async def _send_rules(self, fresh: Path) -> None:
        """Have every worker install the policy in a file. Raises RulesRejected when the first that answers refuses it."""
        accepted = False
        lost: list[WorkerProcess] = []
        for process in self._running():
            try:
                await process.command("install", {"file": str(fresh)}, INSTALL_SECONDS)
                accepted = True
            except CommandRefused as error:
                if not accepted:
                    raise RulesRejected.because(self._settings.rules, str(error)) from error
                lost.append(process)
            except ControlError as error:
                logger.warning("worker %d: %s", process.pid, error)
                lost.append(process)
        if lost and not accepted:
            raise RulesRejected.because(self._settings.rules, "no worker answered when it was given the rules")
        for process in lost:
            logger.error("worker %d did not take the new rules and is replaced", process.pid)
            process.terminate()


def _answered(answers: Iterable[dict[str, Any] | None]) -> list[dict[str, Any]]:
    return [answer for answer in answers if answer is not None]
