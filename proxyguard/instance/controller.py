"""Control plane of an instance: reloads, restrictions, promotions and operator commands.

One per instance, whatever the number of workers. Knows nothing of how workers are reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from proxyguard.core.decision import Mode
from proxyguard.core.instance_secrets import Secrets
from proxyguard.core.pseudonym import Pseudonyms
from proxyguard.core.settings import Settings
from proxyguard.instance.control.ban_keys import BanKeys
from proxyguard.instance.control.ban_names import BanNames
from proxyguard.instance.control.campaign_commands import CampaignCommands
from proxyguard.instance.control.commands import ControlCommands
from proxyguard.instance.control.emergency_commands import EmergencyCommands
from proxyguard.instance.control.pause_commands import PauseCommands
from proxyguard.instance.control.privacy_commands import PrivacyCommands
from proxyguard.instance.control.promotion import Promotions
from proxyguard.instance.control.reference_commands import ReferenceCommands
from proxyguard.instance.control.restriction_commands import RestrictionCommands
from proxyguard.instance.control.rule_commands import RuleCommands
from proxyguard.instance.control.server import Command
from proxyguard.instance.control.traffic_commands import TrafficCommands
from proxyguard.instance.kept_tallies import KeptTallies, tally_file
from proxyguard.instance.pause_controller import PauseController
from proxyguard.instance.policy_transfer import PolicyTransfer
from proxyguard.instance.process import LoopSignals
from proxyguard.instance.reloader import Reloader
from proxyguard.instance.restriction_controller import RestrictionController
from proxyguard.instance.retention import Retention
from proxyguard.instance.settings_reloader import ReadSettings, SettingsReloader
from proxyguard.instance.signals import RELOAD, REOPEN
from proxyguard.limits.stores.open import Backend
from proxyguard.restrictions.override_file import OverrideFile
from proxyguard.restrictions.shared_overrides import SharedOverrides
from proxyguard.telemetry.discretion import Discretion, secret_of
from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.shadow import TallyWindow


class Workers(Protocol):
    """All workers of an instance, or the only one."""

    async def install(self, parts: list[bytes]) -> None:
        """Put the parts of a policy in force. Raises RulesRejected."""

    async def apply(self, settings: Settings) -> None:
        """Take over those settings that a running instance can."""

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
        secrets: Secrets,
        workers: Workers,
        books: Backend,
        counts: Metrics,
        folder: Path,
        policy: PolicyTransfer,
        read: ReadSettings | None = None,
    ) -> None:
        """The workers start with `policy`; `read` reads the settings again."""
        self._workers = workers
        self.on_settings: Callable[[Settings], None] = lambda _: None
        """Called when settings are taken over, beside the workers."""
        overrides = OverrideFile(settings.restrictions_file or folder / "orders")
        is_kept = settings.store.url is not None or settings.store.snapshot is not None
        shared = SharedOverrides(books.store, books.saved) if is_kept else None
        survives = is_kept or settings.restrictions_file is not None
        self._reloader = Reloader(
            settings.rules, settings.mode, policy, workers.install, counts, preset=settings.preset, kept=folder / "lists"
        )
        self._settings = SettingsReloader(settings, read, self._apply, self._reloader)
        self._restrictions = RestrictionController(self._reloader, overrides, workers.broadcast, counts, shared)
        self._pauses = PauseController(self._reloader, overrides, workers.broadcast, counts, shared, survives=survives)
        self._tallies = KeptTallies(
            tally_file(settings), partial(workers.window, enforced_only=False), lambda: self._reloader.current.marks
        )
        self._promotions = Promotions(
            self._reloader, self._window, workers.forget, counts, switched_since=lambda: self._pauses.switched_since
        )
        counts.show(books.gauges())
        pseudonyms = Pseudonyms(secret_of(settings.privacy, secrets.names))
        traffic = TrafficCommands(workers.broadcast, pseudonyms, lambda: self._settings.current.audit)
        keys = BanKeys(secrets.keys, settings.counting.prefixes)
        references = ReferenceCommands(settings.rules, pseudonyms, settings.counting.prefixes, traffic.audit_log, traffic.look_up)
        discretion = Discretion(settings.privacy, secrets.names, settings.counting.prefixes)
        names = BanNames(
            pseudonyms, is_clear=not discretion.names_clients,
            texts={"path": discretion.path, "loose_path": discretion.path, "host": discretion.host},
        )  # fmt: skip
        commands = ControlCommands(books, keys, self._reloader, traffic, self._settings, names)
        privacy = PrivacyCommands(workers.broadcast, pseudonyms, books.store, settings)
        self._retention = Retention(settings)
        self.commands: Mapping[str, Command] = {
            **commands.commands,
            **self._promotions.commands,
            **RestrictionCommands(self._restrictions).commands,
            **CampaignCommands(workers.broadcast).commands,
            **traffic.commands,
            **privacy.commands,
            **PauseCommands(self._pauses, self._reloader).commands,
            **EmergencyCommands(self._pauses, self._reloader, workers.broadcast, self._window).commands,
            **RuleCommands(workers.broadcast, self._reloader).commands,
            **references.commands,
        }

    async def _window(self, *, enforced_only: bool) -> TallyWindow:
        """What a watch looks at is of now; a report, and the evidence for a promotion, may be from before the start."""
        return await (self._workers.window(enforced_only=True) if enforced_only else self._tallies.window())

    async def _apply(self, settings: Settings) -> None:
        self.on_settings(settings)
        await self._workers.apply(settings)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings.current

    async def prepare(self) -> None:
        """Find what is paused and which restrictions are on, and keep what lists hold, before any worker takes a request.

        The store must have started.
        """
        await self._reloader.keep_lists()
        await self._pauses.prepare()
        await self._restrictions.look_now()

    def status(self) -> dict[str, Any]:
        """The control plane's part of `status`."""
        return {
            **self._pauses.status(),
            "reload": self._reloader.last,
            "restrictions": self._restrictions.status(),
            "promotions": self._promotions.status(),
        }

    async def run_until(self, stop: asyncio.Event, signals: LoopSignals) -> None:
        """Watch files, promotions and restrictions until then. SIGHUP reloads rules and certificates, SIGUSR1 reopens logs."""
        watched = (self._tallies, self._pauses, self._reloader, self._promotions, self._restrictions, self._retention)
        watching = [asyncio.create_task(each.watch()) for each in watched]
        signals.run_on(RELOAD, self._hang_up)
        signals.run_on(REOPEN, self._workers.reopen_logs)
        await stop.wait()
        for task in watching:
            task.cancel()
        await self._tallies.save()

    async def _hang_up(self) -> None:
        await self._workers.refresh_certificates()
        await self._settings.reload()
        await self._reloader.reload_quietly()
