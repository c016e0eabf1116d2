"""Which numbers a server may read from a text that a client chose.

Servers do not agree: `5_00` is 500 for Python and 5 for JavaScript, `0x1f4` is 500 for JavaScript and 0 for PHP. A bound in a
rule therefore holds when any of the numbers does. Knows nothing of rules or fields.
"""

from __future__ import annotations

import re
from typing import Final

_NUMBER: Final = re.compile(rb"[ \t]*([+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?)[ \t]*")
"""One number that nobody reads otherwise: decimal, without exponent; an octet count has at most 16 digits."""

_PLAIN_DIGITS: Final = 16
"""So many digits without a leading zero are one number everywhere."""

_LENIENT: Final = re.compile(
    r"[\s\x00-\x20\ufeff]*([+-]*)"
    r"(?:0[xX]([0-9A-Fa-f_]+)|0[oO]([0-7_]+)|0[bB]([01_]+)"
    r"|([0-9][0-9_]*)?(?:\.([0-9][0-9_]*)?)?(?:[eE]([+-]?[0-9][0-9_]*))?([iI][nN][fF]|[nN][aA][nN])?)",
    re.ASCII,
)
"""Blanks, signs, then hexadecimal, octal, binary, or a decimal with fraction and exponent; whatever follows is not read."""

MAX_DIGITS: Final = 400
"""More are beyond any float."""


def number_of(value: bytes) -> float | None:
    """A value as the one number that it plainly is, or None."""
    match = _NUMBER.fullmatch(value)
    return float(match[1]) if match else None


def numbers_of(value: bytes) -> tuple[float, ...]:
    """Every number that some server reads from a value, some of them twice; none when no server finds one."""
    if value.isdigit() and len(value) <= _PLAIN_DIGITS and not (value.startswith(b"0") and len(value) > 1):
        return (float(value),)
    text = value.decode("ascii") if value.isascii() else _with_ascii_digits(value.decode("utf-8", "replace"))
    match = _LENIENT.match(text)
    if match is None:
        return ()
    signs, hexadecimal, octal, binary, whole, fraction, exponent, infinite = match.groups()
    found: list[float] = []
    if whole is not None or fraction is not None:
        found = _decimals(whole or "", fraction or "", exponent)
    elif infinite is not None:
        if infinite.lower() == "inf":
            found.append(float("inf"))
    else:
        for digits, base in ((hexadecimal, 16), (octal, 8), (binary, 2)):
            if digits is not None:
                found += (0.0, _whole(digits.replace("_", ""), base), _whole(digits.partition("_")[0], base))
    if "-" in signs:
        negative = [-number for number in found]
        found = negative if signs == "-" else found + negative
    return tuple(found)


def _decimals(whole: str, fraction: str, exponent: str | None) -> list[float]:
    found: list[float] = []
    for digits in (whole,) if whole.find("_") < 0 else (whole.replace("_", ""), whole.partition("_")[0]):
        kept = digits.lstrip("0") or "0"
        found.append(_whole(kept, 10))
        if len(kept) < len(digits) and set(kept) <= set("01234567"):
            found.append(_whole(kept, 8))
        if fraction:
            found.append(float(f"{kept[:MAX_DIGITS]}.{fraction.replace('_', '')[:MAX_DIGITS]}"))
        if exponent is not None:
            power = exponent.replace("_", "")
            found.append(float(f"{kept[:MAX_DIGITS]}.{fraction.replace('_', '')[:MAX_DIGITS]}e{power[:MAX_DIGITS]}"))
    return found


def _whole(digits: str, base: int) -> float:
    if len(digits) > MAX_DIGITS and len(digits := digits.lstrip("0")) > MAX_DIGITS:
        return float("inf")
    try:
        return float(int(digits or "0", base))
    except OverflowError:
        return float("inf")


def _with_ascii_digits(text: str) -> str:
    """Digits of every script as ASCII (Python, Java), blanks of every kind as a blank."""
    return "".join(str(int(char)) if char.isdecimal() else " " if char.isspace() or char == "\ufeff" else char for char in text)
