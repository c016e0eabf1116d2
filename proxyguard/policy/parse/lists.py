"""Lists of a rule file, written inline or one entry a line in a file of their own.

A list has no type: it becomes networks or texts by where it is used, and each use is converted once. A fault is reported at
the entry's own place, once, however many rules use the list. Reads list files through `ListFiles`, the only part with I/O.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from proxyguard.core.address import Network
from proxyguard.core.problems import Fault, Problem, Report, listed, nearest, quoted
from proxyguard.core.yaml.kinds import NAME_PATTERN, TEXT_SCHEMA, Kind, Schema
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar, Sequence
from proxyguard.core.yaml.values import (
    Reported,
    not_what,
    read_each,
    read_keys,
    read_mapping,
    read_name,
    read_or_report,
    read_text,
)
from proxyguard.policy.model import TextKind
from proxyguard.policy.parse.networks import read_network
from proxyguard.policy.parse.texts import read_text_value

MAX_FILE_BYTES: Final = 128 * 1024 * 1024
MAX_ENTRIES: Final = 2_000_000
"""Some 250 MB once read; the largest public block lists have a tenth of that."""

MAX_FAULTS: Final = 10
"""Faulty lines of one list file that are shown; a file of the wrong kind is faulty on every line."""

_LONGEST_PATH: Final = 500

LIST_HINT: Final = "[ENTRY, …] or {file: lists/NAME.txt}"

Place = tuple[int, int]


class ListSource:
    """The entries of one list, and what they were converted to."""

    __slots__ = ("_converted", "_entries", "_report", "_reported")

    def __init__(self, report: Report, entries: Callable[[], Iterator[tuple[int, int, str]]]) -> None:
        self._report = report
        self._entries = entries
        self._converted: dict[object, tuple[object, ...] | None] = {}
        self._reported: set[tuple[int, int]] = set()

    def networks(self) -> tuple[Network, ...]:
        """The entries as networks. Raises Reported when one is faulty."""
        return self._convert(None, read_network)

    def texts(self, field: str, kind: TextKind) -> tuple[bytes, ...]:
        """The entries as texts that a field is compared with. Raises Reported when one is faulty."""
        return self._convert((field, kind), lambda text: read_text_value(field, kind, text))

    def _convert[T](self, key: object, read: Callable[[str], T]) -> tuple[T, ...]:
        if key not in self._converted:
            self._converted[key] = self._read_all(read)
        converted = self._converted[key]
        if converted is None:
            raise Reported
        return converted  # type: ignore[return-value]  # one reader per key, so the type is the reader's

    def _read_all[T](self, read: Callable[[str], T]) -> tuple[T, ...] | None:
        values: dict[T, None] = {}
        faults = 0
        for line, column, text in self._entries():
            try:
                values[read(text)] = None
            except Fault as fault:
                faults += 1
                if faults <= MAX_FAULTS and (line, column) not in self._reported:
                    self._reported.add((line, column))
                    self._report.add(line, column, fault.message, fault.hint)
        if faults > MAX_FAULTS and (-1, -1) not in self._reported:
            self._reported.add((-1, -1))
            line, column = max(self._reported)
            message = f"{faults - MAX_FAULTS} more faulty entries in this list"
            self._report.add(line, column + 1, message, "is this the right file for this field?")
        return None if faults else tuple(values)


class Lists:
    __slots__ = ("_files", "_report", "_sources")

    def __init__(self, report: Report, files: ListFiles | None) -> None:
        self._report = report
        self._files = files
        self._sources: dict[str, ListSource | None] = {}

    def define(self, node: Node) -> None:
        """Read the `lists` of a rule file. Raises Fault when it is not a mapping."""
        for entry in read_mapping(node, "lists", f"lists: {{NAME: {LIST_HINT}}}"):
            name = read_or_report(entry.key, self._report, read_name, "the list")
            source = read_or_report(entry.value, self._report, self._source, f"the list {quoted(entry.key.text)}")
            if name is not None:
                self._sources[name] = source

    def find(self, reference: str) -> ListSource:
        """The list that `$name` refers to. Raises Fault; Reported when its definition is faulty."""
        name = reference[1:]
        if name in self._sources:
            source = self._sources[name]
            if source is None:
                raise Reported
            return source
        if self._report.is_partial:
            raise Reported  # it may stand in what could not be read
        if not name:
            raise Fault("$ without the name of a list", "write $$ for a text that begins with $")
        near = nearest(name, self._sources)
        known = f"lists of this file: {listed(self._sources)}" if self._sources else "this file defines no lists"
        hint = f"did you mean '${near}'?" if near else f"{known}; write $$ for a text that begins with $"
        raise Fault(f"unknown list {quoted(reference)}", hint)

    def _source(self, node: Node, subject: str) -> ListSource:
        if isinstance(node, Scalar):
            raise Fault(not_what(node, subject, "a list or a file"), LIST_HINT)
        if isinstance(node, Sequence) and node.items:
            entries = read_each(node.items, self._report, lambda item: _inline_entry(item, subject))
            return ListSource(self._report, lambda: iter(entries))
        if isinstance(node, Mapping) and node.entries:
            file = read_keys(node, ("file",), self._report, subject).get("file")
            source = None if file is None else read_or_report(file, self._report, self._from_file)
            if source is None:
                raise Reported
            return source
        raise Fault(f"{subject} is empty", LIST_HINT)

    def _from_file(self, node: Node) -> ListSource:
        path = read_text(node, "file", 1000)
        if self._files is None:
            raise Fault("list files cannot be read here", "write the entries into the rule file")
        return self._files.open(path, self._report.file)


def _inline_entry(item: Node, subject: str) -> tuple[int, int, str]:
    if not isinstance(item, Scalar) or item.is_null:
        raise Fault(not_what(item, f"an entry of {subject}", "a text"))
    if item.text.startswith("$") and not item.text.startswith("$$"):
        hint = "name both lists where they are used: [$a, $b]; write $$ for a text that begins with $"
        raise Fault(f"a list cannot refer to another: {quoted(item.text)}", hint)
    return item.line, item.column, unescaped(item.text)


class ListFiles:
    """Reads list files below the rules directory, each once per load; remembers what it read or tried to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sources: dict[Path, ListSource | Fault] = {}
        self._reports: list[Report] = []
        self.digests: dict[Path, str] = {}

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every list file asked for, in path order, those that could not be read included."""
        return tuple(sorted(self._sources))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong inside of list files."""
        return tuple(problem for report in self._reports for problem in report.finished())

    def open(self, path: str, rule_file: str) -> ListSource:
        """The list in a file, named relative to the rule file's directory. Raises Fault."""
        place = self._place(path, rule_file)
        known = self._sources.get(place)
        if known is None:
            try:
                known = self._read(place)
            except Fault as fault:
                known = fault
            self._sources[place] = known
        if isinstance(known, Fault):
            raise known
        return known

    def _place(self, path: str, rule_file: str) -> Path:
        hint = "list files are named relative to the rule file, such as lists/NAME.txt"
        if Path(path).is_absolute():
            raise Fault(f"the list file {quoted(path)} has an absolute path", hint)
        place = Path(os.path.normpath(Path(rule_file).parent / path))
        if not place.is_relative_to(os.path.normpath(self._directory)) or place.name in ("", ".."):
            raise Fault(f"the list file {quoted(path)} lies outside of the rules directory", hint)
        return place

    def _read(self, place: Path) -> ListSource:
        shown = f"the list file {quoted(str(place), _LONGEST_PATH)}"
        data = read_bounded(place, self._directory, MAX_FILE_BYTES, shown)
        self.digests[place] = hashlib.sha256(data).hexdigest()
        lines = data.count(b"\n") + 1
        if lines > MAX_ENTRIES:
            raise Fault(f"{shown} has {lines} lines", f"at most {MAX_ENTRIES}")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise Fault(f"{shown} is not UTF-8 on line {line}", "save it as UTF-8") from error
        if next(list_entries(text), None) is None:
            raise Fault(f"{shown} has no entry", "one entry a line; # begins a comment")
        report = Report(str(place))
        self._reports.append(report)
        return ListSource(report, lambda: list_entries(text))


