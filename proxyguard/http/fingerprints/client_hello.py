"""One bounded walk over a ClientHello (RFC 8446 section 4.1.2): what tells kinds of clients apart, and no more.

Knows nothing of kinds; `kinds` compares what is found here with its table. JA4 is read apart, in `ja4`.
"""

from __future__ import annotations

from typing import Final

MAX_EXTENSIONS: Final = 64
"""Browsers send up to 20. A hello with more is not looked at further: it has no kind."""

MAX_VALUES: Final = 256
"""Of a list of ciphers or groups that are looked at; the longest seen has 93."""

MAX_LISTED: Final = 32
"""Of a list of versions or of algorithms for certificates; browsers send up to 4."""

ALPN: Final = 16
GROUPS: Final = 10
COMPRESSION: Final = 27
SUPPORTED_VERSIONS: Final = 43
TLS13: Final = 0x0304


class HelloTells:
    """What a hello shows. `ciphers` are the first four without GREASE; `cipher_count` counts all without GREASE."""

    __slots__ = (
        "cipher_count", "ciphers", "compression", "extensions", "groups", "has_grease", "offers_http2", "offers_tls13",
    )  # fmt: skip

    def __init__(self) -> None:
        self.has_grease = False
        """A reserved value (RFC 8701) among ciphers, groups or extensions."""
        self.ciphers: tuple[int, ...] = ()
        self.cipher_count = 0
        self.extensions: frozenset[int] = frozenset()
        self.groups: tuple[int, ...] = ()
        self.compression: tuple[int, ...] = ()
        """Algorithms for certificates (RFC 8879)."""
        self.offers_http2 = False
        self.offers_tls13 = False


def is_grease(value: int) -> bool:
    """Whether a value of two bytes is one that RFC 8701 reserves."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def read_hello(body: bytes) -> HelloTells | None:
    """What a hello shows; None when it is malformed or has too much of anything."""
    tells = HelloTells()
    size = len(body)
    place = 2 + 32  # version and random
    if place >= size:
        return None
    place += 1 + body[place]  # session id
    if place + 2 > size:
        return None
    count = (body[place] << 8 | body[place + 1]) >> 1
    place += 2
    end = place + 2 * count
    if end >= size or count > MAX_VALUES:
        return None
    first: list[int] = []
    plain = 0
    while place < end:
        value = body[place] << 8 | body[place + 1]
        place += 2
        if is_grease(value):
            tells.has_grease = True
        else:
            plain += 1
            if plain <= 4:
                first.append(value)
    tells.cipher_count = plain
    tells.ciphers = tuple(first)
    place += 1 + body[place]  # compression methods
    if place >= size:
        return tells if place == size else None
    return tells if _read_extensions(body, place, tells) else None


def _read_extensions(body: bytes, place: int, tells: HelloTells) -> bool:
    if place + 2 > len(body):
        return False
    end = place + 2 + (body[place] << 8 | body[place + 1])
    place += 2
    if end != len(body):
        return False
    found: list[int] = []
    while place < end:
        if place + 4 > end:
            return False
        kind = body[place] << 8 | body[place + 1]
        start = place + 4
        place = start + (body[place + 2] << 8 | body[place + 3])
        if place > end:
            return False
        if is_grease(kind):
            tells.has_grease = True
            continue
        if len(found) >= MAX_EXTENSIONS:
            return False
        found.append(kind)
        if kind == GROUPS:
            if not _read_groups(body, start, place, tells):
                return False
        elif kind == SUPPORTED_VERSIONS:
            tells.offers_tls13 = TLS13 in _twos(body, start + 1, place)
        elif kind == COMPRESSION:
            tells.compression = tuple(_twos(body, start + 1, place))
        elif kind == ALPN:
            tells.offers_http2 = body.find(b"\x02h2", start, place) >= 0
    tells.extensions = frozenset(found)
    return len(tells.extensions) == len(found)  # one that comes twice is forbidden


def _read_groups(body: bytes, place: int, end: int, tells: HelloTells) -> bool:
    if end - place > 2 * MAX_VALUES:
        return False
    found: list[int] = []
    place += 2
    while place + 1 < end:
        value = body[place] << 8 | body[place + 1]
        place += 2
        if is_grease(value):
            tells.has_grease = True
        else:
            found.append(value)
    tells.groups = tuple(found)
    return True


def _twos(body: bytes, place: int, end: int) -> list[int]:
    """The first values of two bytes each; `place` may lie beyond `end`, where a list without its length is empty."""
    end = min(end, place + 2 * MAX_LISTED)
    found: list[int] = []
    while place + 1 < end:
        found.append(body[place] << 8 | body[place + 1])
        place += 2
    return found
