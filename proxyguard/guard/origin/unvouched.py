"""Notices a proxy in front that is not in `trust.proxies`: most requests then say to come for somebody else.

What such a proxy passes on comes from its own address, so a genuine crawler behind it looks like a forger. One request proves
nothing, as anybody can send the fields; that most do is hardly chosen by one client.
"""

from __future__ import annotations

import logging
from typing import Final

from proxyguard.core.request import Request
from proxyguard.http.forwarded import read_address

FIELDS: Final = (b"x-forwarded-for", b"forwarded", b"x-real-ip")

WINDOW: Final = 64
"""Requests to a verdict."""

SAMPLE: Final = 16
"""One of so many requests is looked at, once there is a verdict."""

logger = logging.getLogger(__name__)


class UnvouchedWatch:
    """Observes requests; `is_suspected` while most of the last ones named another client than the one they are counted for."""

    __slots__ = ("_hits", "_left", "_pause", "_warned", "is_suspected")

    def __init__(self) -> None:
        self._left = WINDOW
        self._hits = 0
        self._pause = 0
        self._warned = False
        self.is_suspected = False

    def observe(self, request: Request) -> int:
        """Count one request of the sample. Returns how many of the next ones are to be left out of it."""
        pause = self._pause
        self._hits += names_another(request)
        self._left -= 1
        if not self._left:
            self._judge()
        return pause

    def _judge(self) -> None:
        self.is_suspected = 2 * self._hits > WINDOW
        if self.is_suspected and not self._warned:
            self._warned = True
            logger.warning(
                "%d of %d requests name another client than the address that they come from: a proxy in front is not in "
                "trust.proxies. Until it is, what calls itself a crawler behind it is neither proven nor refuted",
                self._hits, WINDOW,
            )  # fmt: skip
        self._left, self._hits, self._pause = WINDOW, 0, SAMPLE - 1

    def doubts(self, request: Request) -> bool:
        """Whether the address of a request is probably a proxy's."""
        return self.is_suspected and names_another(request)


def names_another(request: Request) -> bool:
    """Whether a request says to come for another client than the one that it is counted for."""
    index, client = request.header_index, request.client.number
    return any(values and _first_named(values[0]) != client for values in map(index.get, FIELDS))


def _first_named(value: bytes) -> int | None:
    """The address that a field names first, however it is written; None when it names none."""
    first = value.split(b",", 1)[0]
    quoted = first.lower().partition(b"for=")[2].partition(b";")[0]
    address = read_address((quoted or first).strip(b' \t"'))
    return None if address is None else address.number
