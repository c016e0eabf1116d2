"""The store in this process: counters in a bounded table, bans in another.

Answers at once, from the event loop's thread only. Decides what happens when the table is full and when a key is
forgotten; the arithmetic of a limit is elsewhere, and what a key stands for is nobody's business here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from proxyguard.limits.bans import BanTable
from proxyguard.limits.gcra import UNSEEN, State
from proxyguard.limits.gcra import charge as charge_gcra
from proxyguard.limits.store import BanRecord, BanTerms, Charge, Outcome, Usage
from proxyguard.settings import OnFull

SHARDS: Final = 1024
"""The table is cut into so many dictionaries: growing or sweeping one thousandth of a million keys takes 0.1 ms, where
one big dictionary would stop everything for 30 ms. A power of two."""

SWEEP_EVERY: Final = 64
"""One shard is swept of forgotten keys for so many new keys: about 1 µs a new key."""

FREE_STEP: Final = 32
"""Forgotten keys whose memory is given back per charge. The last keys of a swept million hold all its pages: freeing one
shard's thousand at once returns 130 MB to the kernel in a pause of 5 ms."""

LASTING_SECONDS: Final = 10.0
"""A counter that would be forgotten sooner is not worth a write to disk."""

_new = tuple.__new__  # half the cost of calling the class

type Shard = dict[Hashable, State]
"""By key in the table; by the rule that a key begins with (see `store.Charge.key`) in the shared counters."""


class StoreStats(NamedTuple):
    """The fill of the tables, and what found them full since the start."""

    keys: int
    key_capacity: int
    bans: int
    ban_capacity: int
    overflows: int
    """Charges whose key found the table full."""
    ban_evictions: int
    """Bans that gave way to others before their end."""


GAUGES: Final[dict[str, str]] = {
    "store_keys": "Counters in use.",
    "store_key_capacity": "Counters there is room for.",
    "store_bans": "Bans remembered.",
    "store_ban_capacity": "Bans there is room for.",
    "store_overflows": "Charges whose key found the table of counters full.",
    "store_ban_evictions": "Bans that gave way to others before their end, because their table was full.",
}
"""Metric names by field of StoreStats."""


