"""What the upstream said of the accounts behind sessions, for as long as it asked to be believed. A bounded table.

Whoever sends requests chooses the session: so only sessions that the upstream has confirmed are kept, and the one that was used
least recently gives way when the table is full. Knows nothing of requests, rules or hashing.
"""

from __future__ import annotations

from collections import OrderedDict
from sys import intern
from typing import Final

MAX_WORD_BYTES: Final = 64
"""The longest thing an upstream may say of an account; longer ones are cut."""


class AccountCache:
    """Words of the upstream by session, each until its time."""

    __slots__ = ("_known", "capacity", "evictions")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.evictions = 0
        """Sessions that gave way to others before their time."""
        self._known: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, session: str, now: float) -> str | None:
        """What the upstream said; None when it said nothing, or too long ago."""
        known = self._known.get(session)
        if known is None:
            return None
        if known[0] <= now:
            del self._known[session]
            return None
        self._known.move_to_end(session)
        return known[1]

    def learn(self, session: str, word: str, until: float) -> None:
        """Remember what the upstream says. An empty word forgets: it says that the session is nobody's."""
        if not word:
            self._known.pop(session, None)
            return
        if session not in self._known and len(self._known) >= self.capacity:
            self._known.popitem(last=False)
            self.evictions += 1
        self._known[session] = (until, intern(word[:MAX_WORD_BYTES]))
        self._known.move_to_end(session)
