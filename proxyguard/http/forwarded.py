"""Resolves the client's address, and writes the forwarding headers that tell the upstream of it.

The client is the connection's peer, unless the peer is a trusted proxy: then one chosen header is believed, read from the
nearest hop outwards and only as far as each hop is trusted. Everything else a client says about addresses is dropped.
Knows nothing of sockets; PROXY headers are proxy_protocol's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from proxyguard.core.address import Address
from proxyguard.core.connection_facts import ConnectionFacts
from proxyguard.core.request import Headers
from proxyguard.core.settings import Trust
from proxyguard.http.fingerprints.facts import stated_facts
from proxyguard.http.fingerprints.ja4 import JA4_FORM
from proxyguard.http.http1.names import FRAMING, HOP_BY_HOP
from proxyguard.http.method_override import METHOD_HEADERS
from proxyguard.http.trusted_networks import TrustedNetworks

MAX_HOPS: Final = 32
"""Hops looked at, the nearest first; real chains have one to five."""

ORIGIN_HEADERS: Final = frozenset({
    b"x-forwarded-protocol", b"x-forwarded-scheme", b"x-forwarded-ssl", b"x-url-scheme", b"front-end-https", b"x-forwarded-port",
    b"x-forwarded-server", b"x-forwarded-prefix", b"x-scheme", b"x-host", b"x-original-host",
})  # fmt: skip
"""What a trusted proxy may say about how it was reached without being asked for it."""

NOTHING_KEPT: Final[frozenset[bytes]] = frozenset()

OURS: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-real-ip"})
"""Written anew for each request, or (Forwarded, RFC 7239) left out: two accounts of one chain are one too many."""

_V4_PORT: Final = re.compile(rb"([0-9.]{7,15}):([0-9]{1,5})")
_ZONE: Final = rb"(?:%(?:25)?[0-9A-Za-z_.\-~]{1,64})?"
"""Of a link-local address, as Go's proxies write it (RFC 4007 section 11): an interface of theirs, not of the client."""
_BRACKETED: Final = re.compile(rb"\[([0-9A-Fa-f:.]{2,45})" + _ZONE + rb"\](?::([0-9]{1,5}))?")
_PLAIN: Final = re.compile(rb"([0-9A-Fa-f:.]{2,45})" + _ZONE)
_PAIR: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)|\"((?:[^\"\\]|\\.)*)\")(?:[ \t]*;[ \t]*|[ \t]*\Z)"
)
_QUOTED_PAIR: Final = re.compile(rb"\\(.)")
_SCHEMES: Final = {b"http": b"http", b"https": b"https", b"wss": b"https", b"ws": b"http"}


_new = tuple.__new__  # half the cost of calling the class


class HeaderChanges(NamedTuple):
    """How to change a request's headers beside dropping what `claims` knows.

    Lower-case names to drop, names of claims to keep, fields to add.
    """

    drop: frozenset[bytes]
    keep: frozenset[bytes]
    add: Headers


class _Hop(NamedTuple):
    """One hop, and the scheme by which the proxy that tells of it was reached."""

    address: Address
    scheme: bytes | None


