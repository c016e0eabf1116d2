"""One worker: front, guard, store and telemetry put together, from start to drained.

Assembles; decides nothing. Runs alone with its own store, admin port and reloader, or as one of several under the supervisor,
which then has those.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import sleep, time
from typing import Any, Final, NamedTuple

from proxyguard import __version__
from proxyguard.accounts import Accounts
from proxyguard.adapters.mitmproxy.front import Front
from proxyguard.adapters.mitmproxy.http2_lane import Http2Lane
from proxyguard.admin.client import control_path
from proxyguard.admin.server import AdminServer, Command, CommandError
from proxyguard.builder import join, pieces
from proxyguard.decision import Mode
from proxyguard.doorman import Doorman
from proxyguard.guard import Guard, Policies
from proxyguard.limits.store import AsyncStore, Store
from proxyguard.operations import Operations
from proxyguard.orders import OrderFile
from proxyguard.policy.dismantle import dismantle
from proxyguard.policy.network_table import NetworkTable
from proxyguard.promotion import Promotions
from proxyguard.reload import InForce, Loaded, RulesRejected, compile_sites
from proxyguard.reloader import Reloader
from proxyguard.restricting import on_from
from proxyguard.restriction_keeper import RestrictionKeeper, allowance_from
from proxyguard.settings import Listen, Settings
from proxyguard.shared_orders import SharedOrders
from proxyguard.stores import Books, open_books
from proxyguard.telemetry.audit import AuditLog
from proxyguard.telemetry.metrics import Metrics, exposition
from proxyguard.telemetry.shadow import Tally, Window

BUILD_SWITCH_SECONDS: Final = 0.0001
"""How long the thread that compiles a new policy may keep the interpreter while requests wait."""

BREATH_SECONDS: Final = 0.0002
"""How long that thread pauses after each of its steps of about a millisecond, so that waiting requests get a clear run."""

logger = logging.getLogger(__name__)


def key_secret(settings: Settings) -> bytes:
    """The key of all keyed hashes: the configured one, or a random one for the life of the instance."""
    return settings.key_secret.encode() if settings.key_secret else secrets.token_bytes(32)


class _Ready(NamedTuple):
    """A policy that only has to be swapped in."""

    policies: Policies
    allowed: NetworkTable
    in_force: InForce
    rules: dict[str, int]


class Worker:
    """What carries traffic in one process. Implements `admin.server.Instance`."""

    def __init__(
        self,
        settings: Settings,
        loaded: Loaded,
        secret: bytes,
        store: Store | AsyncStore,
        *,
        admin: Listen | None,
        control: Path,
        sockets: tuple[socket.socket, ...] = (),
    ) -> None:
        """Compile the rules and open the audit log. Raises RulesRejected and OSError."""
        self.settings = settings
        self._secret = secret
        self._started = time()
        self._draining = False
        self._listening = False
        self._installing = asyncio.Lock()
        self.counts = Metrics()
        policies = compile_sites(loaded.policy, settings, secret)
        accounts = Accounts(settings.counting.accounts)
        self._tally = Tally(secret, settings.counting.prefixes, time)
        self._audit = AuditLog(settings.audit.path, self._dropped)
        self.guard = Guard(
            policies,
            store,
            self.counts,
            self._audit,
            failure_mode=settings.failure_mode,
            audit_passes=settings.audit.passes,
            accounts=accounts,
            tally=self._tally,
        )
        self._doorman = Doorman(store, settings, loaded.policy)
        self._front = Front(
            settings,
            self.guard,
            self.counts,
            sockets=sockets,
            refuse_at_accept=self._doorman.refuses,
            http2_lane=Http2Lane,
        )
        self._admin = AdminServer(self, admin, control)
        one_client = self.guard.one_client
        self.counts.gauge(
            "one_client_suspected",
            "1 while nearly all traffic seems to come from one private address.",
            lambda: one_client.suspected,
        )
        self.counts.gauge("accounts", "Sessions whose account is known.", lambda: len(accounts))
        self.counts.gauge(
            "account_evictions", "Sessions that gave way to others before their time.", lambda: accounts.evictions
        )
        self._commands: dict[str, Command] = {
            "install": self._install_file,
            "snapshot": self._snapshot,
            "tally": self._tallied,
            "forget": self._forget,
            "refresh-certificates": self._refresh,
            "restrictions": self._switch_restrictions,
            "restrictions-try": self._try_restriction,
        }
        self.in_force = InForce.of(loaded, settings.mode)
        self.counts.rules.update(rule_counts(self.in_force))
        self.reports: dict[str, Callable[[], Any]] = {}
        """What else `status` shows, by name."""

    @property
    def ready(self) -> bool:
        return self._listening and not self._draining

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the front listens, once started."""
        return tuple(str(address) for address in self._front.addresses)

    @property
    def admin_port(self) -> int | None:
        return self._admin.port

    @property
    def commands(self) -> Mapping[str, Command]:
        return self._commands

    def offer(self, commands: Mapping[str, Command]) -> None:
        """Add commands to the control socket."""
        self._commands.update(commands)

    async def start(self) -> None:
        """Bind everything. Raises OSError when an address is taken; nothing listens then."""
        self._admin.start()
        try:
            await self._front.start()
        except BaseException:
            self._admin.stop()
            raise
        self._listening = True
        gc.collect()
        gc.freeze()

    def refresh_certificates(self) -> None:
        """Look for renewed certificates now, not only when the next minute's look comes."""
        self._front.refresh_certificates()

    async def stop(self) -> None:
        """Let requests finish, at most for the drain time, then close everything."""
        self._draining = True
        logger.info("draining for at most %g s", self.settings.drain_seconds)
        await self._front.drain(self.settings.drain_seconds)
        self._admin.stop()
        self._audit.close()

    async def install(self, parts: list[bytes]) -> InForce:
        """Compile a policy in a thread and put it in force in one step. Raises RulesRejected."""
        async with self._installing:
            with working_thread():
                ready = await asyncio.to_thread(self._compile, parts)
            leaving: list[Any] = [self.guard.policies]
            self.guard.swap(ready.policies)
            self._doorman.swap(ready.allowed)
            self.counts.rules.update(ready.rules)
            for name, number in self.in_force.shadowed.items():
                if ready.in_force.shadowed.get(name, number) != number:
                    self._tally.forget(name, Mode.SHADOW)
            self.in_force = ready.in_force
            with working_thread():
                await asyncio.to_thread(dismantle, leaving, breathe)
            return ready.in_force

    def _compile(self, parts: list[bytes]) -> _Ready:
        """What a policy's pieces become, ready to swap in; what is not needed any more is freed here, not in the loop."""
        loaded = join(parts)
        policies = compile_sites(loaded.policy, self.settings, self._secret, breathe)
        in_force = InForce.of(loaded, self.settings.mode)
        ready = _Ready(policies, self._doorman.table(loaded.policy), in_force, rule_counts(in_force))
        leaving: list[Any] = [loaded]
        del loaded
        dismantle(leaving, breathe)
        return ready

    async def metrics(self) -> bytes:
        return exposition(self.counts.snapshot())

    async def status(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "pid": os.getpid(),
            "ready": self.ready,
            "uptime_seconds": round(time() - self._started, 1),
            "listen": self.addresses,
            "mode": self.settings.mode,
            "policy": self.guard.policies.digest,
            "rules": dict(self.counts.rules),
            "front": self._front.stats(),
            "connections": self.counts.connections,
            "requests": self.counts.requests,
            "tarpits": self.counts.tarpits,
            "internal_errors": dict(self.counts.internal_errors),
            **{name: read() for name, read in self.reports.items()},
        }

    async def _install_file(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Install the pieces that the supervisor wrote to its private folder, each after its length."""
        try:
            parts = await asyncio.to_thread(read_pieces, Path(str(arguments["file"])))
            in_force = await self.install(parts)
        except RulesRejected as error:
            raise CommandError(error.report) from error
        return {"digest": in_force.digest}

    async def window(self, *, enforced_only: bool) -> Window:
        """Whom shadow rules would have stopped, and enforced ones did."""
        return await self._tally.window(enforced_only=enforced_only)

    async def forget(self, rule: str, mode: Mode) -> None:
        """Tally a rule from zero."""
        self._tally.forget(rule, mode)

    async def _tallied(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return (await self.window(enforced_only=bool(arguments.get("enforced_only")))).as_data()

    async def _forget(self, arguments: dict[str, Any]) -> dict[str, Any]:
        await self.forget(str(arguments["rule"]), Mode(arguments["mode"]))
        return {}

    async def _switch_restrictions(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Hear which restrictions are on, and tell what was counted."""
        counts, restricting = self.counts, self.guard.restricting
        restricting.switch(on_from(arguments["on"]))
        within = counts.upstream_head_seconds.counts
        return {
            "totals": [counts.requests, counts.site_answers, counts.site_errors, list(within)],
            "collateral": restricting.collateral(),
            "refused": dict(restricting.refused),
        }

    async def _try_restriction(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Whom limits would have touched within the last hour."""
        recent, now = self.guard.restricting.recent, time()
        tried = [recent.try_out(allowance_from(plain), now) for plain in arguments["allowances"]]
        return {"tried": [list(each) for each in tried], "not_kept": recent.not_kept(now)}

    async def told(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        """Carry out a command as if the control socket had given it; for a keeper in this process."""
        return [await self._commands[name](arguments)]

    async def _refresh(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        self.refresh_certificates()
        return {}

    async def _snapshot(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        return {"families": self.counts.snapshot(), "status": await self.status()}

    def _dropped(self, count: int) -> None:
        self.counts.audit_dropped += count


def rule_counts(in_force: InForce) -> dict[str, int]:
    """How many rules are in force in which mode."""
    counted = Counter(in_force.modes.values())
    return {mode.value: counted[mode] for mode in Mode}


def breathe() -> None:
    """Let the loop run, between two steps of a long work."""
    sleep(BREATH_SECONDS)


@contextlib.contextmanager
def working_thread() -> Iterator[None]:
    """While a thread of ours works beside the loop: it gives way soon, and the collector does not walk what it makes."""
    interval = sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(BUILD_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.freeze()
        gc.enable()


def shared_orders(settings: Settings, books: Books) -> SharedOrders | None:
    """Where several instances share orders about restrictions: the server that they count on, if there is one."""
    return None if settings.store.url is None else SharedOrders(books.store)


class LoneWorker:
    """An instance of one process: a worker with a store of its own, that reloads its own rules. See `cli.run`."""

    def __init__(self, settings: Settings, loaded: Loaded, secret: bytes) -> None:
        self._books = open_books(settings)
        self._worker = Worker(
            settings, loaded, secret, self._books.store, admin=settings.admin, control=control_path(settings)
        )
        counts = self._worker.counts
        self._folder = Path(tempfile.mkdtemp(prefix="proxyguard-"))
        orders = OrderFile(settings.restrictions_file or self._folder / "orders")
        self._reloader = Reloader(
            settings.rules, self._worker.in_force, pieces(loaded), self._worker.install, counts, ordered=orders.rules
        )
        shared = shared_orders(settings, self._books)
        self._restrictions = RestrictionKeeper(self._reloader, orders, self._worker.told, counts, shared)
        self._worker.reports["restrictions"] = self._restrictions.status
        self._worker.offer(self._restrictions.commands)
        self._promotions = Promotions(self._reloader, self._worker.window, self._worker.forget, counts)
        self._worker.reports["reload"] = lambda: self._reloader.last
        self._worker.reports["promotions"] = self._promotions.status
        self._worker.offer(Operations(self._books, settings.counting.prefixes, self._reloader).commands)
        self._worker.offer(self._promotions.commands)
        counts.show(self._books.gauges())

    @property
    def addresses(self) -> tuple[str, ...]:
        return self._worker.addresses

    @property
    def admin_port(self) -> int | None:
        return self._worker.admin_port

    async def start(self) -> None:
        """Bind everything. Raises OSError when an address is taken; nothing listens then."""
        await self._books.start()
        try:
            await self._worker.start()
        except BaseException:
            await self._books.stop()
            raise

    async def serve_until_signal(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. SIGHUP reloads the rules and looks for renewed certificates."""
        watched = (self._reloader, self._promotions, self._restrictions)
        watching = [asyncio.create_task(each.watch()) for each in watched]
        await until_signal(self._hang_up)
        for task in watching:
            task.cancel()
        await self._worker.stop()
        await self._books.stop()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _hang_up(self) -> None:
        self._worker.refresh_certificates()
        await reload_quietly(self._reloader)


async def until_signal(on_hangup: Any) -> None:
    """Wait for SIGTERM or SIGINT; run the coroutine function `on_hangup` at each SIGHUP."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()

    def hang_up() -> None:
        task = loop.create_task(on_hangup())
        running.add(task)
        task.add_done_callback(running.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    await stop.wait()


async def reload_quietly(reloader: Reloader) -> None:
    """Reload; what is refused has been logged and counted."""
    try:
        await reloader.reload()
    except RulesRejected:
        return
    except Exception:
        logger.exception("reloading the rules failed; those of before stay in force")


def write_pieces(path: Path, parts: list[bytes]) -> None:
    """Write pieces for `read_pieces`, each after its length in 8 bytes."""
    with path.open("wb") as file:
        for part in parts:
            file.write(len(part).to_bytes(8, "big") + part)


def read_pieces(path: Path) -> list[bytes]:
    """Read what `write_pieces` wrote."""
    data = path.read_bytes()
    parts = []
    start = 0
    while start < len(data):
        size = int.from_bytes(data[start : start + 8], "big")
        parts.append(data[start + 8 : start + 8 + size])
        start += 8 + size
    return parts
