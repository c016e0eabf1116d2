"""The syntax of Caddyfiles: words, quotes, blocks that open at the end of a line, snippets, imports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from proxyguard.tools.importers.draft import Draft, ImportFault
from proxyguard.tools.importers.sources import Source, Sources

MAX_WORDS: Final = 500_000
MAX_EXPANDED: Final = 100_000
"""Lines with snippets and files in their places: snippets that import each other twice double with each step."""
MAX_DEPTH: Final = 30

_TOKEN: Final = re.compile(r'[^\S\n]+|\\\n|(\n)|"((?:[^"\\]|\\.)*)"|`([^`]*)`|#[^\n]*|((?:[^\s"`]|(?<=\S)["`])+)', re.DOTALL)

_ARGUMENT: Final = re.compile(r"\{args(?:\[|\.)(\d{1,2})\]?\}")


@dataclass(slots=True, frozen=True)
class ConfigLine:
    """The words of a line, and the lines of the block that it opens; None when it opens none."""

    number: int
    file: str
    words: tuple[str, ...]
    block: tuple[ConfigLine, ...] | None = None

    @property
    def name(self) -> str:
        return self.words[0] if self.words else ""

    def walk(self) -> Iterator[ConfigLine]:
        """It and all lines in it, in order."""
        yield self
        for each in self.block or ():
            yield from each.walk()


def read_lines(sources: Sources, draft: Draft) -> list[ConfigLine]:
    """All named files, with what they import in its place. Raises ImportFault."""
    reader = _Reader(sources, draft)
    found: list[ConfigLine] = []
    for source in sources.named:
        found += reader.file(source, "" if len(sources.named) == 1 else source.name, 0)
    return reader.expanded(found, 0)


class _Reader:
    def __init__(self, sources: Sources, draft: Draft) -> None:
        self._sources = sources
        self._draft = draft
        self._snippets: dict[str, tuple[ConfigLine, ...]] = {}
        self._expanded = 0

    def file(self, source: Source, name: str, depth: int) -> list[ConfigLine]:
        if depth > MAX_DEPTH:
            raise ImportFault(f"files import each other more than {MAX_DEPTH} deep")
        found, _ = self._block(list(_words(source.text)), 0, name, 0)
        kept = []
        for line in found:
            if re.fullmatch(r"\([\w.-]+\)", line.name) and line.block is not None:
                self._snippets[line.name.strip("()")] = line.block
            else:
                kept.append(line)
        return kept

    def _block(self, words: list[tuple[int, str | None]], at: int, file: str, depth: int) -> tuple[list[ConfigLine], int]:
        if depth > MAX_DEPTH:
            raise ImportFault(f"blocks are more than {MAX_DEPTH} deep")
        found: list[ConfigLine] = []
        current: list[tuple[int, str]] = []
        while at < len(words):
            number, word = words[at]
            at += 1
            ends = at >= len(words) or words[at][1] is None
            if word is None:
                if current and not current[-1][1].endswith(","):
                    found.append(_line(current, file, None))
                    current = []
            elif word == "}" and not current:
                return found, at
            elif word == "{" and ends:
                inner, at = self._block(words, at, file, depth + 1)
                found.append(_line(current or [(number, "")], file, tuple(inner)))
                current = []
            else:
                current.append((number, word))
        if current:
            found.append(_line(current, file, None))
        return found, at

    def expanded(self, lines: list[ConfigLine] | tuple[ConfigLine, ...], depth: int) -> list[ConfigLine]:
        """The lines with snippets and files in the place of `import`."""
        if depth > MAX_DEPTH:
            raise ImportFault(f"snippets import each other more than {MAX_DEPTH} deep")
        found: list[ConfigLine] = []
        self._expanded += len(lines)
        if self._expanded > MAX_EXPANDED:
            raise ImportFault(f"with what it imports, the file has more than {MAX_EXPANDED} lines")
        for line in lines:
            if line.name != "import" or len(line.words) < 2:
                block = None if line.block is None else tuple(self.expanded(line.block, depth + 1))
                found.append(ConfigLine(line.number, line.file, line.words, block))
                continue
            wanted = line.words[1]
            if wanted in self._snippets:
                filled = [_filled(each, line.words[2:]) for each in self._snippets[wanted]]
                found += self.expanded(filled, depth + 1)
                continue
            opened = self._sources.beside(wanted)
            for source in opened:
                found += self.expanded(self.file(source, source.name, depth + 1), depth + 1)
            if not opened:
                self._draft.note(line.number, f"not followed: import {wanted[:80]}: there is no such file or snippet", line.file)
        return found


def _line(words: list[tuple[int, str]], file: str, block: tuple[ConfigLine, ...] | None) -> ConfigLine:
    texts = tuple(word for _, word in words)
    return ConfigLine(words[0][0], file, texts if texts != ("",) else (), block)


def _filled(line: ConfigLine, args: tuple[str, ...]) -> ConfigLine:
    """A line of a snippet with what `import` gives in the place of `{args[0]}`."""

    def given(found: re.Match[str]) -> str:
        at = int(found[1])
        return args[at] if at < len(args) else found[0]

    words = tuple(_ARGUMENT.sub(given, word) for word in line.words)
    block = None if line.block is None else tuple(_filled(each, args) for each in line.block)
    return ConfigLine(line.number, line.file, words, block)


def _words(text: str) -> Iterator[tuple[int, str | None]]:
    """The words with their lines; None at the end of a line."""
    at, number, count = 0, 1, 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ImportFault(f"line {number}: a quote that is not closed")
        newline, quoted, raw, bare = found.groups()
        if newline is not None:
            yield number, None
        elif quoted is not None:
            yield number, quoted.replace('\\"', '"')
        elif raw is not None or bare is not None:
            yield number, raw if raw is not None else bare
        number += found[0].count("\n")
        at = found.end()
        count += 1
        if count > 2 * MAX_WORDS:
            raise ImportFault(f"the file has more than {MAX_WORDS} words")
    yield number, None
