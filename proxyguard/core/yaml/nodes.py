"""Strict YAML: text to nodes that know their line and column, with every ambiguity refused.

The only module that imports yaml. Scalars keep the text that was written, so `NO`, `1:30` and `012` are what they look
like; whoever reads a node says whether it must be a number, a truth value or a text. Duplicate keys, merge keys, tags,
several documents, cycles and absurd sizes are problems with a place. Knows nothing of what the YAML is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs leave it out

from proxyguard.core.problems import Report, quoted
from proxyguard.core.yaml.blocks import MAX_LINES, Block, blocks_of, without
from proxyguard.core.yaml.decoding import decoded
from proxyguard.core.yaml.syntax_errors import syntax_words

MAX_DEPTH: Final = 40
"""Levels of nesting: conditions nested 30 deep still fit, and no recursion of ours comes near Python's limit."""

MAX_NODES: Final = 4_000_000
"""Nodes after aliases are followed; stops an alias bomb (a few lines that stand for billions of values)."""

MAX_KEY_CHARACTERS: Final = 512


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
    line: int
    column: int
    items: list[Node]


@dataclass(slots=True)
class MappingEntry:
    """One key of a mapping and its value."""

    key: Scalar
    value: Node


@dataclass(slots=True)
class Mapping:
    """Entries in the order written; no key twice."""

    line: int
    column: int
    entries: list[MappingEntry]

    def get(self, key: str) -> Node | None:
        return next((entry.value for entry in self.entries if entry.key.text == key), None)

    def __iter__(self) -> Iterator[MappingEntry]:
        return iter(self.entries)


Node = Scalar | Sequence | Mapping

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


def read_yaml(data: bytes | str, report: Report) -> Node | None:
    """Parse one document. Returns None, with the reason in the report, when it is not YAML that we accept."""
    before = len(report.problems)
    node = read_as_far_as_possible(data, report)
    return node if len(report.problems) == before else None


def read_as_far_as_possible(data: bytes | str, report: Report) -> Node | None:
    """Parse one document, and go on after what is wrong with it, so that more of it can be looked at.

    Blocks with a fault of syntax are left out; the report is partial then. None when nothing can be read.
    """
    text = decoded(data, report)
    if text is None:
        return None
    try:
        node = _document(text, report)
    except yaml.MarkedYAMLError as error:
        rest = _without_faulty_blocks(error, text, report)
        try:
            return None if rest is None else _document(rest, report)
        except yaml.YAMLError:
            return None
    if node is None and not report.is_partial:
        hint = "there is nothing in it but comments and blanks; a file that is not in use is best renamed"
        report.add(1, 1, "the file is empty", hint)
    return node


def _document(text: str, report: Report) -> Node | None:
    """The document of a text; None when there is none, or when the report says why not. Raises MarkedYAMLError."""
    builder = _Builder(CParser(text), report)
    try:
        return builder.document()
    except _StopError as stop:
        report.add(stop.line, stop.column, stop.message, stop.hint)
        report.is_partial = True
        return builder.read


def _without_faulty_blocks(error: yaml.MarkedYAMLError, text: str, report: Report) -> str | None:
    """Report each block that is no YAML by itself; the text without them. None, and the error reported, when there is none."""
    report.is_partial = True
    lines = text.split("\n")
    mark = _mark_of(error)
    faulty: list[Block] = []
    for block in blocks_of(lines) if len(lines) <= MAX_LINES else ():
        own = _syntax_error(block.text(lines))
        if own is None:
            continue
        faulty.append(block)
        if mark is not None and block.first <= mark.line < block.end:
            _report_syntax(error, text, report)
        else:
            _report_syntax(own, block.text(lines), report, block)
    if faulty:
        return without(lines, faulty)
    _report_syntax(error, text, report)
    return None


def _syntax_error(text: str) -> yaml.MarkedYAMLError | None:
    parser = CParser(text)
    try:
        while type(parser.get_event()) is not yaml.StreamEndEvent:
            pass
    except yaml.MarkedYAMLError as error:
        return error
    return None


