"""Several workers on one port: starts them, replaces those that die or grow old, adds up what they count, reloads them all.

Holds the listening sockets (one per worker, SO_REUSEPORT), so that connections waiting at a worker that died are not lost, and
the store that all workers charge, so that limits stay exact. Carries no traffic itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, time
from typing import Any, Final

from proxyguard import __version__
from proxyguard.admin.client import TIMEOUT_SECONDS, CommandRefused, ControlError, ask, control_path
from proxyguard.admin.server import AdminServer, Command
from proxyguard.builder import join, pieces
from proxyguard.decision import Mode
from proxyguard.limits.shared import SharedStoreServer
from proxyguard.operations import Operations
from proxyguard.orders import OrderFile
from proxyguard.problems import Problem
from proxyguard.promotion import Promotions
from proxyguard.reload import InForce, Loaded, RulesRejected
from proxyguard.reloader import Reloader
from proxyguard.restriction_keeper import RestrictionKeeper
from proxyguard.settings import Settings
from proxyguard.stores import MemoryBooks, open_books
from proxyguard.supervised import Assignment
from proxyguard.telemetry.metrics import Family, Metrics, exposition, merge
from proxyguard.telemetry.shadow import Window
from proxyguard.worker import reload_quietly, rule_counts, shared_orders, until_signal, write_pieces

READY_SECONDS: Final = 60.0
"""A worker that has not come up by then is killed and started again."""

CHECK_SECONDS: Final = 5.0
"""Between looks at a worker's age and memory."""

