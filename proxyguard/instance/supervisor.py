"""An instance of several processes: a worker pool, its control plane, and the store that all workers charge.

One store, so that limits are exact. Adds up the workers' metrics. Carries no traffic itself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any, Final

from proxyguard import __version__
from proxyguard.core.build_info import BUILD_KIND
from proxyguard.core.instance_secrets import Secrets
from proxyguard.core.settings import Settings
from proxyguard.instance.admin.dashboard import Dashboard
from proxyguard.instance.collector import OTEL_FAMILIES, open_exporter, send_metrics
from proxyguard.instance.control.order_log import OrderLog
from proxyguard.instance.control.server import Command, ControlServer
from proxyguard.instance.control.socket_file import control_path
from proxyguard.instance.controller import Controller
from proxyguard.instance.loaded_rules import LoadedRules
from proxyguard.instance.neighbours import missing, worst_audit, worst_store, worst_upstreams
from proxyguard.instance.own_folder import OwnFolder
from proxyguard.instance.policy_transfer import PolicyTransfer
from proxyguard.instance.process import LoopSignals, StopRequests
from proxyguard.instance.settings_reloader import ReadSettings
from proxyguard.instance.status_counts import summed
from proxyguard.instance.worker_pool import WorkerPool
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.stores.open import MemoryBackend, open_backend
from proxyguard.limits.stores.shared_server import SharedStoreServer
from proxyguard.telemetry.exposition import exposition
from proxyguard.telemetry.latencies import quantiles
from proxyguard.telemetry.metric_families import Family, merge
from proxyguard.telemetry.metrics import Metrics

INSTANCE_FAMILIES: Final = (
    "rules", "reloads_total", "rollbacks_total", "restriction_changes_total", "policy_info", "policy_timestamp_seconds",
)  # fmt: skip
"""Metrics that the supervisor keeps for the whole instance."""


class Supervisor:
    """An instance of several worker processes. Implements `control.server.Instance`."""

    def __init__(self, settings: Settings, loaded: LoadedRules, secrets: Secrets, read: ReadSettings | None = None) -> None:
        self._settings = settings
        self._started = CLOCK()
        self._stopping = False
        self._folder = OwnFolder()
        self._books = open_backend(settings)
        self._counts = Metrics()
        policy = PolicyTransfer.of(loaded, settings.mode)
        self._pool = WorkerPool(settings, secrets, self._folder.path, policy.parts, self._counts)
        self._store_server = (
            SharedStoreServer(self._pool.store_path, self._books.memory) if isinstance(self._books, MemoryBackend) else None
        )
        self._controller = Controller(settings, secrets, self._pool, self._books, self._counts, self._folder.path, policy, read)
        self._exporter = open_exporter(settings.otel, self._counts)
        self._sending: asyncio.Task[None] | None = None
        orders = OrderLog()
        self._dashboard = Dashboard(self, settings, self._counts, orders)
        self._control = ControlServer(
            self, settings.admin, control_path(settings), settings.admin_hosts,
            routes=self._dashboard.routes, note_order=orders.note,
        )  # fmt: skip
        self._controller.on_settings = self._configure
        self._own = {*INSTANCE_FAMILIES, *self._counts.gauges}
        self._not_of_workers = self._own - OTEL_FAMILIES  # these would count once per worker

    @property
    def ready(self) -> bool:
        return not self._stopping and self._pool.ready

    @property
    def commands(self) -> Mapping[str, Command]:
        return self._controller.commands

    @property
    def addresses(self) -> tuple[str, ...]:
        return self._pool.addresses

    @property
    def admin_port(self) -> int | None:
        return self._control.port

    async def start(self) -> None:
        """Bind, start every worker and wait until all carry traffic. Raises OSError when an address is taken."""
        try:
            self._pool.bind()
            await self._books.start()
            if self._store_server is not None:
                await self._store_server.start()
            self._control.start()
            await self._controller.prepare()
            await self._pool.start()
            if self._exporter is not None:
                self._sending = asyncio.create_task(send_metrics(self._settings.otel, self._exporter, self._families))
        except BaseException:
            await self._close()
            raise

    async def serve_until_stopped(self, stops: StopRequests, signals: LoopSignals) -> None:
        """Serve until asked to stop, then let all workers drain; when asked again, no longer."""
        await self._controller.run_until(stops.asked, signals)
        self._stopping = True
        hurrying = asyncio.create_task(self._hurry_when_asked(stops))
        await self._close()
        hurrying.cancel()

    async def hurry(self) -> None:
        """End the drain of every worker."""
        await self._pool.hurry()

    async def _hurry_when_asked(self, stops: StopRequests) -> None:
        await stops.hurried.wait()
        await self.hurry()

    def _configure(self, settings: Settings) -> None:
        self._control.configure(settings.admin_hosts)
        self._dashboard.configure(settings)

    async def _close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        await self._pool.stop()
        if self._exporter is not None:
            await asyncio.to_thread(self._exporter.close)
        self._dashboard.stop()
        self._control.stop()
        if self._store_server is not None:
            await self._store_server.stop()
        await self._books.stop()
        await asyncio.to_thread(self._folder.remove)

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        return exposition(await self._families(), self._pool.exemplars(), accept)

    async def _families(self) -> list[Family]:
        own = [family for family in self._counts.snapshot() if family[0] in self._own]
        await self._pool.snapshots()
        counted = [family for family in self._pool.families() if family[0] not in self._not_of_workers]
        return merge([counted, own])

    async def missing(self) -> list[str]:
        """What of `ready_when` is not well; nothing is asked when it is empty."""
        wanted = self._settings.ready_when
        return missing(wanted, await self.status()) if wanted else []

    async def status(self) -> dict[str, Any]:
        answers = await self._pool.snapshots()
        workers = [answer["status"] for answer in answers]
        return {
            "version": __version__,
            "build": BUILD_KIND,
            "pid": os.getpid(),
            "ready": self.ready,
            "uptime_seconds": round(CLOCK() - self._started, 1),
            "listen": list(self.addresses),
            "mode": self._controller.settings.mode,
            "policy": workers[0]["policy"] if workers else "",
            "rules": dict(self._counts.rules),
            **self._controller.status(),
            "front": summed(worker["front"] for worker in workers),
            "upstreams": worst_upstreams(worker["upstreams"] for worker in workers),
            "upstream_errors_last_minute": sum(worker["upstream_errors_last_minute"] for worker in workers),
            "store": worst_store(worker["store"] for worker in workers),
            "bounds": workers[0]["bounds"] if workers else {},
            "certificates": workers[0]["certificates"] if workers else [],
            "workers": [worker["pid"] for worker in workers],
            "restarts": self._pool.restarts,
            "connections": sum(worker["connections"] for worker in workers),
            **self._pool.counts(),
            "tarpits": sum(worker["tarpits"] for worker in workers),
            "latencies": quantiles(answer["latencies"] for answer in answers),
            "audit": worst_audit(worker["audit"] for worker in workers),
        }
