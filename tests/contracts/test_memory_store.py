"""The contract of all stores, kept by the memory store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from proxyguard.limits.charge import Charge
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.notes import StoreNote
from proxyguard.limits.stores.store import BanRecord, BanTerms, Outcome
from tests.contracts.store_contract import START, Driver, over_all_cases


class MemoryDriver:
    def __init__(self) -> None:
        self.store = MemoryStore(keys=100, bans=10)

    def charge(self, charges: Sequence[Charge], ban_keys: Sequence[str] = (), now: float = START) -> Outcome:
        return self.store.charge(charges, ban_keys, now)

    def ban(self, key: str, rule: str, reason: str, terms: BanTerms, now: float = START) -> BanRecord:
        return self.store.ban(key, rule, reason, terms, now)

    def unban(self, key: str, now: float = START) -> bool:
        self.store.tidy(now)
        return self.store.unban(key)

    def bans(self, now: float = START) -> list[BanRecord]:
        return list(self.store.bans(now))

    def put_note(self, name: str, text: str, until: float = START + 600.0, now: float = START) -> bool:
        return self.store.put_note(name, text, until, now)

    def notes(self, now: float = START) -> list[StoreNote]:
        notes = list(self.store.notes(now))
        assert [self.store.note(note.name, now) for note in notes] == notes
        return notes


@over_all_cases
def test_memory_store_keeps_the_contract(case: Callable[[Driver], None]) -> None:
    case(MemoryDriver())
