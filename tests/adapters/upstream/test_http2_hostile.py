"""Upstreams that break HTTP/2, by fault or on purpose: their requests get 502, others get their own answers, nothing hangs."""

from __future__ import annotations

import asyncio
from struct import pack

import pytest

from proxyguard.adapters.mitmproxy.upstream.stream import TRIES_OF_LEAVERS
from proxyguard.core.settings import Bounds, UpstreamHttp
from proxyguard.http.http2 import frames
from proxyguard.http.http2.errors import ErrorCode
from tests.adapters.front_rig import fronted, run
from tests.adapters.upstream.http2_peer import Http2Upstream, Peer, serve
from tests.adapters.upstream.test_http2 import behind, get

END, HEADERS_END = frames.END_STREAM, frames.END_HEADERS
OK = (b":status", b"200")


def block(*fields: tuple[bytes, bytes]) -> bytes:
    """Literals that leave both tables as they are."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes((len(text),)) + text
    rest = len(text) - 127
    digits = bytearray((127,))
    while rest >= 128:
        digits.append(rest & 127 | 128)
        rest >>= 7
    return bytes((*digits, rest)) + text


def head(*fields: tuple[bytes, bytes], flags: int = HEADERS_END, number: int = 1) -> bytes:
    return frames.frame(frames.HEADERS, flags, number, block(*fields))


def data(payload: bytes, flags: int = 0, number: int = 1) -> bytes:
    return frames.frame(frames.DATA, flags, number, payload)


MALFORMED = {
    "no status": head((b"x", b"y")),
    "status twice": head(OK, OK),
    "status late": head((b"x", b"y"), OK),
    "status of two digits": head((b":status", b"20")),
    "status with a sign": head((b":status", b"+20")),
    "status below 100": head((b":status", b"099")),
    "a request's field": head(OK, (b":path", b"/")),
    "upper case": head(OK, (b"X-Y", b"z")),
    "no name": head(OK, (b"", b"z")),
    "a space in a name": head(OK, (b"x y", b"z")),
    "a line in a name": head(OK, (b"x: y\r\nz", b"z")),
    "a line in a value": head(OK, (b"x", b"y\r\nset-cookie: a=b")),
    "LF in a value": head(OK, (b"x", b"y\nz")),
    "NUL in a value": head(OK, (b"x", b"\0")),
    "blanks around a value": head(OK, (b"x", b" y ")),
    "connection": head(OK, (b"connection", b"close")),
    "transfer-encoding": head(OK, (b"transfer-encoding", b"chunked")),
    "101": head((b":status", b"101")),
    "an interim end": head((b":status", b"103"), flags=HEADERS_END | END),
    "interims without end": head((b":status", b"103")) * 17,
    "two lengths": head(OK, (b"content-length", b"1"), (b"content-length", b"2")),
    "a length with a sign": head(OK, (b"content-length", b"+1")),
    "a body without a head": data(b"x"),
    "a large head": head(OK, *[(b"x-%d" % number, b"y" * 900) for number in range(10)]),
}
"""What ends its stream alone."""

CUT = {
    "more than the length": head(OK, (b"content-length", b"2")) + data(b"xyz", END),
    "less than the length": head(OK, (b"content-length", b"4")) + data(b"xyz", END),
    "a body with 204": head((b":status", b"204")) + data(b"x", END),
    "trailers in the middle": head(OK) + data(b"x") + head((b"x", b"y")),
    "a pseudo trailer": head(OK) + data(b"x") + head(OK, flags=HEADERS_END | END),
    "large trailers": head(OK) + data(b"x") + head(*[(b"x-%d" % n, b"y" * 900) for n in range(10)], flags=HEADERS_END | END),
    "a window of nothing": head(OK) + frames.window_update(1, 0),
    "a window beyond all": head(OK) + frames.window_update(1, frames.MAX_WINDOW),
    "cut by a reset": head(OK) + data(b"x") + frames.rst_stream(1, ErrorCode.INTERNAL_ERROR),
}
"""What ends its stream alone, after a head that has been passed on."""

BROKEN = {
    "HTTP/1": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a frame too large": b"\x00\x40\x01\x00\x00\x00\x00\x00\x01",
    "an index of nothing": frames.frame(frames.HEADERS, HEADERS_END, 1, b"\x80"),
    "an index beyond the table": frames.frame(frames.HEADERS, HEADERS_END, 1, b"\xff\xff\x7f"),
    "a number without end": frames.frame(frames.HEADERS, HEADERS_END, 1, b"\xff" + b"\xff" * 40),
    "a string cut": frames.frame(frames.HEADERS, HEADERS_END, 1, b"\0\x7f\x20abc"),
    "padding beyond the frame": frames.frame(frames.DATA, frames.PADDED, 1, b"\xff\0"),
    "a stream nobody began": head(OK, number=99),
    "a stream of its own": head(OK, number=2),
    "a reset of one nobody began": frames.rst_stream(99, ErrorCode.CANCEL),
    "a body on no stream": frames.frame(frames.DATA, 0, 0, b"x"),
    "settings on a stream": frames.frame(frames.SETTINGS, 0, 1, b""),
    "settings cut": frames.frame(frames.SETTINGS, 0, 0, b"abc"),
    "a promise": frames.frame(frames.PUSH_PROMISE, HEADERS_END, 1, pack(">L", 2) + block(OK)),
    "leave to push": frames.settings([(frames.ENABLE_PUSH, 1)]),
    "a window beyond all": frames.settings([(frames.INITIAL_WINDOW_SIZE, 1 << 31)]),
    "frames beyond all": frames.settings([(frames.MAX_FRAME_SIZE, 1 << 24)]),
    "a window of nothing": frames.window_update(0, 0),
    "an endless window": frames.window_update(0, frames.MAX_WINDOW),
    "a ping cut": frames.frame(frames.PING, 0, 0, b"abc"),
    "goodbye cut": frames.frame(frames.GOAWAY, 0, 0, b"abc"),
    "a continuation of nothing": frames.frame(frames.CONTINUATION, HEADERS_END, 1, block(OK)),
    "a head interrupted": frames.frame(frames.HEADERS, 0, 1, block(OK)) + frames.ping(b"12345678"),
    "a head without end": frames.frame(frames.HEADERS, 0, 1, block(OK))
    + frames.frame(frames.CONTINUATION, 0, 1, block((b"x", b"y" * 1000))) * 40,
    "a head of nothing without end": frames.frame(frames.HEADERS, 0, 1, b"")
    + frames.frame(frames.CONTINUATION, 0, 1, b"") * 3000,
    "a bomb": frames.frame(frames.HEADERS, HEADERS_END, 1, b"\x40\x01a" + _text(b"b" * 3000) + b"\xbe" * 2000),
    "fields without end": frames.frame(frames.HEADERS, HEADERS_END, 1, b"\x88" + b"\x90" * 3000),
    "pings": frames.ping(b"12345678") * 3000,
    "settings": frames.settings([(frames.HEADER_TABLE_SIZE, 0), (frames.HEADER_TABLE_SIZE, 4096)]) * 1500,
    "bodies of nothing": head(OK) + data(b"") * 3000,
    "padding of nothing": head(OK) + frames.frame(frames.DATA, frames.PADDED, 1, b"\x05\0\0\0\0\0") * 3000,
    "unknown frames": frames.frame(0xF0, 0, 1, b"") * 3000,
    "priorities": frames.frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\0") * 3000,
    "windows": frames.window_update(1, 1) * 3000,
    "resets": frames.rst_stream(1, ErrorCode.CANCEL) * 3000,
}
"""What ends the connection."""

BOUNDS = Bounds(response_head_bytes=8192, buffer_bytes=65_536, upstream_first_byte_seconds=20)


async def _after(hostile: bytes) -> tuple[bytes, bytes, int, int | None]:
    """The answer to the request that gets hostile bytes, that to the next one, connections used, the GOAWAY of the first."""

    async def script(peer: Peer) -> None:
        if upstream.peers[0] is peer:
            assert await peer.request() is not None
            peer.raw(hostile)
        await serve(peer)

    upstream = Http2Upstream(script)
    async with behind(upstream, bounds=BOUNDS) as rig:
        first = await rig.ask(get(b"/first"))
        second = await rig.ask(get(b"/second"))
        used = len(upstream.peers)
        if used > 1:
            await upstream.peers[0].gone.wait()
        return first, second, used, upstream.peers[0].goaway


@pytest.mark.parametrize("hostile", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_answer_costs_its_own_request(hostile: bytes) -> None:
    first, second, connections, goaway = run(_after(hostile))
    assert first.rpartition(b"HTTP/1.1 ")[2].startswith(b"502 ")
    assert b"set-cookie" not in first
    assert second.endswith(b"\r\n\r\nhi")
    assert (connections, goaway) == (1, None)


@pytest.mark.parametrize("hostile", CUT.values(), ids=CUT)
def test_an_answer_that_goes_wrong_is_cut(hostile: bytes) -> None:
    first, second, connections, goaway = run(_after(hostile))
    assert first.startswith((b"HTTP/1.1 200", b"HTTP/1.1 204", b"HTTP/1.1 502"))
    assert not first.endswith(b"\r\n0\r\n\r\n")
    assert first.count(b"xyz") == (b"Content-Length: 4" in first)
    assert second.endswith(b"\r\n\r\nhi")
    assert (connections, goaway) == (1, None)


@pytest.mark.parametrize("hostile", BROKEN.values(), ids=BROKEN)
def test_a_broken_connection_is_given_up(hostile: bytes) -> None:
    first, second, connections, goaway = run(_after(hostile))
    assert first.startswith((b"HTTP/1.1 502", b"HTTP/1.1 200"))
    assert not first.endswith(b"\r\n0\r\n\r\n")
    assert second.endswith(b"\r\n\r\nhi")
    assert connections == 2
    assert goaway is not None


def test_windows_of_one_byte_end_the_connection() -> None:
    """They would have us send a frame for each byte."""

    async def script(peer: Peer) -> None:
        peer.opens_windows = False
        assert await peer.request() is not None
        for _ in range(3000):
            peer.h2.increment_flow_control_window(1, 1)
            peer.flush()
            await asyncio.sleep(0)

    async def scenario() -> None:
        upstream = Http2Upstream(script, INITIAL_WINDOW_SIZE=0)
        async with behind(upstream, bounds=BOUNDS) as rig:
            request = b"POST /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000
            assert (await rig.ask(request)).startswith(b"HTTP/1.1 502")
            await upstream.peers[0].gone.wait()
            assert upstream.peers[0].goaway == ErrorCode.ENHANCE_YOUR_CALM

    run(scenario())


@pytest.mark.parametrize("limit", [0, 1])
def test_an_upstream_that_takes_no_streams_is_no_upstream(limit: int) -> None:
    async def scenario() -> None:
        upstream = Http2Upstream(serve, MAX_CONCURRENT_STREAMS=limit)
        async with behind(upstream, bounds=BOUNDS) as rig:
            answers = await asyncio.gather(*(rig.ask(get()) for _ in range(4)))
            assert {answer[:12] for answer in answers} == {b"HTTP/1.1 200" if limit else b"HTTP/1.1 503"}
            assert len(upstream.peers) <= 4
            rig.events.errors.clear()

    run(scenario())


def test_goodbyes_without_end_do_not_keep_a_request_going_round() -> None:
    async def script(peer: Peer) -> None:
        assert await peer.request() is not None
        peer.leave(0)

    async def scenario() -> None:
        upstream = Http2Upstream(script)
        async with behind(upstream, bounds=BOUNDS) as rig:
            assert (await rig.ask(get())).startswith(b"HTTP/1.1 502")
            assert len(upstream.peers) == TRIES_OF_LEAVERS

    run(scenario())


def test_bytes_at_any_cut_come_to_the_same() -> None:
    whole = head(OK, (b"x", b"y"), flags=HEADERS_END) + frames.frame(frames.DATA, frames.PADDED, 1, b"\x02abc\0\0")
    whole += head((b"x-end", b"1"), flags=HEADERS_END | END)

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frames.settings(()))
        await reader.readuntil(frames.PREFACE)
        await reader.read(1 << 16)
        while b"\x84" not in await reader.read(1 << 16):  # the settings' acknowledgement comes first
            pass
        for byte in whole:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        await reader.read()

    async def scenario() -> None:
        async with fronted(slowly, site={"upstream_http": UpstreamHttp.HTTP2}) as rig:
            answer = await rig.ask(get(b"/"))
            assert answer.endswith(b"\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\nx-end: 1\r\n\r\n")

    run(scenario())
