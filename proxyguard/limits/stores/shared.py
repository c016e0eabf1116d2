"""The store that each worker of a machine sees, kept exact over all of them by the server of `shared_server`.

Time is the caller's, because all share one clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from time import time
from typing import Final, assert_never, cast

from proxyguard.core.settings import Counting, OnStoreDown
from proxyguard.limits.limit import Limit
from proxyguard.limits.stores.bans import BanNews
from proxyguard.limits.stores.codec import CodecError, pack_news, unpack_ban, unpack_news
from proxyguard.limits.stores.fallback import OnState, log_state
from proxyguard.limits.stores.frames import Hello, MessageReader, News, Outcomes, Welcome, decode_from_store, frame
from proxyguard.limits.stores.remote import TIMEOUT_SECONDS, Call, RemoteStore
from proxyguard.limits.stores.shared_server import SharedStoreServer
from proxyguard.limits.stores.store import Outcome, StoreUnavailable

__all__ = ["SharedStore", "SharedStoreServer"]

MAX_NUMBERED_LIMITS: Final = 10_000
"""Limits with a number on one connection; then numbering starts again."""

NOT_CAUGHT_UP: Final = -1
"""The sequence of a worker that does not know all bans."""


class SharedStore(RemoteStore):
    """The store of a worker: an AsyncStore that asks the server of this machine. `on_down` is about that server."""

    def __init__(
        self,
        path: Path,
        counting: Counting,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        on_down: OnStoreDown = OnStoreDown.LOCAL,
        on_state: OnState = log_state,
        clock: Callable[[], float] = time,
    ) -> None:
        super().__init__(counting, timeout_seconds=timeout_seconds, on_down=on_down, on_state=on_state, clock=clock)
        self._path = path
        self._line: _Line | None = None
        self._numbers: dict[int, tuple[int, Limit]] = {}  # by id; holding the limit keeps its id its own
        self._generation = ""
        self._sequence = NOT_CAUGHT_UP
        self._doubtful: set[str] = set()

    async def _connect(self) -> str:
        loop = asyncio.get_running_loop()
        self._numbers = {}
        _, line = await loop.create_unix_connection(lambda: _Line(self), str(self._path))
        self._line = line
        line.write(frame(Hello(self._generation, self._sequence)))
        try:
            async with asyncio.timeout(self._timeout):
                await line.welcomed
        except TimeoutError:
            raise StoreUnavailable(f"no answer within {self._timeout * 1000:.0f} ms") from None
        return f"shared by the workers at {self._path}"

    async def _disconnect(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.abort()

    def _send(self, calls: Sequence[Call]) -> None:
        if self._line is None:
            return
        if len(self._numbers) > MAX_NUMBERED_LIMITS:
            self._numbers = {}
        numbers = self._numbers
        fresh: list[tuple[int, Limit]] = []
        packed = []
        for call in calls:
            charges = []
            for key, limit, cost, stops, owed in call.charges:
                known = numbers.get(id(limit))
                if known is None:
                    known = numbers[id(limit)] = (len(numbers), limit)
                    fresh.append(known)
                charges.append((key, known[0], cost, stops, owed))
            packed.append((call.now, call.ban_keys, charges))
        self._line.write(frame(("calls", fresh, packed)))

    def _send_news(self, news: Sequence[BanNews]) -> None:
        if self._line is not None and news:
            self._line.write(frame(News([pack_news(one) for one in news])))

    def on_message(self, message: Welcome | Outcomes | News) -> None:
        """Act on what the server said."""
        match message:
            case Outcomes():
                for ban, usages in message.outcomes:
                    self._answered(Outcome(None if ban is None else unpack_ban(ban), usages))
            case News():
                self._take(message)
            case Welcome():
                self._welcomed(message)
            case _:
                assert_never(message)

    def _welcomed(self, message: Welcome) -> None:
        """All bans follow when `whole`. What is known here and not among them is over, or unknown to a store that is new."""
        if message.whole:
            now = self._clock()
            known = [news for news in map(self._news_of(now), tuple(self._banned)) if news is not None]
            if message.generation == self._generation:
                self._doubtful = {news.key for news in known} - self._unacknowledged.keys()
            else:
                self._unacknowledged = {news.key: news for news in known} | self._unacknowledged
            self._sequence = NOT_CAUGHT_UP
        self._generation = message.generation

    def _news_of(self, now: float) -> Callable[[str], BanNews | None]:
        return lambda key: self.ban_table.news_of(key, now)

    def _take(self, message: News) -> None:
        for packed in message.news:
            self._doubtful.discard(packed.key)
            self._on_ban_news(unpack_news(packed))
        if message.complete:
            for key in self._doubtful:
                self.ban_table.drop(key)
            self._doubtful = set()
        if message.complete or self._sequence != NOT_CAUGHT_UP:
            self._sequence = message.sequence

    def failed(self, line: _Line, why: str) -> None:
        """A connection ended; an old one does not matter any more."""
        if line is self._line:
            self._connection_failed(why)


class _Line(asyncio.Protocol):
    """A worker's connection to the server."""

    def __init__(self, store: SharedStore) -> None:
        self.welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._store = store
        self._reader = MessageReader()
        self._transport: asyncio.Transport | None = None
        self._open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not inherit from it

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the connection ended ({error or 'closed by the server'})")

    def data_received(self, data: bytes) -> None:
        if not self._open:
            return
        try:
            for body in self._reader.feed(data):
                message = decode_from_store(body)
                self._store.on_message(message)
                if isinstance(message, Welcome) and not self.welcomed.done():
                    self.welcomed.set_result(None)
        except (CodecError, StoreUnavailable, IndexError) as error:
            self._fail(f"the server said something that is no answer: {error!r}")
            self.abort()

    def write(self, data: bytes) -> None:
        if self._open and self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        """Close at once; nothing is heard after."""
        self._open = False
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, why: str) -> None:
        was_open, self._open = self._open, False
        if not self.welcomed.done():
            self.welcomed.set_exception(StoreUnavailable(why))
            self.welcomed.exception()  # read, so that nobody else has to
        if was_open:
            self._store.failed(self, why)
