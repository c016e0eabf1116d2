"""Control plane of an instance: reloads, restrictions, promotions and operator commands.

One per instance, whatever the number of workers. Knows nothing of how workers are reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from proxyguard.core.decision import Mode
from proxyguard.core.settings import Settings
from proxyguard.instance.control.ban_keys import BanKeys
from proxyguard.instance.control.commands import ControlCommands
from proxyguard.instance.control.promotion import Promotions
from proxyguard.instance.control.restriction_commands import RestrictionCommands
from proxyguard.instance.control.server import Command
from proxyguard.instance.control.traffic_commands import TrafficCommands
from proxyguard.instance.policy_transfer import PolicyTransfer
from proxyguard.instance.process import LoopSignals
from proxyguard.instance.reloader import Reloader
from proxyguard.instance.restriction_controller import RestrictionController
from proxyguard.instance.signals import RELOAD, REOPEN
from proxyguard.limits.stores.open import Backend
from proxyguard.restrictions.override_file import OverrideFile
from proxyguard.restrictions.shared_overrides import SharedOverrides
from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.shadow import TallyWindow


class Workers(Protocol):
    """All workers of an instance, or the only one."""

    async def install(self, parts: list[bytes]) -> None:
        """Put the parts of a policy in force. Raises RulesRejected."""

    async def broadcast(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        """Send a command to every worker; returns the answers of those that answer within 2 seconds."""

    async def window(self, *, enforced_only: bool) -> TallyWindow:
        """The clients that shadow rules would have stopped, and those that enforced rules stopped."""

    async def forget(self, rule: str, mode: Mode) -> None:
        """Tally a rule from zero."""

    async def refresh_certificates(self) -> None:
        """Look for renewed certificates now."""

    async def reopen_logs(self) -> None:
        """Open the audit log again if it was moved, now."""


class Controller:
    """Controls one instance. `folder` is the instance's own, and is removed with it."""

    def __init__(
        self,
        settings: Settings,
        secret: bytes,
        workers: Workers,
        books: Backend,
        counts: Metrics,
        folder: Path,
        policy: PolicyTransfer,
    ) -> None:
        """The workers start with `policy`."""
        self._workers = workers
        overrides = OverrideFile(settings.restrictions_file or folder / "orders")
        shared = None if settings.store.url is None else SharedOverrides(books.store, books.saved)
        self._reloader = Reloader(settings.rules, settings.mode, policy, workers.install, counts, kept=folder / "lists")
        self._restrictions = RestrictionController(self._reloader, overrides, workers.broadcast, counts, shared)
        self._promotions = Promotions(self._reloader, workers.window, workers.forget, counts)
        counts.show(books.gauges())
        traffic = TrafficCommands(workers.broadcast)
        commands = ControlCommands(books, BanKeys(secret, settings.counting.prefixes), self._reloader, traffic)
        self.commands: Mapping[str, Command] = {
            **commands.commands,
            **self._promotions.commands,
            **RestrictionCommands(self._restrictions).commands,
            **traffic.commands,
        }

    async def prepare(self) -> None:
        """Find the restrictions that are on, and keep what lists hold, before any worker takes a request.

        The store must have started.
        """
        await self._reloader.keep_lists()
        await self._restrictions.look_now()

    def status(self) -> dict[str, Any]:
        """The control plane's part of `status`."""
        return {
            "reload": self._reloader.last,
            "restrictions": self._restrictions.status(),
            "promotions": self._promotions.status(),
        }

    async def run_until(self, stop: asyncio.Event, signals: LoopSignals) -> None:
        """Watch files, promotions and restrictions until then. SIGHUP reloads rules and certificates, SIGUSR1 reopens logs."""
        watched = (self._reloader, self._promotions, self._restrictions)
        watching = [asyncio.create_task(each.watch()) for each in watched]
        signals.run_on(RELOAD, self._hang_up)
        signals.run_on(REOPEN, self._workers.reopen_logs)
        await stop.wait()
        for task in watching:
            task.cancel()

    async def _hang_up(self) -> None:
        await self._workers.refresh_certificates()
        await self._reloader.reload_quietly()
