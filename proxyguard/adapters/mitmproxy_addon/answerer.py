"""Answers refused requests over a loopback connection: at once, before their bodies, or a few bytes at a time.

mitmproxy reads a request to its end before it sends an answer that an addon has set, and sends such an answer in one piece. A
response that comes from a server it passes on as it comes. So a request that must not be read to its end, and one that goes into
a tarpit, is sent to a server of our own, which knows it by a word that nobody else has. Knows nothing of flows.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from contextlib import suppress
from time import monotonic
from typing import Final, NamedTuple

from proxyguard.core.decision import Tarpit
from proxyguard.core.tarpit_budget import TarpitBudget
from proxyguard.http.responses import TARPIT_BODY

logger = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"

TICKET_FIELD: Final = b"X-Proxyguard-Answer"
"""Carries the word. Only our own server gets it."""

MAX_ANSWERS: Final = 1000
"""Requests that are answered so at a time, those in tarpits included: each takes two files and a task. Further ones are refused
without an answer."""

MAX_HELD: Final = 500
"""Of them in tarpits, however many the setting `tarpit.connections` allows. Further ones are rejected."""

HEAD_BYTES: Final = 64 * 1024
"""What our server reads of a head; the addon writes a few hundred bytes."""

HEAD_SECONDS: Final = 5.0

LINGER_SECONDS: Final = 2.0
"""How long a body is thrown away after its request was answered. Closing at once would destroy the answer on its way
(RFC 9112 section 9.6)."""

LINGER_BYTES: Final = 256 * 1024

MIN_DRIP_SECONDS: Final = 0.05


class Reply(NamedTuple):
    """What a request is answered with: bytes to be sent at once, then a tarpit for a client of `network`, or the end."""

    start: bytes
    tarpit: Tarpit | None = None
    network: str = ""


class Answerer:
    """The server; it listens from the first request on that it is to answer."""

    def __init__(self, budget: TarpitBudget) -> None:
        self._budget = budget
        self._server: asyncio.Server | None = None
        self._starting = asyncio.Lock()
        self._waiting: dict[bytes, Reply] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._held: Counter[str] = Counter()
        self._held_in_all = 0
        self.port = 0

    def __len__(self) -> int:
        """Requests that wait for our server or are answered by it."""
        return len(self._waiting) + len(self._serving)

    @property
    def held(self) -> int:
        """Those in tarpits."""
        return self._held_in_all

    def can_hold(self, network: str) -> bool:
        """Whether one more client of this network may be put into a tarpit."""
        budget = self._budget
        return self._held_in_all < min(budget.connections, MAX_HELD) and self._held[network] < budget.per_network

    async def expect(self, reply: Reply) -> bytes:
        """Get ready to answer one request; returns its word, empty when there is no room or no server.

        A tarpit is counted from here on, until it ends or `forget` is called.
        """
        if len(self) >= MAX_ANSWERS or not await self._listens():
            return b""
        word = secrets.token_hex(16).encode()
        self._waiting[word] = reply
        self._count(reply, 1)
        return word

    def forget(self, word: bytes) -> None:
        """The request has ended; one that never came is waited for no longer."""
        reply = self._waiting.pop(word, None)
        if reply is not None:
            self._count(reply, -1)

    def close(self) -> None:
        """Listen no more, and let everybody go."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()

    def _count(self, reply: Reply, change: int) -> None:
        if reply.tarpit is None:
            return
        self._held_in_all += change
        self._held[reply.network] += change
        if not self._held[reply.network]:
            del self._held[reply.network]

    async def _listens(self) -> bool:
        async with self._starting:
            if self._server is None:
                try:
                    self._server = await asyncio.start_server(self._accept, LOOPBACK, 0, limit=HEAD_BYTES)
                except OSError as error:
                    logger.error("refused requests cannot be answered before their bodies: %s", error)  # noqa: TRY400 - no bug of ours
                    return False
                self.port = self._server.sockets[0].getsockname()[1]
        return True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._serving) >= MAX_ANSWERS:
            writer.close()
            return
        self._serving.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass
        finally:
            self._serving.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        reply = self._waiting.pop(_word_in(head), None)
        if reply is None:
            return
        try:
            writer.write(reply.start)
            if reply.tarpit is not None:
                await self._drip(reply.tarpit, reader, writer)
                return
            await writer.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    await _throw_away(reader, LINGER_BYTES)
        finally:
            self._count(reply, -1)

    async def _drip(self, tarpit: Tarpit, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send a few bytes at a time until the client leaves, sends too much, or has been held long enough."""
        budget = self._budget
        until = monotonic() + min(tarpit.hold_seconds, budget.hold_seconds)
        pause, piece = max(MIN_DRIP_SECONDS, tarpit.drip_seconds), max(1, tarpit.drip_bytes)
        sent = 0
        leaving = asyncio.ensure_future(_throw_away(reader, LINGER_BYTES))
        try:
            while sent < budget.bytes_per_connection and (left := until - monotonic()) > 0:
                if (await asyncio.wait((leaving,), timeout=min(pause, left)))[0]:
                    return
                data = _text(sent, min(piece, budget.bytes_per_connection - sent))
                writer.write(data)
                sent += len(data)
        finally:
            leaving.cancel()


def _word_in(head: bytes) -> bytes:
    start = head.find(TICKET_FIELD + b": ")
    return b"" if start < 0 else head[start + len(TICKET_FIELD) + 2 :].partition(b"\r\n")[0]


def _text(offset: int, count: int) -> bytes:
    """`count` bytes of the endless page, from `offset` on."""
    start = offset % len(TARPIT_BODY)
    return (TARPIT_BODY[start:] + TARPIT_BODY * (count // len(TARPIT_BODY) + 1))[:count]


async def _throw_away(reader: asyncio.StreamReader, most: int) -> None:
    """Read on until the end, or until more than `most` bytes came."""
    while most > 0 and (data := await reader.read(65536)):
        most -= len(data)
