"""The store that several instances share on Valkey or Redis: exact counts over all of them, bans spread within a second.

One script call per request, those of one turn of the event loop in one write. The server's clock decides, so that clocks
of instances may differ. All keys carry one hash tag: on a cluster the whole store lies in one slot, so that a request's
charges stay one atomic call; instances with different names lie in different slots.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from time import time
from typing import Any, Final

import msgspec

from proxyguard.core.settings import Counting, OnStoreDown
from proxyguard.limits.calendar_window import Spans
from proxyguard.limits.charge import ITEM_MARK, Usage
from proxyguard.limits.limit import CountKind, Limit, Window
from proxyguard.limits.stores.bans import BanNews
from proxyguard.limits.stores.codec import CodecError, decode_ban, encode_ban
from proxyguard.limits.stores.fallback import OnState, log_state
from proxyguard.limits.stores.remote import TIMEOUT_SECONDS, Call, RemoteStore
from proxyguard.limits.stores.resp import Connection, ValkeyUrl, pack
from proxyguard.limits.stores.store import BanRecord, Outcome, StoreUnavailable

POLL_SECONDS: Final = 0.4
"""Between questions for news of bans; with the time-out that makes less than a second from one instance to another."""

PAGE: Final = 200
"""Bans heard of at a time: about a millisecond of ours and of the server's."""

MAX_HOPS: Final = 4
"""Redirections of a cluster followed while connecting."""

PROBE: Final = Limit(1_000_000, 1.0, 1_000_000, ())
"""What a new connection charges to prove that the store can be written to."""

SLIDING: Final = 0
CALENDAR: Final = 1
DISTINCT: Final = 2
"""The kinds of charge.lua."""

EMPTY_PAGE: Final = 4
"""The fields before the records in an answer of news.lua."""


class Script:
    """A Lua script: its text, and the digest that it is called by."""

    __slots__ = ("digest", "text")

    def __init__(self, name: str) -> None:
        self.text = files(__package__).joinpath(name).read_bytes()
        self.digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest()


