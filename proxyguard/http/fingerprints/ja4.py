"""JA4, the fingerprint of a TLS client: the kinds of what it offers, in an order that cannot be shuffled.

Follows FoxIO's description of JA4 (technical_details/JA4.md; BSD 3-Clause). The others of that family (JA4H, JA4S, …) are under
another licence and not used.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from proxyguard.http.fingerprints.client_hello import ALPN, MAX_EXTENSIONS, MAX_VALUES, SUPPORTED_VERSIONS, is_grease

SERVER_NAME: Final = 0
SIGNATURES: Final = 13
JA4_FORM: Final = re.compile(rb"[tqd](?:\d\d|s\d)[di]\d{4}[0-9a-zA-Z]{2}_[0-9a-f]{12}_[0-9a-f]{12}")
"""What a JA4 looks like; `q` and `d` are those of QUIC and DTLS, which proxies may say."""

NOTHING: Final = b"000000000000"
_VERSIONS: Final = {0x0304: b"13", 0x0303: b"12", 0x0302: b"11", 0x0301: b"10", 0x0300: b"s3", 0x0002: b"s2"}


def ja4(body: bytes) -> bytes:
    """The JA4 of a ClientHello that came over TCP; empty when it is malformed or has too much of anything."""
    try:
        return _ja4(body)
    except IndexError:
        return b""


def _ja4(body: bytes) -> bytes:
    version = body[0] << 8 | body[1]
    place = 34
    place += 1 + body[place]
    size = body[place] << 8 | body[place + 1]
    place += 2
    if size > 2 * MAX_VALUES or place + size > len(body):
        return b""
    ciphers = _values(body, place, place + size)
    place += size
    place += 1 + body[place]
    extensions: list[int] = []
    named: list[int] = []
    signatures: list[int] = []
    protocol = b"00"
    has_name = False
    end = place
    if place < len(body):
        end = place + 2 + (body[place] << 8 | body[place + 1])
        place += 2
    if end > len(body):
        return b""
    while place < end:
        kind = body[place] << 8 | body[place + 1]
        start = place + 4
        place = start + (body[place + 2] << 8 | body[place + 3])
        if place > end or len(extensions) > MAX_EXTENSIONS:
            return b""
        if is_grease(kind):
            continue
        extensions.append(kind)
        if kind == SERVER_NAME:
            has_name = True
        elif kind == ALPN:
            protocol = _protocol(body[start:place])
        else:
            named.append(kind)
            if kind == SUPPORTED_VERSIONS:
                version = max(_values(body, start + 1, place), default=version)
            elif kind == SIGNATURES:
                signatures = _values(body, start + 2, place)
    head = b"t%b%b%02d%02d%b" % (
        _VERSIONS.get(version, b"00"), b"d" if has_name else b"i", min(len(ciphers), 99), min(len(extensions), 99), protocol
    )  # fmt: skip
    return b"_".join((head, _digest(sorted(ciphers), []), _digest(sorted(named), signatures)))


def _values(body: bytes, place: int, end: int) -> list[int]:
    """The values of two bytes each, without GREASE; no more than are ever looked at."""
    end = min(end, place + 2 * MAX_VALUES) - 1
    found: list[int] = []
    while place < end:
        value = body[place] << 8 | body[place + 1]
        place += 2
        if not is_grease(value):
            found.append(value)
    return found


def _protocol(value: bytes) -> bytes:
    """First and last character of the first protocol; of its hexadecimal form where one is neither letter nor digit."""
    name = value[3 : 3 + value[2]] if len(value) > 3 else b""
    if not name:
        return b"00"
    ends = name[:1] + name[-1:]
    if ends.isalnum():  # of bytes: ASCII only
        return ends
    digits = name.hex().encode()
    return digits[:1] + digits[-1:]


def _digest(values: list[int], more: list[int]) -> bytes:
    if not values:
        return NOTHING
    text = ",".join([f"{value:04x}" for value in values])
    if more:
        text += "_" + ",".join([f"{value:04x}" for value in more])
    return sha256(text.encode()).hexdigest()[:12].encode()
