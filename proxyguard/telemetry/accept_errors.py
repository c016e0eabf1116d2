"""Log lines about connections that could not be accepted: one a second, with how many it stands for.

Whoever listens asks again at once, so that a process without a free file would otherwise write thousands of lines a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

LINE_SECONDS: Final = 1.0

_ASYNCIO_SAYS: Final = "socket.accept() out of system resource"
"""What asyncio's own loop tells the exception handler when accept fails; it then waits for a second by itself."""

logger = logging.getLogger(__name__)


class AcceptErrors:
    """The errors of one listener."""

    __slots__ = ("_clock", "_last", "_unlogged", "_where")

    def __init__(self, where: str, clock: Callable[[], float] = monotonic) -> None:
        self._where = where
        self._clock = clock
        self._last = -LINE_SECONDS
        self._unlogged = 0

    def record(self, error: OSError) -> None:
        """Count an error; log it if the last line is a second old."""
        self._unlogged += 1
        now = self._clock()
        if now - self._last >= LINE_SECONDS:
            self._last = now
            count, self._unlogged = self._unlogged, 0
            logger.error("%s: cannot accept connections: %s (%d)", self._where, error.strerror or error, count)

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle an exception of an event loop: accept errors as above, everything else as usual."""
        error = context.get("exception")
        if isinstance(error, OSError) and context.get("message") == _ASYNCIO_SAYS:
            self.record(error)
        else:
            loop.default_exception_handler(context)
