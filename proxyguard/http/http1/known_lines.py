"""Lines of response heads that came before: what a server says with each response is read once.

Only whole lines of fields that are for everybody, such as Content-Type: never those that set cookies, name a person or a session,
or tell one answer from another. What a line means is in its bytes alone, so it may have come from any upstream. Bounded; whatever
is not known, or is not well-formed, is read by `fields.read_fields`.
"""

from __future__ import annotations

import re
from typing import Final

from proxyguard.http.http1.fields import TOKEN, read_fields

MAX_LINES: Final = 2048
MAX_LINE_BYTES: Final = 200
"""Lines that are kept, and bytes of each: under a megabyte, with what they are read as."""

KEPT_NAMES: Final = frozenset({
    b"accept-ranges", b"access-control-allow-origin", b"age", b"alt-svc", b"cache-control", b"connection", b"content-encoding",
    b"content-language", b"content-length", b"content-security-policy", b"content-type", b"cross-origin-opener-policy",
    b"cross-origin-resource-policy", b"date", b"expires", b"keep-alive", b"last-modified", b"permissions-policy", b"pragma",
    b"referrer-policy", b"server", b"strict-transport-security", b"transfer-encoding", b"vary", b"via", b"x-cache",
    b"x-content-type-options", b"x-dns-prefetch-control", b"x-frame-options", b"x-powered-by", b"x-robots-tag",
    b"x-xss-protection",
})  # fmt: skip
"""Fields whose lines are kept."""

_OF_HEADS: Final = KEPT_NAMES | {b"etag"}

_LINE: Final = re.compile(rb"(" + TOKEN + rb"++):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*+)")

_known: dict[bytes, tuple[bytes, bytes]] = {}


def read_response_fields(text: bytes, start: int, end: int) -> list[tuple[bytes, bytes]]:
    """As `read_fields(text, start, end)`, of a response."""
    if start == end:
        return []
    fields: list[tuple[bytes, bytes]] = []
    for line in text[start : end - 2].split(b"\r\n"):
        field = _known.get(line)
        if field is None:
            match = _LINE.fullmatch(line)
            if match is None:
                return read_fields(text, start, end)  # it has the words for what is wrong
            field = match[1], match[2].rstrip(b" \t")
            if len(line) <= MAX_LINE_BYTES and field[0].lower() in KEPT_NAMES:
                if len(_known) >= MAX_LINES:
                    _known.clear()
                _known[line] = field
        fields.append(field)
    return fields


def is_for_everybody(name: bytes) -> bool:
    """Whether a field, with whatever value, is one that a whole head may be kept with: the page's, and nobody's own."""
    return name.lower() in _OF_HEADS
