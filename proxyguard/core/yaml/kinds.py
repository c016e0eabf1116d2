"""Kinds of values, and mappings as tables of them: how each is read, what a reference calls it, and what editors know of it.

One row says all of it, so that no key can be in the reader and not in the schema. A schema cannot say all that a reader checks:
it accepts what the reader accepts, written without needless quotes. Knows nothing of rules or settings.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.units import UNIT_BYTES, UNIT_SECONDS, parse_duration
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar, Sequence
from proxyguard.core.yaml.values import (
    MAX_NAME_CHARACTERS,
    NAME,
    Reported,
    complain,
    read_choice,
    read_duration,
    read_each,
    read_integer,
    read_keys,
    read_mapping,
    read_name,
    read_number,
    read_or_report,
    read_prose,
    read_sequence,
    read_size,
    read_text,
    read_truth,
)

NOTHING: Final = object()
"""What a reader returns for a value that is switched off."""

type Schema = dict[str, Any]

type Reader = Callable[[Node, Report, str, Any], Any]
"""Reads a node. Raises Fault for what is wrong with it; Reported when that is in the report already.

The text is what messages call the value. The last argument is what the reader has to know of the place: the directory that
relative paths of settings start from, or the rule file that is being read.
"""

DURATION_PATTERN: Final = rf"[0-9]+(\.[0-9]+)?({'|'.join(UNIT_SECONDS)})"
NAME_PATTERN: Final = f"^{NAME.pattern.replace('?:', '')}$"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value. `takes` is its name in the reference, `schema` its JSON Schema, `off` a word that switches it off."""

    reader: Reader
    takes: str
    schema: Schema
    off: str = ""

    def read(self, node: Node, report: Report, subject: str, around: Any = None) -> Any:
        """The value; None exactly when something is wrong with it, which is then in the report."""
        return read_or_report(node, report, self.reader, report, subject, around)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a mapping: what it takes, and what editors say of it.

    `required` are message and hint when it is left out; `{named}` in the message becomes the name of the mapping, if it has one.
    `attribute` is the attribute that it fills, the key's own name unless given, none when None.
    """

    kind: Kind
    about: str = ""
    required: tuple[str, str] | None = None
    examples: tuple[Any, ...] = ()
    attribute: str | None = ""
    subject: str = ""

    @property
    def schema(self) -> Schema:
        """The JSON Schema of the value, with the key's description."""
        about = {"description": self.about} if self.about else {}
        return {**self.kind.schema, **about, **({"examples": list(self.examples)} if self.examples else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTable:
    """A mapping: its keys in the order of the reference, what messages call it, and the hint when it is something else.

    `meant` maps words people use to hints. `is_quiet`: of keys that are missing only the first is reported, and none beside a key
    that is unknown, which may be the missing one misspelt. `prefixed`: messages about values begin with the mapping's name, as in
    `certificate.key`.
    """

    subject: str
    keys: dict[str, Key]
    example: str = ""
    meant: MappingOf[str, str] = field(default_factory=dict)
    may_be_empty: bool = False
    is_quiet: bool = False
    prefixed: bool = False

    def read(self, node: Node, report: Report, around: Any = None, *, subject: str = "", hint: str = "") -> Found:
        """Read every key that is there. Raises Fault when the node is no such mapping.

        `subject` and `hint` take the place of the table's.
        """
        subject = subject or self.subject
        before = report.count
        mapping = node if isinstance(node, Mapping) and self.may_be_empty else read_mapping(node, subject, hint or self.example)
        nodes = read_keys(mapping, self.keys, report, subject, self.meant)
        is_silent = self.is_quiet and report.count > before
        found = Found(self, mapping, report, before, nodes)
        for name, key in self.keys.items():
            if name in nodes:
                called = f"{subject}.{name}" if self.prefixed else key.subject or name
                value = key.kind.read(nodes[name], report, called, around)
                if value is not None:
                    found.values[name] = value
                elif key.attribute is not None:
                    found.is_complete = False
            elif key.required and report.is_partial:
                found.is_complete = False
            elif key.required and not is_silent:
                is_silent = self.is_quiet
                named = found.values.get("name")
                message = key.required[0].format(named=f" {quoted(named)}" if named else "", subject=subject)
                complain(report, mapping, message, key.required[1])
        return found

    def schema(self, **more: Any) -> Schema:
        required = [name for name, key in self.keys.items() if key.required]
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: key.schema for name, key in self.keys.items()},
            **({"required": required} if required else {}),
            **more,
        }


