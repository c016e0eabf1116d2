"""The first message of a TLS client: which server it names and which protocols it offers (RFC 8446 section 4.1.2).

Reads incrementally, each byte once, however the client cuts records and packets. Knows nothing of sockets or certificates;
OpenSSL judges the rest of the message.
"""

from __future__ import annotations

from typing import Final, NamedTuple

HANDSHAKE: Final = 0x16
CLIENT_HELLO: Final = 0x01
SERVER_NAME: Final = 0
ALPN: Final = 16

RECORD_HEAD_BYTES: Final = 5
MESSAGE_HEAD_BYTES: Final = 4
MAX_RECORD_BYTES: Final = 1 << 14


class BadHello(Exception):
    """What came is not the beginning of a TLS connection."""


class ClientHello(NamedTuple):
    """`name` is what SNI says, None when it is absent; `protocols` are the ALPN offers in the client's order.

    `body` is the message without its head, however many records it came in.
    """

    name: str | None
    protocols: tuple[bytes, ...]
    body: bytes = b""


class ClientHelloReader:
    """One per connection. The caller bounds the bytes."""

    __slots__ = ("_held", "_message")

    def __init__(self) -> None:
        self._held = bytearray()
        self._message = bytearray()

    def feed(self, data: bytes) -> ClientHello | None:
        """Read on; the hello once it is complete, whatever follows it. Raises BadHello."""
        held, message = self._held, self._message
        held += data
        start = 0
        hello: ClientHello | None = None
        while hello is None and len(held) - start >= RECORD_HEAD_BYTES:
            size = int.from_bytes(held[start + 3 : start + RECORD_HEAD_BYTES], "big")
            if held[start] != HANDSHAKE or held[start + 1] != 3 or not 0 < size <= MAX_RECORD_BYTES:
                raise BadHello
            if len(held) - start < RECORD_HEAD_BYTES + size:
                break
            start += RECORD_HEAD_BYTES
            message += held[start : start + size]
            start += size
            hello = self._whole()
        del held[:start]
        return hello

    def _whole(self) -> ClientHello | None:
        """The hello, if all records of it have come."""
        message = self._message
        if len(message) < MESSAGE_HEAD_BYTES:
            return None
        if message[0] != CLIENT_HELLO:
            raise BadHello
        end = MESSAGE_HEAD_BYTES + int.from_bytes(message[1:MESSAGE_HEAD_BYTES], "big")
        return _read(bytes(message[MESSAGE_HEAD_BYTES:end])) if len(message) >= end else None


def _read(body: bytes) -> ClientHello:
    place = 2 + 32  # version and random
    for width in (1, 2, 1):  # session id, cipher suites, compression methods
        _, place = _vector(body, place, width)
    name: str | None = None
    protocols: tuple[bytes, ...] = ()
    if place < len(body):
        extensions, place = _vector(body, place, 2)
        at = 0
        while at < len(extensions):
            kind = int.from_bytes(extensions[at : at + 2], "big")
            value, at = _vector(extensions, at + 2, 2)
            if kind == SERVER_NAME:
                name = _server_name(value)
            elif kind == ALPN:
                protocols = _protocols(value)
    return ClientHello(name, protocols, body)


def _vector(data: bytes, place: int, width: int) -> tuple[bytes, int]:
    """A field with its length before it, and the place after it."""
    start = place + width
    end = start + int.from_bytes(data[place:start], "big")
    if start > len(data) or end > len(data):
        raise BadHello
    return data[start:end], end


def _server_name(value: bytes) -> str:
    names, _ = _vector(value, 0, 2)
    if names[:1] != b"\0":
        raise BadHello
    name, _ = _vector(names, 1, 2)
    try:
        return name.decode("ascii")
    except UnicodeDecodeError as error:
        raise BadHello from error


def _protocols(value: bytes) -> tuple[bytes, ...]:
    offers, _ = _vector(value, 0, 2)
    found = []
    at = 0
    while at < len(offers):
        one, at = _vector(offers, at, 1)
        found.append(one)
    return tuple(found)
