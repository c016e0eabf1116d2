r"""The syntax of nginx configuration files: words, quotes, comments, blocks, and files that are included.

Follows how nginx itself reads: a word ends at a blank, `;` or `{`; quotes count at its beginning only; `\` before a quote, a
backslash, `t`, `r` or `n` is taken away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final

from proxyguard.tools.importers.draft import Draft, ImportFault
from proxyguard.tools.importers.sources import Source, Sources

MAX_TOKENS: Final = 500_000
MAX_DEPTH: Final = 50
"""Of blocks and of files that include each other."""

_HARMLESS: Final = re.compile(
    r"mime\.types|_params$|fastcgi[\w-]*\.conf$|php|ssl|modules|letsencrypt|perl\.conf|proxy", re.IGNORECASE
)
"""Names of included files that say how to serve, and refuse nobody."""


@dataclass(slots=True, frozen=True)
class Directive:
    """`name args;` or `name args { block }`. `block` None: it ends with a semicolon. An `include`: one that was not followed."""

    line: int
    file: str
    name: str
    args: tuple[str, ...]
    block: tuple[Directive, ...] | None = None

    def named(self, *names: str) -> Iterator[Directive]:
        """The directives of these names in its block."""
        return (each for each in self.block or () if each.name in names)

    def walk(self) -> Iterator[Directive]:
        """It and all directives in it, in order."""
        yield self
        for each in self.block or ():
            yield from each.walk()


@dataclass(slots=True, frozen=True)
class _Token:
    line: int
    text: str
    quoted: bool

    def is_mark(self, mark: str) -> bool:
        return not self.quoted and self.text == mark


_TOKEN: Final = re.compile(
    r"""\s+|\#[^\n]*|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([;{}])
    |((?:[^\s;{}"'\\]|\\.|(?<=\$)\{\w*\}|\{\d*,?\d*\}|(?<=[^\s;{}])["'](?![\s;])|(?<=[^\s;{}])\}(?![\s;}]|$))+)""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPED: Final = re.compile(r"\\([\"'\\trn])")
_PLAIN: Final = {"t": "\t", "r": "\r", "n": "\n"}
_LUA: Final = re.compile(r"\w*_by_lua_block")
_LUA_MARK: Final = re.compile(r"""(?:--)?\[(=*)\[.*?\]\1\]|--[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[{}]""", re.DOTALL)
"""Comments and texts of Lua, whole, and braces."""


def read_directives(sources: Sources, draft: Draft) -> Directive:
    """All named files as one block, with the files that they include in their places. Raises ImportFault."""
    reader = _Reader(sources, draft)
    found: list[Directive] = []
    dump = _dumped(sources.named[0]) if len(sources.named) == 1 else []
    if dump:
        reader.dump = dump
        return Directive(0, "", "", (), tuple(reader.file(dump[0], is_main=True, depth=0)))
    for source in sources.named:
        if source.name.rpartition("/")[2] not in reader.included:
            found += reader.file(source, is_main=len(sources.named) == 1, depth=0)
    return Directive(0, "", "", (), tuple(found))


_FILE_OF_DUMP: Final = re.compile(r"^# configuration file (\S+):[ \t]*$", re.MULTILINE)


def _dumped(source: Source) -> list[Source]:
    """The files in the output of `nginx -T`, the main one first, each with its lines where the output has them; else none."""
    parts = _FILE_OF_DUMP.split(source.text)
    if len(parts) < 3 or not all(line.startswith(("nginx:", "#")) or not line.strip() for line in parts[0].splitlines()):
        return []
    found: list[Source] = []
    line = parts[0].count("\n")
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        found.append(Source(name, "\n" * line + text))
        line += text.count("\n")
    return found


class _Reader:
    def __init__(self, sources: Sources, draft: Draft) -> None:
        self.dump: list[Source] = []
        """Files that included ones are looked for in first."""
        self._sources = sources
        self._draft = draft
        self.included: set[str] = set()
        self._open: list[str] = []
        """The files that are being read: one that includes itself is read once."""

    def file(self, source: Source, *, is_main: bool, depth: int) -> list[Directive]:
        tokens = list(_tokens(source))
        self._open.append(source.name)
        found, at = self._block(tokens, 0, "" if is_main else source.name, depth)
        self._open.pop()
        if at < len(tokens):
            raise ImportFault(f"line {tokens[at].line}: a }} without its {{" + ("" if is_main else f" ({source.name})"))
        return found

    def _block(self, tokens: Sequence[_Token], at: int, file: str, depth: int) -> tuple[list[Directive], int]:
        """The directives up to the `}` that closes the block, and its place; or up to the end."""
        if depth > MAX_DEPTH:
            raise ImportFault(f"blocks or includes are more than {MAX_DEPTH} deep")
        found: list[Directive] = []
        words: list[_Token] = []
        while at < len(tokens) and not tokens[at].is_mark("}"):
            token = tokens[at]
            at += 1
            if token.is_mark(";"):
                if words:
                    found += self._simple(words, file, depth)
                words = []
            elif token.is_mark("{"):
                inner, at = self._block(tokens, at, file, depth + 1)
                if at >= len(tokens):
                    self._draft.note(token.line, f"the block of '{words[0].text[:60] if words else ''}' is not closed", file)
                at += 1
                if words:
                    found.append(Directive(words[0].line, file, words[0].text, _texts(words), tuple(inner)))
                words = []
            else:
                words.append(token)
        if words:
            self._draft.note(words[0].line, f"'{words[0].text[:60]}' does not end with a ;", file)
        return found, at

    def _simple(self, words: list[_Token], file: str, depth: int) -> list[Directive]:
        first = words[0]
        if first.text != "include" or len(words) != 2:
            return [Directive(first.line, file, first.text, _texts(words))]
        wanted = words[1].text
        found: list[Directive] = []
        opened = self._of_dump(wanted) or self._sources.beside(wanted)
        for source in opened:
            if source.name in self._open:
                continue
            self.included.add(source.name.rpartition("/")[2])
            found += self.file(source, is_main=bool(self.dump), depth=depth + 1)
        if not opened and not _HARMLESS.search(wanted):
            self._draft.note(first.line, f"not followed: include {wanted[:100]}: there is no such file beside this one", file)
            found.append(Directive(first.line, file, first.text, (wanted,)))
        return found

    def _of_dump(self, wanted: str) -> list[Source]:
        """Those of the dump that an include names; a relative name is one beside the main file."""
        if not self.dump:
            return []
        pattern = str(PurePosixPath(self.dump[0].name).parent / wanted)
        return [source for source in self.dump if fnmatchcase(source.name, pattern)]


def _texts(words: list[_Token]) -> tuple[str, ...]:
    return tuple(word.text for word in words[1:])


def _tokens(source: Source) -> Iterator[_Token]:
    """The words and marks. Raises ImportFault for a quote that is not closed."""
    text = source.text.removeprefix("\ufeff")
    at, line, count, last = 0, 1, 0, ""
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ImportFault(f"line {line}: a quote that is not closed, or a \\ at the end")
        double, single, mark, bare = found.groups()
        end = found.end()
        if mark == "{" and _LUA.fullmatch(last):
            end = _after_lua(text, end)
            if not end:
                raise ImportFault(f"line {line}: a block of Lua that is not closed")
            yield _Token(line, ";", quoted=False)
        elif double is not None or single is not None:
            yield _Token(line, _unescaped(double if double is not None else single), quoted=True)
        elif mark is not None or bare is not None:
            last = mark or bare
            yield _Token(line, mark or _unescaped(bare), quoted=False)
        line += text.count("\n", at, end)
        at = end
        count += 1
        if count > 2 * MAX_TOKENS:
            raise ImportFault(f"the file has more than {MAX_TOKENS} words")


def _after_lua(text: str, at: int) -> int:
    """The place after the `}` that closes a block of Lua, whose texts and comments do not count; 0: nothing closes it."""
    depth = 1
    for found in _LUA_MARK.finditer(text, at):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if not depth:
            return found.end()
    return 0


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: _PLAIN.get(found[1], found[1]), text)
