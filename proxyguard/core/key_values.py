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
from collections.abc import Iterable, Sequence
from functools import lru_cache
from string import ascii_letters, digits
from typing import Final

from proxyguard.core.canonical_names import AROUND_NAMES
from proxyguard.core.reading import percent_decode
from proxyguard.core.request import MAX_COOKIES, Request, Values

UNREADABLE: Final[Values] = (b"\0", b"\1")
"""Stand, behind the values that can be read, for those that cannot be known: a bound of a parser was met, or sites read something
else than text. No value is ever equal to one of these."""

DECODINGS: Final = 3
"""How often percent-escapes are decoded: a site that decodes twice reads `%2561` as `a`."""

_KEPT: Final = (ascii_letters + digits).encode()
_DROPPED: Final = bytes(byte for byte in range(128) if byte not in _KEPT)
"""Blanks, controls, quotes and punctuation: each is dropped or replaced by some reader, base64 decoders above all."""
_DROPPED_INSIDE: Final = _DROPPED.replace(b";", b"").replace(b"\0", b"")

_LOWER: Final = bytes(range(256)).lower()
"""Databases compare without regard to case (MySQL's default), so that `ABC` is the API key `abc`."""

_OCTAL: Final = re.compile(rb"\\([0-3][0-7][0-7])")
"""An escape in a quoted cookie value (RFC 2109 as Python's http.cookies and Werkzeug read it)."""
_OCTAL_BYTES: Final = {b"%03o" % byte: bytes((byte,)) for byte in range(256)} | {b"073": b" "}

_BLANK: Final = re.compile(rb"[ \t]")

_SPACE_BYTE: Final = 32
_ZERO_BYTE: Final = 48
"""Blanks, controls and the sign `+` have lower numbers."""

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
    kept = request.key_values
    found = kept.get((b"cookie", name))
    if found is None:
        found = kept[b"cookie", name] = _different(_cookie_values(request, name, values))
    return found


def _cookie_values(request: Request, name: bytes, values: Sequence[bytes]) -> list[bytes]:
    """Of very many cookies the first and the last: sites read those."""
    if not request.is_cookie_cut:
        return canonical_cookies(_with_beginnings(values))
    find, half = _plainly_named(name).findall, MAX_COOKIES // 2
    values = [value for line in request.header_index[b"cookie"] for value in find(b";" + line)]
    values = values if len(values) <= MAX_COOKIES else [*values[:half], *values[-half:]]
    return [*canonical_cookies(_with_beginnings(values)), b"\0"]


def _with_beginnings(values: Sequence[bytes]) -> Sequence[bytes]:
    """Values of cookies, and of those with a blank inside what stands before it: http.cookies of Python ends some there."""
    found = [*values]
    for value in values:
        if value.find(b" ") >= 0 or value.find(b"\t") >= 0:
            inner = value.strip(AROUND_NAMES)
            beginning = _BLANK.split(inner, 1)[0]
            if len(beginning) < len(inner):
                found.append(beginning)
    return found


@lru_cache(maxsize=64)
def _plainly_named(name: bytes) -> re.Pattern[bytes]:
    """Finds the values of a cookie, after a `;`, among more cookies than are taken apart; `name` is canonical."""
    written = re.escape(name).replace(b"_", b"[._]")
    return re.compile(rb"[;, \t\"']" + written + rb"[ \t\"']*=([^;,]*)", re.IGNORECASE)


def header_values(request: Request, name: bytes) -> Values:
    """The different values of a header; `name` is canonical."""
    found = request.key_values.get((b"", name))
    if found is None:
        found = request.key_values[b"", name] = _header_values(request, name)
    return found


def _header_values(request: Request, name: bytes) -> Values:
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
    if not request.has_query:
        return ()
    values = request.query_by_name.get(name)
    if values is None:
        return ()
    if len(values) == 1:
        return _different((canonical_parameter(values[0]),))
    found = request.key_values.get((b"query", name))
    if found is None:
        found = request.key_values[b"query", name] = _different([canonical_parameter(value) for value in dict.fromkeys(values)])
    return found


def canonical_header_name(name: bytes) -> bytes:
    """The name of a header field as any site may read it: `X_Api_Key` and `x-api-key` are one."""
    return name.translate(_DASHES).lower()


def canonical_value(value: bytes) -> bytes:
    """The value of a header; a NUL in what it stands for stays, and makes it `UNREADABLE` to `_different`."""
    value = _decoded(value)
    return b"\0" if value.find(b"\0") >= 0 else value.translate(_LOWER, _DROPPED)


def canonical_cookies(values: Sequence[bytes]) -> list[bytes]:
    """As `canonical_value`, of each of some values of cookies; all are read as one text, since there may be hundreds.

    No value may have a `;`. An escape of one is read as a blank, which is dropped like it.
    """
    if not values:
        return []
    if any(value.find(b":") >= 0 or value.find(b"%3") >= 0 for value in values):
        values = [b"\0" if value.lstrip(AROUND_NAMES).startswith(_JSON) else value for value in values]
    text = _decoded(b";".join(values)).translate(_LOWER, _DROPPED_INSIDE)
    found = text.split(b";")
    return [b"\0" if value.find(b"\0") >= 0 else value for value in found] if text.find(b"\0") >= 0 else found


def _decoded(text: bytes) -> bytes:
    """Without octal and percent-escapes; that of a `;` becomes a blank."""
    if text.find(b"\\") >= 0:
        parts: list[bytes] = _OCTAL.split(text)
        parts[1::2] = [_OCTAL_BYTES[digits] for digits in parts[1::2]]
        text = b"".join(parts)
    for _ in range(DECODINGS):
        if text.find(b"%") < 0:
            break
        before = text.replace(b"%3B", b"%20").replace(b"%3b", b"%20")
        text = percent_decode(before)
        if text == before:
            break
    return text


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
    """The value of a query parameter, or a segment of a path, decoded already. Only blanks around it, and a sign and zeros before
    a number, are dropped.

    Pages are told apart by these: two of them must not be one for a limit on how many different ones are read.
    """
    if value and value[0] > _ZERO_BYTE and value[-1] > _SPACE_BYTE:  # nothing around it, no sign, no zero: as nearly all
        return value
    value = value.strip(b" \t\r\n\v\f\0")
    number = value[1:] if value.startswith(b"+") else value
    return number.lstrip(b"0") or b"0" if number.isdigit() else value


def canonical_path(path: bytes) -> bytes:
    """A path as limits count by it: each segment as `canonical_parameter`, since `/users/<int:id>` takes `/users/007` for 7."""
    if path.find(b"/0") < 0 and path.find(b"/+") < 0 and path.find(b" ") < 0:
        return path
    return b"/".join([canonical_parameter(part) for part in path.split(b"/")])


def _different(values: Iterable[bytes]) -> Values:
    """Each value once, in order; with `UNREADABLE` behind them when one cannot be read."""
    found = dict.fromkeys(values)
    if b"\0" not in found:
        return tuple(found)
    del found[b"\0"]
    return (*found, *UNREADABLE)
