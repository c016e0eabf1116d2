"""Rule files and list files as they are written: where texts stand, how lists are defined, which comments ignore what.

A policy knows the place of each rule; this knows the places below it. Reads the files once more. Knows nothing of lints.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from proxyguard.core.problems import Fault, Report
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar, Sequence, read_yaml
from proxyguard.policy.model import Place, Rule
from proxyguard.policy.parse.list_formats import list_entries, place_beside
from proxyguard.policy.parse.lists import unescaped

IGNORE: Final = re.compile(r"(?:^|\s)#.*\bproxyguard:\s*ignore(?P<file>-file)?\s+(?P<codes>[A-Za-z0-9]+(?:[,\s]+PG\d+)*)")
"""`# proxyguard: ignore PG020, PG022`, the reason before or after it; or `ignore-file` for the whole file."""


class Ignore(NamedTuple):
    """One comment that asks to ignore codes: on its own line, and on the next when it stands alone; or in the whole file."""

    line: int
    codes: tuple[str, ...]
    alone: bool
    whole_file: bool


class ListEntry(NamedTuple):
    """One entry of a list, where it stands."""

    place: Place
    text: str
    is_own_line: bool
    """Whether its line holds nothing else, so that deleting the line deletes the entry."""


class WrittenList(NamedTuple):
    name: str
    place: Place
    file: Path | None
    """None when it is written inline."""
    entries: tuple[ListEntry, ...]


@dataclass
class SourceFile:
    path: str
    text: str
    root: Mapping | None
    _rules: dict[tuple[int, int], Mapping] = field(default_factory=dict)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def ignores(self) -> tuple[Ignore, ...]:
        return ignores_of(self.lines)

    def rule_node(self, rule: Rule) -> Mapping | None:
        """The mapping of a rule, or of the override that has its place."""
        if not self._rules:
            rules = self.root.get("rules") if self.root else None
            for item in rules.items if isinstance(rules, Sequence) else ():
                if isinstance(item, Mapping):
                    self._rules[item.line, item.column] = item
            overrides = self.root.get("override") if self.root else None
            for entry in overrides if isinstance(overrides, Mapping) else ():
                if isinstance(entry.value, Mapping):
                    self._rules[entry.key.line, entry.key.column] = entry.value
        return self._rules.get((rule.place.line, rule.place.column))

    def place(self, node: Node) -> Place:
        return Place(self.path, node.line, node.column)

    @cached_property
    def lists(self) -> tuple[WrittenList, ...]:
        """The lists that the file defines; those in files are read, as far as they can be."""
        node = self.root.get("lists") if self.root else None
        return tuple(self._list(entry.key, entry.value) for entry in node) if isinstance(node, Mapping) else ()

    def _list(self, key: Scalar, value: Node) -> WrittenList:
        place = self.place(key)
        if isinstance(value, Sequence):
            scalars = [item for item in value.items if isinstance(item, Scalar)]
            entries = tuple(ListEntry(self.place(item), unescaped(item.text), self._is_item_alone(item)) for item in scalars)
            return WrittenList(key.text, place, None, entries)
        name = value.get("file") if isinstance(value, Mapping) else None
        if not isinstance(name, Scalar):
            return WrittenList(key.text, place, None, ())
        file = place_beside(self.path, name.text)
        return WrittenList(key.text, place, file, file_entries(file))

    def _is_item_alone(self, item: Scalar) -> bool:
        alone = rf"\s*- +(['\"]?){re.escape(item.text)}\1\s*"
        return re.fullmatch(alone, self.lines[item.line - 1]) is not None

    def references(self) -> set[str]:
        """Names of the lists that conditions use."""
        parts = [entry.value for entry in self.root if entry.key.text not in ("lists", "tests")] if self.root else []
        found: set[str] = set()
        for scalar in (scalar for part in parts for scalar in scalars_of(part)):
            if scalar.text.startswith("$") and not scalar.text.startswith("$$"):
                found.add(scalar.text[1:])
        return found

    def find_text(self, rule: Rule, texts: Iterable[str]) -> Place:
        """Where the first of these texts stands in a rule's condition, or in a list that it uses; else the rule's place."""
        wanted = set(texts)
        node = self.rule_node(rule)
        when = node.get("when") if node else None
        by_name = {written.name: written for written in self.lists}
        for scalar in scalars_of(when) if when else ():
            if unescaped(scalar.text) in wanted:
                return self.place(scalar)
            written = by_name.get(scalar.text[1:]) if scalar.text.startswith("$") else None
            for entry in written.entries if written else ():
                if entry.text in wanted:
                    return entry.place
        return rule.place

    def find_key(self, rule: Rule, *keys: str) -> Place:
        """Where a key of a rule stands, the next one below it, and so on; else the rule's place."""
        node: Node | None = self.rule_node(rule)
        place = rule.place
        for key in keys:
            entry = next((entry for entry in node if entry.key.text == key), None) if isinstance(node, Mapping) else None
            if entry is None:
                return place
            place, node = self.place(entry.key), entry.value
        return place


def read_source(path: str) -> SourceFile:
    """Read a rule file again; one that cannot be read any more has no nodes."""
    try:
        data = Path(path).read_bytes()
    except OSError:
        data = b""
    root = read_yaml(data, Report(path)) if data else None
    text = data.decode("utf-8-sig", "replace")
    return SourceFile(path, text, root if isinstance(root, Mapping) else None)


def file_entries(path: Path) -> tuple[ListEntry, ...]:
    """The entries of a list file; none when it cannot be read."""
    try:
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError:
        return ()
    try:
        entries = list_entries(text)
    except Fault:
        return ()
    lines = text.split("\n")
    return tuple(
        ListEntry(Place(str(path), line, column), entry, lines[line - 1].lstrip().startswith(entry))  # of JSON none is
        for line, column, entry in entries
    )


def scalars_of(node: Node) -> Iterator[Scalar]:
    """Every value below a node, keys left out."""
    match node:
        case Scalar():
            yield node
        case Sequence():
            for item in node.items:
                yield from scalars_of(item)
        case Mapping():
            for entry in node:
                yield from scalars_of(entry.value)


def ignores_of(lines: Iterable[str]) -> tuple[Ignore, ...]:
    """The comments of a file that ask to ignore something."""
    found = []
    for number, line in enumerate(lines, 1):
        if "proxyguard:" in line and (match := IGNORE.search(line)):
            codes = tuple(code.upper() for code in re.split(r"[,\s]+", match["codes"]))
            alone = line.lstrip().startswith("#")
            found.append(Ignore(number, codes, alone, match["file"] is not None))
    return tuple(found)
