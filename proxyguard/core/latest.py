"""A bounded table in the order in which its entries were last touched: the oldest give way first.

In shards by the hash of the key: a dictionary of 65,536 entries that come and go is laid out anew every 160,000 of them, which
holds everything up for 9 ms; of a sixteenth that takes half a millisecond. Each shard has its own order and its own share of the
bound.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Final

SHARDS: Final = 16
LEAST_OF_SHARD: Final = 2048
"""Smaller tables have fewer shards: the order of all is then nearer to that of one."""


class Latest[Value]:
    """Values by key, `capacity` of them at most, as long as whoever adds one first makes room (`first_beside`)."""

    __slots__ = ("_most", "_shards")

    def __init__(self, capacity: int) -> None:
        count = max(1, min(SHARDS, capacity // LEAST_OF_SHARD))
        self._shards: list[OrderedDict[Hashable, Value]] = [OrderedDict() for _ in range(count)]
        self._most = max(1, capacity // count)

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    def get(self, key: Hashable) -> Value | None:
        """The value of a key, which stays where it is."""
        return self._beside(key).get(key)

    def put(self, key: Hashable, value: Value) -> None:
        """Set a value; the key is the last to give way."""
        shard = self._beside(key)
        shard[key] = value
        shard.move_to_end(key)

    def touch(self, key: Hashable) -> None:
        """Make a key that is there the last to give way."""
        self._beside(key).move_to_end(key)

    def pop(self, key: Hashable) -> Value | None:
        """Forget a key; its value, if it was there."""
        return self._beside(key).pop(key, None)

    def first_beside(self, key: Hashable) -> tuple[Hashable, Value] | None:
        """What would give way first where this key belongs."""
        for first in self._beside(key).items():
            return first
        return None

    def is_full_beside(self, key: Hashable) -> bool:
        """Whether there is no room where this key belongs."""
        return len(self._beside(key)) >= self._most

    def items(self) -> Iterator[tuple[Hashable, Value]]:
        """All entries; none may be added or taken meanwhile."""
        for shard in self._shards:
            yield from shard.items()

    def _beside(self, key: Hashable) -> OrderedDict[Hashable, Value]:
        shards = self._shards
        return shards[hash(key) % len(shards)]
