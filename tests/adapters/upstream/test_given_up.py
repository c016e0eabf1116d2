"""A connection that is given up, or lost, in the moment it is made: nothing of it is left, and nothing trips over it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from proxyguard.adapters.mitmproxy.reading import ReadBuffer, unsent_bytes
from proxyguard.adapters.mitmproxy.timers import TimerWheel
from proxyguard.adapters.mitmproxy.upstream.connection import CALM_CLOSES, UpstreamConnection, UpstreamTarget
from proxyguard.core.build_info import BUILD_KIND
from proxyguard.core.settings import Bounds, Upstream
from tests.adapters.front_rig import LOOPBACK, ScriptedUpstream, fronted, hello
from tests.scenes import run

type Connect = Callable[[], Awaitable[UpstreamConnection]]


async def _given_up() -> None:
    """uvloop closes the socket of such a connection, and calls neither `connection_lost` nor it closing."""
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    wheel = TimerWheel(loop, 0.25, loop.time, lambda _where, _error: None)
    port = server.sockets[0].getsockname()[1]
    target = UpstreamTarget(Upstream("http", "127.0.0.1", port), None, None, wheel, Bounds(), loop.time, ReadBuffer())
    for _ in range(CALM_CLOSES):
        target.may_close_calmly()
    for _ in range(5):
        attempt = loop.create_task(target.connect())
        while not target.open:  # noqa: ASYNC110 - it is about this very turn of the loop
            await asyncio.sleep(0)
        [connection] = target.open
        attempt.cancel()
        await asyncio.wait([attempt])
        assert attempt.cancelled()
        assert (target.open, connection.closed) == (set(), True)
        connection.close()
        assert unsent_bytes(connection.transport) == 0
    wheel.stop()
    server.close()


def test_an_attempt_given_up_in_the_moment_it_succeeds_leaves_nothing_behind() -> None:
    run(_given_up())


async def first_lost(connect: Connect, lost: list[UpstreamConnection]) -> UpstreamConnection:
    connection = await connect()
    if not lost:
        lost.append(connection)
        connection.transport.abort()
    return connection


@pytest.mark.skipif(BUILD_KIND == "compiled", reason="compiled objects let no method be replaced")
def test_a_connection_that_is_lost_before_its_request_has_it_is_replaced_and_takes_no_slot() -> None:
    """Where an upstream has several addresses, a turn of the loop lies between."""
    request = b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"

    async def scenario() -> None:
        servers = [ScriptedUpstream(hello) for _ in range(2)]
        for server in servers:
            await server.start()
        async with fronted(upstreams=tuple(Upstream("http", LOOPBACK, server.port) for server in servers)) as rig:
            assert rig.front._runtime is not None
            lost: list[UpstreamConnection] = []
            for target in rig.front._runtime.pool._groups[0].targets:
                target.connect = partial(first_lost, target.connect, lost)  # type: ignore[method-assign]
            assert (await rig.ask(request)).startswith(b"HTTP/1.1 200 ")
            assert len(lost) == 1
            assert rig.front.stats()["upstream_leases"] == 0
        for server in servers:
            await server.stop()

    run(scenario())