@dataclass(slots=True)
class Found:
    """A mapping that was read: its values, without the faulty ones, and the nodes that they were read from."""

    table: KeyTable
    mapping: Mapping
    report: Report
    before: int
    nodes: dict[str, Node] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    is_complete: bool = True
    """Whether all that is required has a value; it may stand in a part of the file that could not be read."""

    @property
    def is_sound(self) -> bool:
        """Whether the mapping is whole, and nothing was reported since it was begun."""
        return self.is_complete and self.report.count == self.before

    def get(self, key: str, default: Any = None) -> Any:
        """The value; `default` when the key is not there, None when it is faulty."""
        return self.values.get(key) if key in self.nodes else default

    def read(self, key: str, reader: Callable[[Node], Any]) -> Any:
        """What can only be read together with other values; None when the key is not there or its value is faulty."""
        return read_or_report(self.nodes[key], self.report, reader) if key in self.nodes else None

    def complain(self, key: str, message: str, hint: str = "") -> None:
        """Add a problem at the place of a key's value, or of the mapping when the key is not there."""
        complain(self.report, self.nodes.get(key, self.mapping), message, hint)

    def sound(self) -> Found:
        """Itself. Raises Reported when something is wrong with it."""
        if not self.is_sound:
            raise Reported
        return self

    def fill[T](self, value: Callable[..., T], **more: Any) -> T:
        """A value made of the attributes. Raises Reported when something is wrong with the mapping."""
        return value(**self.sound().attributes(**more))

    def attributes(self, **more: Any) -> dict[str, Any]:
        """The values by the attribute that they fill; `more` are added or put in their place."""
        keys = self.table.keys
        filled = {keys[name].attribute or name: value for name, value in self.values.items() if keys[name].attribute is not None}
        return filled | more


def plain(read: Callable[..., Any], *arguments: Any) -> Reader:
    """A reader of a function that knows nothing of the place; `arguments` are those after the subject."""
    return lambda node, _report, subject, _around: read(node, subject, *arguments)


def made(table: KeyTable, make: Callable[[Found], Any]) -> Reader:
    """A reader of a mapping, and what is made of it when all of it is sound."""
    return lambda node, report, subject, around: make(table.read(node, report, around, subject=subject).sound())


def filled(table: KeyTable, value: type[Any]) -> Reader:
    """A reader of a mapping whose keys are the attributes of a value."""
    return lambda node, report, subject, around: table.read(node, report, around, subject=subject).fill(value)


def whole(low: int, high: int, takes: str = "number") -> Kind:
    return Kind(plain(read_integer, low, high), takes, {"type": "integer", "minimum": low, "maximum": high})


def number(low: float, high: float, takes: str = "number") -> Kind:
    return Kind(plain(read_number, low, high), takes, {"type": "number", "minimum": low, "maximum": high})


def duration(low: float, high: float, off: str = "") -> Kind:
    """Seconds; `off` is a word that switches the value off."""
    shown = [each for each in ("500ms", "30s", "5m", "1h", "7d") if low <= parse_duration(each) <= high]
    schema = {"type": "string", "pattern": _whole_text(DURATION_PATTERN, off), "examples": shown}
    return Kind(_or_off(plain(read_duration, low, high, off), off), _with_off("duration", off), schema, off)