class ClientAddressResolver:
    """Answers who the client is under one Trust. Remembers only the last chain it read, since each request asks thrice.

    `trusted` are the networks of the proxies; `reads_ja4` says whether they tell of their clients' connections.
    """

    __slots__ = ("_drop", "_header", "_ja4", "_keep", "_last", "reads_ja4", "trusted")

    def __init__(self, trust: Trust) -> None:
        self.trusted = TrustedNetworks(trust.proxies)
        self._header = trust.header.lower().encode("ascii")
        self._drop = METHOD_HEADERS | {self._header}
        asked_for = {name.lower().encode("ascii") for name in trust.keep}
        self._keep = (ORIGIN_HEADERS | asked_for | {self._header}) - OURS - HOP_BY_HOP - FRAMING
        self._ja4 = trust.ja4.lower().encode("ascii")
        self.reads_ja4 = bool(trust.ja4)
        self._last: tuple[Address, Headers, list[_Hop]] | None = None

    def resolve(self, peer: Address, headers: Headers) -> Address:
        """The client's address: the peer's, or what trusted proxies vouch for. Never raises; garbage ends the walk."""
        if not self.trusted.contains(peer):
            return peer
        chain = self._chain(peer, headers)
        return chain[-1].address

    def scheme(self, peer: Address, headers: Headers, scheme: bytes) -> bytes:
        """How the client reached the outermost trusted proxy: `http` or `https`; `scheme` when nobody trusted says."""
        if not self.trusted.contains(peer):
            return scheme
        if self._header == b"forwarded":
            named = self._chain(peer, headers)[-1].scheme
            if named is not None:
                return named
        values = _values(headers, b"x-forwarded-proto")
        return _SCHEMES.get(values.rpartition(b",")[2].strip(b" \t").lower(), scheme)

    def connection(self, peer: Address, headers: Headers) -> ConnectionFacts | None:
        """What a trusted peer says of its client's connection; None when it says nothing, or anything but one JA4."""
        if not self.reads_ja4 or not self.trusted.contains(peer):
            return None
        value = _values(headers, self._ja4).strip(b" \t")
        return stated_facts(value) if JA4_FORM.fullmatch(value) is not None else None

    def forwarding_headers(
        self, headers: Headers, peer: Address, client: Address, scheme: bytes, authority: bytes
    ) -> HeaderChanges:
        """The fields for the upstream: X-Forwarded-For with the hops that are vouched for, -Proto, -Host, X-Real-IP.

        `client`, `scheme` are this resolver's answers for the same request, `authority` its Host.
        """
        real = client.text.encode("ascii")
        if client is peer and not self.trusted.contains(peer):
            add = (
                (b"X-Forwarded-For", real),
                (b"X-Forwarded-Proto", scheme),
                (b"X-Forwarded-Host", authority),
                (b"X-Real-IP", real),
            )
            return _new(HeaderChanges, (self._drop, NOTHING_KEPT, add))
        hops = [hop.address.text.encode("ascii") for hop in reversed(self._chain(peer, headers))]
        host = _values(headers, b"x-forwarded-host").rpartition(b",")[2].strip(b" \t") or authority
        return HeaderChanges(
            self._drop,
            self._keep,
            (
                (b"X-Forwarded-For", b", ".join(hops)),
                (b"X-Forwarded-Proto", scheme),
                (b"X-Forwarded-Host", host),
                (b"X-Real-IP", real),
            ),
        )

    def _chain(self, peer: Address, headers: Headers) -> list[_Hop]:
        """The hops that are vouched for, from the trusted peer outwards; the last is the client."""
        last = self._last
        if last is not None and last[0] is peer and last[1] is headers:
            return last[2]
        chain = self._read_chain(peer, headers)
        self._last = (peer, headers, chain)
        return chain

    def _read_chain(self, peer: Address, headers: Headers) -> list[_Hop]:
        chain = [_Hop(peer, None)]
        value = _values(headers, self._header)
        if not value:
            return chain
        if self._header == b"forwarded":
            elements = map(_forwarded_element, _from_the_right(value))
        elif self._header == b"x-forwarded-for":
            elements = map(_plain_element, _from_the_right(value))
        else:
            elements = map(_plain_element, (value,))
        for hop in elements:
            if hop is None:
                break
            chain.append(hop)
            if not self.trusted.contains(hop.address):
                break
        return chain


def read_address(text: bytes) -> Address | None:
    """Read `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`; None for anything else.

    A zone (`fe80::1%eth0`) is cut off.
    """
    port: bytes | None = None
    if (match := _V4_PORT.fullmatch(text) or _BRACKETED.fullmatch(text)) is not None:
        host, port = match.groups()
        if text.startswith(b"[") and b":" not in host:
            return None
    elif (match := _PLAIN.fullmatch(text)) is not None:
        host = match[1]
        if b"%" in text and b":" not in host:
            return None
    else:
        return None
    number = int(port) if port else None
    if number is not None and not 0 < number <= 0xFFFF:
        number = None  # the address is what matters; a port of 0 only says that it is not known
    try:
        return Address.parse(host.decode("ascii"), number)
    except ValueError:
        return None


def _values(headers: Headers, wanted: bytes) -> bytes:
    """The values of a field joined as RFC 9110 section 5.3 says, empty when it is absent."""
    return b",".join([value for name, value in headers if name.lower() == wanted])


def _from_the_right(value: bytes) -> Iterator[bytes]:
    """The members of a list, the last one first, at most MAX_HOPS; empty ones do not count (RFC 9110 section 5.6.1)."""
    members = value.rsplit(b",", MAX_HOPS)
    if len(members) > MAX_HOPS:
        del members[0]
    for member in reversed(members):
        stripped = member.strip(b" \t")
        if stripped:
            yield stripped


def _plain_element(element: bytes) -> _Hop | None:
    address = read_address(element)
    return None if address is None else _Hop(address, None)


def _forwarded_element(element: bytes) -> _Hop | None:
    """One element of Forwarded (RFC 7239 section 4). None for `unknown`, `_hidden`, or anything malformed.

    The list was cut at commas, those in quotes too: no address has one, so an element that does is no use.
    """
    address: Address | None = None
    scheme: bytes | None = None
    seen: set[bytes] = set()
    place = 0
    while place < len(element):
        match = _PAIR.match(element, place)
        if match is None:
            return None
        name, token, quoted = match.groups()
        name = name.lower()
        if name in seen:
            return None
        seen.add(name)
        value = token if token is not None else _QUOTED_PAIR.sub(rb"\1", quoted)
        if name == b"for":
            address = read_address(value)
        elif name == b"proto":
            scheme = _SCHEMES.get(value.lower())
        place = match.end()
    return None if address is None else _Hop(address, scheme)
