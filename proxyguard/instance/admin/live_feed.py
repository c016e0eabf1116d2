"""The live feed: decisions of all workers, once a second, as server-sent events to a bounded number of readers.

The workers are asked only while somebody reads, once for all readers. Who reads slowly misses messages and holds nobody up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec

from proxyguard.instance.admin.messages import ApiEvents

MAX_STREAMS: Final = 24
"""Readers at once: enough for every screen of a team. Each holds a connection of the admin port (at most 64)."""

TICK_SECONDS: Final = 1.0

ALIVE_TICKS: Final = 15
"""After so many without a decision a comment is sent, so that proxies keep the stream and dead readers are noticed."""

MAX_MISSED: Final = 20
"""A reader that took nothing for so many ticks is let go."""

BACKLOG: Final = 100
"""Decisions that a new reader gets at once."""

logger = logging.getLogger(__name__)


class FeedReader(Protocol):
    """One stream."""

    def is_behind(self) -> bool:
        """Whether it has not taken yet what it was sent before."""

    def send(self, data: bytes) -> None:
        """Send, without waiting."""

    def end(self) -> None:
        """Close the stream."""


class LiveFeed:
    """All readers of an instance."""

    def __init__(self, ask: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]) -> None:
        """`ask` is the command `feed`."""
        self._ask = ask
        self._readers: dict[FeedReader, int] = {}
        self._marks: dict[str, int] = {}
        self._backlog: deque[dict[str, Any]] = deque(maxlen=BACKLOG)
        self._task: asyncio.Task[None] | None = None
        self._quiet = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._readers)

    def join(self, reader: FeedReader) -> bool:
        """Add a reader; False when there are MAX_STREAMS."""
        if len(self._readers) >= MAX_STREAMS:
            self.refused += 1
            return False
        self._readers[reader] = 0
        if self._task is None:  # what came since the last reader left is nobody's loss
            self._marks = {}
            self._backlog.clear()
        reader.send(b"retry: 3000\n\n" + message([*self._backlog], 0))
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())
        return True

    def leave(self, reader: FeedReader) -> None:
        self._readers.pop(reader, None)

    def stop(self) -> None:
        """End every stream."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for reader in tuple(self._readers):
            reader.end()
        self._readers.clear()

    async def _run(self) -> None:
        while self._readers:
            try:
                await self.tick()
            except Exception:
                logger.exception("the live feed failed; it goes on")
            await asyncio.sleep(TICK_SECONDS)
        self._task = None

    async def tick(self) -> None:
        """Ask once, and tell every reader."""
        found = await self._ask({"marks": self._marks})
        self._marks = found["marks"]
        records, skipped = found["records"], found["skipped"]
        self._backlog.extend(records)
        self._quiet = 0 if records or skipped else self._quiet + 1
        if not self._quiet:
            self._tell(message(records, skipped))
        elif self._quiet % ALIVE_TICKS == 0:
            self._tell(b": alive\n\n")

    def _tell(self, data: bytes) -> None:
        for reader, missed in tuple(self._readers.items()):
            if not reader.is_behind():
                self._readers[reader] = 0
                reader.send(data)
            elif missed < MAX_MISSED:
                self._readers[reader] = missed + 1
            else:
                self._readers.pop(reader, None)
                reader.end()


def message(records: list[dict[str, Any]], skipped: int) -> bytes:
    """One event. JSON has no line breaks, so no record can begin an event of its own."""
    data = msgspec.json.encode(msgspec.convert({"records": records, "skipped": skipped}, ApiEvents))
    return b"event: records\ndata: " + data + b"\n\n"
