"""Drives two instances of a remote store by turns, so that each case of the contract also shows that they are one store."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from proxyguard.limits.charge import Charge
from proxyguard.limits.stores.notes import StoreNote
from proxyguard.limits.stores.remote import RemoteStore
from proxyguard.limits.stores.store import BanRecord, BanTerms, Outcome
from tests.contracts.store_contract import START


class RemoteDriver(ABC):
    """Implements `store_contract.Driver`. The clock of both stores is the `now` of the last call."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.now = START
        self.run = runner.run
        self.stores: list[RemoteStore] = []

    async def start(self) -> None:
        for store in self.stores:
            await store.start()

    async def stop(self) -> None:
        for store in self.stores:
            assert (store.fallback.answers, store.fallback.outages) == (0, 0)
            await store.stop()

    @abstractmethod
    async def settle(self, store: RemoteStore) -> None:
        """Return when a store has sent and received all news."""

    def next_store(self, now: float) -> RemoteStore:
        self.now = now
        self.stores.reverse()
        return self.stores[0]

    async def settled(self) -> None:
        for _ in range(2):
            for store in self.stores:
                await asyncio.wait_for(self.settle(store), 20.0)

    def charge(self, charges: Sequence[Charge], ban_keys: Sequence[str] = (), now: float = START) -> Outcome:
        async def ask() -> Outcome:
            outcome = self.next_store(now).charge(charges, ban_keys, now)
            return outcome if isinstance(outcome, Outcome) else await outcome

        return self.run(ask())

    def ban(self, key: str, rule: str, reason: str, terms: BanTerms, now: float = START) -> BanRecord:
        async def ask() -> BanRecord:
            record = self.next_store(now).ban(key, rule, reason, terms, now)
            await self.settled()
            return record

        return self.run(ask())

    def unban(self, key: str, now: float = START) -> bool:
        async def ask() -> bool:
            store = self.next_store(now)
            store.charge((), (), now)
            lifted = store.unban(key)
            await self.settled()
            return lifted

        return self.run(ask())

    def bans(self, now: float = START) -> list[BanRecord]:
        seen = [list(store.bans(now)) for store in self.stores]
        assert seen[0] == seen[1]
        return seen[0]

    def put_note(self, name: str, text: str, until: float = START + 600.0, now: float = START) -> bool:
        async def ask() -> bool:
            put = self.next_store(now).put_note(name, text, until, now)
            await self.settled()
            return put

        return self.run(ask())

    def notes(self, now: float = START) -> list[StoreNote]:
        read = [list(store.notes(now)) for store in self.stores]
        assert read[0] == read[1]
        assert [self.stores[0].note(note.name, now) for note in read[0]] == read[0]
        return read[0]
