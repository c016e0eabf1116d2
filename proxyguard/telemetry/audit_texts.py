"""Values as lines of the audit log have them: texts as strings of JSON, kept at hand, and numbers to three decimal places.

What is written is what `msgspec.json` makes of an `audit_records.Record`, for half the cost. Knows nothing of what lines say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.printable import printable_json

MAX_TEXTS: Final = 256
"""Texts of one field that are kept at hand: user agents, hosts and paths come again and again. Half a megabyte at most."""

MAX_KEPT: Final = 256
"""Characters of a field that is kept at hand, and bytes of what it was read from."""

MAX_PLAIN: Final = 1e15
"""Below, whole numbers are written without an exponent."""

_DIGITS: Final[list[str]] = [str(each) for each in range(1000)]
_WHOLE: Final[list[str]] = [f"{each}.0" for each in range(1000)]
_DECIMALS: Final[list[str]] = [str(each / 1000)[1:] for each in range(1000)]
"""Of thousandths: the point and what stands behind it."""

_encode: Final = msgspec.json.Encoder().encode


class TextField:
    """A field that has a text, such as `,"rule":"no-scripts"`; without a name it is the text alone. All begin with `start`."""

    __slots__ = ("_empty", "_known", "_name", "_start")

    def __init__(self, name: str = "", start: str = "") -> None:
        self._start = start
        self._name = f',"{name}":' if name else ""
        self._empty = self._name + quoted(start)
        self._known: dict[str, str] = {}

    def of(self, text: str) -> str:
        """The field with this text, all of it printable."""
        if not text:
            return self._empty
        found = self._known.get(text)
        if found is None:
            found = self._name + quoted(self._start + text)
            if len(found) <= MAX_KEPT:
                keep_at_hand(self._known, MAX_TEXTS, text, found)
        return found


class BytesField:
    """A field that has a text which is read from bytes, and from nothing else."""

    __slots__ = ("_known", "_name", "_read")

    def __init__(self, name: str, read: Callable[[bytes], str]) -> None:
        self._name = f',"{name}":'
        self._read = read
        self._known: dict[bytes, str] = {}

    def of(self, value: bytes) -> str:
        """The field with what is read from this, all of it printable."""
        found = self._known.get(value)
        if found is None:
            found = self._name + quoted(self._read(value))
            if len(found) <= MAX_KEPT and len(value) <= MAX_KEPT:
                keep_at_hand(self._known, MAX_TEXTS, value, found)
        return found


def quoted(text: str) -> str:
    """A text as a string of JSON, all of it printable."""
    return printable_json(_encode(text)).decode()


def digits(number: int) -> str:
    """A whole number."""
    return _DIGITS[number] if 0 <= number < 1000 else str(number)


def decimal(number: float) -> str:
    """Any number, most of which are whole."""
    whole = int(number)
    if not 0 <= number < MAX_PLAIN or float(whole) != number:
        return _encode(number).decode()
    return _WHOLE[whole] if whole < 1000 else f"{whole}.0"


def thousandths(number: float) -> int:
    """How many there are in a number that is not negative; `units` and `decimals` write them."""
    return int(number * 1000 + 0.5)


def units(count: int) -> str:
    """What stands before the point of so many thousandths."""
    return digits(count // 1000)


def decimals(count: int) -> str:
    """The point of so many thousandths, and what stands behind it."""
    return _DECIMALS[count % 1000]
