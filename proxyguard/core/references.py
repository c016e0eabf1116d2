"""References of answers: by them a client can say which it got, and an operator find its record."""

from __future__ import annotations

import os
from random import Random
from typing import Final

MADE_AT_ONCE: Final = 256
"""One by one, they take three times as long."""

DIGITS: Final = 16


class References:
    """Opaque references that no other process or start gives, but by a chance of one in 2^64."""

    __slots__ = ("_left", "_random")

    def __init__(self) -> None:
        self._random = Random(os.urandom(16))  # noqa: S311 - references must be distinct, not secret
        self._left: list[str] = []

    def next(self) -> str:
        """A new one: 16 hexadecimal digits."""
        if not self._left:
            text = self._random.randbytes(MADE_AT_ONCE * DIGITS // 2).hex()
            self._left = [text[at : at + DIGITS] for at in range(0, len(text), DIGITS)]
        return self._left.pop()