def describe(node: Node) -> str:
    """What a node is, for messages: `a list`, `a mapping`, `no value` or the quoted text."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Mapping):
        return "a mapping"
    return "no value" if node.is_null else quoted(node.text)


class _StopError(Exception):
    """A fault after which nothing more of the file can be read."""

    def __init__(self, mark: Any, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.line: int = mark.line + 1
        self.column: int = mark.column + 1
        self.message = message
        self.hint = hint


class _Anchored(NamedTuple):
    """What an anchor stands for, the nodes in it, and the levels below it."""

    node: Node
    size: int
    height: int


class _Builder:
    """Turns libyaml's events into nodes, in the order written.

    Events rather than PyYAML's composed nodes: those carry two marks and a dictionary each, and the garbage collector spends
    several times as long on them as the parser does.
    """

    __slots__ = ("_anchors", "_count", "_deepest", "_depth", "_next", "_report", "read")

    def __init__(self, parser: Any, report: Report) -> None:
        self._next: Callable[[], Any] = parser.get_event
        self._report = report
        self.read: Node | None = None
        """The document, once it has been read to its end."""
        self._anchors: dict[str, _Anchored | None] = {}
        self._count = 0
        self._depth = 0
        self._deepest = 0

    def document(self) -> Node | None:
        """The only document of the stream; None when there is none."""
        self._next()  # the stream begins
        if type(self._next()) is yaml.StreamEndEvent:
            return None
        node = self._node(self._next())
        self.read = node
        self._next()  # the document ends
        event = self._next()
        if type(event) is not yaml.StreamEndEvent:
            raise _StopError(event.start_mark, "a second document begins here (---)", "one file holds one document")
        return None if isinstance(node, Scalar) and not node.text and node.plain else node

    def _node(self, event: Any) -> Node:
        self._count += 1
        if self._count > MAX_NODES:
            raise _StopError(event.start_mark, f"more than {MAX_NODES} values, aliases followed", _LONG)
        kind = type(event)
        if kind is yaml.AliasEvent:
            return self._aliased(event)
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._report.add(line, column, f"the tag {quoted(tag)} has no meaning here", "write the value alone")
        anchor = event.anchor
        if anchor is None:
            if kind is yaml.ScalarEvent:
                return Scalar(line, column, event.value, not event.style)
            return self._collection(kind, mark, line, column)
        if anchor in self._anchors:
            hint = "put a value that begins with & in single quotes, or rename one anchor"
            self._report.add(line, column, f"the anchor &{anchor} is defined twice", hint)
        self._anchors[anchor] = None
        first, deepest = self._count, self._deepest
        self._deepest = self._depth
        if kind is yaml.ScalarEvent:
            node: Node = Scalar(line, column, event.value, not event.style)
        else:
            node = self._collection(kind, mark, line, column)
        self._anchors[anchor] = _Anchored(node, self._count - first + 1, self._deepest - self._depth)
        self._deepest = max(deepest, self._deepest)
        return node

    def _collection(self, kind: type, mark: Any, line: int, column: int) -> Node:
        self._enter(mark, 1)
        read = self._next
        event = read()
        if kind is yaml.SequenceStartEvent:
            items: list[Node] = []
            while type(event) is not yaml.SequenceEndEvent:
                items.append(self._node(event))
                event = read()
            self._depth -= 1
            return Sequence(line, column, items)
        entries: list[MappingEntry] = []
        merged: list[MappingEntry] = []
        seen: dict[str, Scalar] = {}
        while type(event) is not yaml.MappingEndEvent:
            key = self._key(self._node(event))
            value = self._node(read())
            if key is not None:
                first = seen.setdefault(key.text, key)
                if first is not key:
                    message = f"duplicate key {quoted(key.text)}, first on line {first.line}"
                    hint = "keep one of them; a second one would hide the first"
                    self._report.add(key.line, key.column, message, hint)
                    _join(next(entry.value for entry in entries if entry.key is first), value)
                else:
                    entries.append(MappingEntry(key, value))
            elif isinstance(value, Mapping):
                merged.extend(value.entries)
            event = read()
        entries += [entry for entry in merged if seen.setdefault(entry.key.text, entry.key) is entry.key]
        self._depth -= 1
        return Mapping(line, column, entries)

    def _aliased(self, event: Any) -> Node:
        mark = event.start_mark
        if event.anchor not in self._anchors:
            hint = "put it in single quotes if it is meant as it stands"
            message = f"*{event.anchor} is an alias in YAML, and nothing is called &{event.anchor}"
            self._report.add(mark.line + 1, mark.column + 1, message, hint)
            self._report.mute(mark.line + 1)
            self._report.is_partial = True
            return Scalar(mark.line + 1, mark.column + 1, f"*{event.anchor}", plain=False)
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise _StopError(mark, f"the alias *{event.anchor} stands inside of what it refers to", "write the value out")
        self._count += anchored.size - 1
        if self._count > MAX_NODES:
            raise _StopError(mark, f"more than {MAX_NODES} values, aliases followed", _LONG)
        self._enter(mark, anchored.height)
        self._depth -= anchored.height
        return anchored.node

    def _enter(self, mark: Any, levels: int) -> None:
        self._depth += levels
        self._deepest = max(self._deepest, self._depth)
        if self._depth > MAX_DEPTH:
            hint = "nothing in a rule file or in the settings needs that"
            raise _StopError(mark, f"nested more than {MAX_DEPTH} levels deep", hint)

    def _key(self, key: Node) -> Scalar | None:
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


def _join(first: Node, second: Node) -> None:
    """Put what stands below a key said twice below the first one, so that it is looked at too."""
    match first, second:
        case Sequence(), Sequence():
            first.items.extend(second.items)
        case Mapping(), Mapping():
            first.entries.extend(second.entries)
        case _:
            pass


_LONG: Final = "write long lists into a file of their own: {file: lists/NAME.txt}"


def _mark_of(error: yaml.MarkedYAMLError) -> Any:
    """Where the fault is, as libyaml counts; None when it does not know."""
    if error.context_mark and "unexpected end of stream" in (error.problem or ""):
        return error.context_mark  # where the quote was opened says more than where the file ends
    return error.problem_mark or error.context_mark


def _report_syntax(error: yaml.MarkedYAMLError, text: str, report: Report, block: Block | None = None) -> None:
    """Say what libyaml said of a text, or of the text of one block."""
    opened, mark = error.context_mark, _mark_of(error)
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.splitlines()
    rest = "\n".join(lines[line:])[column:]
    before = lines[line][:column] if line < len(lines) else ""

    def place(number: int) -> int:
        return (block.line(number) if block else number) + 1

    opened_on = place(opened.line) if opened and opened.line != line else 0
    message, hint = syntax_words(error.problem or "", rest, opened_on, before)
    report.add(place(line), column + 1, message, hint)