def size(low: int, high: int, off: str = "") -> Kind:
    """Bytes; `off` is a word that switches the value off."""
    pattern = _whole_text(rf"[0-9]+({'|'.join(UNIT_BYTES)})?", off)
    schema = {"type": ["integer", "string"], "pattern": pattern, "minimum": low, "maximum": high}
    return Kind(_or_off(plain(read_size, low, high, off), off), _with_off("size", off), schema, off)


def word(choices: type[StrEnum], meant: MappingOf[str, str] | None = None) -> Kind:
    """One of a few words."""

    *others, last = (str(choice) for choice in choices)
    read = plain(lambda node, subject: choices(read_choice(node, subject, tuple(choices), meant)))
    return Kind(read, f"{', '.join(others)} or {last}", {"enum": [*others, last]})


def text(longest: int, *, empty: bool = False) -> Kind:
    """A text on one line."""
    return Kind(plain(lambda node, subject: read_text(node, subject, longest, empty=empty)), "text", TEXT_SCHEMA)


def prose(longest: int) -> Kind:
    return Kind(plain(read_prose, longest), "text", TEXT_SCHEMA)


def listed_in(noun: str, item: Kind, most: int, *, example: str, owner: str = "the file", advice: str = "") -> Kind:
    """A list of 1 to `most` items; faulty ones are left out. Messages call several of them `noun`, and one what it takes."""

    def read(node: Node, report: Report, subject: str, around: Any) -> Any:
        sequence = read_sequence(node, subject, example)
        if len(sequence.items) > most:
            raise Fault(f"{owner} has {len(sequence.items)} {noun}", f"at most {most}{advice}")
        found = (item.read(each, report, item.takes, around) for each in sequence.items)
        return tuple(value for value in found if value is not None)

    return Kind(read, f"list of {noun}", {"type": "array", "minItems": 1, "items": item.schema})


def named_in(subject: str, takes: str, table: KeyTable, read_entry: Callable[..., Any], most: int, *, example: str) -> Kind:
    """A mapping of 1 to `most` names to what `table` reads; `read_entry` makes a value of entry, report and what is around."""

    def read(node: Node, report: Report, _subject: str, around: Any) -> tuple[Any, ...]:
        mapping = read_mapping(node, subject, example)
        if len(mapping.entries) > most:
            raise Fault(f"{subject} has {len(mapping.entries)} entries", f"at most {most}")
        return read_each(mapping.entries, report, lambda entry: read_entry(entry, report, around))

    return Kind(read, takes, {
        "type": "object", "minProperties": 1, "maxProperties": most, "propertyNames": {"pattern": NAME_PATTERN},
        "additionalProperties": table.schema(),
    })  # fmt: skip


def one_or_more(item: Schema, **bounds: int) -> Schema:
    """The schema of a value, or of a list of such values."""
    return {"anyOf": [item, {"type": "array", "items": item, **bounds}]}


def items_of(node: Node) -> list[Node]:
    """The items of a list; a value alone is a list of one."""
    return node.items if isinstance(node, Sequence) else [node]


def _or_off(read: Reader, off: str) -> Reader:
    def read_or_off(node: Node, report: Report, subject: str, around: Any) -> Any:
        is_off = isinstance(node, Scalar) and node.text == off
        return NOTHING if is_off else read(node, report, subject, around)

    return read_or_off if off else read


def _with_off(takes: str, off: str) -> str:
    return f"{takes} or {off}" if off else takes


def _whole_text(pattern: str, off: str) -> str:
    return f"^({pattern}|{off})$" if off else f"^{pattern}$"


TEXT_SCHEMA: Final[Schema] = {"type": ["string", "number", "boolean"]}
NAME_SCHEMA: Final[Schema] = {"type": ["string", "integer"], "pattern": NAME_PATTERN, "maxLength": MAX_NAME_CHARACTERS}

TRUTH: Final = Kind(plain(read_truth), "true or false", {"type": "boolean"})
KEBAB: Final = Kind(plain(read_name), "name", NAME_SCHEMA)
RAW: Final = Kind(lambda node, _report, _subject, _around: node, "", {})
"""The node itself, for whoever can only read it together with others."""
