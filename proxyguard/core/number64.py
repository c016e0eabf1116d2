"""A number of 64 bits in two halves. Compiled, a sum or a mask of more than 62 bits costs ten times as much as of fewer."""

from __future__ import annotations

from typing import Final

LOW: Final = (1 << 32) - 1


class Number64:
    """A number from 0 to 2 ** 64 - 1; `high` and `low` have 32 bits each."""

    __slots__ = ("high", "low")

    def __init__(self, high: int, low: int) -> None:
        self.high = high
        self.low = low

    @staticmethod
    def of(number: int) -> Number64:
        return Number64(number >> 32, number & LOW)

    @staticmethod
    def read(digest: bytes) -> Number64:
        """Of eight bytes, the first of which counts the most."""
        high = digest[0] << 24 | digest[1] << 16 | digest[2] << 8 | digest[3]
        return Number64(high, digest[4] << 24 | digest[5] << 16 | digest[6] << 8 | digest[7])

    @property
    def whole(self) -> int:
        return self.high << 32 | self.low

    def __str__(self) -> str:
        """16 hexadecimal digits."""
        return f"{self.high:08x}{self.low:08x}"
