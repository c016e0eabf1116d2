"""What a client may do on one connection besides asking for things (frames that cost us work, streams that it takes back), and
how much of anything is done for it before other connections get their turn.

Every count is small and fixed, and `now` is an argument.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from proxyguard.http.http2.errors import BoundExceeded

FRAME_CREDIT: Final = 2000.0
"""Frames that carry nothing (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown ones …) before what follows counts.
A browser's first second has some dozens."""

FRAMES_PER_SECOND: Final = 100.0
"""How fast the credit comes back. Such a frame costs 5 to 10 µs: a thousandth of a core."""

FRAMES_PER_ANSWER: Final = 10.0
"""What each frame of ours that carries a body earns: a client may open windows often while it takes what is sent."""

FRAMES_PER_REQUEST: Final = 20.0
"""What a request earns: a priority, windows, the end of its body."""

FRAMES_PER_BYTE: Final = 1 / 2048
"""What a body earns: large frames come in pieces, some of them small."""

RESET_SECONDS: Final = 30.0


WORK_PER_TURN: Final = 128
"""What may be done for one connection in one turn of the loop, in frames without content (1 to 2 µs each): a fifth of a
millisecond. Others feel twice as much when a client asks for hundreds of things at once; half as much costs more in turns."""

WORK_PER_REQUEST: Final = 24
"""What a request takes more than such a frame, its check and its record included: 50 µs."""

BYTES_PER_WORK: Final = 8
"""Bytes of a field block that take one unit more: those that a client has kept in the table are a field each."""


class FrameBudget:
    """Frames of no content. Raises BoundExceeded("http2_frames") when there were too many."""

    __slots__ = ("_credit", "_since")

    def __init__(self, now: float) -> None:
        self._credit = FRAME_CREDIT
        self._since = now

    def spend(self, now: float, cost: float = 1.0) -> None:
        self._credit -= cost
        if self._credit < 0:
            self._credit = min(FRAME_CREDIT, self._credit + (now - self._since) * FRAMES_PER_SECOND)
            self._since = now
            if self._credit < 0:
                raise BoundExceeded("http2_frames")

    def earn(self, frames: float) -> None:
        self._credit = min(FRAME_CREDIT, self._credit + frames)


class ResetBudget:
    """Streams that ended before their time, reset by the client or for what it did. Raises BoundExceeded("http2_resets")."""

    __slots__ = ("_limit", "_times")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: deque[float] | None = None

    def spend(self, now: float) -> None:
        times = self._times
        if times is None:
            times = self._times = deque()
        while times and times[0] <= now - RESET_SECONDS:
            times.popleft()
        times.append(now)
        if len(times) > self._limit:
            raise BoundExceeded("http2_resets")
