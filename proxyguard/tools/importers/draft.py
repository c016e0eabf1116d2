"""The result of an importer: rules, lists and tests as they will be written, and notes on what could not be carried over.

Values are plain: texts, lists and mappings in the order in which they are written. Knows nothing of YAML or of any source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

Plain = str | list[Any] | dict[str, Any]
"""A value in a rule file: a text (numbers are written as texts), a list or a mapping."""

MAX_NAME: Final = 64
MAX_NOTES_SHOWN: Final = 50

_NOT_IN_A_NAME: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Note:
    """A part of the source that was left out or changed. `line` 0: the whole file."""

    line: int
    text: str
    file: str = ""
    """The file that was included, when it is not the one that was named."""
    is_warning: bool = False
    """Something that would hurt people if it were not read."""

    @property
    def place(self) -> str:
        """`FILE:LINE: `, `line LINE: ` or nothing."""
        if self.file:
            return f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return f"line {self.line}: " if self.line else ""

    def __str__(self) -> str:
        return f"{'WARNING: ' if self.is_warning else ''}{self.place}{self.text}"


@dataclass(slots=True, kw_only=True)
class DraftRule:
    """A rule to be written. `line` is its place in the source."""

    name: str
    why: str
    when: dict[str, Any]
    action: Plain
    limit: dict[str, Any] | None = None
    expires: str | None = None
    mode: str | None = None
    """A mode of its own, weaker than the file's."""
    line: int = 0


@dataclass(slots=True)
class DraftTest:
    """A request, sent `repeat` times at once, and the decision that it expects; then perhaps another step."""

    request: dict[str, Any]
    expect: Plain
    repeat: int = 1
    under_way: int = 0
    status: str = ""
    """What the site answers, for limits that count answers."""
    then: DraftTest | None = None

    @property
    def rule(self) -> str:
        """The rule that it expects; an empty text when it names none."""
        if isinstance(self.expect, dict):
            return str(self.expect.get("rule", ""))
        return str(self.expect).partition(" by ")[2]


@dataclass(slots=True)
class Draft:
    """A rule file that is not written yet."""

    name: str
    description: str
    lists: dict[str, list[str]] = field(default_factory=dict)
    rules: list[DraftRule] = field(default_factory=list)
    tests: list[DraftTest] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def note(self, line: int, text: str, file: str = "") -> None:
        """Note a part of the source that was left out or changed, once."""
        found = Note(line, text, file)
        if found not in self.notes:
            self.notes.append(found)

    def warn(self, line: int, text: str) -> None:
        """Note something that would hurt people if it were not read."""
        self.notes.append(Note(line, text, is_warning=True))

    def add(self, label: str, why: str, when: dict[str, Any], action: Plain, line: int = 0, **more: Any) -> DraftRule:
        """Add a rule, with a name made of the label."""
        rule = DraftRule(name=self.rule_name(label), why=why, when=when, action=action, line=line, **more)
        self.rules.append(rule)
        return rule

    def rule_name(self, text: str) -> str:
        """A name for a new rule that no other rule of the draft has; it begins with the rule set's."""
        wanted = slug(f"{self.name}-{text}") if not slug(text).startswith(self.name) else slug(text)
        taken = {rule.name for rule in self.rules}
        name, count = wanted, 2
        while name in taken:
            tail = f"-{count}"
            name, count = wanted[: MAX_NAME - len(tail)].rstrip("-") + tail, count + 1
        return name


class ImportFault(Exception):
    """The file cannot be imported at all; the message says why. `file` is the one of several where that is."""

    def __init__(self, message: str, file: str = "") -> None:
        super().__init__(message)
        self.file = file


class NotCarried(Exception):
    """A part that the rule language has no form for. The message names it and says why."""


def not_carried(reason: str) -> NoReturn:
    """Raises NotCarried."""
    raise NotCarried(reason)


def slug(text: str) -> str:
    """A text as a name: lower-case letters, digits and single hyphens; `rule` when nothing of it is left."""
    return _NOT_IN_A_NAME.sub("-", text.lower()).strip("-")[:MAX_NAME].rstrip("-") or "rule"


def one_or_list(values: list[str]) -> str | list[str]:
    """The distinct values in their order; a single one as itself."""
    distinct = list(dict.fromkeys(values))
    return distinct[0] if len(distinct) == 1 else distinct
