"""Header fields of a request whose answer is to be changed, and of the changed answer. Pure.

The site is asked for all of its answer, as it is: no range, no encoding, no word that the client has it already. What goes back
are fields that are known to say nothing of the body that was; all others may hold what was taken out of it.
"""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Mask, Uniform
from proxyguard.core.request import Headers
from proxyguard.http.masking import masked_value

_ASKS_FOR_PART: Final = frozenset({b"range", b"if-range", b"accept-encoding", b"te", b"want-digest", b"want-content-digest"})
_ASKS_FOR_NEWS: Final = frozenset({b"if-none-match", b"if-modified-since"})
"""Of a GET or HEAD; of a PUT they keep a client from writing over what it has not seen."""

_KEPT: Final = frozenset({
    b"allow", b"content-language", b"content-security-policy", b"cross-origin-embedder-policy", b"cross-origin-opener-policy",
    b"cross-origin-resource-policy", b"date", b"permissions-policy", b"ratelimit", b"ratelimit-policy", b"referrer-policy",
    b"retry-after", b"server", b"strict-transport-security", b"vary", b"www-authenticate", b"x-content-type-options",
    b"x-frame-options", b"x-robots-tag",
})  # fmt: skip
_KEPT_BEGINNING: Final = b"access-control-"
_LOOKED_THROUGH: Final = frozenset({b"location", b"link", b"content-disposition", b"set-cookie"})
"""Kept, without what the rule's patterns name."""

PRIVATE: Final = (b"Cache-Control", b"private, no-store")
"""Nobody keeps a masked answer: not a shared cache, and not the browser of somebody who is no suspect an hour later."""


def asking_for_all(method: bytes, headers: Headers) -> Headers:
    """A request's fields as the site gets them."""
    left_out = _ASKS_FOR_PART | _ASKS_FOR_NEWS if method in (b"GET", b"HEAD") else _ASKS_FOR_PART
    kept = [field for field in headers if field[0].lower() not in left_out]
    return (*kept, (b"Accept-Encoding", b"identity"))


def masked_fields(mask: Mask, headers: Headers) -> Headers:
    """A masked answer's fields but those about its body."""
    fields: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        lower = name.lower()
        if lower in _KEPT or lower.startswith(_KEPT_BEGINNING):
            fields.append((name, value))
        elif lower in _LOOKED_THROUGH:
            fields.append((name, masked_value(mask, value.decode("latin-1")).encode("latin-1")))
    return (*fields, PRIVATE)


def uniform_fields(action: Uniform, added: Headers) -> Headers:
    """All fields of a uniform answer. Of those to be added only cookies are: what is left of a limit may tell of the site."""
    cookies = [field for field in added if field[0].lower() == b"set-cookie"]
    location = ((b"Location", action.location.encode()),) if action.location else ()
    return (*location, (b"Content-Type", action.content_type.encode()), (b"Cache-Control", b"no-store"), *cookies)
