"""One worker: front, guard, store and telemetry put together, from start to drained.

Assembles; decides nothing. Runs alone (`lone_worker`) or as one of several under the supervisor (`supervised`). Knows nothing of
where the rules come from.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from time import time
from typing import Any, NamedTuple

from proxyguard import __version__
from proxyguard.adapters.mitmproxy.front import Front
from proxyguard.adapters.mitmproxy.http2.layer import Http2Layer
from proxyguard.core.build_info import BUILD_KIND
from proxyguard.core.decision import Mode
from proxyguard.core.settings import Listen, Settings
from proxyguard.guard.accept_filter import AcceptFilter
from proxyguard.guard.account_cache import AccountCache
from proxyguard.guard.guard import Guard
from proxyguard.instance.background import working_thread, yield_control
from proxyguard.instance.control.server import Command, CommandError, ControlServer
from proxyguard.instance.deploy import InForce, Loaded, RulesRejected, compile_sites
from proxyguard.instance.policy_transfer import join, read_pieces
from proxyguard.limits.stores.store import AsyncStore, Store
from proxyguard.policy.compile.network_table import NetworkTable
from proxyguard.policy.compile.teardown import dismantle
from proxyguard.policy.sites import Policies
from proxyguard.restrictions.active import on_from
from proxyguard.restrictions.preview import allowance_from
from proxyguard.telemetry.audit import AuditLog
from proxyguard.telemetry.metrics import Metrics, exposition
from proxyguard.telemetry.shadow import Tally, TallyWindow

logger = logging.getLogger(__name__)


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
        accounts = AccountCache(settings.counting.accounts)
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
        self._doorman = AcceptFilter(store, settings, loaded.policy)
        self._front = Front(
            settings,
            self.guard,
            self.counts,
            sockets=sockets,
            refuse_at_accept=self._doorman.refuses,
            http2_layer=Http2Layer,
        )
        self._admin = ControlServer(self, admin, control)
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
        self.counts.rules.update(self.in_force.rule_counts())
        self._report: Callable[[], dict[str, Any]] = dict

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

    def offer(self, commands: Mapping[str, Command], report: Callable[[], dict[str, Any]]) -> None:
        """Add commands to the control socket, and a report to `status`."""
        self._commands.update(commands)
        self._report = report

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

    async def refresh_certificates(self) -> None:
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
                await asyncio.to_thread(dismantle, leaving, yield_control)
            return ready.in_force

    def _compile(self, parts: list[bytes]) -> _Ready:
        """What a policy's pieces become, ready to swap in; what is not needed any more is freed here, not in the loop."""
        loaded = join(parts)
        policies = compile_sites(loaded.policy, self.settings, self._secret, yield_control)
        in_force = InForce.of(loaded, self.settings.mode)
        ready = _Ready(policies, self._doorman.table(loaded.policy), in_force, in_force.rule_counts())
        leaving: list[Any] = [loaded]
        del loaded
        dismantle(leaving, yield_control)
        return ready

    async def metrics(self) -> bytes:
        return exposition(self.counts.snapshot())

    async def status(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "build": BUILD_KIND,
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
            **self._report(),
        }

    async def _install_file(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Install the pieces that the supervisor wrote to its private folder, each after its length."""
        try:
            parts = await asyncio.to_thread(read_pieces, Path(str(arguments["file"])))
            in_force = await self.install(parts)
        except RulesRejected as error:
            raise CommandError(error.report) from error
        return {"digest": in_force.digest}

    async def window(self, *, enforced_only: bool) -> TallyWindow:
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
        counts, restricting = self.counts, self.guard.restrictions
        restricting.switch(on_from(arguments["on"]))
        within = counts.upstream_head_seconds.counts
        return {
            "totals": [counts.requests, counts.site_answers, counts.site_errors, list(within)],
            "collateral": restricting.collateral(),
            "refused": dict(restricting.refused),
        }

    async def _try_restriction(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Whom limits would have touched within the last hour."""
        recent, now = self.guard.restrictions.recent, time()
        tried = [recent.try_out(allowance_from(plain), now) for plain in arguments["allowances"]]
        return {"tried": [list(each) for each in tried], "not_kept": recent.not_kept(now)}

    async def broadcast(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        """Carry out a command as if the control socket had given it; for a keeper in this process."""
        return [await self._commands[name](arguments)]

    async def _refresh(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        await self.refresh_certificates()
        return {}

    async def _snapshot(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        return {"families": self.counts.snapshot(), "status": await self.status()}

    def _dropped(self, count: int) -> None:
        self.counts.audit_dropped += count
