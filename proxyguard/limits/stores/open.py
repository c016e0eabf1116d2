"""The store that the settings choose: in this process, kept over restarts or not, or on a server that several instances share.

A backend opens, closes and shows its store. Knows nothing of requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from proxyguard.core.settings import Settings
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.stores.bans import BanTable
from proxyguard.limits.stores.fill import LOOK_SECONDS, FillWatch, Gauge, watches_of
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.nodes import StoreUrl
from proxyguard.limits.stores.remote import RemoteStore
from proxyguard.limits.stores.snapshot import Snapshot
from proxyguard.limits.stores.snapshot_seal import seal_for
from proxyguard.limits.stores.store import AsyncStore, Store
from proxyguard.limits.stores.valkey import ValkeyTransport


class FillMonitor:
    """Looks at tables now and then, so that an operator learns of one that fills up."""

    def __init__(self, watches: tuple[FillWatch, ...]) -> None:
        self._watches = watches
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def look(self) -> None:
        """Look once."""
        for watch in self._watches:
            watch.look()

    def gauges(self) -> list[Gauge]:
        """Of each table."""
        return [gauge for watch in self._watches for gauge in watch.gauges()]

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()


class MemoryBackend:
    """The store in this process; a snapshot file keeps them over restarts when the settings name one."""

    def __init__(self, settings: Settings) -> None:
        """Read the snapshot, if any; trouble with it is logged, never fatal."""
        counting = settings.counting
        self.memory = MemoryStore(
            keys=counting.keys,
            bans=counting.bans,
            on_full=counting.on_full,
            wall=CLOCK.wall,
            bans_per_network=counting.bans_per_network,
        )
        self.store: Store | AsyncStore = self.memory
        path = settings.store.snapshot
        self._snapshot = None if path is None else Snapshot(path, self.memory, seal=partial(seal_for, path, settings.key_secret))
        self.survives = self._snapshot is not None
        """Whether a restart finds again what was there."""
        self.unsaved_because = (
            "not on the disk yet: the log says why"
            if self.survives
            else "it ends with this instance: the setting store.snapshot would keep it"
        )
        if self._snapshot is not None:
            self._snapshot.load()
        memory = self.memory
        keys = (lambda: memory.stats().keys, lambda: memory.stats().key_capacity)
        self._fill = FillMonitor(watches_of(keys, _fill_of_bans(memory.ban_table)))

    async def start(self) -> None:
        """Begin to write the snapshot, and to watch the tables."""
        self._fill.start()
        if self._snapshot is not None:
            await self._snapshot.start()

    async def stop(self) -> None:
        """Write what is not written yet."""
        await self._fill.stop()
        if self._snapshot is not None:
            await self._snapshot.stop()

    async def saved(self) -> bool:
        """Whether bans and notes of so far will be there after a crash; waits for the disk."""
        return self._snapshot is not None and await self._snapshot.saved()

    def gauges(self) -> list[Gauge]:
        """The fill of the tables, and how the snapshot does."""
        gauges = self.memory.gauges() + self._fill.gauges()
        return gauges + (self._snapshot.gauges() if self._snapshot is not None else [])


class ValkeyBackend:
    """The store on a server that several instances share."""

    survives = True
    unsaved_because = "the store does not answer: in force here, and on other instances as soon as it does"

    def __init__(self, settings: Settings) -> None:
        self._remote = valkey_store(settings)
        self.store: Store | AsyncStore = self._remote
        self._fill = FillMonitor(watches_of(None, _fill_of_bans(self._remote.ban_table)))

    async def start(self) -> None:
        """Connect, in the background when the server does not answer at once."""
        self._fill.start()
        await self._remote.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._fill.stop()
        await self._remote.stop()

    async def saved(self) -> bool:
        """Whether the server has the bans and notes of so far; how well it keeps them is its configuration's business."""
        return await self._remote.saved()

    def gauges(self) -> list[Gauge]:
        """How the server does."""
        return self._remote.gauges() + self._fill.gauges()


def _fill_of_bans(table: BanTable) -> tuple[Callable[[], float], Callable[[], float]]:
    return lambda: len(table), lambda: table.capacity


def valkey_store(settings: Settings) -> RemoteStore:
    """A connection to the server that the settings name."""
    choice = settings.store
    return RemoteStore(
        ValkeyTransport(StoreUrl.parse(choice.url or ""), name=choice.name),
        settings.counting,
        timeout_seconds=choice.timeout_seconds,
        on_down=choice.on_down,
    )


type Backend = MemoryBackend | ValkeyBackend


def open_backend(settings: Settings) -> Backend:
    """The store that the settings choose, not started yet."""
    return MemoryBackend(settings) if settings.store.url is None else ValkeyBackend(settings)
