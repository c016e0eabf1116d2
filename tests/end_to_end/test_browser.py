"""A real browser through the real command: pages with assets, a form, a WebSocket, an event stream; calm and in a flood."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
from pathlib import Path

import pytest

from tests.end_to_end.browser import Page, chromium
from tests.end_to_end.processes import Proxyguard

FLOOD_CONNECTIONS = 1000


async def read_around(page: Page, url: str) -> None:
    """What a visitor does, with what the page must then show."""
    await page.open(f"{url}/")
    assert await page.look("document.title") == "Home · Commons"
    assert await page.look("document.documentElement.dataset.script") == "ran"
    assert await page.look("getComputedStyle(document.querySelector('nav')).display") == "flex"
    assert await page.look("document.querySelector('header img').naturalWidth > 0") is True
    assert {response["status"] for response in page.responses} == {200}
    await page.open(f"{url}/login")
    await page.submit("form[method=post]", email="ada@example.org", password="correct horse")
    assert await page.look("document.getElementById('result').textContent") == "You are in."
    assert await page.look("location.pathname") == "/login"


async def talk_live(page: Page, url: str) -> None:
    """A WebSocket echo and an event stream, opened by the page's own script."""
    await page.open(f"{url}/live")
    await page.until("document.getElementById('echo').value", "hello through the firewall")
    await page.until("Number(document.getElementById('ticks').value) >= 3", wanted=True)


def test_a_browser_reads_logs_in_and_talks_live(guard: Proxyguard, folder: Path) -> None:
    async def visit() -> None:
        async with chromium(folder) as page:
            await read_around(page, guard.url)
            assert {response["protocol"] for response in page.responses} == {guard.alpn or "http/1.1"}
            await talk_live(page, guard.url)

    asyncio.run(visit())


async def flood(guard: Proxyguard, number: int, answers: list[int]) -> None:
    """One connection that asks for pages as fast as it gets answers, from an address of its own network."""
    head = b"GET /profiles/%d HTTP/1.1\r\nHost: x\r\nUser-Agent: python-requests/2.32.3\r\n\r\n"
    trust = ssl.create_default_context(cafile=guard.authority) if guard.authority else None
    source = f"127.{1 + number % 100}.{number // 100}.1"
    for page in itertools.count(1):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", guard.port, local_addr=(source, 0), ssl=trust)
            with contextlib.closing(writer):
                while True:
                    writer.write(head % page)
                    answer = await reader.readuntil(b"\r\n\r\n")
                    length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                    await reader.readexactly(length)
                    answers[int(answer[9:12]) // 100] += 1
                    await asyncio.sleep(0.02)


@pytest.mark.alone
def test_a_thousand_flooding_connections_do_not_keep_a_browser_from_its_page(guard: Proxyguard, folder: Path) -> None:
    answers = [0] * 6

    async def visit() -> None:
        async with chromium(folder) as page:
            flooding = [asyncio.ensure_future(flood(guard, number, answers)) for number in range(FLOOD_CONNECTIONS)]
            async with asyncio.timeout(60):
                while answers[4] < 2 * FLOOD_CONNECTIONS:  # noqa: ASYNC110 - a counter that a thousand tasks raise
                    await asyncio.sleep(0.1)
                before = answers[4]
                await read_around(page, guard.url)
                assert answers[4] > before
            for one in flooding:
                one.cancel()
            await asyncio.gather(*flooding, return_exceptions=True)

    asyncio.run(visit())
    assert answers[2] == 0
    assert answers[5] == 0
