"""Bytes without which a pattern finds nothing, so that most values need not be handed to RE2.

Reads just enough of RE2's syntax to be sure. Of whatever it does not know, nothing is said to be needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_CLASS: Final = re.compile(rb"\[\^?\]?(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*\]", re.DOTALL)
_GROUP: Final = re.compile(rb"\((?:\?(?:P?<\w+>|[imsU-]*:))?")
_FLAGS: Final = re.compile(rb"\(\?[imsU-]+\)")
_HEX: Final = re.compile(rb"\\x([0-9A-Fa-f]{2})")
_NO_TEXT: Final = re.compile(rb"[.^$]|\\[dDwWsSbBAzafnrtv]")
"""One byte of many, or none."""
_ESCAPED: Final = re.compile(rb"\\([^0-9A-Za-z])", re.DOTALL)
_REPEATED: Final = re.compile(rb"(?:[*+?]|\{([0-9]+)(?:,[0-9]*)?\})\??")

MAX_DEPTH: Final = 50
"""Of groups in groups."""

Needed = frozenset[int] | None
"""Each text that is found has one of these bytes at least; None: nothing is known."""


class _UnknownError(Exception):
    """Syntax that this module does not read."""


def needed_bytes(patterns: Iterable[bytes]) -> bytes:
    """Each text in which one of the patterns is found has one of these bytes; empty when that says nothing of usual texts."""
    found: set[int] = set()
    for pattern in patterns:
        try:
            needed, end = _either(pattern, 0, 0)
        except _UnknownError:
            return b""
        if needed is None or end != len(pattern):
            return b""
        found |= needed
    needed_by_any = bytes(sorted(found))
    return b"" if any(_is_usual(byte) for byte in needed_by_any) else needed_by_any


def rare_bytes(texts: Iterable[bytes]) -> bytes:
    """One byte of each text, so that only what has some of them can have any of the texts, in either case; empty when there is
    nothing in one of them but letters, digits and what is in most paths."""
    found: set[int] = set()
    for text in texts:
        marks = [byte for byte in text if byte < 0x80 and not chr(byte).isalnum() and byte not in b"/-_ "]
        if not marks:
            return b""
        found.add(min(marks, key=_is_usual))
    return bytes(sorted(found))


def _is_usual(byte: int) -> bool:
    return byte in b"-./:=?&_ " or chr(byte).isalnum()


def _either(pattern: bytes, at: int, depth: int) -> tuple[Needed, int]:
    """What a group of alternatives needs, and where it ends: behind the pattern, or at its parenthesis."""
    if depth > MAX_DEPTH:
        raise _UnknownError
    needed, at = _one_after_another(pattern, at, depth)
    while pattern.startswith(b"|", at):
        other, at = _one_after_another(pattern, at + 1, depth)
        needed = None if needed is None or other is None else needed | other
    return needed, at


def _one_after_another(pattern: bytes, at: int, depth: int) -> tuple[Needed, int]:
    """Of all that one alternative needs the rarest."""
    best: Needed = None
    while at < len(pattern) and pattern[at : at + 1] not in b"|)":
        needed, at = _piece(pattern, at, depth)
        repeated = _REPEATED.match(pattern, at)
        while repeated is not None:
            if repeated[0][:1] in b"*?" or (repeated[1] is not None and not int(repeated[1])):
                needed = None
            at = repeated.end()
            repeated = _REPEATED.match(pattern, at)
        if needed is not None and (best is None or _rank(needed) < _rank(best)):
            best = needed
    return best, at


def _rank(needed: frozenset[int]) -> tuple[int, int]:
    return sum(map(_is_usual, needed)), len(needed)


def _piece(pattern: bytes, at: int, depth: int) -> tuple[Needed, int]:
    byte = pattern[at : at + 1]
    if byte == b"(":
        return _group(pattern, at, depth)
    if byte == b"[":
        end = _end_of(_CLASS, pattern, at)
        return None, end
    if byte in b"*+?":
        raise _UnknownError
    nothing = _NO_TEXT.match(pattern, at)
    if nothing is not None:
        return None, nothing.end()
    if byte == b"\\":
        code = _HEX.match(pattern, at)
        if code is not None:
            return _byte(int(code[1], 16)), code.end()
        end = _end_of(_ESCAPED, pattern, at)
        return _byte(pattern[end - 1]), end
    return _byte(pattern[at]), at + 1


def _group(pattern: bytes, at: int, depth: int) -> tuple[Needed, int]:
    flags = _FLAGS.match(pattern, at)
    if flags is not None:
        return None, flags.end()
    needed, end = _either(pattern, _end_of(_GROUP, pattern, at), depth + 1)
    if not pattern.startswith(b")", end):
        raise _UnknownError
    return needed, end + 1


def _end_of(syntax: re.Pattern[bytes], pattern: bytes, at: int) -> int:
    found = syntax.match(pattern, at)
    if found is None:
        raise _UnknownError
    return found.end()


def _byte(byte: int) -> Needed:
    """Flags are not looked at: a letter stands for both cases. Other alphabets have pairs of their own."""
    return frozenset({ord(chr(byte).lower()), ord(chr(byte).upper())}) if byte < 0x80 else None
