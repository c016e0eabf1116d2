"""A request that comes back to the instance that forwarded it ends there."""

from __future__ import annotations

import asyncio

import pytest

from proxyguard.core.settings import Listen, Upstream
from tests.adapters.front_rig import LOOPBACK, fronted, rest, run

GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("between", [0, 1, 3])
def test_a_loop_is_a_508_whoever_else_is_in_it(between: int) -> None:
    """The site behind the front sends everything back to it, at once or through other instances."""

    async def scenario() -> None:
        turns = 0

        async def back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal turns
            head = await reader.readuntil(b"\r\n\r\n")
            turns += 1
            for number in range(between):
                head = head.replace(b"\r\n\r\n", b"\r\nX-Proxyguard-Hop: %016x\r\n\r\n" % number)
            onward, out = await asyncio.open_connection(LOOPBACK, port)
            out.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            writer.write(await rest(onward))
            out.close()

        async with fronted(back, front={"hop": b"0123456789abcdef"}) as rig:
            port = rig.port
            answer = await rig.ask(GET)
            assert answer.startswith(b"HTTP/1.1 508 Loop Detected\r\n")
            assert turns == 1
            assert rig.events.bounds["loop"] == 1

    run(scenario())


def test_what_others_marked_passes_and_is_passed_on() -> None:
    async def scenario() -> None:
        async def noting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            rig.upstream.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        async with fronted(noting, front={"hop": b"0123456789abcdef"}) as rig:
            await rig.ask(GET.replace(b"Host", b"X-Proxyguard-Hop: fedcba9876543210\r\nHost"))
            (head,) = rig.upstream.heads
            marks = [line for line in head.split(b"\r\n") if line.startswith(b"X-Proxyguard-Hop: ")]
            assert [mark[18:] for mark in marks] == [b"fedcba9876543210", b"0123456789abcdef"]

    run(scenario())


def test_an_instance_with_itself_as_its_site_loops_once() -> None:
    async def scenario() -> None:
        async with fronted() as taken:
            port = taken.port
        behind = (Upstream("http", LOOPBACK, port),)
        async with fronted(upstreams=behind, listen=(Listen(LOOPBACK, port),), front={"hop": b"0123456789abcdef"}) as rig:
            assert (await rig.ask(GET)).startswith(b"HTTP/1.1 508 ")
            assert rig.served == [(508, "loop"), (508, "")]

    run(scenario())
