"""The admin port answers although the process has no file left, writes a line a second, and does not spin."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tornado.iostream import IOStream

from proxyguard.instance.control import accepting
from proxyguard.instance.control.accepting import Acceptor, Reserve
from proxyguard.telemetry.accept_errors import AcceptErrors
from tests.scenes import until


@contextmanager
def no_files_left() -> Iterator[None]:
    """Every file that this process may have is open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers, not paths
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, hard))
    taken = []
    try:
        while True:
            try:
                taken.append(os.dup(0))
            except OSError:
                break
        yield
    finally:
        for one in taken:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def hello(stream: IOStream) -> None:
    await stream.write(b"hello")


def serve(stream: IOStream, _address: object) -> None:
    asyncio.ensure_future(hello(stream)).add_done_callback(lambda _: None)


class CountedErrors(AcceptErrors):
    count = 0

    def record(self, error: OSError) -> None:
        self.count += 1
        super().record(error)


async def answered(client: socket.socket, seconds: float = 20.0) -> bytes:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(seconds):
        return await loop.sock_recv(client, 100)


def test_the_reserve_serves_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
        reserve = Reserve(3)
        errors = CountedErrors("admin", clock=lambda: 0.0)
        acceptor = Acceptor(serve, errors, reserve)
        clients = [socket.socket() for _ in range(5)]
        for client in clients:
            client.setblocking(False)  # noqa: FBT003 - the standard library's signature
        loop = asyncio.get_running_loop()
        acceptor.listen([listening])
        with no_files_left():
            for client in clients:
                await loop.sock_connect(client, listening.getsockname())
            assert [await answered(client) for client in clients[:3]] == [b"hello"] * 3
            assert len(reserve) == 0
            before = errors.count
            with pytest.raises(TimeoutError):
                await answered(clients[3], 2.4 * accepting.REST_SECONDS)
            assert errors.count - before <= 4, "it rests"
        assert [await answered(client) for client in clients[3:]] == [b"hello"] * 2
        await until(lambda: len(reserve) == 3)
        acceptor.stop()
        reserve.close()
        for client in clients:
            client.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())
    lines = [record for record in caplog.records if "cannot accept" in record.message]
    assert len(lines) == 1
    assert all(record.exc_info is None for record in caplog.records)


def test_the_oldest_connection_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "MAX_CONNECTIONS", 2)

    async def scenario() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
        acceptor = Acceptor(serve, AcceptErrors("admin"), Reserve(1))
        acceptor.listen([listening])
        ends = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            assert await reader.readexactly(5) == b"hello"
            ends.append((reader, writer))
        assert await ends[0][0].read() == b""
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ends[1][0].read(), 0.1)
        acceptor.stop()
        for _, writer in ends:
            writer.close()

    asyncio.run(scenario())