BACKOFF_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits before the first, second, … restart in a row; a worker that lived STABLE_SECONDS starts over."""

STABLE_SECONDS: Final = 60.0

SOON_SECONDS: Final = 2.0
"""For an answer to what is asked every second."""

BACKLOG: Final = 4096

INSTANCE_FAMILIES: Final = (
    "rules", "reloads_total", "rollbacks_total", "restriction_changes_total", "policy_info", "policy_timestamp_seconds",
)  # fmt: skip
"""Metrics that the supervisor keeps for all workers."""

INSTALL_SECONDS: Final = 300.0
"""A worker may take so long over the largest policy on a busy machine."""

logger = logging.getLogger(__name__)


class Child:
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

    async def tell(
        self, name: str, arguments: dict[str, Any] | None = None, seconds: float = TIMEOUT_SECONDS
    ) -> dict[str, Any]:
        """A command's answer. Raises CommandRefused, or ControlError when the worker cannot answer now."""
        return await asyncio.to_thread(ask, self.control, name, arguments, seconds)

    async def ask(self, name: str, arguments: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """A command's answer; None when there is none."""
        try:
            return await self.tell(name, arguments)
        except ControlError as error:
            logger.warning("worker %d: %s: %s", self.process.pid, name, error)
            return None


class Supervisor:
    """An instance of several processes. Implements `admin.server.Instance`; see `cli.run`."""

    def __init__(self, settings: Settings, loaded: Loaded, secret: bytes) -> None:
        self._settings = settings
        self._started = time()
        self._stopping = False
        self._folder = Path(tempfile.mkdtemp(prefix="proxyguard-"))
        self._books = open_books(settings)
        self._store_server = (
            SharedStoreServer(self._folder / "store.sock", self._books.memory)
            if isinstance(self._books, MemoryBooks)
            else None
        )
        self._pieces = self._folder / "policy"
        self._assignment = self._folder / "assignment"
        parts = pieces(loaded)
        write_pieces(self._pieces, parts)
        assignment = Assignment(settings, secret, self._folder / "store.sock", self._pieces)
        self._assignment.touch(mode=0o600)
        self._assignment.write_bytes(pickle.dumps(assignment))
        self._counts = Metrics()
        in_force = InForce.of(loaded, settings.mode)
        self._counts.rules.update(rule_counts(in_force))
        self._counts.show(self._books.gauges())
        self._counts.gauge("workers", "Workers alive.", lambda: sum(child.alive for child in self._children.values()))
        self._counts.gauge("worker_restarts", "Workers that died and were replaced.", lambda: self._restarts)
        self._retired: list[Family] = []
        self._children: dict[int, Child] = {}
        self._changing = asyncio.Lock()
        self._sockets: list[socket.socket] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._numbers = iter(range(1_000_000_000))
        self._restarts = 0
        self._digest = loaded.policy.digest
        self._admin = AdminServer(self, settings.admin, control_path(settings))
        orders = OrderFile(settings.restrictions_file or self._folder / "orders")
        self._reloader = Reloader(settings.rules, in_force, parts, self._install, self._counts, ordered=orders.rules)
        shared = shared_orders(settings, self._books)
        self._restrictions = RestrictionKeeper(self._reloader, orders, self._soon, self._counts, shared)
        self._promotions = Promotions(self._reloader, self._window, self._forget, self._counts)
        self._own = {*INSTANCE_FAMILIES, *self._counts.gauges}  # the workers' would count once per worker
        self._operations = Operations(self._books, settings.counting.prefixes, self._reloader)

    @property
    def ready(self) -> bool:
        return not self._stopping and any(child.alive for child in self._children.values())

    @property
    def commands(self) -> Mapping[str, Command]:
        return {**self._operations.commands, **self._promotions.commands, **self._restrictions.commands}

    @property
    def addresses(self) -> tuple[str, ...]:
        return (str(self._settings.listen),)

    @property
    def admin_port(self) -> int | None:
        return self._admin.port

    async def start(self) -> None:
        """Bind, start every worker and wait until all carry traffic. Raises OSError when an address is taken."""
        try:
            self._sockets = bind(self._settings)
            await self._books.start()
            if self._store_server is not None:
                await self._store_server.start()
            self._admin.start()
            await asyncio.gather(*(self._spawn(slot) for slot in range(self._settings.workers)))
        except BaseException:
            await self._close()
            raise
        self._keepers = [asyncio.create_task(self._keep(slot)) for slot in range(self._settings.workers)]

    async def serve_until_signal(self) -> None:
        """Serve until SIGTERM or SIGINT, then let all workers drain. SIGHUP reloads the rules."""
        watched = (self._reloader, self._promotions, self._restrictions)
        watching = [asyncio.create_task(each.watch()) for each in watched]
        await until_signal(self._hang_up)
        self._stopping = True
        for task in watching:
            task.cancel()
        for keeper in self._keepers:
            keeper.cancel()
        await self._close()

    async def _hang_up(self) -> None:
        await self._answers("refresh-certificates")
        await reload_quietly(self._reloader)

    async def _close(self) -> None:
        for listening in self._sockets:
            listening.close()
        limit = self._settings.drain_seconds + 10
        await asyncio.gather(*(child.stop(limit) for child in self._children.values()))
        self._admin.stop()
        if self._store_server is not None:
            await self._store_server.stop()
        await self._books.stop()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _spawn(self, slot: int) -> Child:
        """Start a worker for a slot and wait until it listens. Raises OSError when it does not come up."""
        digest = self._digest
        control = self._folder / f"worker-{next(self._numbers)}.sock"
        listening = self._sockets[slot]
        ready, told = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "proxyguard.supervised",
                str(self._assignment), str(control), str(listening.fileno()), str(told),
                stdin=asyncio.subprocess.PIPE, pass_fds=(listening.fileno(), told),
            )  # fmt: skip
        finally:
            os.close(told)
        child = Child(process, control)
        try:
            up = await asyncio.wait_for(asyncio.to_thread(os.read, ready, 1), READY_SECONDS)
        except TimeoutError:
            up = b""
        finally:
            os.close(ready)
        if not up:
            await child.stop(1.0)
            raise OSError(0, f"a worker did not come up (exit code {process.returncode})")
        async with self._changing:  # while rules are handed out, nobody joins unseen
            self._children[slot] = child
            if digest != self._digest and await child.ask("install", {"file": str(self._pieces)}) is None:
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
            self._restarts += 1
            await asyncio.sleep(wait)
            try:
                await self._spawn(slot)
            except OSError as error:
                logger.error("%s", error.strerror)  # noqa: TRY400 - the worker has said why

    def _outlived(self, child: Child) -> bool:
        recycle = self._settings.recycle
        if recycle.age_seconds is not None and monotonic() - child.started > recycle.age_seconds:
            return True
        return recycle.memory_bytes is not None and child.resident_bytes() > recycle.memory_bytes

    async def _replace(self, slot: int, old: Child) -> None:
        """Start the new worker on the same socket before the old one stops accepting."""
        logger.info("worker %d is recycled", old.process.pid)
        last = await old.ask("snapshot")
        try:
            await self._spawn(slot)
        except OSError as error:
            logger.error("%s; the old one goes on", error.strerror)  # noqa: TRY400 - the worker has said why
            return
        if last is not None:
            self._retired = merge([self._retired, [family for family in last["families"] if family[1] != "gauge"]])
        await old.stop(self._settings.drain_seconds + 10)

    async def _install(self, parts: list[bytes]) -> InForce:
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
            self._digest = in_force.digest
        self._counts.rules.update(rule_counts(in_force))
        return in_force

    async def _hand_out(self, fresh: Path) -> None:
        """Tell every worker to take the rules in a file. Raises RulesRejected when the first that answers refuses them."""
        accepted = False
        lost: list[Child] = []
        for child in [child for child in self._children.values() if child.alive]:
            try:
                await child.tell("install", {"file": str(fresh)}, INSTALL_SECONDS)
                accepted = True
            except CommandRefused as error:
                if not accepted:
                    raise self._rejected(str(error)) from error
                lost.append(child)
            except ControlError as error:
                logger.warning("worker %d: %s", child.process.pid, error)
                lost.append(child)
        if lost and not accepted:
            raise self._rejected("no worker answered when it was given the rules")
        for child in lost:
            logger.error("worker %d did not take the new rules and is replaced", child.process.pid)
            with contextlib.suppress(ProcessLookupError):
                child.process.terminate()

    def _rejected(self, message: str) -> RulesRejected:
        return RulesRejected((Problem(str(self._settings.rules), 0, 0, message),))

    async def metrics(self) -> bytes:
        own = [family for family in self._counts.snapshot() if family[0] in self._own]
        snapshots = [
            [family for family in answer["families"] if family[0] not in self._own]
            for answer in await self._answers("snapshot")
        ]
        return exposition(merge([*snapshots, self._retired, own]))

    async def status(self) -> dict[str, Any]:
        workers = [answer["status"] for answer in await self._answers("snapshot")]
        return {
            "version": __version__,
            "pid": os.getpid(),
            "ready": self.ready,
            "uptime_seconds": round(time() - self._started, 1),
            "listen": list(self.addresses),
            "mode": self._settings.mode,
            "policy": workers[0]["policy"] if workers else "",
            "rules": dict(self._counts.rules),
            "reload": self._reloader.last,
            "restrictions": self._restrictions.status(),
            "promotions": self._promotions.status(),
            "workers": [worker["pid"] for worker in workers],
            "restarts": self._restarts,
            "connections": sum(worker["connections"] for worker in workers),
            "requests": sum(worker["requests"] for worker in workers),
            "tarpits": sum(worker["tarpits"] for worker in workers),
        }

    async def _window(self, *, enforced_only: bool) -> Window:
        return Window.joined(await self._answers("tally", {"enforced_only": enforced_only}))

    async def _forget(self, rule: str, mode: Mode) -> None:
        await self._answers("forget", {"rule": rule, "mode": mode})

    async def _soon(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        """As `_answers`, for what is asked every second: a worker that hangs holds up nobody else for long."""

        async def answer(child: Child) -> dict[str, Any] | None:
            try:
                return await asyncio.to_thread(ask, child.control, name, arguments, SOON_SECONDS)
            except ControlError as error:
                logger.debug("worker %d: %s: %s", child.process.pid, name, error)
                return None

        answers = await asyncio.gather(*(answer(child) for child in self._children.values() if child.alive))
        return [each for each in answers if each is not None]

    async def _answers(self, name: str, arguments: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        answers = await asyncio.gather(
            *(child.ask(name, arguments) for child in self._children.values() if child.alive)
        )
        return [answer for answer in answers if answer is not None]


def bind(settings: Settings) -> list[socket.socket]:
    """One listening socket per worker on the same port. Raises OSError."""
    family = socket.AF_INET6 if ":" in settings.listen.host else socket.AF_INET
    port = settings.listen.port
    sockets: list[socket.socket] = []
    try:
        for _ in range(settings.workers):
            listening = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listening.bind((settings.listen.host, port))
            port = listening.getsockname()[1]
            listening.listen(BACKLOG)
            listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return sockets
