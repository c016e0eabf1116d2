"""What an instance knows of a store elsewhere: its bans and notes, and the changes made here that the store has not confirmed.

    made here ──record──▶ in force here, unconfirmed ──(sent; after an outage, sent again)──▶ the store answers with what holds
    on_ban, on_note ◀── what holds, whoever made it: adopted here, and confirmed if it was made here

What the store says always wins. A store that is a new one (restarted empty, flushed) knows less than its instances: `start_over`
makes all that is known here unconfirmed. Knows nothing of connections; waits in `saved` only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from proxyguard.limits.stores.bans import BanNews, BanTable
from proxyguard.limits.stores.notes import NoteTable, StoreNote

MAX_UNCONFIRMED: Final = 10_000
"""Changes kept until the store has them, through an outage; the oldest give way and are in force here only."""

SAVED_SECONDS: Final = 2.0
"""How long `saved` waits: for an operator's command, not for a request."""

type StoreChange = BanNews | StoreNote


class Mirror:
    """The mirror of one instance; `clock` gives the line's seconds."""

    def __init__(self, bans: int, clock: Callable[[], float], per_network: int = 0) -> None:
        self.bans = BanTable(bans, per_network)
        self.notes = NoteTable()
        self.unconfirmed: dict[tuple[type, str], StoreChange] = {}
        self._clock = clock
        self._confirmed = asyncio.Event()

    def record(self, change: StoreChange) -> None:
        """Remember a change made here until the store confirms it."""
        self.unconfirmed.pop(_place(change), None)
        if len(self.unconfirmed) >= MAX_UNCONFIRMED:
            del self.unconfirmed[next(iter(self.unconfirmed))]
        self.unconfirmed[_place(change)] = change

    def on_ban(self, news: BanNews) -> None:
        """The store says what holds for a key."""
        self._confirm(news)
        if news.record is None:
            self.bans.drop(news.key)
        else:
            self.bans.adopt(news.record, news.forget_at, self._clock())

    def on_note(self, note: StoreNote, *, is_answer: bool = False) -> None:
        """The store says what holds for a name. Unless that is its answer to what was put here, it may be older than that."""
        mine = self.unconfirmed.get(_place(note))
        if is_answer or not isinstance(mine, StoreNote) or not mine.outranks(note):
            self._confirm(note)
            self.notes.adopt(note, self._clock())

    def known_bans(self) -> list[BanNews]:
        """All bans in force here."""
        now = self._clock()
        found = (self.bans.news_of(key, now) for key in tuple(self.bans.keys))
        return [news for news in found if news is not None]

    def start_over(self) -> None:
        """The store is a new one: have all that is known here told to it."""
        known: list[StoreChange] = [*self.known_bans(), *self.notes.in_force(self._clock())]
        self.unconfirmed = {_place(change): change for change in known} | self.unconfirmed

    async def saved(self) -> bool:
        """Wait until the store has confirmed all changes made here so far; False when it does not in time."""
        waiting = set(self.unconfirmed)
        try:
            async with asyncio.timeout(SAVED_SECONDS):
                while waiting & self.unconfirmed.keys():
                    self._confirmed.clear()
                    await self._confirmed.wait()
        except TimeoutError:
            return False
        return True

    def _confirm(self, change: StoreChange) -> None:
        if self.unconfirmed.pop(_place(change), None) is not None:
            self._confirmed.set()


def _place(change: StoreChange) -> tuple[type, str]:
    """What a change is about: one ban's key or one note's name."""
    return type(change), change.key if isinstance(change, BanNews) else change.name
