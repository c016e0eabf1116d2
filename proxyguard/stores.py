"""Where an instance counts: in its own memory, kept over restarts or not, or on a Valkey or Redis server that several share.

Opens, closes and shows the store that the settings choose. Knows nothing of requests.
"""

from __future__ import annotations

from collections.abc import Callable

from proxyguard.limits.memory import MemoryStore
from proxyguard.limits.resp import ValkeyUrl
from proxyguard.limits.snapshot import Snapshot
from proxyguard.limits.store import AsyncStore, Store
from proxyguard.limits.valkey import ValkeyStore
from proxyguard.settings import Settings

type Gauge = tuple[str, str, Callable[[], float]]
"""Name, what it says, how to read it."""


class MemoryBooks:
    """Counts in this process; a snapshot file keeps them over restarts when the settings name one."""

    def __init__(self, settings: Settings) -> None:
        """Read the snapshot, if any; trouble with it is logged, never fatal."""
        counting = settings.counting
        self.memory = MemoryStore(keys=counting.keys, bans=counting.bans, on_full=counting.on_full)
        self.store: Store | AsyncStore = self.memory
        path = settings.store.snapshot
        self._snapshot = None if path is None else Snapshot(path, self.memory)
        if self._snapshot is not None:
            self._snapshot.load()

    async def start(self) -> None:
        """Begin to write the snapshot."""
        if self._snapshot is not None:
            await self._snapshot.start()

    async def stop(self) -> None:
        """Write what is not written yet."""
        if self._snapshot is not None:
            await self._snapshot.stop()

    async def saved(self) -> bool:
        """Whether bans made and lifted so far will be there after a crash; waits for the disk."""
        return self._snapshot is not None and await self._snapshot.saved()

    def gauges(self) -> list[Gauge]:
        """The fill of the tables, and how the snapshot does."""
        memory = self.memory
        gauges: list[Gauge] = [
            ("store_keys", "Counters held.", lambda: memory.stats().keys),
            ("store_key_capacity", "Counters that fit.", lambda: memory.stats().key_capacity),
            ("store_overflows", "Charges that found the table of counters full.", lambda: memory.stats().overflows),
            ("bans", "Bans held.", lambda: memory.stats().bans),
            ("ban_capacity", "Bans that fit.", lambda: memory.stats().ban_capacity),
            ("ban_evictions", "Bans that gave way to others before their end.", lambda: memory.stats().ban_evictions),
        ]
        return gauges + (self._snapshot.gauges() if self._snapshot is not None else [])


class ServerBooks:
    """Counts on a server that several instances share."""

    def __init__(self, settings: Settings) -> None:
        self._valkey = valkey_store(settings)
        self.store: Store | AsyncStore = self._valkey

    async def start(self) -> None:
        """Connect, in the background when the server does not answer at once."""
        await self._valkey.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._valkey.stop()

    async def saved(self) -> bool:
        """The server keeps bans; how well is its configuration's business."""
        return self._valkey.fallback.up

    def gauges(self) -> list[Gauge]:
        """How the server does."""
        return self._valkey.gauges()


def valkey_store(settings: Settings) -> ValkeyStore:
    """A connection to the server that the settings name."""
    choice = settings.store
    return ValkeyStore(
        ValkeyUrl.parse(choice.url or ""),
        settings.counting,
        name=choice.name,
        timeout_seconds=choice.timeout_seconds,
        on_down=choice.on_down,
    )


type Books = MemoryBooks | ServerBooks


def open_books(settings: Settings) -> Books:
    """The store that the settings choose, not started yet."""
    return MemoryBooks(settings) if settings.store.url is None else ServerBooks(settings)
