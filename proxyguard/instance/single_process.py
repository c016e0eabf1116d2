"""Single-process mode: one worker with its own store, and its control plane, in one process."""

from __future__ import annotations

import asyncio

from proxyguard.core.instance_secrets import Secrets
from proxyguard.core.settings import Settings
from proxyguard.instance.admin.dashboard import Dashboard
from proxyguard.instance.control.socket_file import control_path
from proxyguard.instance.controller import Controller
from proxyguard.instance.loaded_rules import LoadedRules
from proxyguard.instance.own_folder import OwnFolder
from proxyguard.instance.policy_transfer import PolicyTransfer
from proxyguard.instance.process import LoopSignals, StopRequests
from proxyguard.instance.settings_reloader import ReadSettings
from proxyguard.instance.worker import Worker
from proxyguard.limits.stores.open import open_backend


class SingleProcess:
    """An instance whose only worker runs in this process."""

    def __init__(self, settings: Settings, loaded: LoadedRules, secrets: Secrets, read: ReadSettings | None = None) -> None:
        """Assemble it. Raises RulesRejected, and OSError when the audit log cannot be opened."""
        self._books = open_backend(settings)
        self._worker = Worker(
            settings, loaded, secrets, self._books.store, admin=settings.admin, pages=Dashboard, control=control_path(settings)
        )
        self._folder = OwnFolder()
        self._controller = Controller(
            settings,
            secrets,
            self._worker,
            self._books,
            self._worker.counts,
            self._folder.path,
            PolicyTransfer.of(loaded, settings.mode),
            read,
        )
        self._worker.offer(self._controller.commands, self._controller.status)

    @property
    def addresses(self) -> tuple[str, ...]:
        return self._worker.addresses

    @property
    def admin_port(self) -> int | None:
        return self._worker.admin_port

    async def start(self) -> None:
        """Bind everything. Raises OSError when an address is taken; nothing listens then."""
        try:
            await self._books.start()
            await self._controller.prepare()
            await self._worker.start()
        except BaseException:
            await self._close()
            raise

    async def serve_until_stopped(self, stops: StopRequests, signals: LoopSignals) -> None:
        """Serve until asked to stop, then drain; when asked again, drain no longer."""
        await self._controller.run_until(stops.asked, signals)
        await self._worker.stop(stops.hurried)
        await self._close()

    async def hurry(self) -> None:
        """End the drain before it is up: it carries no traffic then, so there is none."""

    async def _close(self) -> None:
        await self._books.stop()
        await asyncio.to_thread(self._folder.remove)
