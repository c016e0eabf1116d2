"""An attempt to connect that is given up in the moment it succeeds: nothing of it is left, and nothing trips over it."""

from __future__ import annotations

import asyncio

from proxyguard.adapters.mitmproxy.reading import ReadBuffer, unsent_bytes
from proxyguard.adapters.mitmproxy.timers import TimerWheel
from proxyguard.adapters.mitmproxy.upstream.connection import CALM_CLOSES, UpstreamTarget
from proxyguard.core.settings import Bounds, Upstream
from tests.scenes import run


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
