"""How many different things were seen: exact for a few, then a sketch of 1 KiB with a standard error of 3.25 %.

HyperLogLog after Flajolet, Fusy, Gandouet and Meunier (2007), with linear counting for small counts. Two counts made with the
same hash can be joined. Knows nothing of what is counted: items are 64-bit hashes.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from math import log
from typing import Any, Final

EXACT_UP_TO: Final = 32

REGISTERS: Final = 1024

_ALPHA: Final = 0.7213 / (1 + 1.079 / REGISTERS)
"""The bias of the raw estimate, from the paper."""

_SHARES: Final = tuple(2.0**-rank for rank in range(64))


class Distinct:
    """A count of different 64-bit hashes."""

    __slots__ = ("_exact", "_registers")

    def __init__(self) -> None:
        self._exact: set[int] | None = set()
        self._registers = bytearray()

    def add(self, item: int) -> None:
        """Count an item, 0 to 2^64 - 1, once."""
        exact = self._exact
        if exact is None:
            self._sketch(item)
        elif item not in exact:
            exact.add(item)
            if len(exact) > EXACT_UP_TO:
                self._leave_exact()

    def join(self, other: Distinct) -> None:
        """Count also what another has counted."""
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
        zeros = self._registers.count(0)
        raw = _ALPHA * REGISTERS * REGISTERS / sum(map(_SHARES.__getitem__, self._registers))
        if raw <= 2.5 * REGISTERS and zeros:
            raw = REGISTERS * log(REGISTERS / zeros)
        return round(raw)

    def as_data(self) -> Any:
        """Plain data for `from_data`, in another process."""
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
            self._registers = bytearray(REGISTERS)
            for item in exact:
                self._sketch(item)

    def _sketch(self, item: int) -> None:
        rank = 55 - (item & ((1 << 54) - 1)).bit_length()
        self._registers[item >> 54] = max(self._registers[item >> 54], rank)
