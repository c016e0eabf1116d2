"""How streams and connections end: nothing is cut while its client takes it, nothing stands still until a time-out."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from ssl import SSLContext

import pytest
from hpack import Encoder

from proxyguard.core.settings import Bounds, Buffering
from proxyguard.http.http2.errors import ErrorCode
from proxyguard.http.http2.frames import PREFACE, frame, goaway, settings, window_update
from tests.adapters.front_rig import LOOPBACK, Handler, echo_length, run
from tests.adapters.http2.rig import GET, Http2Rig, post
from tests.adapters.http2.test_front import HOST, connected, http2_fronted
from tests.adapters.tls.test_certificates import client_context


def test_a_body_that_came_during_a_delay_is_passed_on_after_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            http2_fronted(tmp_path, echo_length, bounds=Bounds(body_gap_seconds=3.0)) as (rig, certificate),
            connected(rig, certificate) as connection,
        ):
            client = connection.client
            number = client.request(post((b"x-do", b"delay"), (b"content-length", b"40000")), end=False)
            for end in (False, False, False, True):
                client.connection.send_data(number, b"z" * 10_000, end_stream=end)
            connection.flush()
            await connection.ended(number)
            assert (client.answers[number].status, client.answers[number].body) == (200, b"40000")

    run(scenario())


def test_a_delayed_body_in_pieces() -> None:
    rig = Http2Rig(buffering=Buffering())
    number = rig.h2.request(post((b"x-do", b"delay")), end=False)
    rig.h2.connection.send_data(number, b"a" * 9_000)
    rig.h2.connection.send_data(number, b"b" * 9_000, end_stream=True)
    rig.talk()
    rig.pass_time(0.1)
    rig.end_turns()
    assert rig.upstream.got.endswith(b"0\r\n\r\n")


SIZE = 3_000_000


def fixed(size: int) -> Handler:
    """A site whose responses have so many bytes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"z" * size)
        await writer.drain()

    return handle


def slow_download(port: int, context: SSLContext, last_words: bytes, on_begin: Callable[[], object]) -> tuple[int, bool]:
    """A blocking client that reads slowly and opens its windows as it does: how much of the body came, and whether it ended."""
    fields = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/x")]
    got = given = 0
    data = b""
    with context.wrap_socket(socket.create_connection((LOOPBACK, port)), server_hostname=HOST) as client:
        hello = PREFACE + settings(((4, 1 << 20),)) + window_update(0, 1 << 20)
        client.sendall(hello + frame(1, 5, 1, Encoder().encode(fields)) + last_words)
        try:
            while more := client.recv(16_384):
                data += more
                while len(data) >= 9 and len(data) >= (stop := 9 + int.from_bytes(data[:3])):
                    kind, flags, payload, data = data[3], data[4], data[9:stop], data[stop:]
                    if kind == 0:
                        got += len(payload)
                        on_begin()
                        if flags & 1:
                            return got, True
                    elif kind == 6 and not flags & 1:
                        client.sendall(frame(6, 1, 0, payload))
                if got - given > 100_000:
                    client.sendall(window_update(1, got - given) + window_update(0, got - given))
                    given = got
                time.sleep(0.003)
        except ConnectionError:
            pass
    return got, False


@pytest.mark.parametrize("how", ["goaway", "bound", "drain"])
def test_the_last_response_of_a_connection_arrives_whole(tmp_path: Path, how: str) -> None:
    async def scenario() -> None:
        bounds = Bounds(requests_per_connection=1) if how == "bound" else Bounds()
        async with http2_fronted(tmp_path, fixed(SIZE), bounds=bounds) as (rig, certificate):
            context = client_context(certificate, protocols=("h2",))
            loop, began = asyncio.get_running_loop(), asyncio.Event()
            words = goaway(0, ErrorCode.NO_ERROR) if how == "goaway" else b""
            begin = partial(loop.call_soon_threadsafe, began.set)
            client = asyncio.create_task(asyncio.to_thread(slow_download, rig.port, context, words, begin))
            await began.wait()
            if how == "drain":
                await rig.front.drain(20.0)
            assert await client == (SIZE, True)

    run(scenario())


@pytest.mark.parametrize("how", ["goaway", "drain"])
def test_a_response_that_ends_while_the_client_takes_nothing_is_not_cut(how: str) -> None:
    rig = Http2Rig()
    rig.h2.request(GET)
    rig.talk()
    rig.respond_on(rig.upstream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    rig.talk()
    if how == "goaway":
        rig.raw(goaway(0, ErrorCode.NO_ERROR))
    else:
        rig.drain()
        rig.talk()
        rig.pass_time(1.5)
        rig.talk()
    rig.stall()  # what was written waits in the transport
    rig.respond_on(rig.upstream, b"0\r\n\r\n")
    assert rig.end == "close"


def test_an_upstream_that_we_hold_is_not_timed_out() -> None:
    rig = Http2Rig(opens_windows=False, gathers=True, buffering=Buffering(file_bytes=0))
    number = rig.h2.request(GET)
    rig.talk()
    rig.respond_on(rig.upstream, b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
    rig.end_turns()
    while not rig.is_held(rig.upstream):
        rig.respond_on(rig.upstream, b"z" * 60_000)
        rig.end_turns()
    windows = rig.h2.connection.increment_flow_control_window
    for _ in range(31):  # the client takes 600 bytes a second, more than `response_rate`, for longer than `upstream_gap_seconds`
        rig.pass_time(10.0)
        windows(6_000, number)
        windows(6_000)
        rig.talk()
        rig.end_turns()
    windows(1 << 20, number)
    windows(1 << 20)
    rig.feed(rig.h2.connection.data_to_send())
    rig.pass_time(0.0)  # a tick of the wheel before the next turn of the loop
    rig.end_turns()
    assert (rig.events.bounds, rig.served) == ({}, [])


def flood_while_reading_nothing(port: int, context: SSLContext, size: int) -> bool:
    """Ask for one response, read none of it, and send so many bytes of nonsense; whether all of them were taken."""
    fields = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/x")]
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect((LOOPBACK, port))
    with context.wrap_socket(plain, server_hostname=HOST) as client:
        begin = PREFACE + settings(((4, 1 << 20),)) + window_update(0, 1 << 20)
        client.sendall(begin + frame(1, 5, 1, Encoder().encode(fields)))
        time.sleep(0.5)  # until the response is on its way, and the connection is to be closed behind it
        client.settimeout(3)
        try:
            client.sendall(bytes(size))
        except TimeoutError:
            return False
        return True


def test_of_a_connection_that_is_closed_little_more_is_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with http2_fronted(tmp_path, fixed(20_000), bounds=Bounds(requests_per_connection=1)) as (rig, certificate):
            context = client_context(certificate, protocols=("h2",))
            assert not await asyncio.to_thread(flood_while_reading_nothing, rig.port, context, 40_000_000)

    run(scenario())
