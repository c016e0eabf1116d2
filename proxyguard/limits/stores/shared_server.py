"""One store for several workers of a machine: a server around a memory store. What workers see of it is `shared`.

The socket is a Unix socket that only this user can open. Time is the caller's, because all share one clock. The server
answers from memory and never waits for a worker; a worker that does not read is cut off, and catches up when it comes back.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections import deque
from collections.abc import Callable
from itertools import batched
from pathlib import Path
from typing import Final, assert_never, cast

from proxyguard.limits.charge import Charge, Owner, PackedUsage, held_key
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.limit import CountKind, Limit
from proxyguard.limits.stores.codec import CodecError, PackedBan, PackedChange, pack_ban, pack_change, unpack_change, unpack_limit
from proxyguard.limits.stores.frames import (
    Calls,
    Hello,
    MessageReader,
    News,
    Outcomes,
    Sighted,
    Welcome,
    decode_from_worker,
    frame,
)
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.mirror import StoreChange
from proxyguard.limits.stores.notes import StoreNote
from proxyguard.limits.stores.remote import TIDY_SECONDS
from proxyguard.limits.stores.store import StoreUnavailable

logger = logging.getLogger(__name__)

REMEMBERED_NEWS: Final = 10_000
"""News kept for workers that come back; one that missed more gets everything."""

CHUNK: Final = 100
"""Bans sent at a time to a newcomer: a millisecond of its time."""

CHUNK_SECONDS: Final = 0.001
"""Between chunks; and the next waits until the worker has taken most of those before."""

MAX_UNREAD_BYTES: Final = 32 * 1024 * 1024
"""Written but not taken by a worker; then it is cut off."""


class SharedStoreServer:
    """Serves a memory store on a Unix socket. The store stays usable from this process; workers get its bans and notes."""

    def __init__(self, path: Path, store: MemoryStore, *, clock: Callable[[], float] = CLOCK) -> None:
        self.path = path
        self.store = store
        self.clock = clock
        self.generation = secrets.token_hex(8)
        self.sequence = 0
        self._news: deque[PackedChange] = deque(maxlen=REMEMBERED_NEWS)
        self._unsent: list[PackedChange] = []
        self._members: set[_Member] = set()
        self._server: asyncio.Server | None = None
        self._tidying: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the path cannot be bound."""
        loop = asyncio.get_running_loop()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.path.unlink(missing_ok=True)
            mask = os.umask(0o177)
            try:
                listening.bind(str(self.path))
            finally:
                os.umask(mask)
            listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
            self._server = await loop.create_unix_server(lambda: _Member(self), sock=listening)
        except BaseException:
            listening.close()
            raise
        self.store.ban_table.watchers.append(self._on_change)
        self.store.note_table.watchers.append(self._on_change)
        self._tidying = asyncio.create_task(self._tidy())

    async def stop(self) -> None:
        """Close everything and remove the socket."""
        if self._tidying is not None:
            self.store.ban_table.watchers.remove(self._on_change)
            self.store.note_table.watchers.remove(self._on_change)
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)
        for member in tuple(self._members):
            member.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self.path.unlink(missing_ok=True)

    def since(self, hello: Hello) -> list[PackedChange] | None:
        """The news that a worker missed; None when everything has to be sent."""
        missed = self.sequence - hello.sequence
        if hello.generation != self.generation or hello.sequence < 0 or not 0 <= missed <= len(self._news):
            return None
        return list(self._news)[len(self._news) - missed :]

    def joined(self, member: _Member) -> None:
        self._members.add(member)

    def left(self, member: _Member) -> None:
        self._members.discard(member)

    def pass_on(self, sighted: Sighted, teller: _Member) -> None:
        """Tell all workers but one what that one has seen."""
        data = frame(sighted)
        for member in tuple(self._members):
            if member is not teller:
                member.write(data)

    def _on_change(self, change: StoreChange) -> None:
        """A ban was made or lifted, or a note written; all workers get it in this turn of the event loop."""
        packed = pack_change(change)
        self.sequence += 1
        self._news.append(packed)
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._broadcast)
        self._unsent.append(packed)

    def _broadcast(self) -> None:
        unsent, self._unsent = self._unsent, []
        data = frame(News(unsent, self.sequence))
        for member in tuple(self._members):
            member.write(data)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            self.store.tidy(self.clock())


