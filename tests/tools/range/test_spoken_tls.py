"""TLS that begins with a recorded hello: real servers read it, and what is no TLS 1.3 ends it with a reason."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from proxyguard.http.fingerprints.client_hello import HelloTells, read_hello
from proxyguard.tools.range.connections import recorded_hellos
from proxyguard.tools.range.spoken_tls import SpokenTls, refusal_of, renewed
from tests.end_to_end.processes import make_certificate

HELLOS = recorded_hellos()
LIMIT = 1 << 20

type Made = Callable[..., ssl.SSLContext]
type Serving = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder: Path = tmp_path_factory.mktemp("tls")
    chain, key = make_certificate(folder)

    def made(*alpn: str, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        found.load_cert_chain(chain, key)
        found.maximum_version = newest
        if alpn:
            found.set_alpn_protocols(list(alpn))
        return found

    return made


async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers a line with the same ten times, and closes."""
    writer.write(await reader.readuntil(b"\n") * 10)
    writer.close()


async def said(speaks: str, serving: Serving, tls: ssl.SSLContext | None, line: bytes = b"hello\n") -> bytes:
    """What a server of loopback answers to a line."""
    server = await asyncio.start_server(serving, "127.0.0.1", 0, ssl=tls, limit=LIMIT)
    try:
        raw = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        try:
            spoken = await SpokenTls.begun(HELLOS[speaks], b"range.example", *raw, LIMIT)
            spoken.write(line)
            await spoken.drain()
            return await asyncio.wait_for(spoken.reader.read(-1), 20)
        finally:
            raw[1].close()
    finally:
        server.close()


@pytest.mark.parametrize("speaks", HELLOS)
def test_a_server_understands_each_hello_and_what_comes_after_it(speaks: str, context: Made) -> None:
    line = speaks.encode() * 10_000 + b"\n"  # several records each way
    assert asyncio.run(said(speaks, repeat, context("http/1.1"), line)) == line * 10


@pytest.mark.parametrize("speaks", HELLOS)
def test_what_a_hello_says_of_its_software_stays_and_what_it_says_of_its_connection_does_not(speaks: str) -> None:
    recorded, (made, finishes) = HELLOS[speaks], renewed(HELLOS[speaks], b"range.example")
    was, now = read_hello(recorded), read_hello(made)
    assert was is not None
    assert now is not None
    told = [name for name in dir(HelloTells) if not name.startswith("_")]
    assert len(told) > 3
    assert [getattr(now, name) for name in told] == [getattr(was, name) for name in told]
    assert finishes
    assert made[2:34] != recorded[2:34]
    assert made != renewed(recorded, b"range.example")[0]
    assert b"range.example" in made or b"localhost" not in recorded


def serving(answer: bytes) -> Serving:
    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(LIMIT)
        writer.write(answer)
        writer.close()

    return answered


def server_hello(cipher: int, group: int, key: bytes) -> bytes:
    """A ServerHello of TLS 1.3 as a record, without a session."""
    share = group.to_bytes(2) + len(key).to_bytes(2) + key
    extensions = b"\0\x2b\0\x02\x03\x04\0\x33" + len(share).to_bytes(2) + share
    body = b"\x03\x03" + bytes(32) + b"\0" + cipher.to_bytes(2) + b"\0" + len(extensions).to_bytes(2) + extensions
    message = b"\x02" + len(body).to_bytes(3) + body
    return b"\x16\x03\x03" + len(message).to_bytes(2) + message


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\x15\x03\x03\x00\x02\x02\x28", "the front broke off with alert 28"),
        (b"\x17\x03\x03\x00\x01x", "the front does not go on with the handshake"),
        (b"\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03" + bytes(36), "the front does not speak TLS 1.3"),
        (b"\x16\x03\x03\x00\x04\x0b\x00\x00\x00", "the front wants another hello"),
        (b"\x16\x03\x03\x00\x06\x02\x00\x00\x02\x03\x03", "the front does not speak TLS 1.3"),
        (b"\x16\x03\x03\x00\x04\x02\x00\xff\xff", "0 bytes read on a total of 5"),
        (server_hello(0x1301, 29, bytes(32)), "computing shared key"),
        (server_hello(0x1301, 29, b""), "public key is 32 bytes"),
        (server_hello(0x1301, 0x11EC, bytes(40)), "Invalid ML-KEM-768 ciphertext"),
        (server_hello(0x1301, 24, bytes(97)), "the front chose a group that was not offered"),
        (server_hello(0x1399, 29, b"\x09" + bytes(31)), "the front chose the cipher 0x1399"),
        (server_hello(0x1301, 29, b"\x09" + bytes(31)) + b"\x17\x03\x03\x00\x20" + bytes(32), "a record cannot be read"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "23 bytes read on a total of 20527"),
    ],
    ids=[
        "alert",
        "data",
        "old",
        "certificate-first",
        "short",
        "endless",
        "zero-key",
        "no-key",
        "short-key",
        "group",
        "cipher",
        "not-sealed",
        "plain",
    ],
)
def test_what_is_no_answer_to_a_hello_is_an_error_with_its_reason(answer: bytes, reason: str) -> None:
    with pytest.raises((ValueError, EOFError), match=reason):
        asyncio.run(said("chrome", serving(answer), None))


async def tried(tls: ssl.SSLContext) -> str:
    server = await asyncio.start_server(repeat, "127.0.0.1", 0, ssl=tls)
    try:
        return await refusal_of(HELLOS["chrome"], "127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


def test_a_front_is_tried_first_and_says_why_browsers_cannot_be_played(context: Made) -> None:
    assert asyncio.run(tried(context("http/1.1"))) == ""
    assert asyncio.run(tried(context())) == ""
    assert asyncio.run(tried(context("h2", "http/1.1"))) == "it speaks HTTP/2 with browsers"
    assert asyncio.run(tried(context(newest=ssl.TLSVersion.TLSv1_2))) == "the front does not speak TLS 1.3"
