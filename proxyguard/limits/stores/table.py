"""A bounded table of counter states by key, cut into shards so that neither growing nor forgetting ever takes long.

Knows when a state may be forgotten and nothing of what it counts.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable
from time import perf_counter
from typing import TYPE_CHECKING, Final

from proxyguard.limits.charge import ITEM_MARK, Charge

if TYPE_CHECKING:
    from mypy_extensions import i64  # compiled, a machine's integer: half of all hashes have too many bits for others

SHARDS: Final = 4096
"""The table is cut into so many dictionaries: growing or sweeping the 250 keys of one takes 50 µs, where one dictionary of a
million would stop everything for 30 ms. A power of two."""

MASK: Final = SHARDS - 1

SHARED: Final = 1024
"""Counters that keys without a place share, for each rule. A power of two; operators are told it."""

SHARED_MASK: Final = SHARED - 1

CROWDED_PART: Final = 2
"""From one such part of the capacity on, no client network gets more than its share of what is left."""

SHARE_PART: Final = 100
"""Of the capacity: what one client network may take of a crowded table, for each rule."""

LEAST_SHARE: Final = 64
"""A share in a small table."""

OWN_COUNTERS: Final = 256
"""Clients without a place that have a counter of their own, of the networks and rules that are in one place of SHARED: all
addresses of a /24."""

TALLIES: Final = 16_384
"""Places for the tallies of networks and rules, found by hash: 400 KB. Networks that share a place share a share."""

SWEEP_EVERY: Final = 32
"""One shard is swept of forgotten keys for so many new keys: about 0.5 µs a new key."""

FREE_STEP: Final = 8
"""Forgotten entries whose memory is given back at a time, for one new key: as many as sweeping yields. The last entries of
a swept million hold all its pages: giving back those of one shard at once takes 3 ms."""

TIDY_SECONDS: Final = 2e-4
"""How long a step of tidying goes on. By the clock, because what it costs to give memory back depends on what else lies
on its page."""

TIDY_SHARDS: Final = 16
"""Shards swept in a step of tidying at most: those of a table with so many keys or more; an empty one costs 0.5 µs."""


def shard_of(key: str) -> i64:
    """Which shard a key lies in."""
    hashed: i64 = hash(key)
    return hashed & MASK


class Table[State]:
    """At most `capacity` states. Its owner reads and writes `shards[shard_of(key)]` itself, and keeps `used` true.

    `end_of` says when a state may be forgotten: on the line, or, as a negative number, on the wall; `wall` makes a moment of the
    line one of the wall. `shared` are the counters that keys without a place share,
    by the rule that a key begins with.
    """

    __slots__ = (
        "_before",
        "_made",
        "_next",
        "_since",
        "capacity",
        "crowded",
        "end_of",
        "forgotten",
        "new_until_sweep",
        "shards",
        "share",
        "shared",
        "used",
        "wall",
    )  # fmt: skip

    def __init__(self, capacity: int, end_of: Callable[[State], float], wall: Callable[[float], float]) -> None:
        self.capacity = capacity
        self.wall = wall
        self.crowded = capacity // CROWDED_PART
        """From so many keys on, new ones ask `has_room`."""
        self.share = max(LEAST_SHARE, capacity // SHARE_PART)
        self._made = self._before = self._since = array("d")
        self.used = 0
        self.new_until_sweep = SWEEP_EVERY
        self.shards: list[dict[Hashable, State]] = []
        """None of them before `open`."""
        self.shared: list[dict[Hashable, State]] = []
        """None of them before one is needed."""
        self.end_of = end_of
        self._next = 0
        self.forgotten: list[tuple[Hashable, State]] = []

    def get(self, key: str) -> State | None:
        """The state of a key."""
        return self.shards[shard_of(key)].get(key) if self.shards else None

    def open(self) -> list[dict[Hashable, State]]:
        """The shards, made when they are first needed: rules seldom use every table."""
        if not self.shards:
            self.shards = [{} for _ in range(SHARDS)]
        return self.shards

    def lasts(self, state: State, until: float) -> bool:
        """Whether a state may not be forgotten before `until`, on the line."""
        end = self.end_of(state)
        return end > until if end >= 0.0 else -end > self.wall(until)

    def has_room(self, charge: Charge, now: float) -> bool:
        """Whether a crowded table takes the key of a charge, which is new, and one more of the network's share if so.

        How many of its keys are not forgotten is estimated from those made in this and the last `lasts_seconds`, as if all lasted
        as long: nothing has to be kept with each key for it.
        """
        if self.used >= self.capacity:
            return False
        network, lasts_seconds = charge.owner[1], charge.limit.period_seconds
        if not network:
            return True
        if not self._made:
            self._made, self._before, self._since = (array("d", bytes(8 * TALLIES)) for _ in range(3))
        at = hash((network, charge.key.partition("|")[0])) & (TALLIES - 1)
        age = now - self._since[at]
        if not 0.0 <= age < lasts_seconds:
            self._before[at] = self._made[at] if 0.0 <= age < 2 * lasts_seconds else 0.0
            self._made[at] = 0.0
            self._since[at] = now
            age = 0.0
        if self._made[at] + self._before[at] * (1.0 - age / lasts_seconds) >= self.share:
            return False
        if charge.cost > 0:  # who looks, or gives back, makes no key
            self._made[at] += 1.0
        return True

    def take_back(self, key: str, network: str) -> None:
        """A key that was new is none: it was not counted."""
        self.used -= 1
        if self._made and network and self.used >= self.crowded:
            at = hash((network, key.partition("|")[0])) & (TALLIES - 1)
            self._made[at] = max(0.0, self._made[at] - 1.0)

    def own_place(self, key: str, client: str, network: str) -> tuple[dict[Hashable, State], str]:
        """Where a key without a place is counted: by its client, or with its like when too many are. Shard and key."""
        rule = key.partition("|")[0]
        if not self.shared:
            self.shared = [{} for _ in range(SHARED)]
        if not network:
            return self.shared[hash(key.partition(ITEM_MARK)[0]) & SHARED_MASK], rule
        shard = self.shared[hash(network) & SHARED_MASK]
        own = f"{rule}|{client}"
        return shard, own if own in shard or len(shard) < OWN_COUNTERS else rule

    def restore(self, key: str, state: State, now: float) -> None:
        """Put a state that was kept elsewhere, if there is room and none of the key."""
        shard = self.open()[shard_of(key)]
        if self.lasts(state, now) and self.used < self.capacity and key not in shard:
            shard[key] = state
            self.used += 1

    def lasting(self, shard: int, until: float) -> dict[str, State]:
        """The states of a shard, by key, that may not be forgotten before `until`."""
        if not self.used:
            return {}
        return {str(key): state for key, state in self.shards[shard].items() if self.lasts(state, until)}

    def step(self, now: float) -> None:
        """After new keys: give some memory back, and sweep a shard when it is time."""
        if self.forgotten:
            del self.forgotten[-FREE_STEP:]
        if self.new_until_sweep <= 0:
            self.new_until_sweep = SWEEP_EVERY
            self._sweep(now)

    def tidy(self, now: float) -> None:
        """Remove a little of what is forgotten, at most 0.3 ms."""
        if not (self.used or self.forgotten or self.shared):
            return
        until = perf_counter() + TIDY_SECONDS
        swept = 0
        most = max(1, min(self.used, TIDY_SHARDS))  # of a few keys little can be forgotten
        while swept < most:
            if self.forgotten:
                del self.forgotten[-FREE_STEP:]
            else:
                self._sweep(now)
                swept += 1
            if perf_counter() >= until:
                return

    def _sweep(self, now: float) -> None:
        """Forget what may be forgotten in one shard. What it has room for stays: it is as little as its keys once needed."""
        at = self._next
        self._next = (at + 1) & MASK
        over = self._sweep_one(self.open()[at], now)
        self.used -= len(over)
        self.forgotten += over
        if at < len(self.shared):
            self._sweep_one(self.shared[at], now)

    def _sweep_one(self, shard: dict[Hashable, State], now: float) -> list[tuple[Hashable, State]]:
        """Take out what is over."""
        end_of = self.end_of
        over = [item for item in shard.items() if end_of(item[1]) <= now]
        if over:
            over = [item for item in over if not self.lasts(item[1], now)]
        for key, _ in over:
            del shard[key]
        return over
