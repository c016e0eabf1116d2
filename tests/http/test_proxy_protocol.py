"""PROXY headers: both versions in every cut, and what is refused."""

from __future__ import annotations

import struct
from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.http.proxy_protocol import MAX_HEADER_BYTES, BadProxyHeader, ProxyHeaderParser

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
HTTP = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"

Ends = tuple[tuple[str, int], tuple[str, int]] | None


def _v2(command: int, family: int, block: bytes, *, version: int = 2, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", version << 4 | command, family, len(block) if length is None else length) + block


def _block(source: str, destination: str, ports: tuple[int, int] = (4711, 443)) -> bytes:
    return ip_address(source).packed + ip_address(destination).packed + struct.pack("!HH", *ports)


V4 = _block("203.0.113.7", "192.0.2.1")
V6 = _block("2001:db8::7", "2001:db8::1")
TLV = b"\x02\x00\x05a.exa" + b"\x04\x00\x03\0\0\0"

GOOD: list[tuple[str, bytes, Ends]] = [
    ("1, IPv4", b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n", (("203.0.113.7", 4711), ("192.0.2.1", 443))),
    ("1, IPv6", b"PROXY TCP6 2001:DB8::7 2001:db8::1 4711 443\r\n", (("2001:db8::7", 4711), ("2001:db8::1", 443))),
    ("1, mapped", b"PROXY TCP6 ::ffff:203.0.113.7 ::ffff:192.0.2.1 1 2\r\n", (("203.0.113.7", 1), ("192.0.2.1", 2))),
    ("1, unknown", b"PROXY UNKNOWN\r\n", None),
    ("1, unknown with more", b"PROXY UNKNOWN ffff:f::ffff ffff:f::ffff 65535 65535\r\n", None),
    ("1, port 0", b"PROXY TCP4 203.0.113.7 192.0.2.1 0 65535\r\n", (("203.0.113.7", 0), ("192.0.2.1", 65535))),
    ("1, longest", b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n", None),
    ("2, IPv4", _v2(1, 0x11, V4), (("203.0.113.7", 4711), ("192.0.2.1", 443))),
    ("2, IPv6", _v2(1, 0x21, V6), (("2001:db8::7", 4711), ("2001:db8::1", 443))),
    ("2, mapped", _v2(1, 0x21, _block("::ffff:203.0.113.7", "::ffff:192.0.2.1")), (("203.0.113.7", 4711), ("192.0.2.1", 443))),
    ("2, with extensions", _v2(1, 0x11, V4 + TLV), (("203.0.113.7", 4711), ("192.0.2.1", 443))),
    ("2, longest", _v2(1, 0x11, V4 + b"\0" * (MAX_HEADER_BYTES - 28)), (("203.0.113.7", 4711), ("192.0.2.1", 443))),
    ("2, health check", _v2(0, 0x00, b""), None),
    ("2, health check with an address", _v2(0, 0x11, V4), None),
    ("2, health check of an odd family", _v2(0, 0xF1, b""), None),
    ("2, family not said", _v2(1, 0x00, b""), None),
    ("2, family not said, with extensions", _v2(1, 0x00, TLV), None),
    ("2, Unix socket", _v2(1, 0x31, b"\0" * 216), None),
    ("2, UDP", _v2(1, 0x12, V4), None),
]  # fmt: skip

BAD: list[tuple[str, bytes, str]] = [
    ("HTTP at once", HTTP, "signature"),
    ("TLS at once", b"\x16\x03\x01", "signature"),
    ("lower case", b"proxy TCP4 203.0.113.7 192.0.2.1 1 2\r\n", "signature"),
    ("broken signature", SIGNATURE[:-1] + b"\r", "signature"),
    ("empty line", b"\r\nGET", "signature"),
    ("bare LF", b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2\n", "line"),
    ("other protocol", b"PROXY UDP4 203.0.113.7 192.0.2.1 1 2\r\n", "line"),
    ("wrong family", b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", "line"),
    ("wrong family the other way", b"PROXY TCP6 203.0.113.7 192.0.2.1 1 2\r\n", "line"),
    ("no ports", b"PROXY TCP4 203.0.113.7 192.0.2.1\r\n", "line"),
    ("one port", b"PROXY TCP4 203.0.113.7 192.0.2.1 1\r\n", "line"),
    ("port with a leading zero", b"PROXY TCP4 203.0.113.7 192.0.2.1 01 2\r\n", "line"),
    ("port beyond 65535", b"PROXY TCP4 203.0.113.7 192.0.2.1 65536 2\r\n", "line"),
    ("signed port", b"PROXY TCP4 203.0.113.7 192.0.2.1 +1 2\r\n", "line"),
    ("two spaces", b"PROXY TCP4  203.0.113.7 192.0.2.1 1 2\r\n", "line"),
    ("more after it", b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2 3\r\n", "line"),
    ("octet beyond 255", b"PROXY TCP4 203.0.113.256 192.0.2.1 1 2\r\n", "line"),
    ("octal", b"PROXY TCP4 203.0.113.007 192.0.2.1 1 2\r\n", "line"),
    ("IPv6 zone", b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "line"),
    ("NUL", b"PROXY UNKNOWN \0\r\n", "line"),
    ("line too long", b"PROXY UNKNOWN " + b"f" * 92 + b"\r\n", "size"),
    ("endless line", b"PROXY " + b"f" * 500, "size"),
    ("version 1 in binary", _v2(1, 0x11, V4, version=1), "version"),
    ("version 3", _v2(1, 0x11, V4, version=3), "version"),
    ("unknown command", _v2(2, 0x11, V4), "command"),
    ("unknown family", _v2(1, 0x41, V4), "family"),
    ("unknown transport", _v2(1, 0x13, V4), "family"),
    ("too short for IPv4", _v2(1, 0x11, V4[:-1]), "length"),
    ("too short for IPv6", _v2(1, 0x21, V4), "length"),
    ("too short for a Unix socket", _v2(1, 0x31, V4), "length"),
    ("too long", _v2(1, 0x11, V4, length=MAX_HEADER_BYTES), "size"),
    ("64 KiB", _v2(1, 0x11, V4, length=0xFFFF), "size"),
]  # fmt: skip


def _read(pieces: list[bytes]) -> tuple[Ends, bytes] | None:
    parser = ProxyHeaderParser()
    for place, piece in enumerate(pieces):
        header = parser.feed(piece)
        if header is not None:
            ends = None
            if header.source is not None and header.destination is not None:
                ends = ((header.source.text, header.source.port), (header.destination.text, header.destination.port))
            return ends, parser.rest() + b"".join(pieces[place + 1 :])  # type: ignore[return-value]  # ports are set here
    return None


@pytest.mark.parametrize(("raw", "ends"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
def test_a_good_header_in_every_cut(raw: bytes, ends: Ends) -> None:
    stream = raw + HTTP
    for place in range(1, min(len(stream), 400)):
        assert _read([stream[:place], stream[place:]]) == (ends, HTTP), place
    assert _read([stream]) == (ends, HTTP)
    assert _read([stream[place : place + 1] for place in range(len(stream))]) == (ends, HTTP)
    assert _read([raw]) == (ends, b"")


@pytest.mark.parametrize(("raw", "reason"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_header_in_every_cut(raw: bytes, reason: str) -> None:
    for pieces in ([raw], [raw[place : place + 1] for place in range(len(raw))]):
        with pytest.raises(BadProxyHeader) as caught:
            _read(pieces)
        assert caught.value.reason == reason


@pytest.mark.parametrize("raw", [row[1] for row in GOOD], ids=[row[0] for row in GOOD])
def test_a_header_cut_short_waits(raw: bytes) -> None:
    assert _read([raw[:-1]]) is None


@given(st.lists(st.binary(max_size=30) | st.sampled_from([SIGNATURE, b"PROXY ", b"\x21\x11\x00\x0c", V4, b"\r\n"]), max_size=8))
def test_any_bytes_give_a_header_a_refusal_or_a_wait(pieces: list[bytes]) -> None:
    parser = ProxyHeaderParser()
    with suppress(BadProxyHeader):
        for piece in pieces:
            if parser.feed(piece) is not None:
                return
            assert len(parser._held) < MAX_HEADER_BYTES


@pytest.mark.parametrize(
    ("more", "ended"),
    [
        (b"", False),
        (TLV, False),
        (TLV + b"\x20\x00\x05\x01\0\0\0\0", True),
        (b"\x20\x00\x05\x00\0\0\0\0", False),
        (b"\x20\x00\x00\x01\x00\x00", False),
        (b"\x20\x00", False),
        (b"\x01\xff\xff\x20\x00\x05\x01", False),
    ],
    ids=("nothing", "no word of TLS", "ended here", "spoke none", "says nothing", "cut", "beyond the end"),
)
def test_whether_the_proxy_spoke_tls_with_the_client(more: bytes, ended: bool) -> None:
    header = ProxyHeaderParser().feed(_v2(1, 0x11, V4 + more))
    assert header is not None
    assert header.ended_tls is ended
