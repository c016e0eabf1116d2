"""Which header fields and trailers pass through: what a ticket's Forwarding hides, observes and adds. Pure."""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.request import Headers
from proxyguard.guard.interfaces import Forwarding
from proxyguard.http.http1.heads import ResponseHead

SET_COOKIE: Final = b"Set-Cookie"
CACHE_CONTROL: Final = b"cache-control"

PERSONAL: Final = (b"Cache-Control", b"private, no-cache")
"""Every reader asks the site; a browser may still go back to the page (`no-store` would keep it from that)."""

_KEPT_FROM_CACHES: Final = re.compile(rb"(?:^|[,\s])(?:private|no-store|no-cache)(?:$|[,;=\s])")

_PRIVATE: Final = (b"Cache-Control", b"private")


def dressed(head: ResponseHead, forwarding: Forwarding) -> ResponseHead:
    """A response's head as the client gets it; the value of the hidden field goes to `on_hidden_value`."""
    headers = head.headers
    hide = forwarding.hide
    if hide:
        kept = without(headers, hide)
        if len(kept) < len(headers) and forwarding.on_hidden_value is not None and head.status >= 200:
            forwarding.on_hidden_value(b"".join(value for name, value in headers if name.lower() == hide))
        headers = kept
    added: Headers = ()
    if head.status >= 200:
        headers = _changed(headers, forwarding)
        added = _added(headers, forwarding)
    if headers is not head.headers:
        return head.with_headers(headers + added)
    return head.with_added(added) if added else head


def with_added(headers: Headers, forwarding: Forwarding) -> Headers:
    """The fields of a final response with those that are to be added."""
    headers = _changed(headers, forwarding)
    return headers + _added(headers, forwarding)


def _changed(headers: Headers, forwarding: Forwarding) -> Headers:
    """The fields with another word to caches, and those that stand in for missing ones; the same object without either."""
    if forwarding.is_personal:
        headers = (*[field for field in headers if field[0].lower() not in (b"cache-control", b"expires")], _personal(headers))
    if forwarding.defaults:
        there = {name.lower() for name, value in headers if name.lower() != b"link" or b"license" in value.lower()}
        headers = (*headers, *[field for field in forwarding.defaults if field[0].lower() not in there])
    return headers


def _added(headers: Headers, forwarding: Forwarding) -> Headers:
    """What comes behind the fields of a final response."""
    add = forwarding.add
    return _private(headers, add) if add and forwarding.sets_cookie else add


def _personal(headers: Headers) -> tuple[bytes, bytes]:
    """The word to caches that stands for the site's, unless that is stricter."""
    return PERSONAL if _said_to_caches(headers).find(b"no-store") < 0 else (b"Cache-Control", b"no-store")


def _private(headers: Headers, add: Headers) -> Headers:
    """Fields to add, with a cookie among them: none of one that shared caches may keep, else with the word that they may not.

    A cache that keeps a Set-Cookie gives one client's to all (RFC 9111 section 7.3). What the site says of caching stays.
    """
    control = _said_to_caches(headers)
    if not control:
        return (*add, _PRIVATE)
    if _KEPT_FROM_CACHES.search(control) is not None:
        return add
    return tuple([field for field in add if field[0] != SET_COOKIE])


def _said_to_caches(headers: Headers) -> bytes:
    """All that the site says with Cache-Control, in lower case. A name of another length needs not be spelt so first."""
    said = [value for name, value in headers if len(name) == len(CACHE_CONTROL) and name.lower() == CACHE_CONTROL]
    return b",".join(said).lower() if said else b""


def dated(head: ResponseHead, date: bytes) -> ResponseHead:
    """A response's head with the Date that it lacks (RFC 9110 section 6.6.1: a recipient with a clock adds it)."""
    headers = (*head.headers, (b"Date", date))
    return ResponseHead(
        head.status, head.reason, headers, head.version, head.body, head.content_length, head.keep_alive, head.nominated
    )


def without(headers: Headers, hidden: bytes) -> Headers:
    """Header fields or trailers without the hidden one, the same object when there is nothing to hide."""
    if not hidden or not headers:
        return headers
    kept = tuple(field for field in headers if field[0].lower().replace(b"_", b"-") != hidden)
    return headers if len(kept) == len(headers) else kept


def first_value(headers: Headers, wanted: bytes) -> bytes:
    """The first value of the field with this lower-case name, or nothing."""
    for name, value in headers:
        if name.lower() == wanted:
            return value
    return b""
