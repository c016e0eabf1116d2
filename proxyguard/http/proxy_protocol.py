"""The PROXY header that a trusted proxy puts before a connection's first byte: versions 1 (text) and 2 (binary).

Follows the HAProxy PROXY protocol specification. Bounded: at most MAX_HEADER_BYTES are held. Whether the peer may send one
is trust's to say; a peer that must and does not is refused, since guessing would let a client forge its address.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from proxyguard.core.address import V4_BASE, Address

MAX_HEADER_BYTES: Final = 4096
"""Version 2 allows 64 KiB of extensions; load balancers send a few hundred bytes."""

MAX_LINE_BYTES: Final = 107
"""Version 1, with its CRLF."""

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED_BYTES: Final = 16
_LINE_START: Final = b"PROXY "
_LINE: Final = re.compile(
    r"PROXY (?:UNKNOWN(?: [\x20-\x7e]*)?|TCP(?P<family>[46]) (?P<source>[0-9A-Fa-f:.]+) (?P<destination>[0-9A-Fa-f:.]+) "
    r"(?P<source_port>0|[1-9][0-9]{0,4}) (?P<destination_port>0|[1-9][0-9]{0,4}))\r\n"
)
_LOCAL: Final = 0x0
_PROXY: Final = 0x1
_INET: Final = 0x1
_INET6: Final = 0x2
_STREAM: Final = 0x1
_DATAGRAM: Final = 0x2
_TLS_EXTENSION: Final = 0x20
_CLIENT_TLS: Final = 0x01
_ADDRESS_BYTES: Final = {0x0: 0, _INET: 12, _INET6: 36, 0x3: 216}


class BadProxyHeader(Exception):
    """What came is not a PROXY header; the connection is to be closed.

    `reason` is `signature`, `line`, `size`, `version`, `command`, `family` or `length`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProxyHeader(NamedTuple):
    """Who connected to the proxy, and where. None when it does not say: its own health check, or not TCP over IP.

    `ended_tls`: the client spoke TLS to the proxy itself, so what comes is not the client's. Version 1 cannot say so.
    """

    source: Address | None
    destination: Address | None
    ended_tls: bool = False


_UNSAID: Final = ProxyHeader(None, None)


class ProxyHeaderParser:
    """One per connection: feed its first bytes until a header comes back, then take the `rest`."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> ProxyHeader | None:
        """Read on; the header once it is complete, after which `rest` has what follows. Raises BadProxyHeader."""
        self._held += data
        held = self._held
        if held.startswith(_SIGNATURE[: len(held)]):
            return self._binary() if len(held) >= _FIXED_BYTES else None
        if held.startswith(_LINE_START[: len(held)]):
            return self._line()
        raise BadProxyHeader("signature")

    def rest(self) -> bytes:
        """What followed the header. Empties it."""
        rest = bytes(self._held)
        self._held.clear()
        return rest

    def _line(self) -> ProxyHeader | None:
        held = self._held
        stop = held.find(b"\n", 0, MAX_LINE_BYTES) + 1
        if not stop:
            if len(held) >= MAX_LINE_BYTES:
                raise BadProxyHeader("size")
            return None
        match = _LINE.fullmatch(held[:stop].decode("latin-1"))
        if match is None:
            raise BadProxyHeader("line")
        header = _UNSAID
        if match["family"] is not None:
            header = ProxyHeader(
                _text_address(match["family"], match["source"], match["source_port"]),
                _text_address(match["family"], match["destination"], match["destination_port"]),
            )
        del held[:stop]
        return header

    def _binary(self) -> ProxyHeader | None:
        held = self._held
        version, command = held[12] >> 4, held[12] & 0xF
        family, transport = held[13] >> 4, held[13] & 0xF
        length = int.from_bytes(held[14:16], "big")
        if version != 2:
            raise BadProxyHeader("version")
        if command not in (_LOCAL, _PROXY):
            raise BadProxyHeader("command")
        stop = _FIXED_BYTES + length
        if stop > MAX_HEADER_BYTES:
            raise BadProxyHeader("size")
        if command == _PROXY:
            if family not in _ADDRESS_BYTES or transport > _DATAGRAM:
                raise BadProxyHeader("family")
            if length < _ADDRESS_BYTES[family]:
                raise BadProxyHeader("length")
        if len(held) < stop:
            return None
        header = _UNSAID
        if command == _PROXY and transport == _STREAM and family in (_INET, _INET6):
            width = 4 if family == _INET else 16
            addresses = _FIXED_BYTES + 2 * width + 4
            header = _binary_addresses(bytes(held[_FIXED_BYTES:addresses]), width)
            if _has_tls(bytes(held[addresses:stop])):
                header = header._replace(ended_tls=True)
        del held[:stop]
        return header


def _has_tls(extensions: bytes) -> bool:
    """Whether the proxy says that it spoke TLS with the client."""
    place = 0
    while place + 3 < len(extensions):
        size = int.from_bytes(extensions[place + 1 : place + 3], "big")
        if extensions[place] == _TLS_EXTENSION:
            return size > 0 and extensions[place + 3] & _CLIENT_TLS != 0
        place += 3 + size
    return False


def _text_address(family: str, text: str, port: str) -> Address:
    try:
        parsed = IPv4Address(text) if family == "4" else IPv6Address(text)
    except ValueError:
        raise BadProxyHeader("line") from None
    number = int(port)
    if number > 0xFFFF:
        raise BadProxyHeader("line")
    return Address(V4_BASE + int(parsed) if family == "4" else int(parsed), number)


def _binary_addresses(block: bytes, width: int) -> ProxyHeader:
    base = V4_BASE if width == 4 else 0
    source = base + int.from_bytes(block[:width], "big")
    destination = base + int.from_bytes(block[width : 2 * width], "big")
    ports = block[2 * width :]
    return ProxyHeader(Address(source, int.from_bytes(ports[:2], "big")), Address(destination, int.from_bytes(ports[2:], "big")))
