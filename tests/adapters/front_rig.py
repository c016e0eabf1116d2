"""A real front on loopback sockets, with a scripted upstream behind it, for tests that must meet real transports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from proxyguard.adapters.mitmproxy.front import Front
from proxyguard.core.settings import Bounds, Listen, Settings, Site, Upstream
from proxyguard.guard.interfaces import Checker
from tests.adapters.fakes import HeaderChecker, NotedEvents

LOOPBACK = "127.0.0.1"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run[T](scenario: Coroutine[Any, Any, T]) -> T:
    """Run a scenario on uvloop, as workers do. The bound is for one that hangs: a busy machine may take its time."""
    return uvloop.run(asyncio.wait_for(scenario, 60))


class ScriptedUpstream:
    """A server whose connections are handled by a function. Counts connections; keeps the heads it read with `read_head`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self.port = 0
        self.connections = 0
        self.heads: list[bytes] = []

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers every request without a body with `hi`, for as long as the connection lives."""
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nhi")


async def echo_length(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads one request with a Content-Length, and answers with how many body bytes came."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    left = length
    while left:
        data = await reader.read(min(left, 1 << 16))
        if not data:
            return
        left -= len(data)
    body = b"%d" % length
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


class FrontRig:
    """A started front, and ways to talk to it."""

    def __init__(self, front: Front, checker: Checker, events: NotedEvents, upstream: ScriptedUpstream) -> None:
        self.front = front
        self.checker = checker
        self.events = events
        self.upstream = upstream
        self.port = front.addresses[0].port

    async def connect(self, source: str = LOOPBACK) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(LOOPBACK, self.port, local_addr=(source, 0))

    async def ask(self, data: bytes, *, count: int | None = None) -> bytes:
        """Send bytes on a new connection; all that comes until the close, or the first `count` bytes."""
        reader, writer = await self.connect()
        writer.write(data)
        answer = await (rest(reader) if count is None else reader.readexactly(count))
        writer.close()
        return answer

    @property
    def served(self) -> list[tuple[int, str]]:
        assert isinstance(self.checker, HeaderChecker)
        return self.checker.served


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection is closed or reset."""
    got = b""
    try:
        while data := await reader.read(1 << 16):
            got += data
    except ConnectionResetError:
        pass
    return got


async def until(condition: Callable[[], bool]) -> None:
    """Wait, in steps of the loop, for something that the loop is about to bring."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for lies in the kernel
            await asyncio.sleep(0.002)


@asynccontextmanager
async def fronted(
    handler: Handler = hello,
    *,
    bounds: Bounds | None = None,
    checker: Checker | None = None,
    upstreams: tuple[Upstream, ...] = (),
    site: dict[str, Any] | None = None,
    front: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[FrontRig]:
    """A front before `handler`; after it nothing may be left running, and no fault of ours may have been counted."""
    upstream = ScriptedUpstream(handler)
    await upstream.start()
    behind = upstreams or (Upstream("http", LOOPBACK, upstream.port),)
    events = NotedEvents()
    used = checker or HeaderChecker()
    made = Front(
        Settings(
            listen=settings.pop("listen", (Listen(LOOPBACK, 0),)),
            sites=settings.pop("sites", None) or (Site(upstreams=behind, **(site or {})),),
            bounds=bounds or Bounds(),
            **settings,
        ),
        used,
        events,
        **(front or {}),
    )
    await made.start()
    try:
        yield FrontRig(made, used, events, upstream)
    finally:
        await made.drain(0.0)
        await upstream.stop()
    assert events.errors == []
    stats = made.stats()
    assert (stats["connections"], stats["tarpits"], stats["upstream_connections"]) == (0, 0, 0)
    assert (stats["requests_under_way"], stats["requests_delayed"], stats["requests_queued"]) == (0, 0, 0)
    assert stats["upstream_leases"] == 0
    assert events.connections == 0