class ValkeyStore(RemoteStore):
    """Implements AsyncStore on a server at `url`; `name` sets apart deployments that share a server.

    `server_clock` False counts by the `now` of the caller instead: for tests, and where the clock of the server is bad.
    """

    def __init__(
        self,
        url: ValkeyUrl,
        counting: Counting,
        *,
        name: str = "proxyguard",
        server_clock: bool = True,
        timeout_seconds: float = TIMEOUT_SECONDS,
        on_down: OnStoreDown = OnStoreDown.LOCAL,
        on_state: OnState = log_state,
        clock: Callable[[], float] = time,
    ) -> None:
        super().__init__(counting, timeout_seconds=timeout_seconds, on_down=on_down, on_state=on_state, clock=clock)
        self._url = url
        self._server_clock = server_clock
        self._counter = f"{{{name}}}:c:"
        self._ban_keys = [f"{{{name}}}:{part}" for part in ("sequence", "changes", "bans", "ends", "generation")]
        self._charge_script = Script("charge.lua")
        self._accept_script = Script("accept.lua")
        self._news_script = Script("news.lua")
        self._connection: Connection | None = None
        self._generation = b""
        self._sequence = 0
        self._ahead_seconds = 0.0  # how far the server's clock is ahead of ours
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(tuple[Usage, ...]).decode
        self._spans = Spans()
        self._polling: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """See `RemoteStore.stop`."""
        if self._polling is not None:
            self._polling.cancel()
        await super().stop()

    async def _connect(self) -> str:
        url = self._url
        for _ in range(MAX_HOPS):
            connection = await Connection.open(url, self._ended)
            try:
                for script in (self._charge_script, self._accept_script, self._news_script):
                    await connection.call("SCRIPT", "LOAD", script.text)
                await self._prove(connection)
                await self._catch_up(connection)
            except StoreUnavailable as error:
                connection.close()
                moved = str(error).split(" ")
                if moved[0] != "MOVED" or len(moved) != 3:
                    raise
                host, _, port = moved[2].rpartition(":")
                url = replace(url, host=host or url.host, port=int(port), path="")
            except BaseException:
                connection.close()
                raise
            else:
                self._connection = connection
                self._polling = asyncio.create_task(self._poll(connection))
                return f"shared at {url}"
        raise StoreUnavailable(f"redirected {MAX_HOPS} times")

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if self._polling is not None:
            self._polling.cancel()
            self._polling = None
        if connection is not None:
            connection.close()

    async def _prove(self, connection: Connection) -> None:
        """Charge something, within the time-out."""
        try:
            async with asyncio.timeout(self._timeout):
                key = f"{self._counter}probe"
                charge = self._encode([(SLIDING, 1.0, 0, PROBE.interval_seconds, PROBE.burst)])
                await connection.call(
                    "EVALSHA", self._charge_script.digest, 1, key, charge, self._now_text(self._clock())
                )
        except TimeoutError:
            raise StoreUnavailable(f"no answer within {self._timeout * 1000:.0f} ms") from None

    def _send(self, calls: Sequence[Call]) -> None:
        connection = self._connection
        if connection is None:
            return
        counter = self._counter
        encode = self._encode
        commands = []
        for call in calls:
            command: list[Any] = [b"EVALSHA", self._charge_script.digest, len(call.charges)]
            numbers: list[tuple[Any, ...]] = []
            for key, limit, cost, stops, owed in call.charges:
                if limit.is_plain:
                    command.append(counter + key)
                    numbers.append((SLIDING, cost, stops + 2 * owed, limit.interval_seconds, limit.burst))
                else:
                    key, more = self._other(key, limit, call.now)  # noqa: PLW2901 - without the value
                    command.append(counter + key)
                    numbers.append((more[0], cost, stops + 2 * owed, *more[1:]))
            command += (encode(numbers), "" if self._server_clock else repr(call.now))
            commands.append(pack(tuple(command)))
        connection.send(b"".join(commands), *([self._on_usages] * len(calls)))

    def _other(self, key: str, limit: Limit, now: float) -> tuple[str, tuple[Any, ...]]:
        """The counter's key, and kind and numbers of a limit by the calendar or on distinct values; see charge.lua."""
        span = () if limit.window is Window.SLIDING else self._spans.at(limit, now + self._ahead_seconds)
        if limit.count.kind is not CountKind.DISTINCT:
            return key, (CALENDAR, limit.amount, *span)
        place, _, item = key.partition(ITEM_MARK)
        return place, (DISTINCT, limit.amount, int(item[:8], 16), int(item[8:], 16), limit.period_seconds, *span)

    def _on_usages(self, answer: Any) -> None:
        if isinstance(answer, bytes):
            try:
                usages = self._decode(answer)
            except CodecError as error:
                self._refuse(error)
            else:
                self._answered(Outcome(None, usages))
        else:
            self._refuse(answer)

    def _send_news(self, news: Sequence[BanNews]) -> None:
        connection = self._connection
        if connection is None:
            return
        for start in range(0, len(news), PAGE):
            page = news[start : start + PAGE]
            arguments: list[str | bytes | float] = []
            for one in page:
                record, forget_at = self._shifted(one.record, self._ahead_seconds), one.forget_at + self._ahead_seconds
                packed = b"" if record is None else encode_ban(record, forget_at)
                arguments += (one.key, packed, 0.0 if record is None else record.until, forget_at)
            now = self._now_text(self._clock())
            command = ("EVALSHA", self._accept_script.digest, 4, *self._ban_keys[:4], now, *arguments)
            connection.send(pack(command), self._on_accepted([one.key for one in page]))

    def _on_accepted(self, keys: list[str]) -> Callable[[Any], None]:
        def on_answer(answer: Any) -> None:
            if not isinstance(answer, list) or len(answer) != len(keys):
                self._refuse(answer)
                return
            try:
                for key, packed in zip(keys, answer, strict=True):
                    self._on_ban(key, packed)
            except CodecError as error:
                self._refuse(error)

        return on_answer

    async def _poll(self, connection: Connection) -> None:
        """Ask for news of bans until the connection ends."""
        with contextlib.suppress(StoreUnavailable):
            while True:
                await asyncio.sleep(POLL_SECONDS)
                try:
                    async with asyncio.timeout(self._timeout):
                        await self._catch_up(connection)
                except TimeoutError:
                    connection.fail(f"no answer within {self._timeout * 1000:.0f} ms")

    async def _catch_up(self, connection: Connection) -> None:
        """Hear all news of bans since the last time, a page at a time."""
        complete = False
        while not complete:
            asked_at = self._clock()
            answer = await connection.call(
                "EVALSHA", self._news_script.digest, 5, *self._ban_keys,
                self._now_text(asked_at), self._sequence, PAGE, secrets.token_hex(8),
            )  # fmt: skip
            complete = self._adopt_page(answer, (asked_at + self._clock()) / 2)

    def _adopt_page(self, answer: Any, now: float) -> bool:
        """Take over a page of bans; whether it was the last. Raises StoreUnavailable for what is no page."""
        try:
            generation, clock, sequence, last = answer[:EMPTY_PAGE]
            self._ahead_seconds = float(clock) - now if self._server_clock else 0.0
            if generation != self._generation:
                known = self._generation != b""
                self._generation = generation
                self._sequence = 0
                if known:
                    self._start_over(now)
                    return False
            for key, packed in zip(answer[EMPTY_PAGE::2], answer[EMPTY_PAGE + 1 :: 2], strict=True):
                self._on_ban(key.decode(), packed)
            self._sequence = sequence
        except (CodecError, ValueError, TypeError, AttributeError) as error:
            raise StoreUnavailable(f"the server said something that is no news: {error!r}") from error
        return bool(last)

    def _start_over(self, now: float) -> None:
        """The store is a new one (restarted empty, flushed): tell it the bans that are known here."""
        known = (self.ban_table.news_of(key, now) for key in tuple(self._banned))
        bans = {news.key: news for news in known if news is not None}
        self._unacknowledged = bans | self._unacknowledged
        self._send_news(tuple(bans.values()))

    def _on_ban(self, key: str, packed: bytes) -> None:
        if not packed:
            self._on_ban_news(BanNews(key, None, 0.0))
            return
        record, forget_at = decode_ban(packed)
        self._on_ban_news(BanNews(key, self._shifted(record, -self._ahead_seconds), forget_at - self._ahead_seconds))

    def _shifted[Record: BanRecord | None](self, record: Record, seconds: float) -> Record:
        """A record with its times on another clock."""
        if record is None or not seconds:
            return record
        return replace(record, since=record.since + seconds, until=record.until + seconds)

    def _now_text(self, now: float) -> str:
        return "" if self._server_clock else repr(now)

    def _refuse(self, answer: Any) -> None:
        if self._connection is not None:
            self._connection.fail(str(answer))

    def _ended(self, connection: Connection, why: str) -> None:
        if connection is self._connection:
            self._connection_failed(why)
