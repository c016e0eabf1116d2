"""Problems found in what an operator wrote, and the one report that shows them all.

A problem is a place, a message (subject, fault, value) and a hint (what is allowed, or the nearest thing that is).
Knows nothing of YAML, rules or settings.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from operator import attrgetter
from typing import Final, NamedTuple

from proxyguard.core.printable import printable

MAX_QUOTED: Final = 60
"""Characters of a value that a message repeats: enough to recognise it, short enough to keep the line readable."""

MAX_NAMES_SHOWN: Final = 16
"""Allowed names that a hint lists when none is near."""

MAX_PROBLEMS_PER_FILE: Final = 1000
"""Then the rest of a file is summed up in one line: nobody reads on, and a broken generator must not fill a disk."""


_WORD: Final = re.compile(r"\S*")


class Problem(NamedTuple):
    """One fault. `line` and `column` are 1-based; line 0 means the source has no lines (a directory, a variable)."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    @property
    def place(self) -> str:
        """`file:line:column`, or the file alone when it has no lines."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    @property
    def shown_on_a_line(self) -> str:
        """Without the word error, for a log that has its own."""
        return f"{self.place}: {self.message}" + (f" ({self.hint})" if self.hint else "")

    def __str__(self) -> str:
        text = f"{self.place}: error: {self.message}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class Fault(Exception):
    """What is wrong with a value, raised by pure readers that know no place."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Report:
    """Collects the problems of one file. `is_partial`: some of it could not be read, so what seems to be missing may be there."""

    __slots__ = ("_muted", "_unsaid", "file", "is_partial", "left_out", "problems")

    def __init__(self, file: str) -> None:
        self.file = file
        self.is_partial = False
        self._muted: set[int] = set()
        self._unsaid = 0
        self.problems: list[Problem] = []
        self.left_out = 0

    def add(self, line: int, column: int, message: str, hint: str = "") -> None:
        """Record a problem; beyond MAX_PROBLEMS_PER_FILE only count it."""
        if line in self._muted:
            self._unsaid += 1
            return
        if len(self.problems) < MAX_PROBLEMS_PER_FILE:
            self.problems.append(Problem(self.file, line, column, message, hint))
        else:
            self.left_out += 1

    def mute(self, line: int) -> None:
        """Record no further problem of a line: it has one that makes others."""
        self._muted.add(line)

    @property
    def count(self) -> int:
        """How many problems were added, those included that were only counted."""
        return len(self.problems) + self.left_out + self._unsaid

    def finished(self) -> tuple[Problem, ...]:
        """Every problem found in the file, in order of place."""
        problems = list(dict.fromkeys(sorted(self.problems, key=_PLACE)))
        if self.left_out:
            last = problems[-1]
            message = f"{self.left_out} more problem{'' if self.left_out == 1 else 's'} in this file"
            problems.append(Problem(self.file, last.line, last.column, message, "mend the ones above first"))
        return tuple(problems)


def format_report(problems: Iterable[Problem]) -> str:
    """All problems sorted by file, line and column, and a line that counts them; empty when there are none."""
    found = sorted(problems, key=_PLACE)
    if not found:
        return ""
    count = plural(len(found), "problem")
    if all(problem.line for problem in found):
        files = len({problem.file for problem in found})
        count += f" in {plural(files, 'file')}"
    return "\n".join([*(str(problem) for problem in found), count]) + "\n"


def nearest(name: str, allowed: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The allowed name that `name` was probably meant to be; `cutoff` is how alike they must be, from 0 to 1."""
    by_folded = {folded(candidate): candidate for candidate in allowed}
    close = get_close_matches(folded(name[:MAX_QUOTED]), by_folded, n=1, cutoff=cutoff)
    return by_folded[close[0]] if close else None


def folded(name: str) -> str:
    """A name without what people get wrong about names: case, and `-`, `_` or a space between words."""
    return name.lower().replace("-", "_").replace(" ", "_")


def name_hint(name: str, allowed: Collection[str], noun: str) -> str:
    """`did you mean 'path'?`, or the allowed names; `noun` is their plural, such as `keys`."""
    close = nearest(name, allowed)
    if close is not None:
        return f"did you mean {quoted(close)}?"
    return f"{noun}: {listed(allowed)}" if allowed else f"there are no {noun}"


def listed(names: Iterable[str]) -> str:
    """Names for a hint, the first MAX_NAMES_SHOWN of them."""
    every = list(names)
    shown = ", ".join(every[:MAX_NAMES_SHOWN])
    return shown if len(every) <= MAX_NAMES_SHOWN else f"{shown} and {len(every) - MAX_NAMES_SHOWN} more"


def quoted(value: str, longest: int = MAX_QUOTED) -> str:
    """A value for a message: on one line, at most `longest` characters, in single quotes; of a URL never the log-in."""
    text = printable(_without_log_in(value)[: longest + 1])
    return f"'{text}'" if len(text) <= longest else f"'{text[:longest]}…'"


def _without_log_in(value: str) -> str:
    """A value without what stands before the host of its URL; a `/` in a password should be encoded, and is not always."""
    begin = value.find("://") + 3
    word = _WORD.match(value, begin) if begin >= 3 else None
    at = word[0].rfind("@") if word is not None else -1
    return value if at < 0 else f"{value[:begin]}…{value[begin + at :]}"


def plural(count: int, noun: str, several: str = "") -> str:
    """`1 file`, `2 files`; `several` is the plural of a noun that takes more than an s."""
    return f"{count} {noun if count == 1 else several or f'{noun}s'}"


_PLACE: Final = attrgetter("file", "line", "column", "message")
