"""What readers get: each answer is made once a second however many ask, and only so many are given in a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

FRESH_SECONDS: Final = 1.0

MAX_KEPT: Final = 32
"""Answers that are kept; there are about ten different questions."""

REQUESTS_PER_SECOND: Final = 100.0
"""Of callers without a token together, and of those with one: at half a millisecond each, 5 % of a core."""

REQUESTS_AT_ONCE: Final = 300.0


class SharedAnswers:
    """Answers by question. Those who ask while one is being made wait for it."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[float, asyncio.Task[bytes]]] = {}

    async def get(self, key: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """The answer to a question, not begun more than FRESH_SECONDS ago, or still being made. Raises what making it raises."""
        now = self._clock()
        kept = self._kept.get(key)
        if kept is None or (kept[1].done() and now - kept[0] >= FRESH_SECONDS):
            self._kept.pop(key, None)
            while len(self._kept) >= MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            kept = self._kept[key] = (now, asyncio.ensure_future(_made(make)))
        return await asyncio.shield(kept[1])

    def forget(self) -> None:
        """Make every answer anew: something was changed."""
        self._kept.clear()


async def _made(make: Callable[[], Awaitable[bytes]]) -> bytes:
    return await make()


class RequestPace:
    """So many a second, and a number at once."""

    def __init__(
        self, rate: float = REQUESTS_PER_SECOND, burst: float = REQUESTS_AT_ONCE, clock: Callable[[], float] = monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._left = burst
        self._at = clock()
        self.refused = 0

    def admits(self) -> bool:
        """Whether one more may come now."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            self.refused += 1
            return False
        self._left -= 1
        return True
