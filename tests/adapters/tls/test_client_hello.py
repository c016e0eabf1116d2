"""The reader of ClientHello against what OpenSSL sends, cut anyhow, and against what nobody should send."""

from __future__ import annotations

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.adapters.mitmproxy.tls.client_hello import BadHello, ClientHello, ClientHelloReader


def hello(name: str | None, *protocols: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


NAMED = hello("www.a.example", "h2", "http/1.1")


def understood(found: ClientHello | None) -> bool:
    """Whether it is NAMED's, with the whole message."""
    return found == ClientHello("www.a.example", (b"h2", b"http/1.1"), NAMED[9:])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (NAMED, ClientHello("www.a.example", (b"h2", b"http/1.1"))),
        (hello(None), ClientHello(None, ())),
        (hello("b.example"), ClientHello("b.example", ())),
    ],
)
def test_the_server_name_and_the_protocols_are_read(data: bytes, expected: ClientHello) -> None:
    found = ClientHelloReader().feed(data)
    assert found is not None
    assert found[:2] == expected[:2]
    assert data.endswith(found.body)


def test_a_hello_cut_anywhere_is_read_the_same() -> None:
    for cut in range(1, len(NAMED)):
        reader = ClientHelloReader()
        assert reader.feed(NAMED[:cut]) is None, cut
        assert understood(reader.feed(NAMED[cut:])), cut


@pytest.mark.parametrize("more", [b"\x14\x03\x03\x00\x01\x01", b"\x17\x03\x03\x00\x04data", b"\x16\x03\x03\xff\xff", b"GET /"])
def test_what_follows_a_hello_at_once_is_not_looked_at(more: bytes) -> None:
    """It is OpenSSL's to judge, as it is when it comes a moment later."""
    assert understood(ClientHelloReader().feed(NAMED + more))


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_a_hello_in_many_records_is_read_the_same(size: int) -> None:
    message = NAMED[5:]
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    records = b"".join(b"\x16\x03\x01%b%b" % (len(p).to_bytes(2, "big"), p) for p in pieces)
    assert understood(ClientHelloReader().feed(records))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x02\x01\x00\x05hello",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        NAMED.replace(b"www.a.example", b"www.\xff.example"),
    ],
    ids=["http", "version", "empty-record", "long-record", "not-a-hello", "short-body", "name"],
)
def test_what_is_no_hello_is_refused(data: bytes) -> None:
    with pytest.raises(BadHello):
        ClientHelloReader().feed(data)


@given(st.data())
def test_a_damaged_hello_is_read_or_refused_but_nothing_else(data: st.DataObject) -> None:
    damaged = bytearray(NAMED)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadHello):
        ClientHelloReader().feed(bytes(damaged))