def list_entries(text: str) -> Iterator[tuple[int, int, str]]:
    """Line, column and text of each entry. A comment begins with # at the start of a line or after a blank."""
    for number, line in enumerate(text.split("\n"), 1):
        if "#" in line:
            line = _without_comment(line)  # noqa: PLW2901 - the rest of the loop wants the line without its comment
        entry = line.strip()
        if entry:
            yield number, line.index(entry[0]) + 1, entry


def _without_comment(line: str) -> str:
    position = line.find("#")
    while position > 0 and line[position - 1] not in " \t":
        position = line.find("#", position + 1)
    return line if position < 0 else line[:position]


def unescaped(text: str) -> str:
    """`$$` at the beginning of a text stands for `$`."""
    return text[1:] if text.startswith("$$") else text


def read_bounded(path: Path, directory: Path, most: int, subject: str) -> bytes:
    """The bytes of a regular file inside of `directory`, links followed; `subject` begins messages. Raises Fault."""
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(directory.resolve()):
            raise Fault(f"{subject} is a link that leaves the rules directory", "copy or mount the file into it")
        if not stat.S_ISREG(real.stat().st_mode):
            raise Fault(f"{subject} is not a file")
        with real.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, RuntimeError) as error:
        raise Fault(f"{subject} cannot be read: {reason(error)}", _neighbour(path)) from error
    if len(data) > most:
        raise Fault(f"{subject} has more than {most // 1024 // 1024} MiB", "split it")
    return data


def _neighbour(path: Path) -> str:
    """A file beside a missing one that was probably meant."""
    try:
        names = [entry.name for entry in os.scandir(path.parent)][:1000] if not path.exists() else []
    except OSError:
        return ""
    near = nearest(path.name, names, cutoff=0.75)
    return f"did you mean {quoted(near)}, which is there?" if near else ""


def reason(error: OSError | RuntimeError) -> str:
    """The operating system's words, in lower case, without the path."""
    if isinstance(error, RuntimeError):  # Path.resolve of a loop, before Python 3.13
        return os.strerror(errno.ELOOP).lower()
    words = error.strerror or str(error)
    return words[:1].lower() + words[1:]


_ENTRIES: Final[Schema] = {"type": "array", "items": TEXT_SCHEMA, "minItems": 1}
_FILE: Final[Schema] = {
    "type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"], "additionalProperties": False,
}  # fmt: skip
_LISTS: Final[Schema] = {
    "type": "object", "minProperties": 1, "propertyNames": {"pattern": NAME_PATTERN},
    "additionalProperties": {"anyOf": [_ENTRIES, _FILE]},
}  # fmt: skip

LISTS: Final = Kind(lambda node, _report, _subject, around: around.define_lists(node), "lists by name", _LISTS)
