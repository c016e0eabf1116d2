"""The item that a request asks for: a unit of data that the answer discloses, as rule files name them. A value only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ItemHeat(StrEnum):
    """How often an item was read lately."""

    COLD = "cold"
    """A few times at most."""
    HOT = "hot"


COLD: Final = b"cold"
HOT: Final = b"hot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The settings of heat: an item that was read fewer than `cold_below` times lately is cold; a read loses half of its weight
    in a half-life."""

    cold_below: float = 8.0
    half_life_seconds: float = 2 * 86_400.0


class Item:
    """One item. `family` is what the rules call its kind; `number` a keyed hash of which one it is, alike for all spellings;
    None: the request names several, and sites differ in which one they read."""

    __slots__ = ("family", "heat", "number")

    def __init__(self, family: bytes, number: int | None, heat: bytes) -> None:
        self.family = family
        self.number = number
        self.heat = heat
