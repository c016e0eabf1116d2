"""Sightings by way of a stream of Valkey or Redis: each process adds its messages and reads those of all.

Nothing else depends on it. A server that refuses (a user without the rights, no memory) is reported once, and tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final

from proxyguard.limits.sightings import TELL_SECONDS
from proxyguard.limits.stores.remote import RemoteStore
from proxyguard.limits.stores.resp import Connection, pack, text_of
from proxyguard.limits.stores.store import StoreUnavailable

MOST_KEPT: Final = 512
"""Messages on the server: those of six seconds, of eight processes."""

PAGE: Final = 16
"""Messages read at a time."""

logger = logging.getLogger(__name__)


class SightingStream:
    """The stream of one deployment, as one process reads it: what was there when it came, and then all that follows."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._read_to = b"0-0"
        self._lost: set[str] = set()
        """Commands that the server refused the last time."""

    def start_over(self) -> None:
        """The server's data is new: its messages may have earlier numbers."""
        self._read_to = b"0-0"

    def send(self, connection: Connection, message: bytes) -> None:
        """Add a message."""
        connection.send(pack(("XADD", self._key, "MAXLEN", MOST_KEPT, "*", "m", message)), self._on_added)

    async def follow(self, connection: Connection, store: RemoteStore) -> None:
        """Have a store hear what comes, until the connection ends."""
        with contextlib.suppress(StoreUnavailable):
            while True:
                await asyncio.sleep(TELL_SECONDS)
                await self._read(connection, store)

    async def _read(self, connection: Connection, store: RemoteStore) -> None:
        """Take what came since the last time, a message in a turn of the event loop. Raises StoreUnavailable when the
        connection ends."""
        is_whole = False
        while not is_whole:
            try:
                answer = await connection.call("XREAD", "COUNT", PAGE, "STREAMS", self._key, self._read_to)
            except StoreUnavailable as error:
                if error.__cause__ is None:
                    raise
                self._lose("XREAD", text_of(error))
                return
            self._lost.discard("XREAD")
            messages = _messages(answer)
            for number, message in messages:
                self._read_to = number
                store.sightings.hear(message)
                await asyncio.sleep(0)
            is_whole = len(messages) < PAGE

    def _on_added(self, answer: Any) -> None:
        if isinstance(answer, StoreUnavailable):  # the connection ended, which others report
            return
        if isinstance(answer, Exception):
            self._lose("XADD", text_of(answer))
        else:
            self._lost.discard("XADD")

    def _lose(self, command: str, why: str) -> None:
        if command not in self._lost:
            logger.warning("instances do not learn from each other which items are read: %s", why)
        self._lost.add(command)


def _messages(answer: Any) -> list[tuple[bytes, bytes]]:
    """Number and text of each message of an answer. Raises StoreUnavailable for what is none."""
    try:
        return [(number, fields[1]) for _, entries in answer or () for number, fields in entries]
    except (TypeError, ValueError, IndexError) as error:
        raise StoreUnavailable(f"the server said something that is no stream: {type(error).__name__}") from error
