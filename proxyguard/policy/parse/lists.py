"""Lists of a rule file, written inline or one entry a line in a file of their own.

A list has no type: it becomes networks or texts by where it is used, and each use is converted once. A fault is reported at
the entry's own place, once, however many rules use the list. Reads list files through `ListFiles`, the only part with I/O.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from collections.abc import Sequence as Sequenced
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
from proxyguard.policy.parse.kept_lists import KeptLists
from proxyguard.policy.parse.list_formats import ListEntries, list_entries, place_beside, unreadable_as_list
from proxyguard.policy.parse.networks import read_network, read_published
from proxyguard.policy.parse.texts import read_text_value

MAX_FILE_BYTES: Final = 128 * 1024 * 1024
MAX_ENTRIES: Final = 2_000_000
"""Some 250 MB once read; the largest public block lists have a tenth of that."""

MAX_FAULTS: Final = 10
"""Faulty lines of one list file that are shown; a file of the wrong kind is faulty on every line."""

_LONGEST_PATH: Final = 500

LIST_HINT: Final = "[ENTRY, …] or {file: lists/NAME.txt}"


class ListSource:
    """The entries of one list, and what they were converted to.

    `is_file`: it was published perhaps by others, so what follows an address is left out, and bits beyond a prefix length too.
    `kept` has the last good entries, which take the place of faulty ones; `on_stale` is then told what is wrong.
    """

    __slots__ = ("_converted", "_entries", "_is_file", "_kept", "_on_stale", "_report", "_reported")

    def __init__(
        self,
        report: Report,
        entries: Callable[[], ListEntries],
        *,
        is_file: bool = False,
        kept: Callable[[], ListEntries] | None = None,
        on_stale: Callable[[Sequenced[Problem]], None] | None = None,
    ) -> None:
        self._report = report
        self._entries = entries
        self._is_file = is_file
        self._kept = kept
        self._on_stale = on_stale
        self._converted: dict[object, tuple[object, ...] | None] = {}
        self._reported: set[tuple[int, int]] = set()

    def networks(self) -> tuple[Network, ...]:
        """The entries as networks. Raises Reported when one is faulty."""
        return self._convert(None, read_published if self._is_file else read_network)

    def texts(self, field: str, kind: TextKind) -> tuple[bytes, ...]:
        """The entries as texts that a field is compared with. Raises Reported when one is faulty."""
        return self._convert((field, kind), lambda text: read_text_value(field, kind, text))

    def _convert[T](self, key: object, read: Callable[[str], T | None]) -> tuple[T, ...]:
        if key not in self._converted:
            self._converted[key] = self._read_all(read)
        converted = self._converted[key]
        if converted is None:
            raise Reported
        return converted  # type: ignore[return-value]  # one reader per key, so the type is the reader's

    def _read_all[T](self, read: Callable[[str], T | None]) -> tuple[T, ...] | None:
        found = Report(self._report.file)
        values = self._read(self._entries, read, found)
        if values is None and self._kept is not None and self._on_stale is not None:
            good = self._read(self._kept, read, Report(""))
            if good is not None:
                self._on_stale(found.problems)
                return good
        for problem in found.problems:
            if (problem.line, problem.column) not in self._reported:
                self._reported.add((problem.line, problem.column))
                self._report.add(problem.line, problem.column, problem.message, problem.hint)
        return values

    def _read[T](
        self, entries: Callable[[], ListEntries], read: Callable[[str], T | None], report: Report
    ) -> tuple[T, ...] | None:
        """The values of all entries; None, with the first faults in the report, when one is faulty."""
        values: dict[T, None] = {}
        faults = 0
        for line, column, text in entries():
            try:
                value = read(text)
            except Fault as fault:
                faults += 1
                if faults <= MAX_FAULTS:
                    report.add(line, column, fault.message, fault.hint)
            else:
                if value is not None:
                    values[value] = None
        if faults > MAX_FAULTS:
            last = report.problems[-1]
            message = f"{faults - MAX_FAULTS} more faulty entries in this list"
            report.add(last.line, last.column + 1, message, "is this the right file for this field?")
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
        if isinstance(node, Sequence):
            entries = read_each(node.items, self._report, lambda item: _inline_entry(item, subject))
            return ListSource(self._report, lambda: iter(entries))
        if isinstance(node, Mapping) and node.entries:
            file = read_keys(node, ("file",), self._report, subject).get("file")
            source = None if file is None else read_or_report(file, self._report, self.from_file)
            if source is None:
                raise Reported
            return source
        raise Fault(f"{subject} is empty", LIST_HINT)

    def from_file(self, node: Node) -> ListSource:
        """The list in a file that is named at the place of its use. Raises Fault."""
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
    """Reads list files below the rules directory, each once per load; remembers what it read or tried to.

    `kept` has what files held when they were last good. `stale` are the problems of those whose content of before stays in force.
    """

    def __init__(self, directory: Path, kept: KeptLists | None = None) -> None:
        self._directory = directory
        self._kept = kept
        self._sources: dict[Path, ListSource | Fault] = {}
        self._reports: list[Report] = []
        self._contents: dict[Path, bytes] = {}
        self.digests: dict[Path, str] = {}
        self.stale: list[Problem] = []

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every list file asked for, in path order, those that could not be read included."""
        return tuple(sorted(self._sources))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong inside of list files."""
        return tuple(problem for report in self._reports for problem in report.finished())

    def keep(self) -> None:
        """Remember the contents of all lists that were read without a fault, as those to go on with."""
        faulty = {problem.file for problem in (*self.stale, *self.problems)}
        if self._kept is not None:
            for place, data in self._contents.items():
                if str(place) not in faulty:
                    self._kept.write(place, data)

    def open(self, path: str, rule_file: str) -> ListSource:
        """The list in a file, named relative to the rule file's directory. Raises Fault."""
        place = self._place(path, rule_file)
        known = self._sources.get(place)
        if known is None:
            try:
                known = self._read(place)
            except Fault as fault:
                known = self._of_before(place, fault) or fault
            self._sources[place] = known
        if isinstance(known, Fault):
            raise known
        return known

    def _place(self, path: str, rule_file: str) -> Path:
        hint = "list files are named relative to the rule file, such as lists/NAME.txt"
        if Path(path).is_absolute():
            raise Fault(f"the list file {quoted(path)} has an absolute path", hint)
        place = place_beside(rule_file, path)
        inside = Path(os.path.abspath(place)).is_relative_to(os.path.abspath(self._directory))  # noqa: PTH100 - links stay as named
        if not inside or place.name in ("", ".."):
            raise Fault(f"the list file {quoted(path)} lies outside of the rules directory", hint)
        return place

    def _read(self, place: Path) -> ListSource:
        shown = f"the list file {quoted(str(place), _LONGEST_PATH)}"
        data = read_bounded(place, self._directory, MAX_FILE_BYTES, shown)
        self.digests[place] = hashlib.sha256(data).hexdigest()
        lines = data.count(b"\n") + 1
        if lines > MAX_ENTRIES:
            raise Fault(f"{shown} has {lines} lines", f"at most {MAX_ENTRIES}")
        report = Report(str(place))
        text = _decoded(data, report)
        entries = _entries_of(text, shown)
        self._reports.append(report)
        before = self._kept.read(place) if self._kept is not None else None
        if report.problems:
            source = self._of_before(place, Fault(report.problems[0].message, report.problems[0].hint))
            if source is not None:
                self._reports.remove(report)
                return source
        self._contents[place] = data if self._kept is not None else b""
        if before is None:
            return ListSource(report, entries, is_file=True)
        held = before

        def go_on(problems: Sequenced[Problem]) -> None:
            self.digests[place] = hashlib.sha256(held).hexdigest()
            self._on_stale(problems)

        kept = _entries_of(held.decode("utf-8-sig", "replace"), shown)
        return ListSource(report, entries, is_file=True, kept=kept, on_stale=go_on)

    def _of_before(self, place: Path, fault: Fault) -> ListSource | None:
        """The list as it was when it was last good, and the fault noted; None when it never was."""
        before = self._kept.read(place) if self._kept is not None else None
        if before is None:
            return None
        try:
            entries = _entries_of(before.decode("utf-8-sig"), "")
        except (Fault, UnicodeDecodeError):
            return None
        self.digests[place] = hashlib.sha256(before).hexdigest()
        self._on_stale([Problem(str(place), 0, 0, fault.message, fault.hint)])
        report = Report(str(place))
        self._reports.append(report)
        return ListSource(report, entries, is_file=True)

    def _on_stale(self, problems: Sequenced[Problem]) -> None:
        self.stale.extend(problem for problem in problems if problem not in self.stale)


