"""Strict YAML: text to nodes that know their line and column, with every ambiguity refused.

The only module that imports yaml. Scalars keep the text that was written, so `NO`, `1:30` and `012` are what they look
like; whoever reads a node says whether it must be a number, a truth value or a text. Duplicate keys, merge keys, tags,
several documents, cycles and absurd sizes are problems with a place. Knows nothing of what the YAML is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs leave it out

from proxyguard.problems import Report, quoted

MAX_BYTES: Final = 16 * 1024 * 1024
"""One file. 50,000 rules of 300 bytes; libyaml needs about 3 s for that."""

MAX_DEPTH: Final = 40
"""Levels of nesting: conditions nested 30 deep still fit, and no recursion of ours comes near Python's limit."""

MAX_NODES: Final = 4_000_000
"""Nodes after aliases are followed; stops an alias bomb (a few lines that stand for billions of values)."""

MAX_KEY_CHARACTERS: Final = 512

_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML 1.2 section 5.1 leaves out."""


@dataclass(slots=True)
class Scalar:
    """A single value as text. `plain` when written without quotes and not as a block."""

    line: int
    column: int
    text: str
    plain: bool

    @property
    def is_null(self) -> bool:
        """Whether it says that there is no value: nothing, `~` or `null`."""
        return self.plain and self.text in _NULLS


@dataclass(slots=True)
class Sequence:
    """A list of nodes."""

    line: int
    column: int
    items: list[Node]


@dataclass(slots=True)
class Entry:
    """One key of a mapping and its value."""

    key: Scalar
    value: Node


@dataclass(slots=True)
class Mapping:
    """Entries in the order written; no key twice."""

    line: int
    column: int
    entries: list[Entry]

    def get(self, key: str) -> Node | None:
        """The value of a key."""
        return next((entry.value for entry in self.entries if entry.key.text == key), None)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)


Node = Scalar | Sequence | Mapping

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})

_NON_SPECIFIC: Final = "!"


def read_yaml(data: bytes | str, report: Report) -> Node | None:
    """Parse one document. Returns None, with the reason in the report, when it is not YAML that we accept."""
    text = _decoded(data, report)
    if text is None:
        return None
    composer = _Composer(text)
    try:
        root = composer.get_single_node()
    except _DepthError as error:
        _report_depth(error.line, error.column, report)
        return None
    except yaml.MarkedYAMLError as error:
        _report_syntax(error, text, report)
        return None
    except yaml.YAMLError as error:
        report.add(1, 1, f"not valid YAML: {error}")
        return None
    finally:
        composer.dispose()
    if root is None:
        report.add(1, 1, "the file is empty")
        return None
    before = len(report.problems)
    node = _Builder(report).build(root)
    return node if len(report.problems) == before else None


def describe(node: Node) -> str:
    """What a node is, for messages: `a list`, `a mapping`, `no value` or the quoted text."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Mapping):
        return "a mapping"
    return "no value" if node.is_null else quoted(node.text)


class _DepthError(Exception):
    def __init__(self, line: int, column: int) -> None:
        super().__init__()
        self.line = line
        self.column = column


