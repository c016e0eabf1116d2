"""The method that a site acts on, where frameworks let a POST name another one.

Rails, Symfony, Laravel and Spring read it from a header or from `_method`, which forms send in their body and which the query may
have. What a body says is not known here.
"""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.canonical_names import canonical_name
from proxyguard.core.reading import percent_decode
from proxyguard.http.claims import folded
from proxyguard.http.http1.heads import RequestHead

METHOD_HEADERS: Final = frozenset({b"x-http-method-override", b"x-method-override", b"x-http-method", b"x-method"})
"""Dropped, in every spelling, unless the setting `method_override` keeps them."""

_METHOD: Final = re.compile(rb"[A-Z][A-Z0-9_-]{0,31}")
_PARAMETER: Final = b"_method"
_PLAIN: Final = re.compile(rb"_method=[A-Za-z][A-Za-z0-9_-]{0,31}")


def acting_method(head: RequestHead) -> bytes:
    """The method of a request to a site that takes overrides: the first that is named and is one, else the request's own."""
    return next(iter(_named(head)), head.method)


def is_method_unclear(head: RequestHead) -> bool:
    """Whether sites that take overrides may disagree about the method: two are named, or one in a spelling that few read."""
    return len(_named(head)) > 1


def _named(head: RequestHead) -> dict[bytes, None]:
    """The methods that a POST names beside its own; several where a parameter is spelt so that not all sites read it."""
    found: dict[bytes, None] = {}
    if head.method != b"POST":
        return found
    for name, value in head.headers:
        if folded(name) in METHOD_HEADERS:
            members = [member.strip().upper() for member in value.split(b",")]  # Express reads the first
            found.update((member, None) for member in members if _METHOD.fullmatch(member) is not None)
    query = head.target.partition(b"?")[2].replace(b"+", b" ")
    if b"method" in percent_decode(query).lower():
        for part in query.split(b"&"):
            if _PLAIN.fullmatch(part) is not None:
                found[part[len(_PARAMETER) + 1 :].upper()] = None
            elif any(_is_override(piece) for piece in part.split(b";")):
                found.update({head.method: None, b"": None})
    return found


def _is_override(part: bytes) -> bool:
    name, _, value = part.partition(b"=")
    return bool(value) and canonical_name(percent_decode(name)) == _PARAMETER
