"""How requests and connections end: each gets its answer, none ahead of a client that reads none, and drains end."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import pytest

from proxyguard.adapters.mitmproxy.driver import ClientConnection
from proxyguard.core.settings import Buffering
from tests.adapters.front_rig import LOOPBACK, fronted, run, until


def test_a_loop_found_on_a_kept_connection_ends_the_request() -> None:
    async def scenario() -> None:
        async with fronted(front={"hop": b"mark-of-ours"}) as rig:
            assert (await rig.ask(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")).endswith(b"hi")
            await until(lambda: rig.front.stats()["upstream_idle"] == 1)
            async with asyncio.timeout(5):
                answer = await rig.ask(b"GET /?mark-of-ours HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 508 ")

    run(scenario())


def test_what_follows_a_loop_in_the_same_read_is_answered() -> None:
    async def scenario() -> None:
        async with fronted(front={"hop": b"mark-of-ours"}, buffering=Buffering(request_bytes=0)) as rig:
            await rig.ask(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
            looped = b"POST /?mark-of-ours HTTP/1.1\r\nHost: a.example\r\nContent-Length: 6000\r\n\r\n" + b"x" * 6000
            async with asyncio.timeout(5):
                answer = await rig.ask(looped + b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 508 ")
            assert answer.endswith(b"hi")

    run(scenario())


def test_a_client_that_reads_no_answers_is_not_read_either() -> None:
    async def scenario() -> None:
        async with fronted() as rig:
            sent = b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Do: reject\r\nAccept: text/html\r\n\r\n" * 9_000
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect((LOOPBACK, rig.port))
                client.settimeout(0)
                sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(client, sent))
                await until(lambda: len(rig.served) > 0)
                await asyncio.sleep(1.5)
                [connection] = rig.front._runtime.connections  # type: ignore[union-attr]
                held = cast("ClientConnection", connection).transport.get_write_buffer_size()
                sending.cancel()
            assert held < 200_000
            await until(lambda: rig.front.stats()["connections"] == 0)

    run(scenario())


@pytest.mark.parametrize("rest_of", ["response", "body"])
def test_a_connection_that_was_busy_when_the_drain_began_is_closed_when_it_is_free(rest_of: str) -> None:
    go_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        await go_on.wait()
        writer.write(b"67890")
        await reader.read()

    async def scenario() -> None:
        async with fronted(slow) as rig:
            reader, writer = await rig.connect()
            if rest_of == "response":
                writer.write(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
                await reader.readuntil(b"12345")
            else:
                writer.write(b"POST / HTTP/1.1\r\nHost: a.example\r\nX-Do: reject\r\nContent-Length: 10\r\n\r\n12345")
                await reader.readuntil(b"\r\n\r\n")
            draining = asyncio.create_task(rig.front.drain(8.0))
            await asyncio.sleep(0.1)
            go_on.set()
            writer.write(b"67890" if rest_of == "body" else b"")
            async with asyncio.timeout(5):
                await draining
            writer.close()

    run(scenario())
