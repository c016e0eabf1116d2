"""How many different things were seen: exact for a few, then a sketch whose standard error is 1.04 / sqrt(registers).

HyperLogLog after Flajolet, Fusy, Gandouet and Meunier (2007), with linear counting for small counts. Two counts made with the
same hash can be joined. Knows nothing of what is counted: items are 64-bit hashes.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from math import log
from typing import Any, Final

EXACT_UP_TO: Final = 32

REGISTER_BITS: Final = 10
"""1,024 registers of a byte: a standard error of 3.25 %. Two bits more halve it."""

_SHARES: Final = [2.0**-rank for rank in range(64)]


def register_of(item: int, bits: int) -> tuple[int, int]:
    """The register that an item falls on, and its rank: one more than the zeros that the rest of its bits begin with."""
    rest = 64 - bits
    return item >> rest, rest + 1 - (item & ((1 << rest) - 1)).bit_length()


def estimate(registers: int, total: float, zeros: int) -> float:
    """How many items there are, from the sum of 2^-register over all registers, and from how many of them are 0."""
    bias = 0.7213 / (1 + 1.079 / registers)  # of the raw estimate, from the paper
    raw = bias * registers * registers / total
    return registers * log(registers / zeros) if raw <= 2.5 * registers and zeros else raw


class Distinct:
    """A count of different 64-bit hashes, exact up to `exact_up_to`, then by 2^`bits` registers."""

    __slots__ = ("_bits", "_exact", "_exact_up_to", "_registers")

    def __init__(self, exact_up_to: int = EXACT_UP_TO, bits: int = REGISTER_BITS) -> None:
        self._exact_up_to = exact_up_to
        self._bits = bits
        self._exact: set[int] | None = set()
        self._registers = bytearray()

    @property
    def exact(self) -> bool:
        """Whether `count` is exact."""
        return self._exact is not None

    def add(self, item: int) -> None:
        """Count an item, 0 to 2^64 - 1, once."""
        exact = self._exact
        if exact is None:
            self._sketch(item)
        elif item not in exact:
            exact.add(item)
            if len(exact) > self._exact_up_to:
                self._leave_exact()

    def join(self, other: Distinct) -> None:
        """Count also what another, with as many registers, has counted."""
        if other._exact is not None:
            for item in other._exact:
                self.add(item)
            return
        self._leave_exact()
        self._registers = bytearray(map(max, self._registers, other._registers))

    def count(self) -> int:
        """How many there are, about."""
        if self._exact is not None:
            return len(self._exact)
        total = sum(map(_SHARES.__getitem__, self._registers))
        return round(estimate(1 << self._bits, total, self._registers.count(0)))

    def as_data(self) -> Any:
        """Plain data for `from_data`, in another process; of a count with the defaults."""
        return sorted(self._exact) if self._exact is not None else b64encode(self._registers).decode("ascii")

    @classmethod
    def from_data(cls, data: Any) -> Distinct:
        """What `as_data` gave."""
        made = cls()
        if isinstance(data, str):
            made._exact, made._registers = None, bytearray(b64decode(data))
        else:
            made._exact = set(data)
        return made

    @classmethod
    def joined(cls, several: Iterable[Distinct]) -> Distinct:
        """A new count of what any of them has counted."""
        whole = cls()
        for each in several:
            whole.join(each)
        return whole

    def _leave_exact(self) -> None:
        exact, self._exact = self._exact, None
        if exact is not None:
            self._registers = bytearray(1 << self._bits)
            for item in exact:
                self._sketch(item)

    def _sketch(self, item: int) -> None:
        at, rank = register_of(item, self._bits)
        self._registers[at] = max(self._registers[at], rank)
