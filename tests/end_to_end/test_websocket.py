"""A WebSocket through the running command: what passes is not kept, and both ends hear of the end."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp

from tests.end_to_end.processes import Proxyguard, wait_until

AGENT = {"User-Agent": "backup-agent/1.0"}

MESSAGE_BYTES = 64 * 1024
MESSAGES = 1500
MAX_RISE_BYTES = 20 * 1024 * 1024


async def talk(guard: Proxyguard) -> int:
    """Send many messages and read their echoes; how many came back right."""
    trust = ssl.create_default_context(cafile=guard.authority) if guard.authority else True
    right = 0
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session,
        session.ws_connect(f"{guard.url.replace('http', 'ws', 1)}/ws", compress=0, headers=AGENT) as socket,
        asyncio.timeout(60),
    ):
        for number in range(MESSAGES):
            message = number.to_bytes(4, "big") * (MESSAGE_BYTES // 4)
            await socket.send_bytes(message)
            right += await socket.receive_bytes() == message
    return right


def test_a_hundred_megabytes_of_messages_leave_nothing_behind(guard: Proxyguard) -> None:
    guard.get("/feed.xml", headers=AGENT).raise_for_status()
    before = guard.memory_bytes()
    guard.forget_peak_memory()
    assert asyncio.run(talk(guard)) == MESSAGES
    assert guard.peak_memory_bytes() - before < MAX_RISE_BYTES
    wait_until(lambda: "\nproxyguard_connections 1.0\n" not in guard.admin("/metrics"), "the connection is gone")
