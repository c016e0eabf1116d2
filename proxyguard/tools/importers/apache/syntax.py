"""The syntax of Apache's configuration: directives, a line each, and sections in angle brackets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from proxyguard.tools.importers.draft import Draft, ImportFault

MAX_LINES: Final = 500_000
MAX_DEPTH: Final = 50

_WORD: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|((?:[^\s"\\]|\\.|(?<=\S)")+)', re.DOTALL)


@dataclass(slots=True)
class Entry:
    """A directive, or a section with its directives. Names are in lower case."""

    line: int
    name: str
    args: tuple[str, ...]
    inner: list[Entry] | None = None

    def walk(self) -> Iterator[Entry]:
        """It and all entries in it, in order."""
        yield self
        for each in self.inner or ():
            yield from each.walk()


def read_entries(text: str, draft: Draft) -> Entry:
    """All of a file. Raises ImportFault when sections are too deep; a note on one that is not closed."""
    root = Entry(0, "", (), [])
    opened = [root]
    for number, line in _lines(text):
        if line.startswith("</"):
            name = line[2:].strip().rstrip(">").strip().lower()
            if len(opened) > 1 and opened[-1].name == name:
                opened.pop()
            else:
                draft.note(number, f"'{line[:60]}' closes no section")
            continue
        is_section = line.startswith("<")
        words = _words(line[1:].rstrip().removesuffix(">") if is_section else line)
        if not words:
            continue
        entry = Entry(number, words[0].lower(), tuple(words[1:]), [] if is_section else None)
        inner = opened[-1].inner
        if inner is not None:
            inner.append(entry)
        if is_section:
            opened.append(entry)
            if len(opened) > MAX_DEPTH:
                raise ImportFault(f"sections are more than {MAX_DEPTH} deep")
    for entry in opened[1:]:
        draft.note(entry.line, f"<{entry.name}> is not closed")
    return root


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines without comments; one that ends with a backslash goes on."""
    start, held = 0, ""
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if number > MAX_LINES:
            raise ImportFault(f"the file has more than {MAX_LINES} lines")
        line = raw.strip()
        start = start if held else number
        if line.endswith("\\") and not line.startswith("#"):
            held += line[:-1] + " "
            continue
        whole, held = (held + line).strip(), ""
        if whole and not whole.startswith("#"):
            yield start, whole
    if held.strip() and not held.startswith("#"):
        yield start, held.strip()


def _words(line: str) -> list[str]:
    r"""The words of a line. In quotes, only `\"` loses its backslash; outside, `\ ` is a blank of the word."""
    found = []
    for match in _WORD.finditer(line):
        double, single, bare = match.groups()
        if double is not None or single is not None:
            text, quote = (double, '"') if double is not None else (single, "'")
            found.append(text.replace(f"\\{quote}", quote))
        else:
            found.append(bare)
    return found