class _Composer(CParser):
    """libyaml's composer without PyYAML's tag resolution, which costs more than parsing; bounded in depth."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def descend_resolver(self, parent: Any, _index: Any) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = parent.start_mark
            raise _DepthError(mark.line + 1, mark.column + 1)

    def ascend_resolver(self) -> None:
        self._depth -= 1

    def resolve(self, _kind: Any, _value: Any, _implicit: Any) -> str:
        return _NON_SPECIFIC


class _Builder:
    """Turns composed nodes into ours, in the order written."""

    __slots__ = ("_building", "_left", "_report")

    def __init__(self, report: Report) -> None:
        self._report = report
        self._left = MAX_NODES
        self._building: set[int] = set()

    def build(self, node: Any) -> Node:
        mark = node.start_mark
        line, column = mark.line + 1, mark.column + 1
        if node.tag != _NON_SPECIFIC:
            self._report.add(line, column, f"the tag {quoted(node.tag)} has no meaning here", "write the value alone")
        self._left -= 1
        if self._left < 0:
            if self._left == -1:
                message = f"more than {MAX_NODES} values once aliases are followed"
                self._report.add(line, column, message, "write lists into a file of their own: {file: lists/NAME.txt}")
            return Scalar(line, column, "", plain=True)
        kind = type(node)
        if kind is yaml.ScalarNode:
            style = node.style
            return Scalar(line, column, node.value, not style)
        if len(self._building) >= MAX_DEPTH:
            _report_depth(line, column, self._report)
            return Scalar(line, column, "", plain=True)
        if id(node) in self._building:
            self._report.add(line, column, "an alias stands inside what it refers to", "write the value out")
            return Scalar(line, column, "", plain=True)
        self._building.add(id(node))
        try:
            if kind is yaml.SequenceNode:
                return Sequence(line, column, [self.build(item) for item in node.value])
            return Mapping(line, column, self._entries(node))
        finally:
            self._building.discard(id(node))

    def _entries(self, node: Any) -> list[Entry]:
        entries: list[Entry] = []
        seen: dict[str, Scalar] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            value = self.build(value_node)
            if key is None:
                continue
            first = seen.setdefault(key.text, key)
            if first is not key:
                message = f"duplicate key {quoted(key.text)}, first on line {first.line}"
                self._report.add(key.line, key.column, message, "keep one of them; a second one would hide the first")
            entries.append(Entry(key, value))
        return entries

    def _key(self, node: Any) -> Scalar | None:
        key = self.build(node)
        if not isinstance(key, Scalar):
            hint = "a key is a single word; put quotes around text that begins with [ or {"
            self._report.add(key.line, key.column, f"a key cannot be {describe(key)}", hint)
            return None
        if key.plain and key.text == "<<":
            hint = "repeat the keys, or put what is common into a list of its own"
            self._report.add(key.line, key.column, "merge keys (<<) are not supported", hint)
            return None
        if len(key.text) > MAX_KEY_CHARACTERS:
            self._report.add(key.line, key.column, f"a key of more than {MAX_KEY_CHARACTERS} characters")
            return None
        return key


def _decoded(data: bytes | str, report: Report) -> str | None:
    if len(data) > MAX_BYTES:
        hint = "split the file, or move long lists into {file: lists/NAME.txt}"
        report.add(1, 1, f"the file has more than {MAX_BYTES // 1024 // 1024} MiB", hint)
        return None
    if isinstance(data, bytes):
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            start = data.rfind(b"\n", 0, error.start) + 1
            line = data.count(b"\n", 0, error.start) + 1
            column = len(data[start : error.start].decode("utf-8", "replace")) + 1
            report.add(line, column, f"not UTF-8: byte 0x{data[error.start]:02x}", "save the file as UTF-8")
            return None
    else:
        text = data.removeprefix("\ufeff")
    bad = _UNPRINTABLE.search(text)
    if bad is None:
        return text
    line, column = text_place(text, bad.start())
    message = f"the control character U+{ord(bad[0]):04X} cannot stand in YAML"
    report.add(line, column, message, "delete it; editors show it as a blank or a box")
    return None


def text_place(text: str, offset: int) -> tuple[int, int]:
    """The 1-based line and column of an offset."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _report_depth(line: int, column: int, report: Report) -> None:
    hint = "nothing in a rule file or in the settings needs that"
    report.add(line, column, f"nested more than {MAX_DEPTH} levels deep", hint)


def _report_syntax(error: yaml.MarkedYAMLError, text: str, report: Report) -> None:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    message, hint = _syntax_words(error, text, line, column)
    report.add(line + 1, column + 1, message, hint)


_CANNOT_START: Final = {
    "\t": ("a tab cannot indent YAML", "indent with spaces"),
    "%": ("a value cannot begin with %", "put it in single quotes"),
    "@": ("a value cannot begin with @", "put it in single quotes"),
    "`": ("a value cannot begin with `", "put it in single quotes"),
}

_SYNTAX: Final = (
    (
        "mapping values are not allowed",
        "a ':' that YAML takes for a second key on this line, or a key that is indented too far",
        "put quotes around a value that holds ': ', or line the key up with the ones above it",
    ),
    ("found undefined alias", "the value begins with *, which YAML takes for an alias", "put it in single quotes"),
    (
        "duplicate anchor",
        "the same anchor (&) is defined twice",
        "put a value that begins with & in single quotes, or rename one anchor",
    ),
    ("expected a single document", "a second document begins here (---)", "one file holds one document"),
    ("did not find expected ',' or ']'", "the list opened{where} with [ is not closed", "look for a missing ] or ,"),
    (
        "did not find expected ',' or '}'",
        "the mapping opened{where} with {{ is not closed",
        "look for a missing } or ,",
    ),
    (
        "did not find expected '-' indicator",
        "this line stands at the level of a list but does not begin with -",
        "line it up with the key it belongs to",
    ),
    (
        "did not find expected key",
        "this line does not line up with the keys above it",
        "keys of one mapping begin in the same column; the items of a list begin with - in the same column",
    ),
    ("did not find expected node content", "a value is missing here", "write a value, or '' for an empty text"),
    (
        "found unknown escape character",
        "an unknown \\ escape in double quotes",
        "put patterns and paths in single quotes, where \\ is an ordinary character",
    ),
    ("found unexpected end of stream", "the quote opened{where} is never closed", "look for a missing quote"),
    (
        "did not find expected comment or line break",
        "text after > or |, which open a block of text",
        "put a value that begins with > or | in single quotes",
    ),
    (
        "could not find expected ':'",
        "a key without ':' after it",
        "write 'key: value', with a space after the colon, or '- value' for an item of a list",
    ),
)


def _syntax_words(error: yaml.MarkedYAMLError, text: str, line: int, column: int) -> tuple[str, str]:
    problem = error.problem or ""
    if "cannot start any token" in problem:
        lines = text.splitlines()
        char = lines[line][column : column + 1] if line < len(lines) else ""
        if char in _CANNOT_START:
            return _CANNOT_START[char]
    for fragment, message, hint in _SYNTAX:
        if fragment in problem:
            opened = error.context_mark.line if error.context_mark else line
            return message.format(where="" if opened == line else f" on line {opened + 1}"), hint
    return f"not valid YAML: {problem or error}", ""
