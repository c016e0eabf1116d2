"""What the front notes of connections over TLS, and of whom it notes nothing."""

from __future__ import annotations

import asyncio
import ssl
import struct
from pathlib import Path

import pytest

from proxyguard.core.address import Network
from proxyguard.core.settings import Trust
from proxyguard.http.fingerprints.facts import client_kind, ja4_of
from tests.adapters.front_rig import LOOPBACK, run
from tests.fingerprints.sightings import sighted

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
FROM = b"\xcb\x00\x71\x09\x7f\0\0\x01\x12\x34\x01\xbb"  # 203.0.113.9
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ENDED_TLS = b"\x20\x00\x05\x01\0\0\0\0"


def proxy_header(more: bytes = b"") -> bytes:
    return SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(FROM + more)) + FROM + more


async def ask(port: int, before: bytes = b"", cut: int = 1 << 16) -> bytes:
    """One request over TLS whose bytes are sent `cut` at a time, after others in clear text."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(before)

    async def flush() -> None:
        data = outgoing.read()
        for place in range(0, len(data), cut):
            writer.write(data[place : place + cut])
            await writer.drain()
            await asyncio.sleep(0)

    async def until_done(step: object) -> object:
        while True:
            try:
                result = step()  # type: ignore[operator]  # one of the two below
            except ssl.SSLWantReadError:
                await flush()
                data = await reader.read(1 << 16)
                incoming.write(data) if data else incoming.write_eof()
            else:
                await flush()
                return result

    await until_done(tls.do_handshake)
    tls.write(REQUEST[:10])
    tls.write(REQUEST[10:])
    await flush()
    answer = await until_done(lambda: tls.read(1 << 16))
    writer.close()
    assert isinstance(answer, bytes)
    return answer


@pytest.mark.parametrize("cut", [1 << 16, 7])
def test_the_hello_is_known_however_it_is_cut_and_the_first_record_is_read_alone(tmp_path: Path, cut: int) -> None:
    async def scenario() -> None:
        async with sighted(tmp_path) as (rig, checker):
            assert (await ask(rig.port, cut=cut)).startswith(b"HTTP/1.1 200")
            facts = checker.requests[0].connection
            assert facts is not None
            assert (facts.tls_version, facts.first_record) == (b"1.3", 10)
            assert client_kind(facts) == b"python"
            assert ja4_of(facts).startswith(b"t13d")

    run(scenario())


@pytest.mark.parametrize(
    ("before", "trust", "is_known"),
    [
        (b"", Trust(proxies=(Network.parse("127.0.0.0/8"),)), False),
        (proxy_header(), Trust(proxies=(Network.parse("127.0.0.0/8"),), proxy_protocol=True), True),
        (proxy_header(ENDED_TLS), Trust(proxies=(Network.parse("127.0.0.0/8"),), proxy_protocol=True), False),
        (
            proxy_header(),
            Trust(proxies=(Network.parse("127.0.0.0/8"), Network.parse("203.0.113.0/24")), proxy_protocol=True),
            False,
        ),
    ],
    ids=("a trusted proxy's own TLS", "passed through", "ended by the proxy", "passed through from another proxy"),
)
def test_the_tls_of_a_proxy_says_nothing_of_its_clients(tmp_path: Path, before: bytes, trust: Trust, is_known: bool) -> None:
    async def scenario() -> None:
        async with sighted(tmp_path, trust=trust) as (rig, checker):
            assert (await ask(rig.port, before)).startswith(b"HTTP/1.1 200")
            assert (checker.requests[0].connection is not None) is is_known

    run(scenario())
