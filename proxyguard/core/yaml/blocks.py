"""A YAML text in blocks that can be read each by itself, so that a fault of syntax hides no more than its own block.

A block is an item of a list, or a key with what is below it, one level below a key in the first column. Goes by
indentation alone, as the editor of the text does: a bracket or a quote that is never closed ends with its block.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

MAX_LINES: Final = 20_000
"""Of a text that is taken apart. A longer one was made by a program, and has one fault on every line or none."""

_NO_KEY: Final = (" ", "\t", "#", "-", "\r", "]", "}")


class Block(NamedTuple):
    """Lines `first` to `end` (0-based, without the last) below the key on line `header`, which is `first` for a whole key."""

    header: int
    first: int
    end: int

    def text(self, lines: list[str]) -> str:
        """The block with its header directly above it."""
        above = [lines[self.header]] if self.header != self.first else []
        return "\n".join([*above, *lines[self.first : self.end]]) + "\n"

    def line(self, number: int) -> int:
        """The line of the whole text that a line of `text` is, both 0-based."""
        if self.header != self.first:
            if number == 0:
                return self.header
            number -= 1
        return min(self.first + number, self.end - 1)


def blocks_of(lines: list[str]) -> Iterator[Block]:
    """Every block of a text, in order. Blanks and comments before the first key are in none."""
    tops = [at for at, line in enumerate(lines) if line and not line.startswith(_NO_KEY)]
    for top, end in pairwise([*tops, len(lines)]):
        first = next((at for at in range(top + 1, end) if _has_content(lines[at])), end)
        if first == end:
            yield Block(top, top, end)
            continue
        indent, is_list = _indent(lines[first]), lines[first].lstrip().startswith("-")
        starts = [
            at
            for at in range(first, end)
            if _has_content(lines[at]) and _indent(lines[at]) == indent and lines[at].lstrip().startswith("-") == is_list
        ]
        if lines[top].split(" #")[0].rstrip().endswith(":"):
            yield from (Block(top, start, stop) for start, stop in pairwise([*starts, end]))
        else:
            yield Block(top, top, end)


def without(lines: list[str], cut: list[Block]) -> str:
    """The text without these blocks, every other line where it was. A key with nothing left below it is taken out too."""
    left = list(lines)
    for block in cut:
        left[block.first : block.end] = [""] * (block.end - block.first)
    for header in {block.header for block in cut if block.header != block.first}:
        below = next((line for line in left[header + 1 :] if _has_content(line)), "")
        if not below.startswith((" ", "\t", "-")):
            left[header] = ""
    return "\n".join(left)


def _has_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
