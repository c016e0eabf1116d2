"""Sets of field names: which belong to one connection only, which may not come as trailers, which Connection cannot touch.

Servers behind CGI-like interfaces (PHP, WSGI, Rack) read `X_Forwarded_For` and `X-Forwarded-For` as one field, so each set
has its members' underscore spellings too.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Final


@lru_cache(maxsize=64)
def spellings(names: frozenset[bytes]) -> frozenset[bytes]:
    """Names (lower case, few dashes each) with every spelling that has underscores for dashes."""
    found: set[bytes] = set()
    for name in names:
        first, *rest = name.split(b"-")
        found.update(
            first + b"".join(mark + part for mark, part in zip(marks, rest, strict=True))
            for marks in product((b"-", b"_"), repeat=len(rest))
        )
    return frozenset(found)


FRAMING: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection"})

MISSPELT_FRAMING: Final = spellings(FRAMING | {b"te", b"upgrade", b"expect"}) - FRAMING - {b"te", b"upgrade", b"expect"}
"""`Content_Length` and the like: never honest, refused."""

HOP_BY_HOP: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade", b"proxy-authorization",
    b"http2-settings",
    b"proxy",  # becomes the environment variable HTTP_PROXY in CGI programs (CVE-2016-5385)
})  # fmt: skip
"""RFC 9110 section 7.6.1; ours to write, never passed on."""

RESPONSE_HOP_BY_HOP: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade", b"proxy-authenticate",
})  # fmt: skip

END_TO_END: Final = spellings(frozenset({
    b"host", b"content-length", b"content-type", b"content-encoding", b"cookie", b"authorization", b"cache-control",
    b"user-agent", b"origin", b"referer", b"range", b"forwarded", b"x-forwarded-for", b"x-forwarded-host",
    b"x-forwarded-proto", b"x-forwarded-port", b"x-real-ip", b"via", b"expect", b"date", b"set-cookie", b"location",
    b"trailer",
}))  # fmt: skip
"""Connection cannot make these hop-by-hop: a client could take away what the upstream relies on (RFC 9110 section 7.6.1
forbids it for some)."""

NOT_IN_TRAILERS: Final = frozenset({
    b"host", b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"expect",
    b"max-forwards", b"http2-settings", b"content-type", b"content-encoding", b"content-range", b"range", b"if-match",
    b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"authorization", b"www-authenticate", b"cookie",
    b"set-cookie", b"cache-control", b"age", b"expires", b"date", b"location", b"retry-after", b"vary", b"warning", b"via",
    b"user-agent", b"origin", b"referer", b"x-http-method", b"x-http-method-override", b"x-method-override", b"x-method",
})  # fmt: skip
"""RFC 9110 section 6.5.1: framing, routing, request modifiers, authentication, response control. Dropped from trailers in every
spelling; so is what `claims` knows."""
