"""How long unused upstream connections are kept, and for which requests they are still good enough."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter

import pytest

from proxyguard.adapters.mitmproxy.upstream.connection import IDLE_SECONDS, SURE_SECONDS
from proxyguard.core.settings import Bounds, Upstream
from proxyguard.http.http1.response_parser import ResponseParser
from tests.adapters.front_rig import LOOPBACK, FrontRig, Handler, fronted, run, until
from tests.end_to_end.raw_upstream import Received, raw_upstream

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab"


def answering(fields: bytes) -> Handler:
    """Answers every request with these fields."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"Content-Length: 2" in head:
                await reader.readexactly(2)
            writer.write(OK.replace(b"Content", fields + b"Content"))

    return answer


@pytest.mark.parametrize(
    ("value", "idle", "left"),
    [
        (b"timeout=5", 5, None),
        (b"timeout=5, max=100", 5, 100),
        (b'max=3,timeout="7"', 7, 3),
        (b"Timeout = 2", 2, None),
        (b"timeout=5, timeout=2", 2, None),
        (b"timeout=-1", None, None),
        (b"timeout", None, None),
        (b"timeout=99999999999999999999", 999999999, None),
        (b"", None, None),
    ],
)  # fmt: skip
def test_the_keep_alive_field(value: bytes, idle: int | None, left: int | None) -> None:
    parser = ResponseParser(Bounds())
    parser.begin(b"GET")
    parser.feed(OK.replace(b"Content", b"Keep-Alive: " + value + b"\r\nContent"))
    assert (parser.idle_seconds, parser.requests_left) == (idle, left)


class Clock:
    """The worker's time, which only a test moves: how long the machine takes must not matter."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return 1000.0 + self.offset


@pytest.mark.parametrize(
    ("fields", "idle_seconds", "request_", "connections"),
    [
        (b"", SURE_SECONDS - 0.15, POST, 1),
        (b"", SURE_SECONDS, POST, 2),
        (b"", IDLE_SECONDS - 0.3, GET, 1),
        (b"", IDLE_SECONDS, GET, 2),
        (b"Keep-Alive: timeout=1\r\n", 0.4, POST, 1),
        (b"Keep-Alive: timeout=1\r\n", 0.5, POST, 2),
        (b"Keep-Alive: timeout=1\r\n", 0.5, GET, 2),
        (b"Keep-Alive: timeout=5\r\n", 3.7, POST, 1),
        (b"Keep-Alive: timeout=5\r\n", 4.0, GET, 2),
        (b"Keep-Alive: timeout=300\r\n", IDLE_SECONDS - 0.3, POST, 1),
        (b"Keep-Alive: timeout=300\r\n", IDLE_SECONDS, GET, 2),
    ],
)
def test_a_connection_is_used_only_while_it_is_sure_to_be_open(
    fields: bytes, idle_seconds: float, request_: bytes, connections: int
) -> None:
    clock = Clock()

    async def scenario() -> int:
        async with fronted(answering(fields), front={"clock": clock}) as rig:
            await rig.ask(GET)
            await until(lambda: rig.front.stats()["upstream_idle"] == 1)
            clock.offset = idle_seconds
            assert (await rig.ask(request_)).startswith(b"HTTP/1.1 200")
            return rig.upstream.connections

    assert run(scenario()) == connections


def test_an_idle_connection_is_let_go_before_the_upstream_lets_go_of_it() -> None:
    async def scenario() -> None:
        async with fronted(answering(b"Keep-Alive: timeout=1\r\n")) as rig:
            await rig.ask(GET)
            await asyncio.sleep(0.9)  # on the loop that has the timer of the connection: both are late, or neither
            await asyncio.sleep(0)
            assert rig.front.stats()["upstream_connections"] == 0

    run(scenario())


def test_no_post_is_lost_where_the_upstream_closes_at_that_moment() -> None:
    """The upstream closes idle connections after a time that it announces to nobody."""
    idle_seconds = 0.3

    def closes_soon(connection: socket.socket, _: Received) -> None:
        connection.sendall(OK)
        connection.settimeout(idle_seconds)

    async def scenario(port: int) -> Counter[bytes]:
        got: Counter[bytes] = Counter()
        async with fronted(upstreams=(Upstream("http", LOOPBACK, port),)) as rig:
            for step in range(12):
                await rig.ask(GET)
                await asyncio.sleep(idle_seconds + (step - 6) / 2000)
                got[await status(rig)] += 1
        return got

    async def status(rig: FrontRig) -> bytes:
        return (await rig.ask(POST))[9:12]

    with raw_upstream(closes_soon) as upstream:
        assert run(scenario(upstream.port)) == {b"200": 12}
