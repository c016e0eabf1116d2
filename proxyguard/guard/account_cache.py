"""What the upstream said of the accounts behind sessions, for as long as it asked to be believed. A bounded table.

Whoever sends requests chooses the session: so only sessions that the upstream has confirmed are kept, a client network has a
share of the table, and the session that was used least recently gives way when it is full. Knows nothing of requests or rules.
"""

from __future__ import annotations

from collections.abc import Hashable
from sys import intern
from typing import Final, NamedTuple

from proxyguard.core.latest import Latest
from proxyguard.core.shares import Shares

MAX_WORD_BYTES: Final = 64
"""The longest thing an upstream may say of an account; longer ones are cut."""


CROWDED_PART: Final = 2
"""From one such part of the capacity on, a client network has at most its share."""

SHARE_PART: Final = 100
"""Of the capacity: the sessions of one client network."""

LEAST_SHARE: Final = 64
"""A share in a small table."""


class _Known(NamedTuple):
    until: float
    word: str
    network: str


class AccountCache:
    """Words of the upstream by session, each until its time."""

    __slots__ = ("_by_network", "_known", "_share", "capacity", "evictions", "refusals")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._share = max(LEAST_SHARE, capacity // SHARE_PART)
        self.evictions = 0
        """Sessions that gave way to others before their time."""
        self.refusals = 0
        """Sessions not remembered because their client network had its share."""
        self._known: Latest[_Known] = Latest(capacity)
        self._by_network = Shares()

    def __len__(self) -> int:
        return len(self._known)

    def of_word(self, word: str) -> list[str]:
        """The sessions that the upstream named so."""
        return [str(session) for session, known in self._known.items() if known.word == word]

    def find(self, session: str, now: float) -> str | None:
        """What the upstream said; None when it said nothing, or too long ago."""
        known = self._known.get(session)
        if known is None:
            return None
        if known.until <= now:
            self._forget(session)
            return None
        self._known.touch(session)
        return known.word

    def learn(self, session: str, word: str, until: float, network: str = "") -> None:
        """Remember what the upstream says to a client of `network`. An empty word forgets: the session is nobody's.

        Once half of the table is in use, a network that has its share gets no more, so that one with many sessions of its own
        pushes out nobody else's.
        """
        known = self._known.get(session)
        self._forget(session)
        if not word:
            return
        count = len(self._known)
        if known is not None:
            network = known.network
        elif network and count * CROWDED_PART >= self.capacity and self._by_network.of(network) >= self._share:
            self.refusals += 1
            return
        first = self._known.first_beside(session) if self._known.is_full_beside(session) else None
        if first is not None:
            self._forget(first[0])
            self.evictions += 1
        self._known.put(session, _Known(until, intern(word[:MAX_WORD_BYTES]), network))
        self._by_network.add(network)

    def _forget(self, session: Hashable) -> None:
        known = self._known.pop(session)
        if known is not None:
            self._by_network.take(known.network)
