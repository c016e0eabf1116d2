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
from collections.abc import Iterable
from string import ascii_letters, digits
from typing import Final

from proxyguard.core.reading import percent_decode
from proxyguard.core.request import AROUND_NAMES, Request, Values

UNREADABLE: Final[Values] = (b"\0", b"\1")
"""Stands for values that cannot be known: a bound of a parser was met, or sites read something else than text. No value is ever
equal to one of these."""

DECODINGS: Final = 3
"""How often percent-escapes are decoded: a site that decodes twice reads `%2561` as `a`."""

_KEPT: Final = (ascii_letters + digits).encode()
_DROPPED: Final = bytes(byte for byte in range(128) if byte not in _KEPT)
"""Blanks, controls, quotes and punctuation: each is dropped or replaced by some reader, base64 decoders above all."""

_LOWER: Final = bytes(range(256)).lower()
"""Databases compare without regard to case (MySQL's default), so that `ABC` is the API key `abc`."""

_OCTAL: Final = re.compile(rb"\\([0-3][0-7][0-7])")
"""An escape in a quoted cookie value (RFC 2109 as Python's http.cookies and Werkzeug read it)."""

_DASHES: Final = bytes(byte if bytes((byte,)).isalnum() else 45 for byte in range(128)) + bytes(range(128, 256))
"""Servers that pass headers in an environment (CGI, FastCGI, WSGI) make one character of all that is no letter or digit."""


def cookie_values(request: Request, name: bytes) -> Values:
    """The different values of a cookie; `name` is canonical."""
    if b"cookie" not in request.header_index:
        return ()
    named = request.cookies_by_name
    if request.is_cookie_cut:
        return UNREADABLE
    values = named.get(name)
    if values is None:
        return ()
    if len(values) == 1 and values[0].isalnum():  # as nearly all sessions are
        return (values[0].lower(),)
    if any(value.lstrip(AROUND_NAMES).startswith((b"j:", b"j%3A", b"j%3a")) for value in values):
        return UNREADABLE  # JSON, for Express: more spellings than can be told
    return _different(map(canonical_value, values))


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
    if value[:5].lower() == b"basic":
        try:
            return b"basic:" + b64decode(value[5:].rstrip(b"= \t") + b"==")
        except ValueError:
            return b"\0"
    return canonical_value(value)


def canonical_parameter(value: bytes) -> bytes:
    """The value of a query parameter, decoded already. Only blanks around it and zeros before a number are dropped.

    Pages are told apart by these: two of them must not be one for a limit on how many different ones are read.
    """
    value = value.strip(b" \t\r\n\v\f\0")
    number = value[1:] if value.startswith(b"+") else value
    return number.lstrip(b"0") or b"0" if number.isdigit() else value


def _different(values: Iterable[bytes]) -> Values:
    """Each value once, in order; `UNREADABLE` when one cannot be read."""
    found = tuple(dict.fromkeys(values))
    return UNREADABLE if b"\0" in found else found
