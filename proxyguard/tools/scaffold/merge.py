"""Three-way merge of a text by lines: what an operator changed and what a new version changed, since the version copied from."""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import pairwise
from typing import NamedTuple


class _Change(NamedTuple):
    """Lines `start` to `end` of the base become `lines`. `at` is where these begin in the changed text."""

    start: int
    end: int
    lines: tuple[str, ...]
    at: int
    is_ours: bool


class Conflict(NamedTuple):
    """Both changed the same lines, or lines that touch: the 1-based line of ours where that begins."""

    line: int


def merged(base: str, ours: str, theirs: str) -> str | Conflict:
    """The base with the changes of both."""
    lines = base.splitlines(keepends=True)
    mine = list(_changes(lines, ours, is_ours=True))
    same = {(each.start, each.end, each.lines) for each in mine}
    new = [each for each in _changes(lines, theirs, is_ours=False) if (each.start, each.end, each.lines) not in same]
    every = sorted((*mine, *new), key=lambda each: (each.start, each.end))
    for first, second in pairwise(every):
        if first.is_ours is not second.is_ours and second.start <= first.end:
            return Conflict((first if first.is_ours else second).at + 1)
    for each in reversed(every):
        lines[each.start : each.end] = each.lines
    return "".join(lines)


def _changes(base: list[str], text: str, *, is_ours: bool) -> list[_Change]:
    changed = text.splitlines(keepends=True)
    matcher = SequenceMatcher(None, base, changed, autojunk=False)
    return [
        _Change(start, end, tuple(changed[at:until]), at, is_ours)
        for tag, start, end, at, until in matcher.get_opcodes()
        if tag != "equal"
    ]
