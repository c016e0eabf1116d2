"""What is asked of a limit and what it answers: a charge, and the usage after it.

Values only; what the arithmetic of each limit and all stores have in common.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from proxyguard.limits.limit import Limit

NOBODY: Final = ("", "")

Owner = tuple[str, str]
"""Whose request it is: the keys of its client and of the client's network (`core.address.Address.ban_keys`). What a full table
does is decided by them, since whoever sends requests chooses all other keys."""


class Charge(NamedTuple):
    """One count to make: `cost` units of `limit` for `key`. A cost of 0 only looks.

    `key` names the counter. It begins with what identifies the rule and its limit, up to a `|`: full stores share counters by it.
    For a limit on distinct values the key ends with the value: see `distinct_key`.

    `stops` marks a limit whose excess refuses the request: when any such limit is exceeded, nothing of the batch is counted,
    so that our own refusals never count against a client.
    """

    key: str
    limit: Limit
    cost: float = 1.0
    stops: bool = True
    owed: bool = False
    """The cost has already arisen (a response was sent): it is counted even when it does not fit; a negative one gives back what
    was reserved. Not with `stops`. Of requests under way, a positive one says how many the holder has."""
    owner: Owner = NOBODY


def at_cost(charge: Charge, cost: float) -> Charge:
    """The same at another cost; a tenth of the time that `_replace` takes."""
    key, limit, _, stops, owed, owner = charge
    return _new(Charge, (key, limit, cost, stops, owed, owner))


def within(charge: Charge, limit: Limit) -> Charge:
    """The same of another limit."""
    key, _, cost, stops, owed, owner = charge
    return _new(Charge, (key, limit, cost, stops, owed, owner))


_new = tuple.__new__  # half the cost of calling the class

ITEM_MARK: Final = "\0"


def distinct_key(key: str, value_hash: bytes) -> str:
    """The key of a charge for a limit on distinct values: the counter's key and an 8-byte hash of the value."""
    return f"{key}{ITEM_MARK}{value_hash.hex()}"


def held_key(key: str, holder: str) -> str:
    """The key of a charge for a limit on requests under way, where several processes hold some of them."""
    return f"{key}{ITEM_MARK}{holder}"


class Usage(msgspec.Struct, frozen=True, array_like=True, gc=False):  # no cycle can lead back to it
    """The state of one limit after a charge. An array of three when it travels."""

    exceeded: bool
    remaining: int
    """Whole units that could be charged at once now, never negative."""
    retry_after_seconds: float
    """0 when not exceeded, else the time until the same charge would fit."""
