"""What a site may read of a named value: one canonical form for all spellings, for keys of counters and bans.

Whoever sends a request chooses the spelling, so no spelling may be a key of its own. The form is not what one site reads but
what no two readings tell apart: all that some server, framework or library drops, decodes or folds is dropped, decoded and
folded. Two values that only differ in that share a key; conditions compare what was sent and see none of this. Where sites
disagree which value counts (one that stands twice), or not all could be read, there are several values, and the caller must not
choose among them. What sites read was measured on Flask, Django, Express and PHP; tests/core/test_key_values.py has the table.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from functools import lru_cache
from string import ascii_letters, digits
from typing import Final

from proxyguard.core.reading import percent_decode
from proxyguard.core.request import AROUND_NAMES, MAX_COOKIES, Request, Values

UNREADABLE: Final[Values] = (b"\0", b"\1")
"""Stand, behind the values that can be read, for those that cannot be known: a bound of a parser was met, or sites read something
else than text. No value is ever equal to one of these."""

DECODINGS: Final = 3
"""How often percent-escapes are decoded: a site that decodes twice reads `%2561` as `a`."""

_KEPT: Final = (ascii_letters + digits).encode()
_DROPPED: Final = bytes(byte for byte in range(128) if byte not in _KEPT)
"""Blanks, controls, quotes and punctuation: each is dropped or replaced by some reader, base64 decoders above all."""

_LOWER: Final = bytes(range(256)).lower()
"""Databases compare without regard to case (MySQL's default), so that `ABC` is the API key `abc`."""

_OCTAL: Final = re.compile(rb"\\([0-3][0-7][0-7])")
"""An escape in a quoted cookie value (RFC 2109 as Python's http.cookies and Werkzeug read it)."""

_BASIC: Final = re.compile(rb"basic[ \t]", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(rb"[ \t]*([A-Za-z0-9+/]+)=*[ \t]*")
"""What all readers of base64 take for the same. Of other characters some are left out, end the text, or stand for others."""

_JSON: Final = (b"j:", b"j%3A", b"j%3a")
"""Begins a cookie that Express reads as JSON, which has more spellings than can be told."""

_DASHES: Final = bytes(byte if bytes((byte,)).isalnum() else 45 for byte in range(128)) + bytes(range(128, 256))
"""Servers that pass headers in an environment (CGI, FastCGI, WSGI) make one character of all that is no letter or digit."""


def cookie_values(request: Request, name: bytes) -> Values:
    """The different values of a cookie; `name` is canonical."""
    if b"cookie" not in request.header_index:
        return ()
    values = request.cookies_by_name.get(name, ())
    if not request.is_cookie_cut:
        if not values:
            return ()
        if len(values) == 1 and values[0].isalnum():  # as nearly all sessions are
            return (values[0].lower(),)
    kept = request.cookie_values
    if kept is None:
        kept = request.cookie_values = {}
    found = kept.get(name)
    if found is None:
        found = kept[name] = _different(_cookie_values(request, name, values))
    return found


def _cookie_values(request: Request, name: bytes, values: Values) -> Iterator[bytes]:
    if not request.is_cookie_cut:
        yield from map(_cookie_value, values)
        return
    lines = request.header_index[b"cookie"]
    yield from map(_cookie_value, _outermost([value for line in lines for value in _plainly_named(name).findall(line)]))
    yield b"\0"


def _outermost(values: list[bytes]) -> list[bytes]:
    """At most MAX_COOKIES values, the first and the last: sites read those."""
    half = MAX_COOKIES // 2
    return values if len(values) <= MAX_COOKIES else values[:half] + values[-half:]


def _cookie_value(value: bytes) -> bytes:
    return b"\0" if value.lstrip(AROUND_NAMES).startswith(_JSON) else canonical_value(value)


@lru_cache(maxsize=64)
def _plainly_named(name: bytes) -> re.Pattern[bytes]:
    """Finds the values of a cookie among more cookies than are taken apart; `name` is canonical."""
    written = re.escape(name).replace(b"_", b"[._]")
    return re.compile(rb"(?:\A|[;, \t\"'])" + written + rb"[ \t\"']*=([^;,]*)", re.IGNORECASE)


def header_values(request: Request, name: bytes) -> Values:
    """The different values of a header; `name` is canonical."""
    index = request.header_index
    values = index.get(name, ())
    if b"-" in name:
        length = len(name)
        for other in index:
            if len(other) == length and other != name and canonical_header_name(other) == name:
                values += index[other]
    return _different(map(canonical_header_value, values))


def query_values(request: Request, name: bytes) -> Values:
    """The different values of a query parameter; `name` is canonical."""
    if request.target.find(b"?") < 0:
        return ()
    named = request.query_by_name
    values = named.get(name)
    if values is None:
        return ()
    different = _different([canonical_parameter(value) for value in values])
    if len(values) > 1:
        named[name] = different
    return different


def canonical_header_name(name: bytes) -> bytes:
    """The name of a header field as any site may read it: `X_Api_Key` and `x-api-key` are one."""
    return name.translate(_DASHES).lower()


def canonical_value(value: bytes) -> bytes:
    """The value of a cookie or header; a NUL in what it stands for stays, and makes it `UNREADABLE` to `_different`."""
    if b"\\" in value:
        value = _OCTAL.sub(lambda match: bytes((int(match[1], 8),)), value)
    for _ in range(DECODINGS):
        if b"%" not in value:
            break
        value = percent_decode(value)
    return b"\0" if b"\0" in value else value.translate(_LOWER, _DROPPED)


def canonical_header_value(value: bytes) -> bytes:
    """As `canonical_value`; the text behind `Basic` is decoded, since base64 has several spellings of it."""
    scheme = _BASIC.match(value)
    if scheme is None:
        return canonical_value(value)
    credentials = _CREDENTIALS.fullmatch(value, scheme.end())
    try:
        return b"\0" if credentials is None else b"basic:" + b64decode(credentials[1] + b"==").translate(_LOWER)
    except ValueError:
        return b"\0"


def canonical_parameter(value: bytes) -> bytes:
    """The value of a query parameter, decoded already. Only blanks around it and zeros before a number are dropped.

    Pages are told apart by these: two of them must not be one for a limit on how many different ones are read.
    """
    value = value.strip(b" \t\r\n\v\f\0")
    number = value[1:] if value.startswith(b"+") else value
    return number.lstrip(b"0") or b"0" if number.isdigit() else value


def _different(values: Iterable[bytes]) -> Values:
    """Each value once, in order; with `UNREADABLE` behind them when one cannot be read."""
    found = dict.fromkeys(values)
    if b"\0" not in found:
        return tuple(found)
    del found[b"\0"]
    return (*found, *UNREADABLE)
