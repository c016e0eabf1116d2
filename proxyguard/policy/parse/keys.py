"""Parts of a key: the words of `per` and of `distinct`, from nodes to values. Knows nothing of limits."""

from __future__ import annotations

from typing import Final

from proxyguard.core.problems import Fault, Report, folded, name_hint, quoted
from proxyguard.core.yaml.kinds import Schema, items_of
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import NodeFault, read_each, read_scalar
from proxyguard.limits.limit import KeyKind, KeyPart
from proxyguard.policy.fields.registry import key_kinds, named_values, takes_no_name
from proxyguard.policy.meant import meant

MAX_PARTS: Final = 5

PART_SCHEMA: Final[Schema] = {"$ref": "#/definitions/key_part"}

_MEANT_PART: Final = meant("key-part")


def read_per(node: Node, report: Report) -> tuple[KeyPart, ...]:
    """One part or a list of them."""
    items = items_of(node)
    if not items:
        raise Fault("per is an empty list", "per: [site] counts all requests together")
    if len(items) > MAX_PARTS:
        raise Fault(f"per has {len(items)} parts", f"at most {MAX_PARTS}")
    found = read_each(items, report, lambda item: read_part(item, "per"))
    for item, part in zip(items, found, strict=True):
        if found.count(part) > 1:
            raise NodeFault(item, f"per names {quoted(str(part))} twice", "name each part once")
        if part.kind == KeyKind.SITE and len(found) > 1:
            hint = "site is one counter for all requests: write it alone, or leave it out"
            raise NodeFault(item, "per has site beside other parts", hint)
    return found


def read_part(node: Node, subject: str) -> KeyPart:
    text = read_scalar(node, f"a part of {subject}", "a word", f"parts: {', '.join(part_names())}")
    kind, dot, rest = text.partition(".")
    if kind not in key_kinds():
        hint = _MEANT_PART.get(folded(kind)) or name_hint(text, part_names(), "parts")
        raise Fault(f"{subject} cannot be {quoted(text)}", hint)
    named = named_values(kind)
    if named is None:
        if dot:
            raise Fault(f"{subject} cannot be {quoted(text)}", f"write {kind} alone")
        return KeyPart(kind)
    if not dot and takes_no_name(kind):
        return KeyPart(kind)
    if not rest:
        raise Fault(f"{subject} names no {named.noun}", f"write its name after a dot: {kind}.{named.example}")
    return KeyPart(kind, named.read_name(rest))


def part_names() -> tuple[str, ...]:
    """What a part may be, with NAME for the kinds that take one."""
    return tuple(f"{kind}.NAME" if named_values(kind) else kind for kind in key_kinds())
