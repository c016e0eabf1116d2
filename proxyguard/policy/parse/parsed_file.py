"""What the reader found in one rule file, as far as it could be read, and the names in it that other files may take or want."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from proxyguard.core.problems import Report
from proxyguard.core.yaml.kinds import KEBAB, Found, Kind
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_name
from proxyguard.policy.model import Condition, Place, RuleSet

type Mention = tuple[str, int, int]
"""A name, with the line and column where it stands."""


@dataclass(slots=True)
class ParsedFile:
    """Names are kept even when the rest of their rule is faulty."""

    report: Report
    rule_set: RuleSet | None = None
    readable: bool = True
    """Whether all of it was YAML."""
    name: Mention | None = None
    rule_names: list[Mention] = field(default_factory=list)
    expected_rules: list[Mention] = field(default_factory=list)
    left_out_rules: list[Mention] = field(default_factory=list)
    counted_rules: list[Mention] = field(default_factory=list)
    """Rules whose refusals some limit or condition counts."""
    imports: list[Mention] = field(default_factory=list)
    overrides: list[Any] = field(default_factory=list)
    """`overrides.Override`, which is read with this module's help."""
    imported_by: tuple[Report, int, int] | None = None
    """Where another file says that it imports this one."""
    account: tuple[int, int] | None = None
    """Where it says how accounts are known."""
    account_uses: list[Mention] = field(default_factory=list)
    forms: list[Mention] = field(default_factory=list)
    form_uses: list[Mention] = field(default_factory=list)
    items: list[Mention] = field(default_factory=list)
    """The kinds of items that it defines."""
    item_uses: list[Mention] = field(default_factory=list)
    """What asks for items, in the words of the file: `heat`, `per: item`."""
    item_kind_uses: list[Mention] = field(default_factory=list)
    classes: dict[str, tuple[int, int]] = field(default_factory=dict)
    class_uses: list[Mention] = field(default_factory=list)
    restriction_names: list[Mention] = field(default_factory=list)
    expected_restrictions: list[Mention] = field(default_factory=list)


class Surroundings(NamedTuple):
    """What the readers of a file's parts are given: where to note names, and how the file's lists and conditions are read."""

    parsed: ParsedFile
    define_lists: Callable[[Node], None]
    read_condition: Callable[[Node, str], Condition]


def place_of(found: Found) -> Place:
    """Where a mapping begins."""
    return Place(found.report.file, found.mapping.line, found.mapping.column)


def noted_name(mentions: Callable[[ParsedFile], list[Mention]]) -> Kind:
    """A name, noted with its place even when the rest of what it names is faulty."""

    def read(node: Node, _report: Report, subject: str, around: Any) -> str:
        name = read_name(node, subject)
        mentions(around.parsed).append((name, node.line, node.column))
        return name

    return Kind(read, KEBAB.takes, KEBAB.schema)


CONDITION: Final = Kind(
    lambda node, _report, subject, around: around.read_condition(node, subject), "condition", {"$ref": "#/definitions/condition"}
)
