"""Gives memory back to the system after many connections have closed: glibc keeps what they used, unless it is asked to trim."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from typing import Final

LEFT_BEFORE_TRIM: Final = 500
"""Connections that have to go before it is worth the few milliseconds that a trim takes."""

TRIM_AFTER_SECONDS: Final = 1.0
"""So that one trim serves all that close about then."""


class Trimmer:
    """Trims when at most half of the connections of the last peak are left."""

    def __init__(self, loop: asyncio.AbstractEventLoop, trim: Callable[[], None] | None = None) -> None:
        self._loop = loop
        self._trim = trim or malloc_trim
        self._peak = 0
        self._open = 0
        self._planned = False

    def count(self, is_open: int) -> None:
        """Observe the number of open connections, after each one that opened or closed."""
        self._open = is_open
        if is_open > self._peak:
            self._peak = is_open
        elif not self._planned and self._peak - is_open >= LEFT_BEFORE_TRIM and is_open * 2 <= self._peak:
            self._planned = True
            self._loop.call_later(TRIM_AFTER_SECONDS, self._go)

    def _go(self) -> None:
        self._planned = False
        self._peak = self._open
        self._trim()


def malloc_trim() -> None:
    """Return free heap pages to the kernel, where the C library can (musl cannot)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
