"""The method that a site acts on, where frameworks let a POST name another one.

Rails, Symfony, Laravel and Spring read it from a header or from `_method`, which forms send in their body and which the query may
have. What a body says is not known here.
"""

from __future__ import annotations

import re
from typing import Final

from proxyguard.http.http1.heads import RequestHead

METHOD_HEADERS: Final = frozenset({b"x-http-method-override", b"x-method-override", b"x-http-method", b"x-method"})
"""Dropped, with their underscore spellings, unless the setting `method_override` keeps them."""

_METHOD: Final = re.compile(rb"[A-Z][A-Z0-9_-]{0,31}")
_PARAMETER: Final = re.compile(rb"(?:\A|&)_method=([A-Za-z][A-Za-z0-9_-]{0,31})(?=&|\Z)")


def acting_method(head: RequestHead) -> bytes:
    """The method of a request to a site that takes overrides; the first that is named and is one, else the request's own."""
    if head.method != b"POST":
        return head.method
    for name, value in head.headers:
        if name.lower().replace(b"_", b"-") in METHOD_HEADERS:
            named = value.strip().upper()
            if _METHOD.fullmatch(named) is not None:
                return named
    asked = _PARAMETER.search(head.target.partition(b"?")[2])
    return head.method if asked is None else asked[1].upper()
