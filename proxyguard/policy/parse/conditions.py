"""Conditions: the `when` of a rule, from nodes to the model.

A mapping of fields, all of which must hold; `any`, `all` and `not` combine. Each field takes a value, a list of values
(any of them), or a mapping of matchers (all of them). Knows nothing of rules or of how conditions are evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Final

from proxyguard.core.address import Network
from proxyguard.core.problems import Fault, folded, name_hint, quoted
from proxyguard.core.yaml.kinds import items_of
from proxyguard.core.yaml.nodes import Mapping, MappingEntry, Node, Scalar, Sequence, describe
from proxyguard.core.yaml.values import (
    NodeFault,
    complain,
    not_what,
    read_each,
    read_mapping,
    read_number,
    read_sequence,
    read_size,
)
from proxyguard.policy.fields.field_type import MATCHERS, NUMBERS, TEXT_MATCHERS, NamedValues
from proxyguard.policy.fields.form import FORM
from proxyguard.policy.fields.item import HEAT, ITEM
from proxyguard.policy.fields.registry import field_type, field_types, named_values
from proxyguard.policy.meant import meant
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
from proxyguard.policy.parse.contains_any import read_contains_any
from proxyguard.policy.parse.lists import Lists, unescaped
from proxyguard.policy.parse.misplaced import WHOLE, refuse_matcher_as_name
from proxyguard.policy.parse.networks import HINT as NETWORK_HINT
from proxyguard.policy.parse.networks import read_network
from proxyguard.policy.parse.own_forms import OWN_FORMS, read_own_form
from proxyguard.policy.parse.parsed_file import ParsedFile
from proxyguard.policy.parse.signed import read_signed
from proxyguard.policy.parse.texts import field_hint, read_field_name, read_text_value

MAX_BOUND: Final = 1e12
MAX_SIZE: Final = 10**15

_MEANT: Final = meant("matcher")


class ConditionReader:
    """Reads the conditions of one rule file."""

    __slots__ = ("_lists", "_parsed", "_report")

    def __init__(self, parsed: ParsedFile, lists: Lists) -> None:
        """`parsed` collects, with their places, the uses of what other files may define, and the rules that are counted."""
        self._report = parsed.report
        self._lists = lists
        self._parsed = parsed

    def read(self, node: Node, subject: str) -> Condition:
        """A mapping of fields and combinations. Raises Fault."""
        if not isinstance(node, Mapping):
            hint = "fields and what they must be: {path: {prefix: /api/}}"
            if isinstance(node, Sequence):
                hint = "put the list under any: or all:"
            raise Fault(not_what(node, subject, "a mapping"), hint)
        if not node.entries:
            raise Fault(f"{subject} is empty", "a condition without fields would hold for every request")
        return self._all_of(node, self._entry)

    def _all_of(self, mapping: Mapping, read: Callable[[MappingEntry], Condition]) -> Condition:
        conditions = read_each(mapping, self._report, read)
        return conditions[0] if len(conditions) == 1 else AllOf(conditions)

    def _entry(self, entry: MappingEntry) -> Condition:
        name = entry.key.text
        if name in ("any", "all"):
            return self._combined(entry.value, name)
        if name == "not":
            return Not(self.read(entry.value, "not"))
        kind, dot, rest = name.partition(".")
        if kind not in field_types():
            raise NodeFault(entry.key, f"unknown field {quoted(name)}", field_hint(name))
        named = named_values(kind)
        if named is not None:
            return self._named(entry, kind, rest) if dot else self._group(kind, named, entry.value)
        if kind == FieldKind.ACCOUNT:
            self._parsed.account_uses.append(("account", entry.key.line, entry.key.column))
        if kind == FORM.kind:
            self._parsed.form_uses.append((kind, entry.key.line, entry.key.column))
        if kind in (ITEM.kind, HEAT.kind):
            self._parsed.item_uses.append((kind, entry.key.line, entry.key.column))
        if dot:
            raise NodeFault(entry.key, f"{kind} has no parts: {quoted(name)}", f"write {kind} alone")
        return self._matcher(Field(kind), entry.value)

    def _combined(self, node: Node, name: str) -> Condition:
        example = f"{name}: [{{path: /a}}, {{method: POST}}]"
        items = read_sequence(node, name, example, "a list of conditions").items
        conditions = read_each(items, self._report, lambda item: self.read(item, f"a condition of {name}"))
        return AnyOf(conditions) if name == "any" else AllOf(conditions)

    def _group(self, kind: str, named: NamedValues, node: Node) -> Condition:
        if named.whole is not None and not isinstance(node, Mapping):
            if isinstance(node, Scalar) and node.text in field_type(kind).matchers:
                raise Fault(f"{kind} has the matcher {node.text} and nothing to compare with", f"{kind}: {{{node.text}: …}}")
            return self._matcher(Field(kind), node)
        whole = WHOLE.get(kind)
        hint = f"name the {named.noun}: {{{named.example}: absent}}, or write {kind}.{named.example}: absent"
        if whole is not None:
            hint += f"; all of them are {whole}"
        mapping = read_mapping(node, kind, hint)
        seen: dict[str, int] = {}
        for inner in mapping:
            name = inner.key.text.lower() if kind == FieldKind.HEADER else inner.key.text
            if name in seen:
                message = f"the header {quoted(inner.key.text)} is named twice, first on line {seen[name]}"
                hint = "case does not matter in the names of headers; put both matchers into one mapping"
                complain(self._report, inner.key, message, hint)
            seen[name] = inner.key.line
        return self._all_of(mapping, lambda inner: self._of_group(inner, kind))

    def _of_group(self, entry: MappingEntry, kind: str) -> Condition:
        named = named_values(kind)
        if named is not None and named.whole is not None and entry.key.text in field_type(kind).matchers:
            return self._named_matcher(Field(kind), entry)
        refuse_matcher_as_name(kind, entry)
        return self._named(entry, kind, entry.key.text)

    def _named(self, entry: MappingEntry, kind: str, name: str) -> Condition:
        try:
            field = Field(kind, read_field_name(kind, name))
        except Fault as fault:
            raise NodeFault(entry.key, fault.message, fault.hint) from fault
        return self._matcher(field, entry.value)

    def _matcher(self, field: Field, node: Node) -> Condition:
        if field.kind in OWN_FORMS:
            return Test(field, read_own_form(field.kind, node, self._report, self._parsed.counted_rules))
        if isinstance(node, Mapping):
            if not node.entries:
                raise Fault(f"{field} is empty", _allowed_hint(field))
            return self._all_of(node, lambda entry: self._named_matcher(field, entry))
        matchers = field_type(field.kind).matchers
        if "in" not in matchers:
            raise Fault(f"{field} takes {' or '.join(matchers)}, not {describe(node)}", _allowed_hint(field))
        if isinstance(node, Sequence):
            return self._any_of(field, node)
        return self._value(field, node)

    def _value(self, field: Field, node: Scalar) -> Condition:
        if node.text in ("present", "absent"):
            row = field_type(field.kind)
            if row.has_one_value:
                raise Fault(f"{field} is in every request", "leave the condition out")
            if not row.is_always_there:
                return Test(field, Present() if node.text == "present" else Absent())
        return self._values(field, TextKind.EQUAL, (node,), plainly=True)

    def _any_of(self, field: Field, node: Sequence) -> Condition:
        """Any of the values; `present`, `absent` and mappings of matchers may stand among them."""
        if not node.items:
            raise Fault(f"{field} is an empty list", "a list means any of its values")
        plain: list[Node] = []
        others: list[Node] = []
        for item in node.items:
            is_plain = isinstance(item, Scalar) and item.text not in ("present", "absent")
            (plain if is_plain else others).append(item)

        def read(item: Node) -> Condition:
            if item is node:
                return self._values(field, TextKind.EQUAL, plain, plainly=True)
            if isinstance(item, Sequence):
                raise Fault(f"{field} has a list inside of a list", "write all values into one list")
            return self._matcher(field, item)

        parts = [node, *others] if plain else others  # the list itself stands for its plain values
        conditions = read_each(parts, self._report, read)
        return conditions[0] if len(conditions) == 1 else AnyOf(conditions)

    def _named_matcher(self, field: Field, entry: MappingEntry) -> Condition:
        name, node = entry.key.text, entry.value
        row = field_type(field.kind)
        if name in NUMBERS and isinstance(row.source, NamedValues) and not field.name:
            hint = f"{field}.NAME: {{{name}: …}} for one {row.source.noun}; how long or how many: {field}_length, {field}_count"
            raise NodeFault(entry.key, f"{name} compares a number, and all of {field} is a text", hint)
        if name not in row.matchers:
            raise _unknown_matcher(field, entry.key)
        if name == "not":
            return Not(self._matcher(field, node))
        if name == "signed":
            return Test(field, read_signed(node, self._report))
        if name == TextKind.CONTAINS_ANY:
            return self._contains_any(field, node)
        if name in NUMBERS:
            bound = read_size(node, name, 0, MAX_SIZE) if row.has_sizes else read_number(node, name, -MAX_BOUND, MAX_BOUND)
            return Test(field, AtLeast(bound) if name == "at_least" else AtMost(bound))
        items = items_of(node)
        if not items:
            raise Fault(f"{name} is an empty list", "a list means any of its values")
        return self._values(field, TEXT_MATCHERS[name], items, plainly=False)

    def _contains_any(self, field: Field, node: Node) -> Condition:
        kind, file, items = read_contains_any(node, self._report)
        if file is not None:
            return Test(field, Text(kind, self._lists.from_file(file).texts(field.kind, kind)))
        if not items:
            raise Fault("contains_any is an empty list", "a list means any of its values")
        return self._values(field, kind, items, plainly=False)

    def _values(self, field: Field, kind: TextKind, items: Iterable[Node], *, plainly: bool) -> Condition:
        if field_type(field.kind).address is not None:
            networks = read_each(items, self._report, lambda item: self._networks(field, item))
            return Test(field, InNetworks(tuple(chain.from_iterable(networks))))
        texts = read_each(items, self._report, lambda item: self._texts(field, kind, item, plainly=plainly))
        return Test(field, Text(kind, tuple(dict.fromkeys(chain.from_iterable(texts)))))

    def _texts(self, field: Field, kind: TextKind, node: Node, *, plainly: bool) -> tuple[bytes, ...]:
        if not isinstance(node, Scalar):
            raise Fault(f"{field} is compared with texts, not with {describe(node)}")
        text = node.text
        if text[:1] == "$" and text[1:2] != "$":
            return self._lists.find(text).texts(field.kind, kind)
        if node.is_null:
            raise Fault(f"{field} has no value", "write absent for a field that is not there, or '' for one that is empty")
        if field.kind == FieldKind.CLASS:
            self._parsed.class_uses.append((text, node.line, node.column))
        if field.kind == ITEM.kind:
            self._parsed.item_kind_uses.append((text, node.line, node.column))
        return (read_text_value(field.kind, kind, unescaped(text), alone=plainly),)

    def _networks(self, field: Field, node: Node) -> tuple[Network, ...]:
        if not isinstance(node, Scalar):
            raise Fault(f"{field} is compared with networks, not with {describe(node)}", NETWORK_HINT)
        if node.is_null:
            raise Fault(f"{field} has no value", NETWORK_HINT)
        return self._lists.find(node.text).networks() if node.text[:1] == "$" else (read_network(node.text),)


def _unknown_matcher(field: Field, key: Scalar) -> Fault:
    name, row = key.text, field_type(field.kind)
    if name in ("present", "absent"):
        hint = "leave the condition out" if row.is_always_there else f"write {field}: {name}"
        return NodeFault(key, f"{name} stands alone, it is not a key", hint)
    if name in MATCHERS and name != "not":
        return NodeFault(key, f"{field} cannot be compared with {name}", _allowed_hint(field))
    hint = _MEANT.get(folded(name)) or name_hint(name, row.matchers, "matchers")
    return NodeFault(key, f"unknown matcher {quoted(name)} for {field}", hint)


def _allowed_hint(field: Field) -> str:
    matchers = field_type(field.kind).matchers
    if "in" not in matchers:
        return f"{field}: {{{matchers[0]}: 60}}"
    return f"{field} takes a value, a list of values, or {{MATCHER: …}} with {', '.join(matchers)}"