class MemoryStore:
    """Implements `store.Store` with at most `keys` counters (about 140 bytes each) and `bans` bans.

    When all `keys` are in use, a key without a counter shares one with every 1024th other such key, per limit (`protect`),
    or is not counted (`permit`); keys that have a counter keep it. So what a flood of keys can still get through is a
    thousandth of what filling the table got through, and it does not use up the allowance of every newcomer.
    """

    def __init__(self, keys: int = 1_000_000, bans: int = 100_000, on_full: OnFull = OnFull.PROTECT) -> None:
        self.key_capacity = keys
        self.on_full = on_full
        self.overflows = 0
        self.ban_table = BanTable(bans)
        self._banned = self.ban_table.keys
        self.dirty: set[str] | None = None
        """Keys whose counter changed and will last; None: nobody asks."""
        self._shards: list[Shard] = [{} for _ in range(SHARDS)]
        self._shared: list[Shard] = [{} for _ in range(SHARDS)]
        self._keys = 0
        self._new_until_sweep = SWEEP_EVERY
        self._next_sweep = 0
        self._forgotten: list[object] = []
        self._latest = 0.0  # the last `now` seen, for the one method that is not told

    def charge(self, charges: Sequence[Charge], ban_keys: Sequence[str], now: float) -> Outcome:
        """See `store.Store.charge`."""
        self._latest = now
        for key in ban_keys:
            if key in self._banned:
                ban = self.ban_table.find(key, now)
                if ban is not None:
                    return Outcome(ban, ())
        usages: list[Usage] = []
        written: list[tuple[Shard, Hashable, State]] = []
        stopped = False
        several = len(charges) > 1  # one charge that does not fit writes nothing that would have to be undone
        shards = self._shards
        dirty = self.dirty
        lasting = now + LASTING_SECONDS
        for key, limit, cost, stops, owed in charges:
            shard = shards[hash(key) & (SHARDS - 1)]
            old = shard.get(key)
            place: Hashable = key
            if old is None:
                old = UNSEEN
                if self._keys >= self.key_capacity:
                    shard, place, old = self._overflow(key)
            new, usage = charge_gcra(old, now, limit, cost, owed)
            if new is not old:
                if old is UNSEEN and place is key:
                    self._keys += 1
                    self._new_until_sweep -= 1
                shard[place] = new
                if dirty is not None and new.real > lasting and place is key:
                    dirty.add(key)
                if several:
                    written.append((shard, place, old))
            usages.append(usage)
            if stops and usage.exceeded:
                stopped = True
        if stopped and written:
            self._undo(written)
            usages = [self._uncounted(one, usage, now) for one, usage in zip(charges, usages, strict=True)]
        if self._forgotten:
            del self._forgotten[-FREE_STEP:]
        if self._new_until_sweep <= 0:
            self._new_until_sweep = SWEEP_EVERY
            self._sweep(now)
        return _new(Outcome, (None, tuple(usages)))

    def ban(self, key: str, rule: str, reason: str, terms: BanTerms, now: float) -> BanRecord:
        """See `store.Store.ban`. A full table makes room by the ban that is soonest to end."""
        self._latest = now
        return self.ban_table.ban(key, rule, reason, terms, now)

    def unban(self, key: str) -> bool:
        """See `store.Store.unban`; the key's strikes are forgotten too."""
        return self.ban_table.lift(key, self._latest)

    def banned(self, key: str, now: float) -> BanRecord | None:
        """See `store.Store.banned`."""
        return self.ban_table.find(key, now)

    def bans(self, now: float) -> Iterable[BanRecord]:
        """See `store.Store.bans`; the last to end first."""
        return self.ban_table.in_force(now)

    def stats(self) -> StoreStats:
        """The fill of the tables. Forgotten keys count until a sweep passes them."""
        bans = self.ban_table
        return StoreStats(self._keys, self.key_capacity, len(bans), bans.capacity, self.overflows, bans.evictions)

    def tidy(self, now: float) -> None:
        """Remove a little of what ended or is forgotten, at most 0.3 ms; for a timer, so that quiet times empty the tables."""
        self._latest = now
        self.ban_table.expire(now)
        if self._forgotten:
            del self._forgotten[-8 * FREE_STEP :]
        else:
            self._sweep(now)

    @property
    def shard_count(self) -> int:
        """How many steps `lasting_rows` takes for the whole table."""
        return SHARDS

    def lasting_rows(self, shard: int, now: float) -> list[tuple[str, float, float]]:
        """As `counter_rows`, for all lasting counters of one shard."""
        lasting = now + LASTING_SECONDS
        return [
            (str(key), state.real, state.imag) for key, state in self._shards[shard].items() if state.real > lasting
        ]

    def counter_rows(self, keys: Iterable[str]) -> list[tuple[str, float, float]]:
        """Key and the two doubles of its state, for those keys that have a counter."""
        shards = self._shards
        found = ((key, shards[hash(key) & (SHARDS - 1)].get(key)) for key in keys)
        return [(key, state.real, state.imag) for key, state in found if state is not None]

    def restore_counters(self, rows: Iterable[tuple[str, float, float]], now: float) -> None:
        """Take over counters that were kept elsewhere, while there is room; those that a charge made meanwhile stay."""
        for key, real, imag in rows:
            shard = self._shards[hash(key) & (SHARDS - 1)]
            if real > now and self._keys < self.key_capacity and key not in shard:
                shard[key] = complex(real, imag)
                self._keys += 1

    def _overflow(self, key: str) -> tuple[Shard, Hashable, State]:
        self.overflows += 1
        self._new_until_sweep -= 1
        rule = (key.partition("|")[0],)
        if self.on_full is OnFull.PERMIT:
            return {}, rule, UNSEEN
        shard = self._shared[hash(key) & (SHARDS - 1)]
        return shard, rule, shard.get(rule, UNSEEN)

    def _undo(self, written: list[tuple[Shard, Hashable, State]]) -> None:
        for shard, place, old in reversed(written):
            if old is not UNSEEN:
                shard[place] = old
            else:
                del shard[place]
                self._keys -= isinstance(place, str)

    def _uncounted(self, charge: Charge, usage: Usage, now: float) -> Usage:
        """The usage of a charge whose batch was not counted: what did fit is left as it was."""
        if usage.exceeded:
            return usage
        state = self._shards[hash(charge.key) & (SHARDS - 1)].get(charge.key, UNSEEN)
        return Usage(
            exceeded=False, remaining=charge_gcra(state, now, charge.limit, 0.0)[1].remaining, retry_after_seconds=0.0
        )

    def _sweep(self, now: float) -> None:
        """Forget the keys of one shard whose backlog is given back. A new dictionary, because dictionaries do not shrink."""
        at = self._next_sweep
        self._next_sweep = (at + 1) & (SHARDS - 1)
        for table in (self._shards, self._shared):
            shard = table[at]
            kept = {key: state for key, state in shard.items() if state.real > now}
            if len(kept) < len(shard):
                if table is self._shards:
                    self._keys -= len(shard) - len(kept)
                    self._forgotten += shard
                table[at] = kept

    def gauges(self) -> list[tuple[str, str, Callable[[], float]]]:
        """Metrics of the tables: name, what it says, how to read it."""
        return [(name, text, partial(self._gauge, name)) for name, text in GAUGES.items()]

    def _gauge(self, name: str) -> float:
        return float(getattr(self.stats(), name.removeprefix("store_")))
