"""Lines of heads that came before: what a server says with each response, and a browser with each request, is read once.

Only whole lines of fields that are for everybody, such as Content-Type or Accept: never those that hold or set cookies, name a
person or a session, or tell one request or answer from another. What a line means is in its bytes alone, so anybody may have sent
it. Bounded; whatever is not known, or is not well-formed, is read by `fields.read_fields`.
"""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.http.http1.fields import TOKEN, read_fields

MAX_LINES: Final = 2048
MAX_LINE_BYTES: Final = 200
"""Lines of requests and of responses that are kept, and bytes of each: under a megabyte each, with what they are read as."""

USUAL_LINES: Final = 64
"""Of a head. Of more all are read at once, as made-up lines cost less so: browsers send fifteen, 8 KiB may have 2,000."""

KEPT_NAMES: Final = frozenset({
    b"accept-ranges", b"access-control-allow-origin", b"age", b"alt-svc", b"cache-control", b"connection", b"content-encoding",
    b"content-language", b"content-length", b"content-security-policy", b"content-type", b"cross-origin-opener-policy",
    b"cross-origin-resource-policy", b"date", b"expires", b"keep-alive", b"last-modified", b"permissions-policy", b"pragma",
    b"referrer-policy", b"server", b"strict-transport-security", b"transfer-encoding", b"vary", b"via", b"x-cache",
    b"x-content-type-options", b"x-dns-prefetch-control", b"x-frame-options", b"x-powered-by", b"x-robots-tag",
    b"x-xss-protection",
})  # fmt: skip
"""Fields of responses whose lines are kept."""

KEPT_OF_REQUESTS: Final = frozenset({
    b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"cache-control", b"connection", b"content-type",
    b"dnt", b"host", b"pragma", b"priority", b"save-data", b"sec-ch-ua", b"sec-ch-ua-mobile", b"sec-ch-ua-platform",
    b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site", b"sec-fetch-user", b"sec-gpc", b"te",
    b"upgrade-insecure-requests", b"user-agent", b"x-requested-with",
})  # fmt: skip
"""The same of requests."""

_OF_HEADS: Final = KEPT_NAMES | {b"etag"}

_LINE: Final = re.compile(rb"(" + TOKEN + rb"++):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*+)")

_known: dict[bytes, tuple[bytes, bytes]] = {}
_known_of_requests: dict[bytes, tuple[bytes, bytes]] = {}


def read_response_fields(text: bytes, start: int, end: int) -> list[tuple[bytes, bytes]]:
    """As `read_fields(text, start, end)`, of a response."""
    return _read(text, start, end, _known, KEPT_NAMES)


def read_request_fields(text: bytes, start: int, end: int) -> list[tuple[bytes, bytes]]:
    """As `read_fields(text, start, end)`, of a request."""
    return _read(text, start, end, _known_of_requests, KEPT_OF_REQUESTS)


def _read(
    text: bytes, start: int, end: int, known: dict[bytes, tuple[bytes, bytes]], kept: frozenset[bytes]
) -> list[tuple[bytes, bytes]]:
    if start == end:
        return []
    if text.count(b"\n", start, end) > USUAL_LINES:
        return read_fields(text, start, end)
    fields: list[tuple[bytes, bytes]] = []
    for line in text[start : end - 2].split(b"\r\n"):
        field = known.get(line)
        if field is None:
            match = _LINE.fullmatch(line)
            if match is None:
                return read_fields(text, start, end)  # it has the words for what is wrong
            field = match[1], match[2].rstrip(b" \t")
            if len(line) <= MAX_LINE_BYTES and field[0].lower() in kept:
                keep_at_hand(known, MAX_LINES, line, field)
        fields.append(field)
    return fields


def is_for_everybody(name: bytes) -> bool:
    """Whether a field, with whatever value, is one that a whole head may be kept with: the page's, and nobody's own."""
    return name.lower() in _OF_HEADS
