"""Text that strangers may have chosen, safe for a terminal and for a log.

What a terminal acts on or shows as something else is written as an escape: control characters (C0, DEL, C1), marks that turn the
direction of text around, separators of lines, invisible and unassigned characters.
"""

from __future__ import annotations

from typing import Final

LINES_AND_TABS: Final = "\n\t"


def printable(text: str, keep: str = "") -> str:
    """The text with every character that is not printable escaped as Python writes it, but for those in `keep`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escaped(char) for char in text)


def printable_json(data: bytes) -> bytes:
    """JSON in UTF-8 that means the same, with those characters as JSON escapes."""
    if data.isascii() and data.find(b"\x7f") < 0:  # find, not `in`, which first takes its argument for a number
        return data
    return "".join(char if char.isprintable() else _json_escaped(char) for char in data.decode()).encode()


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _json_escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
