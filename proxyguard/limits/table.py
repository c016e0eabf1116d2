"""A bounded table of counter states by key, cut into shards so that neither growing nor forgetting ever takes long.

Knows when a state may be forgotten and nothing of what it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Final

SHARDS: Final = 1024
"""The table is cut into so many dictionaries: growing or sweeping one thousandth of a million keys takes 0.1 ms, where
one big dictionary would stop everything for 30 ms. A power of two."""

MASK: Final = SHARDS - 1

SWEEP_EVERY: Final = 64
"""One shard is swept of forgotten keys for so many new keys: about 1 µs a new key."""

FREE_STEP: Final = 32
"""Forgotten keys whose memory is given back at a time. The last keys of a swept million hold all its pages: freeing one
shard's thousand at once returns 130 MB to the kernel in a pause of 5 ms."""


FEW: Final = 4
"""A part of a shard smaller than one in so many is removed in place."""


class Table[State]:
    """At most `capacity` states. Its owner reads and writes `shards[hash(key) & MASK]` itself, and keeps `used` true.

    `end_of` says when a state may be forgotten, Unix seconds. `shared` are the counters that keys without a place share,
    by the rule that a key begins with.
    """

    __slots__ = ("_end_of", "_next", "capacity", "forgotten", "new_until_sweep", "shards", "shared", "used")

    def __init__(self, capacity: int, end_of: Callable[[State], float]) -> None:
        self.capacity = capacity
        self.used = 0
        self.new_until_sweep = SWEEP_EVERY
        self.shards: list[dict[Hashable, State]] = [{} for _ in range(SHARDS)]
        self.shared: list[dict[Hashable, State]] = [{} for _ in range(SHARDS)]
        self._end_of = end_of
        self._next = 0
        self.forgotten: list[object] = []

    def get(self, key: str) -> State | None:
        """The state of a key."""
        return self.shards[hash(key) & MASK].get(key)

    def restore(self, key: str, state: State, now: float) -> None:
        """Put a state that was kept elsewhere, if there is room and none of the key."""
        shard = self.shards[hash(key) & MASK]
        if self._end_of(state) > now and self.used < self.capacity and key not in shard:
            shard[key] = state
            self.used += 1

    def lasting(self, shard: int, until: float) -> Iterable[tuple[str, State]]:
        """The keys of a shard, with their states, that may not be forgotten before `until`."""
        end_of = self._end_of
        return [(str(key), state) for key, state in self.shards[shard].items() if end_of(state) > until]

    def step(self, now: float) -> None:
        """After new keys: give some memory back, and sweep a shard when it is time."""
        if self.forgotten:
            del self.forgotten[-FREE_STEP:]
        if self.new_until_sweep <= 0:
            self.new_until_sweep = SWEEP_EVERY
            self._sweep(now)

    def tidy(self, now: float) -> None:
        """Remove a little of what is forgotten, at most 0.3 ms."""
        if self.forgotten:
            del self.forgotten[-8 * FREE_STEP :]
        else:
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        """Forget what may be forgotten in one shard. Mostly a new dictionary, because dictionaries do not shrink."""
        at = self._next
        self._next = (at + 1) & MASK
        end_of = self._end_of
        for shards in (self.shards, self.shared):
            shard = shards[at]
            over = [key for key, state in shard.items() if end_of(state) <= now]
            if not over:
                continue
            if shards is self.shards:
                self.used -= len(over)
                self.forgotten += over
            if len(over) < len(shard) // FEW:
                for key in over:
                    del shard[key]
            else:
                shards[at] = {key: state for key, state in shard.items() if end_of(state) > now}