class _Member(asyncio.Protocol):
    """One worker's connection, as the server sees it."""

    def __init__(self, server: SharedStoreServer) -> None:
        self._server = server
        self._reader = MessageReader()
        self._limits: dict[int, Limit] = {}
        self._holder = secrets.token_hex(4)
        self._transport: asyncio.Transport | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not inherit from it

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._server.left(self)
        if self._catching_up is not None:
            self._catching_up.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._reader.feed(data):
                self._on_message(decode_from_worker(body))
        except (CodecError, StoreUnavailable, KeyError) as error:
            logger.error("a worker's connection is closed: %r", error)  # noqa: TRY400 - what it sent is the whole story
            self.close()

    def write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        transport.write(data)
        if transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            logger.error("a worker does not read from its store and is cut off")
            transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _on_message(self, message: Hello | Calls | News | Sighted) -> None:
        match message:
            case Calls():
                self._limits.update((number, unpack_limit(packed)) for number, packed in message.limits)
                self.write(frame(Outcomes([self._charge(*call) for call in message.calls])))
            case News():
                self._take(message)
            case Sighted():
                self._server.pass_on(message, self)
            case Hello():
                self._welcome(message)
            case _:
                assert_never(message)

    def _charge(
        self, now: float, ban_keys: list[str], charges: list[tuple[str, int, float, bool, bool]], owner: Owner
    ) -> tuple[PackedBan | None, list[PackedUsage]]:
        limits = self._limits
        batch = []
        for key, number, cost, stops, owed in charges:
            limit = limits[number]
            place = held_key(key, self._holder) if limit.count.kind is CountKind.CONCURRENT else key
            batch.append(Charge(place, limit, cost, stops, owed, owner))
        outcome = self._server.store.charge(batch, ban_keys, now)
        ban = outcome.ban
        return (None if ban is None else pack_ban(ban, ban.until)), [usage.packed() for usage in outcome.usages]

    def _take(self, message: News) -> None:
        """Accept changes of a worker; what already held is the answer to it alone, what is new goes to all."""
        server = self._server
        now = server.clock()
        before = server.sequence
        kept = []
        for packed in message.news:
            holds = _accept(server.store, unpack_change(packed), now)
            if server.sequence == before:
                kept.append(pack_change(holds))
            before = server.sequence
        if kept:
            self.write(frame(News(kept, server.sequence)))

    def _welcome(self, hello: Hello) -> None:
        server = self._server
        missed = server.since(hello)
        self.write(frame(Welcome(server.generation, missed is None)))
        server.joined(self)
        if missed is None:
            self._catching_up = asyncio.ensure_future(self._send_all())
        else:
            self.write(frame(News(missed, server.sequence, complete=True)))

    async def _send_all(self) -> None:
        """All notes, then all bans, a chunk at a time.

        Each ban is looked up when it is sent, so that no chunk is older than the news before it.
        """
        server = self._server
        table, notes = server.store.ban_table, server.store.note_table
        for some in batched(notes.in_force(server.clock()), CHUNK):
            self.write(frame(News([pack_change(one) for one in some], server.sequence)))
        keys = [record.key for record in table.in_force(server.clock())]
        for start in range(0, len(keys), CHUNK):
            now = server.clock()
            news = [table.news_of(key, now) for key in keys[start : start + CHUNK]]
            self.write(frame(News([pack_change(one) for one in news if one is not None], server.sequence)))
            await asyncio.sleep(CHUNK_SECONDS)
            await self._writable.wait()
        self.write(frame(News([], server.sequence, complete=True)))


def _accept(store: MemoryStore, change: StoreChange, now: float) -> StoreChange:
    """Let a store take over a change; what holds now."""
    if isinstance(change, StoreNote):
        return store.note_table.accept(change, now)
    return store.ban_table.accept(change, now)
