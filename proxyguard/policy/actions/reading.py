"""An action from a node to its value, by the rows of those that are allowed.

One word for the actions that need nothing, `{ACTION: {…}}` for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import Any, Final

from proxyguard.core.decision import ACTION_NAMES
from proxyguard.core.problems import Fault, Report, folded, name_hint, quoted
from proxyguard.core.yaml.kinds import Schema
from proxyguard.core.yaml.nodes import Node, Scalar
from proxyguard.core.yaml.values import NodeFault, read_mapping
from proxyguard.policy.actions.kind import ActionKind
from proxyguard.policy.meant import meant

type ActionKinds = MappingOf[str, ActionKind]
"""Actions by their names."""

_MEANT: Final = meant("action")


def read_action(node: Node, report: Report, rows: ActionKinds) -> Any:
    """An action, short or long."""
    if isinstance(node, Scalar):
        return _short(node, rows)
    mapping = read_mapping(node, "action", "action: reject, or action: {reject: {status: 404}}")
    entry, *more = mapping
    if more:
        hint = f"one action a rule; options go inside of it: {{{entry.key.text}: {{…}}}}"
        raise NodeFault(more[0].key, f"action has a second key {quoted(more[0].key.text)}", hint)
    row = rows.get(entry.key.text)
    if row is None:
        raise _unknown(entry.key, rows)
    return row.options.read(entry.value, report, row.name)


def _short(node: Scalar, rows: ActionKinds) -> Any:
    row = rows.get(node.text)
    if row is not None and row.short is not None:
        return row.short
    if row is not None:
        raise Fault(f"the action {quoted(node.text)} needs a value", row.example)
    if node.is_null:
        raise Fault("action has no value", "action: reject")
    raise _unknown(node, rows)


def _unknown(node: Scalar, rows: ActionKinds) -> Fault:
    names = tuple(ACTION_NAMES.values())
    hints = _MEANT | {word: f"did you mean '{row.name}'?" for row in rows.values() for word in row.meant}
    hint = hints.get(folded(node.text)) or name_hint(node.text, names, "actions")
    first = node.text.partition(" ")[0]
    if first in rows and first != node.text:
        hint = f"options go into a mapping: {rows[first].example or f'action: {first}'}"
    return NodeFault(node, f"unknown action {quoted(node.text)}", hint)


def action_schema(rows: ActionKinds) -> Schema:
    """One of these actions, short or long."""
    short = [row.name for row in rows.values() if row.short is not None]
    words = {"enum": short, "description": " ".join(f"`{name}`: {rows[name].about}" for name in short)}
    options = {name: {**row.options.schema, "description": row.about} for name, row in rows.items()}
    one = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False, "properties": options}
    return {"anyOf": [words, one]}
