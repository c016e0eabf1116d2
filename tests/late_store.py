"""A store that answers later, or not at all, as one elsewhere does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence

from proxyguard.limits.charge import Charge
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.notes import StoreNote
from proxyguard.limits.stores.store import BanRecord, BanTerms, Outcome


class LateStore:
    """Implements AsyncStore over one in memory; `error`, while set, is what becomes of charges."""

    def __init__(self, error: Exception | None = None) -> None:
        self.kept = MemoryStore()
        self.error = error

    def charge(self, charges: Sequence[Charge], ban_keys: Sequence[str], now: float) -> Outcome | Awaitable[Outcome]:
        async def later() -> Outcome:
            await asyncio.sleep(0)
            if self.error is not None:
                raise self.error
            return self.kept.charge(charges, ban_keys, now)

        return later()

    def ban(self, key: str, rule: str, reason: str, terms: BanTerms, now: float) -> BanRecord:
        return self.kept.ban(key, rule, reason, terms, now)

    def unban(self, key: str) -> bool:
        return self.kept.unban(key)

    def banned(self, key: str, now: float) -> BanRecord | None:
        return self.kept.banned(key, now)

    def bans(self, now: float) -> Iterable[BanRecord]:
        return self.kept.bans(now)

    def put_note(self, name: str, text: str, until: float, now: float) -> bool:
        return self.kept.put_note(name, text, until, now)

    def note(self, name: str, now: float) -> StoreNote | None:
        return self.kept.note(name, now)

    def notes(self, now: float) -> Sequence[StoreNote]:
        return self.kept.notes(now)
