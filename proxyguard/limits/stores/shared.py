"""The way from each worker of a machine to the store that `shared_server` keeps exact over all of them.

Time is the caller's, because all share one clock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final, assert_never, cast

from proxyguard.limits.charge import NOBODY, usages_of
from proxyguard.limits.limit import Limit
from proxyguard.limits.stores.codec import CodecError, PackedLimit, pack_change, pack_limit, unpack_ban, unpack_change
from proxyguard.limits.stores.frames import Hello, MessageReader, News, Outcomes, Sighted, Welcome, decode_from_store, frame
from proxyguard.limits.stores.mirror import Mirror, StoreChange
from proxyguard.limits.stores.notes import StoreNote
from proxyguard.limits.stores.remote import Call, Transport
from proxyguard.limits.stores.store import Outcome, StoreUnavailable

MAX_NUMBERED_LIMITS: Final = 10_000
"""Limits with a number on one connection; then numbering starts again."""

NOT_CAUGHT_UP: Final = -1
"""The sequence of a worker that does not know all bans."""

MOST_UNHEARD: Final = 256
"""Messages of other workers that wait for their turn, of a second and a half with sixteen of them; then the oldest gives way."""


class CatchUp:
    """How far a worker has come with the news of its store.

                 Hello("", -1)                 Welcome(whole)                    News(complete)
        EMPTY ───────────────────▶ GREETING ─────────────────────▶ LISTING ─────────────────────────▶ CURRENT
                                      ▲  │                            │   drops the doubtful           │  ▲
                                      │  └── Welcome(not whole), News(complete): only what was missed ─┼──┘
                                      └───────────── the connection ended: Hello(generation, sequence) ┘

    `sequence` numbers the last change that is known here with all before it: NOT_CAUGHT_UP until a list is complete, so that a
    worker cut off while LISTING asks for all of it again. `generation` names a life of the store; another one is a store that
    is empty, and is told what is known here. A list of the same generation is the truth: the `doubtful`, bans that are known
    here and not (yet) among those listed, were lifted meanwhile. Changes made here that the store has not confirmed are not
    doubtful: they are sent after the list has begun. Notes never are: they only end, or give way to a later one.
    """

    __slots__ = ("doubtful", "generation", "sequence")

    def __init__(self) -> None:
        self.generation = ""
        self.sequence = NOT_CAUGHT_UP
        self.doubtful: set[str] = set()

    def on_welcome(self, message: Welcome, mirror: Mirror) -> None:
        """The store answers a Hello."""
        if message.whole:
            self.sequence = NOT_CAUGHT_UP
            if message.generation != self.generation:
                mirror.start_over()
            else:
                self.doubtful = {news.key for news in mirror.known_bans()}
                self.doubtful.difference_update(name for _, name in mirror.unconfirmed)
        self.generation = message.generation

    def on_news(self, message: News, mirror: Mirror) -> None:
        """The store says what holds: of what changed, or a part of a list."""
        for packed in message.news:
            change = unpack_change(packed)
            if isinstance(change, StoreNote):
                mirror.on_note(change)
            else:
                self.doubtful.discard(change.key)
                mirror.on_ban(change)
        if message.complete:
            for key in self.doubtful:
                mirror.bans.drop(key)
            self.doubtful = set()
        if message.complete or self.sequence != NOT_CAUGHT_UP:
            self.sequence = message.sequence


class SharedTransport(Transport):
    """The way of one worker to the server at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: _WorkerConnection | None = None
        self._numbers: dict[int, tuple[int, Limit]] = {}  # by id; holding the limit keeps its id its own
        self._catch_up = CatchUp()
        self._unheard: deque[bytes] = deque(maxlen=MOST_UNHEARD)

    async def connect(self) -> str:
        loop = asyncio.get_running_loop()
        self._numbers = {}
        _, connection = await loop.create_unix_connection(lambda: _WorkerConnection(self), str(self._path))
        self._connection = connection
        connection.write(frame(Hello(self._catch_up.generation, self._catch_up.sequence)))
        try:
            async with asyncio.timeout(self.store.timeout_seconds):
                await connection.welcomed
        except TimeoutError:
            raise StoreUnavailable(f"no answer within {self.store.timeout_seconds * 1000:.0f} ms") from None
        return f"shared by the workers at {self._path}"

    async def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def send_calls(self, calls: Sequence[Call]) -> None:
        if self._connection is None:
            return
        if len(self._numbers) > MAX_NUMBERED_LIMITS:
            self._numbers = {}
        numbers = self._numbers
        fresh: list[tuple[int, PackedLimit]] = []
        packed = []
        for call in calls:
            charges = []
            owner = NOBODY
            for each in call.charges:
                limit, owner = each.limit, each.owner  # all charges of a call have one
                known = numbers.get(id(limit))
                if known is None:
                    known = numbers[id(limit)] = (len(numbers), limit)
                    fresh.append((known[0], pack_limit(limit)))
                charges.append((each.key, known[0], each.cost, each.stops, each.owed))
            packed.append((call.now, call.ban_keys, charges, owner))
        self._connection.write(frame(("calls", fresh, packed)))

    def send_changes(self, changes: Sequence[StoreChange]) -> None:
        if self._connection is not None and changes:
            self._connection.write(frame(News([pack_change(one) for one in changes])))

    def send_sightings(self, message: bytes) -> None:
        if self._connection is not None:
            self._connection.write(frame(Sighted(message)))

    def on_message(self, message: Welcome | Outcomes | News | Sighted) -> None:
        """Act on a message of the server."""
        match message:
            case Outcomes():
                store = self.store
                for ban, usages in message.outcomes:
                    store.on_outcome(Outcome(None if ban is None else unpack_ban(ban), usages_of(usages)))
            case News():
                self._catch_up.on_news(message, self.store.mirror)
            case Sighted():
                if not self._unheard:
                    asyncio.get_running_loop().call_soon(self._hear_next)
                self._unheard.append(message.message)
            case Welcome():
                self._catch_up.on_welcome(message, self.store.mirror)
            case _:
                assert_never(message)

    def _hear_next(self) -> None:
        """Hear one message: several at once would hold up requests, and what the store says to them."""
        message = self._unheard.popleft()
        if self._unheard:
            asyncio.get_running_loop().call_soon(self._hear_next)
        self.store.sightings.hear(message)

    def on_end(self, connection: _WorkerConnection, why: str) -> None:
        """A connection ended; an old one does not matter any more."""
        if connection is self._connection:
            self.store.on_failure(why)


class _WorkerConnection(asyncio.Protocol):
    """A worker's connection to the server."""

    def __init__(self, owner: SharedTransport) -> None:
        self.welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owner = owner
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
                self._owner.on_message(message)
                if isinstance(message, Welcome) and not self.welcomed.done():
                    self.welcomed.set_result(None)
        except (CodecError, StoreUnavailable, IndexError) as error:
            self._fail(f"the server said something that is no answer: {error!r}")
            self.abort()

    def write(self, data: bytes) -> None:
        if self._open and self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        """Close at once; nothing is received after."""
        self._open = False
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, why: str) -> None:
        was_open, self._open = self._open, False
        if not self.welcomed.done():
            self.welcomed.set_exception(StoreUnavailable(why))
            self.welcomed.exception()  # read, so that nobody else has to
        if was_open:
            self._owner.on_end(self, why)
