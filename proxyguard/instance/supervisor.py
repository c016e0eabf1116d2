"""An instance of several processes: a crew of workers, and the store that all of them charge, so that limits stay exact.

Adds up what the workers count. Carries no traffic itself.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Any, Final

from proxyguard import __version__
from proxyguard.core.build_info import BUILD_KIND
from proxyguard.core.settings import Settings
from proxyguard.instance.control.client import control_path
from proxyguard.instance.control.server import Command, ControlServer
from proxyguard.instance.controller import Controller
from proxyguard.instance.deploy import InForce, Loaded
from proxyguard.instance.policy_transfer import pieces
from proxyguard.instance.worker_pool import WorkerPool, families
from proxyguard.limits.stores.open import MemoryBooks, open_books
from proxyguard.limits.stores.shared import SharedStoreServer
from proxyguard.telemetry.metrics import Metrics, exposition, merge

INSTANCE_FAMILIES: Final = (
    "rules", "reloads_total", "rollbacks_total", "restriction_changes_total", "policy_info", "policy_timestamp_seconds",
)  # fmt: skip
"""Metrics that the supervisor keeps for all workers."""


class Supervisor:
    """An instance of several processes. Implements `admin.server.Instance`; see `cli.run`."""

    def __init__(self, settings: Settings, loaded: Loaded, secret: bytes) -> None:
        self._settings = settings
        self._started = time()
        self._stopping = False
        self._folder = Path(tempfile.mkdtemp(prefix="proxyguard-"))
        self._books = open_books(settings)
        self._counts = Metrics()
        parts, in_force = pieces(loaded), InForce.of(loaded, settings.mode)
        self._crew = WorkerPool(settings, secret, self._folder, parts, in_force, self._counts)
        self._store_server = (
            SharedStoreServer(self._crew.store_path, self._books.memory)
            if isinstance(self._books, MemoryBooks)
            else None
        )
        self._upkeep = Controller(
            settings, secret, self._crew, self._books, self._counts, self._folder, in_force=in_force, parts=parts
        )
        self._admin = ControlServer(self, settings.admin, control_path(settings))
        self._own = {*INSTANCE_FAMILIES, *self._counts.gauges}  # the workers' would count once per worker

    @property
    def ready(self) -> bool:
        return not self._stopping and self._crew.ready

    @property
    def commands(self) -> Mapping[str, Command]:
        return self._upkeep.commands

    @property
    def addresses(self) -> tuple[str, ...]:
        return self._crew.addresses

    @property
    def admin_port(self) -> int | None:
        return self._admin.port

    async def start(self) -> None:
        """Bind, start every worker and wait until all carry traffic. Raises OSError when an address is taken."""
        try:
            self._crew.bind()
            await self._books.start()
            if self._store_server is not None:
                await self._store_server.start()
            self._admin.start()
            await self._upkeep.prepare()
            await self._crew.start()
        except BaseException:
            await self._close()
            raise

    async def serve_until_signal(self) -> None:
        """Serve until SIGTERM or SIGINT, then let all workers drain."""
        await self._upkeep.until_signal()
        self._stopping = True
        await self._close()

    async def _close(self) -> None:
        await self._crew.stop()
        self._admin.stop()
        if self._store_server is not None:
            await self._store_server.stop()
        await self._books.stop()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def metrics(self) -> bytes:
        own = [family for family in self._counts.snapshot() if family[0] in self._own]
        snapshots = [
            [family for family in families(answer) if family[0] not in self._own]
            for answer in await self._crew.answers("snapshot")
        ]
        return exposition(merge([*snapshots, self._crew.retired, own]))

    async def status(self) -> dict[str, Any]:
        workers = [answer["status"] for answer in await self._crew.answers("snapshot")]
        return {
            "version": __version__,
            "build": BUILD_KIND,
            "pid": os.getpid(),
            "ready": self.ready,
            "uptime_seconds": round(time() - self._started, 1),
            "listen": list(self.addresses),
            "mode": self._settings.mode,
            "policy": workers[0]["policy"] if workers else "",
            "rules": dict(self._counts.rules),
            **self._upkeep.status(),
            "workers": [worker["pid"] for worker in workers],
            "restarts": self._crew.restarts,
            "connections": sum(worker["connections"] for worker in workers),
            "requests": sum(worker["requests"] for worker in workers),
            "tarpits": sum(worker["tarpits"] for worker in workers),
        }
