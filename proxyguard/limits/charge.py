"""What is asked of a limit and what it answers: a charge, and the usage after it.

Values only; what the arithmetic of each limit and all stores have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxyguard.core.value import Value
from proxyguard.limits.limit import Limit

NOBODY: Final = ("", "")

Owner = tuple[str, str]
"""Whose request it is: the keys of its client and of the client's network (`core.address.Address.ban_keys`). What a full table
does is decided by them, since whoever sends requests chooses all other keys."""


class Charge(Value):
    """One count to make: `cost` units of `limit` for `key`. A cost of 0 only looks.

    `key` names the counter. It begins with what identifies the rule and its limit, up to a `|`: full stores share counters by it.
    For a limit on distinct values the key ends with the value: see `distinct_key`.

    `stops` marks a limit whose excess refuses the request: when any such limit is exceeded, nothing of the batch is counted,
    so that our own refusals never count against a client.

    `owed`: the cost has already arisen (a response was sent): it is counted even when it does not fit; a negative one gives back
    what was reserved. Not with `stops`. Of requests under way, a positive one says how many the holder has.
    """

    __slots__ = ("cost", "key", "limit", "owed", "owner", "stops")

    def __init__(
        self, key: str, limit: Limit, cost: float = 1.0, stops: bool = True, owed: bool = False, owner: Owner = NOBODY  # noqa: FBT001, FBT002 - one a limit and request: by position, half the cost
    ) -> None:  # fmt: skip
        self.key = key
        self.limit = limit
        self.cost = cost
        self.stops = stops
        self.owed = owed
        self.owner = owner

    def held(self) -> tuple[object, ...]:
        return self.key, self.limit, self.cost, self.stops, self.owed, self.owner

    def at_cost(self, cost: float) -> Charge:
        """The same at another cost."""
        return Charge(self.key, self.limit, cost, self.stops, self.owed, self.owner)

    def within(self, limit: Limit) -> Charge:
        """The same of another limit."""
        return Charge(self.key, limit, self.cost, self.stops, self.owed, self.owner)

    def arisen(self, cost: float) -> Charge:
        """The same as a cost that has already arisen."""
        return Charge(self.key, self.limit, cost, False, True, self.owner)  # noqa: FBT003 - as in `Charge`


ITEM_MARK: Final = "\0"


def distinct_key(key: str, value_hash: bytes) -> str:
    """The key of a charge for a limit on distinct values: the counter's key and an 8-byte hash of the value."""
    return f"{key}{ITEM_MARK}{value_hash.hex()}"


def held_key(key: str, holder: str) -> str:
    """The key of a charge for a limit on requests under way, where several processes hold some of them."""
    return f"{key}{ITEM_MARK}{holder}"


PackedUsage = tuple[bool, int, float]
"""A usage as it travels."""


class Usage(Value):
    """The state of one limit after a charge."""

    __slots__ = ("exceeded", "remaining", "retry_after_seconds")

    def __init__(self, exceeded: bool, remaining: int, retry_after_seconds: float) -> None:  # noqa: FBT001 - as in `Charge`
        self.exceeded = exceeded
        self.remaining = remaining
        """Whole units that could be charged at once now, never negative."""
        self.retry_after_seconds = retry_after_seconds
        """0 when not exceeded, else the time until the same charge would fit."""

    def held(self) -> tuple[object, ...]:
        return self.packed()

    def packed(self) -> PackedUsage:
        """As it travels."""
        return self.exceeded, self.remaining, self.retry_after_seconds


_FITTING: Final = [Usage(False, remaining, 0.0) for remaining in range(1024)]  # noqa: FBT003 - as in `Charge`
"""The usages of nearly all charges, 64 KiB: they are never changed, so one is enough for all who have as much left."""


def fitting(remaining: int) -> Usage:
    """The usage after a charge that fitted."""
    return _FITTING[remaining] if remaining < len(_FITTING) else Usage(False, remaining, 0.0)  # noqa: FBT003 - as in `Charge`


def usages_of(packed: Sequence[PackedUsage]) -> tuple[Usage, ...]:
    """The usages that travelled."""
    return tuple([Usage(exceeded, remaining, seconds) for exceeded, remaining, seconds in packed])
