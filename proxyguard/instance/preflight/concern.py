"""One thing that is wrong with settings that can be read, and how bad it is. Plain values."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Weight(IntEnum):
    """How bad a concern is."""

    DOUBT = 0
    """It may be meant: a warning."""
    LOSS = 1
    """Something that was asked for will not work. An error of a check; an instance starts without it and logs it."""
    FATAL = 2
    """An instance with it serves nobody: it does not start."""


class Concern(NamedTuple):
    """`key` is the setting at whose place it is shown; `sites.0.…` is a part of the first site.

    `also` are the other settings that it rests on: a concern is dropped when one of them could not be read.
    """

    key: str
    message: str
    hint: str
    weight: Weight = Weight.FATAL
    also: tuple[str, ...] = ()
