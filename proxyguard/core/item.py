"""The item that a request asks for: a unit of data that the answer discloses, as rule files name them. A value only."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from proxyguard.core.number64 import Number64


class ItemHeat(StrEnum):
    """How often an item was read lately."""

    COLD = "cold"
    """A few times at most."""
    HOT = "hot"
    RECENT = "recent"
    """Cold, and somebody was let through to it in the last half hour."""


COLD: Final = b"cold"
HOT: Final = b"hot"
RECENT: Final = b"recent"


class Item:
    """One item, never changed once made. `family` is what the rules call its kind; `number` a keyed hash of which it is, alike
    for all spellings; None: the request names several, and sites differ in which one they read. `ordinal` is its id if that is a
    number, else -1."""

    __slots__ = ("family", "heat", "is_recent", "number", "ordinal")

    def __init__(self, family: bytes, number: Number64 | None, ordinal: int, heat: bytes, *, is_recent: bool = False) -> None:
        self.family = family
        self.number = number
        self.ordinal = ordinal
        self.heat = heat
        self.is_recent = is_recent
        """Whether somebody was let through to it in the last half hour; asked of cold ones only."""
