"""Settings as somebody gave them: their values as far as they can be read, and where each stands.

Knows nothing of what the settings are, or of how they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from proxyguard.core.problems import Problem, Report
from proxyguard.core.settings import Settings
from proxyguard.core.yaml.nodes import Mapping as MappingNode
from proxyguard.core.yaml.nodes import Node, Scalar, Sequence


@dataclass(frozen=True, slots=True)
class GivenSetting:
    """One setting as somebody gave it. Relative paths in it start from `base`."""

    node: Node
    report: Report
    base: Path

    def is_text(self, text: str) -> bool:
        """Whether it was given as this one word."""
        return isinstance(self.node, Scalar) and self.node.text == text


@dataclass(frozen=True, slots=True)
class SettingsAsGiven:
    """`settings` has defaults for what was not given and for what is wrong; `problems` say what is wrong.

    `faulty` are the settings without a value, `is_whole` whether the file could be read to its end.
    """

    settings: Settings
    problems: tuple[Problem, ...]
    given: Mapping[str, GivenSetting]
    faulty: frozenset[str]
    is_whole: bool
    file: str = "settings"
    """The settings file, which is the place of what nobody gave; this word when there is none."""

    def problem(self, key: str, message: str, hint: str = "") -> Problem:
        """A problem at the place of a setting; `sites.1.certificate.key` is a part of the second site.

        The parts of the only site are settings of their own: `sites.0.upstream` is `upstream` where there is no `sites`.
        """
        name, below = self._name_of(key)
        given = self.given.get(name)
        if given is None:
            return Problem(self.file, 0, 0, message, hint)
        node = given.node
        for part in below:
            inner = _part_of(node, part)
            if inner is None:
                break
            node = inner
        return Problem(given.report.file, node.line, node.column, message, hint)

    def is_known(self, key: str) -> bool:
        """Whether the value that the settings have for it is what was meant."""
        name, _ = self._name_of(key)
        return name not in self.faulty and (self.is_whole or name in self.given)

    def shown(self, key: str) -> str:
        """A setting's name as its giver knows it."""
        name, below = self._name_of(key)
        return ".".join((name, *(part for part in below if not part.isdecimal())))

    def _name_of(self, key: str) -> tuple[str, tuple[str, ...]]:
        """The setting that has a key, and the way to the key in its value."""
        parts = tuple(key.split("."))
        if parts[0] == "sites" and "sites" not in self.given:
            parts = parts[2:]
        for length in range(len(parts), 0, -1):
            name = ".".join(parts[:length])
            if name in self.given or name in self.faulty:
                return name, parts[length:]
        return ".".join(parts), ()


def _part_of(node: Node, part: str) -> Node | None:
    match node:
        case Sequence(items=items) if part.isdecimal():
            return items[int(part)] if int(part) < len(items) else None
        case MappingNode():
            return node.get(part)
        case Scalar() if part == "0":
            return node
        case _:
            return None
