"""What a header section has in common with the next one of the same client, which has another Referer, and else the same lines.

Browsers, and programs that copy them, send the same fields with each request of a kind, but for the page that it comes from.
"""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.request import REFERER, Headers

_VALUE: Final = re.compile(rb"[!-~]++")
"""Visible ASCII, as addresses are. Whatever else a field may hold is read the long way."""


class SteadyFields:
    """The lines of a section around its only Referer. `place` is the Referer's among the fields, `fields` are the others."""

    __slots__ = ("_after", "_before", "_end", "_name", "_start", "fields", "place")

    def __init__(self, headers: Headers, place: int, start: bytes, end: bytes) -> None:
        """The section is `start`, the value of the Referer, `end`."""
        self._start = start
        self._end = end
        self._name = headers[place][0]
        self._before = headers[:place]
        self._after = headers[place + 1 :]
        self.fields: Headers = self._before + self._after
        self.place = place

    def read(self, section: bytes) -> Headers | None:
        """The fields of a section that is the same but for the Referer; None for any other."""
        start = self._start
        if not section.startswith(start) or not section.endswith(self._end):
            return None
        stop = len(section) - len(self._end)
        if _VALUE.fullmatch(section, len(start), stop) is None:
            return None
        return self._before + ((self._name, section[len(start) : stop]),) + self._after  # noqa: RUF005 - compiled, that is slower


def steady_fields(section: bytes, headers: Headers) -> SteadyFields | None:
    """Of a section and what it was read as; None unless it has one Referer."""
    found = -1
    for place, (name, _) in enumerate(headers):
        if len(name) == len(REFERER) and name.lower() == REFERER:
            if found >= 0:
                return None
            found = place
    if found < 0:
        return None
    name, value = headers[found]
    before = (b"\r\n" if found else b"") + name + b": "
    at = section.find(before + value + b"\r\n")
    if at < 0 or (at and not found):
        return None
    start = at + len(before)
    return SteadyFields(headers, found, section[:start], section[start + len(value) :])