def _decoded(data: bytes, report: Report) -> str:
    """The text of a list file. Each line that is not UTF-8 is a problem, and looked at no further."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Fault(f"the list file {quoted(report.file, _LONGEST_PATH)} is UTF-16", "save it as UTF-8")
    for number, line in enumerate(lines, 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            if len(report.problems) < MAX_FAULTS:
                column = len(line[: error.start].decode("utf-8", "replace")) + 1
                report.add(number, column, f"not UTF-8: byte 0x{line[error.start]:02x}", "save the file as UTF-8")
            lines[number - 1] = b""
    return b"\n".join(lines).decode()


def _entries_of(text: str, shown: str) -> Callable[[], ListEntries]:
    """The entries of a file's text, as often as they are wanted. Raises Fault when it is no list; `shown` begins the message."""
    fault = unreadable_as_list(text)
    try:
        if fault is None:
            list_entries(text)
    except Fault as unknown:
        fault = unknown
    if fault is not None:
        raise Fault(f"{shown} {fault.message}", fault.hint)
    return lambda: list_entries(text)


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
        raise Fault(f"{subject} cannot be read: {reason(error)}", neighbour(path)) from error
    if len(data) > most:
        raise Fault(f"{subject} has more than {most // 1024 // 1024} MiB", "split it")
    return data


def neighbour(path: Path) -> str:
    """A file beside a missing one that was probably meant."""
    try:
        names = [entry.name for entry in os.scandir(path.parent)][:1000] if not path.exists() and not path.is_symlink() else []
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


_ENTRIES: Final[Schema] = {"type": "array", "items": TEXT_SCHEMA}
_FILE: Final[Schema] = {
    "type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"], "additionalProperties": False,
}  # fmt: skip
_LISTS: Final[Schema] = {
    "type": "object", "minProperties": 1, "propertyNames": {"pattern": NAME_PATTERN},
    "additionalProperties": {"anyOf": [_ENTRIES, _FILE]},
}  # fmt: skip

LISTS: Final = Kind(lambda node, _report, _subject, around: around.define_lists(node), "lists by name", _LISTS)
