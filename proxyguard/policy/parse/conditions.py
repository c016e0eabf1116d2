"""Conditions: the `when` of a rule, from nodes to the model.

A mapping of fields, all of which must hold; `any`, `all` and `not` combine. Each field takes a value, a list of values
(any of them), or a mapping of matchers (all of them). Knows nothing of rules or of how conditions are evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxyguard.core.address import Network
from proxyguard.core.problems import Fault, Report, folded, name_hint, quoted
from proxyguard.core.yaml.nodes import Mapping, MappingEntry, Node, Scalar, Sequence, describe
from proxyguard.core.yaml.values import complain, not_what, read_number
from proxyguard.policy.fields.field_type import MATCHERS, NUMBERS, TEXT_MATCHERS, NamedValues
from proxyguard.policy.fields.registry import field_type, field_types, named_values
from proxyguard.policy.model import (
    Absent,
    AllOf,
    AnyOf,
    AtLeast,
    AtMost,
    Condition,
    Field,
    FieldKind,
    InNetworks,
    Not,
    Present,
    Test,
    Text,
    TextKind,
)  # fmt: skip
from proxyguard.policy.parse.lists import Lists, unescaped
from proxyguard.policy.parse.networks import HINT as NETWORK_HINT
from proxyguard.policy.parse.networks import read_network
from proxyguard.policy.parse.signed import read_signed
from proxyguard.policy.parse.texts import field_hint, read_field_name, read_text_value

MAX_BOUND: Final = 1e12

_MEANT: Final = {
    **dict.fromkeys(
        ("equal", "equals", "eq", "is", "exact", "value"), "a plain value is compared exactly: FIELD: VALUE, or {in: [VALUE, …]}"
    ),
    **dict.fromkeys(("starts_with", "startswith", "begins_with"), "did you mean 'prefix'?"),
    **dict.fromkeys(("ends_with", "endswith", "extension"), "did you mean 'suffix'?"),
    **dict.fromkeys(("includes", "include", "has", "substring"), "did you mean 'contains'?"),
    **dict.fromkeys(("words", "token", "any_word"), "did you mean 'word'?"),
    **dict.fromkeys(("wildcard", "like", "pattern", "fnmatch"), "did you mean 'glob'?"),
    **dict.fromkeys(("regexp", "re", "matches", "match", "rx"), "did you mean 'regex'?"),
    **dict.fromkeys(("exists", "set", "defined"), "write 'present' alone: FIELD: present"),
    **dict.fromkeys(("missing", "exist", "unset", "empty"), "write 'absent' alone: FIELD: absent"),
    **dict.fromkeys(("min", "minimum", "gte", "ge", "gt", "over", "above", "more_than"), "did you mean 'at_least'?"),
    **dict.fromkeys(("max", "maximum", "lte", "le", "lt", "under", "below", "less_than"), "did you mean 'at_most'?"),
    **dict.fromkeys(("not_in", "none_of", "except", "unless"), "did you mean {not: [VALUE, …]}?"),
    **dict.fromkeys(("or", "any", "one_of"), "a list of values already means any of them"),
    **dict.fromkeys(("and", "all"), "several matchers in one mapping must already all hold"),
    **dict.fromkeys(("cidr", "network", "range", "subnet"), "write networks as values: client: [192.0.2.0/24]"),
}


class ConditionReader:
    """Reads the conditions of one rule file."""

    __slots__ = ("_account_uses", "_class_uses", "_lists", "_report")

    def __init__(
        self, report: Report, lists: Lists, *, class_uses: list[tuple[str, int, int]], account_uses: list[tuple[str, int, int]]
    ) -> None:
        """`class_uses` and `account_uses` collect, with their places, what other files may define."""
        self._report = report
        self._lists = lists
        self._class_uses = class_uses
        self._account_uses = account_uses

    def read(self, node: Node, subject: str) -> Condition | None:
        """A mapping of fields and combinations. None when a problem was reported."""
        if not isinstance(node, Mapping):
            hint = "fields and what they must be: {path: {prefix: /api/}}"
            if isinstance(node, Sequence):
                hint = "put the list under any: or all:"
            complain(self._report, node, not_what(node, subject, "a mapping"), hint)
            return None
        if not node.entries:
            complain(self._report, node, f"{subject} is empty", "a condition without fields would hold for every request")
            return None
        return _all_of(self._entry(entry) for entry in node.entries)

    def _entry(self, entry: MappingEntry) -> Condition | None:
        name = entry.key.text
        if name in ("any", "all"):
            return self._combined(entry, name)
        if name == "not":
            inner = self.read(entry.value, "not")
            return None if inner is None else Not(inner)
        kind, dot, rest = name.partition(".")
        if kind not in field_types():
            complain(self._report, entry.key, f"unknown field {quoted(name)}", field_hint(kind if dot else name))
            return None
        named = named_values(kind)
        if named is not None:
            return self._named(entry.key, kind, rest, entry.value) if dot else self._group(kind, named, entry)
        if kind == FieldKind.ACCOUNT:
            self._account_uses.append(("account", entry.key.line, entry.key.column))
        if dot:
            complain(self._report, entry.key, f"{kind} has no parts: {quoted(name)}", f"write {kind} alone")
            return None
        return self._matcher(Field(kind), entry.value)

    def _combined(self, entry: MappingEntry, name: str) -> Condition | None:
        node = entry.value
        if not isinstance(node, Sequence) or not node.items:
            empty = isinstance(node, Sequence)
            message = f"{name} is empty" if empty else not_what(node, name, "a list of conditions")
            complain(self._report, node, message, f"{name}: [{{path: /a}}, {{method: POST}}]")
            return None
        conditions = [self.read(item, f"a condition of {name}") for item in node.items]
        sound = tuple(condition for condition in conditions if condition is not None)
        if len(sound) < len(conditions):
            return None
        return AnyOf(sound) if name == "any" else AllOf(sound)

    def _group(self, kind: str, named: NamedValues, entry: MappingEntry) -> Condition | None:
        node = entry.value
        if not isinstance(node, Mapping) or not node.entries:
            hint = f"name the {named.noun}: {{{named.example}: absent}}, or write {kind}.{named.example}: absent"
            message = f"{kind} is empty" if isinstance(node, Mapping) else not_what(node, kind, "a mapping")
            complain(self._report, node, message, hint)
            return None
        seen: dict[str, int] = {}
        conditions = []
        for inner in node.entries:
            name = inner.key.text.lower() if kind == FieldKind.HEADER else inner.key.text
            if name in seen:
                message = f"the header {quoted(inner.key.text)} is named twice, first on line {seen[name]}"
                hint = "case does not matter in the names of headers; put both matchers into one mapping"
                complain(self._report, inner.key, message, hint)
            seen[name] = inner.key.line
            conditions.append(self._named(inner.key, kind, inner.key.text, inner.value))
        return _all_of(conditions)

    def _named(self, place: Scalar, kind: str, name: str, value: Node) -> Condition | None:
        try:
            field = Field(kind, read_field_name(kind, name))
        except Fault as fault:
            complain(self._report, place, fault.message, fault.hint)
            return None
        return self._matcher(field, value)

    def _matcher(self, field: Field, node: Node) -> Condition | None:
        if isinstance(node, Mapping):
            if not node.entries:
                complain(self._report, node, f"{field} is empty", _allowed_hint(field))
                return None
            return _all_of(self._named_matcher(field, entry) for entry in node.entries)
        matchers = field_type(field.kind).matchers
        if "in" not in matchers:
            message = f"{field} takes {' or '.join(matchers)}, not {describe(node)}"
            complain(self._report, node, message, _allowed_hint(field))
            return None
        if isinstance(node, Sequence):
            return self._any_of(field, node)
        return self._value(field, node)

    def _value(self, field: Field, node: Scalar) -> Condition | None:
        if node.text in ("present", "absent"):
            row = field_type(field.kind)
            if row.has_one_value:
                complain(self._report, node, f"{field} is in every request", "leave the condition out")
                return None
            if not row.is_always_there:
                return Test(field, Present() if node.text == "present" else Absent())
        return self._values(field, TextKind.EQUAL, (node,), plainly=True)

    def _any_of(self, field: Field, node: Sequence) -> Condition | None:
        """Any of the values; `present`, `absent` and mappings of matchers may stand among them."""
        if not node.items:
            complain(self._report, node, f"{field} is an empty list", "a list means any of its values")
            return None
        plain: list[Scalar] = []
        others: list[Condition | None] = []
        for item in node.items:
            if isinstance(item, Scalar) and item.text not in ("present", "absent"):
                plain.append(item)
            elif isinstance(item, Sequence):
                complain(self._report, item, f"{field} has a list inside of a list", "write all values into one list")
                others.append(None)
            else:
                others.append(self._matcher(field, item))
        values = self._values(field, TextKind.EQUAL, plain, plainly=True) if plain else None
        if not others:
            return values
        conditions = [*([values] if plain else []), *others]
        sound = tuple(condition for condition in conditions if condition is not None)
        if len(sound) < len(conditions):
            return None
        return sound[0] if len(sound) == 1 else AnyOf(sound)

    def _named_matcher(self, field: Field, entry: MappingEntry) -> Condition | None:
        name, node = entry.key.text, entry.value
        if name not in field_type(field.kind).matchers:
            self._unknown_matcher(field, entry.key)
            return None
        if name == "not":
            inner = self._matcher(field, node)
            return None if inner is None else Not(inner)
        if name == "signed":
            signed = read_signed(node, self._report)
            return None if signed is None else Test(field, signed)
        if name in NUMBERS:
            bound = read_number(node, self._report, name, -MAX_BOUND, MAX_BOUND)
            if bound is None:
                return None
            return Test(field, AtLeast(bound) if name == "at_least" else AtMost(bound))
        items = node.items if isinstance(node, Sequence) else [node]
        if not items:
            complain(self._report, node, f"{name} is an empty list", "a list means any of its values")
            return None
        return self._values(field, TEXT_MATCHERS[name], items, plainly=False)

    def _unknown_matcher(self, field: Field, key: Scalar) -> None:
        name, row = key.text, field_type(field.kind)
        if name in ("present", "absent"):
            hint = "leave the condition out" if row.is_always_there else f"write {field}: {name}"
            complain(self._report, key, f"{name} stands alone, it is not a key", hint)
        elif name in MATCHERS and name != "not":
            complain(self._report, key, f"{field} cannot be compared with {name}", _allowed_hint(field))
        else:
            hint = _MEANT.get(folded(name)) or name_hint(name, row.matchers, "matchers")
            complain(self._report, key, f"unknown matcher {quoted(name)} for {field}", hint)

    def _values(self, field: Field, kind: TextKind, items: Iterable[Node], *, plainly: bool) -> Condition | None:
        if field_type(field.kind).address is not None:
            return self._networks(field, items)
        texts: dict[bytes, None] = {}
        sound = True
        for item in items:
            found = self._texts(field, kind, item, plainly=plainly)
            if found is None:
                sound = False
            else:
                texts.update(dict.fromkeys(found))
        return Test(field, Text(kind, tuple(texts))) if sound else None

    def _texts(self, field: Field, kind: TextKind, node: Node, *, plainly: bool) -> tuple[bytes, ...] | None:
        if not isinstance(node, Scalar):
            complain(self._report, node, f"{field} is compared with texts, not with {describe(node)}")
            return None
        text = node.text
        if text[:1] == "$" and text[1:2] != "$":
            source = self._lists.find(node)
            return None if source is None else source.texts(field.kind, kind)
        if node.is_null:
            hint = "write absent for a field that is not there, or '' for one that is empty"
            complain(self._report, node, f"{field} has no value", hint)
            return None
        if field.kind == FieldKind.CLASS:
            self._class_uses.append((text, node.line, node.column))
        try:
            return (read_text_value(field.kind, kind, unescaped(text), alone=plainly),)
        except Fault as fault:
            complain(self._report, node, fault.message, fault.hint)
            return None

    def _networks(self, field: Field, items: Iterable[Node]) -> Condition | None:
        networks: list[Network] = []
        sound = True
        for item in items:
            if not isinstance(item, Scalar):
                complain(self._report, item, f"{field} is compared with networks, not with {describe(item)}", NETWORK_HINT)
                sound = False
                continue
            if item.is_null:
                complain(self._report, item, f"{field} has no value", NETWORK_HINT)
                found = None
            elif item.text[:1] == "$":
                source = self._lists.find(item)
                found = None if source is None else source.networks()
            else:
                found = self._network(item)
            if found is None:
                sound = False
            else:
                networks.extend(found)
        return Test(field, InNetworks(tuple(networks))) if sound else None

    def _network(self, node: Scalar) -> tuple[Network, ...] | None:
        try:
            return (read_network(node.text),)
        except Fault as fault:
            complain(self._report, node, fault.message, fault.hint)
            return None


def _all_of(conditions: Iterable[Condition | None]) -> Condition | None:
    every = list(conditions)
    sound = tuple(condition for condition in every if condition is not None)
    if len(sound) < len(every):
        return None
    return sound[0] if len(sound) == 1 else AllOf(sound)


def _allowed_hint(field: Field) -> str:
    matchers = field_type(field.kind).matchers
    if "in" not in matchers:
        return f"{field}: {{{matchers[0]}: 60}}"
    return f"{field} takes a value, a list of values, or {{MATCHER: …}} with {', '.join(matchers)}"
