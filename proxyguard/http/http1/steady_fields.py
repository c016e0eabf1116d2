"""What a request's fields have in common with those of the next one of its client, which has another Referer, and else the same.

Browsers, and programs that copy them, send the same fields with each request of a kind, but for the page that it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from proxyguard.core.request import REFERER, Headers

is_address: Final = re.compile(rb"[!-~]++").fullmatch
"""Visible ASCII, as addresses are. Whatever else a Referer may hold is read the long way."""


def only_referer(fields: Sequence[tuple[bytes, bytes]]) -> int:
    """The place of the only Referer; -1 when there is none, or several."""
    found = -1
    for place, (name, _) in enumerate(fields):
        if len(name) == len(REFERER) and name.lower() == REFERER:
            if found >= 0:
                return -1
            found = place
    return found


class AroundReferer:
    """The fields around a Referer, whose place is `place`. `fields` are all others, one object for all heads that share them."""

    __slots__ = ("_after", "_before", "fields", "place")

    def __init__(self, headers: Headers, place: int) -> None:
        self._before = headers[:place]
        self._after = headers[place + 1 :]
        self.fields: Headers = self._before + self._after
        self.place = place

    def headers(self, referer: tuple[bytes, bytes]) -> Headers:
        """All fields, with this Referer."""
        return self._before + (referer,) + self._after  # noqa: RUF005 - compiled, that is slower


class SteadyFields:
    """A section in two pieces, around the value of its only Referer."""

    __slots__ = ("_end", "_name", "_start", "around")

    def __init__(self, around: AroundReferer, name: bytes, start: bytes, end: bytes) -> None:
        """The section is `start`, the value of the Referer, `end`."""
        self.around = around
        self._name = name
        self._start = start
        self._end = end

    def read(self, section: bytes) -> Headers | None:
        """The fields of a section that is the same but for the Referer; None for any other."""
        start = self._start
        if not section.startswith(start) or not section.endswith(self._end):
            return None
        stop = len(section) - len(self._end)
        if is_address(section, len(start), stop) is None:
            return None
        return self.around.headers((self._name, section[len(start) : stop]))


def steady_fields(section: bytes, headers: Headers) -> SteadyFields | None:
    """Of a section and what it was read as; None unless it has one Referer."""
    place = only_referer(headers)
    if place < 0:
        return None
    name, value = headers[place]
    before = (b"\r\n" if place else b"") + name + b": "
    at = section.find(before + value + b"\r\n")
    if at < 0 or (at and not place):
        return None
    start = at + len(before)
    return SteadyFields(AroundReferer(headers, place), name, section[:start], section[start + len(value) :])
