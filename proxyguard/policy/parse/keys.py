"""Parts of a key: the words of `per` and of `distinct`, from nodes to values. Knows nothing of limits."""

from __future__ import annotations

from typing import Final

from proxyguard.core.problems import Fault, Report, folded, name_hint, quoted
from proxyguard.core.yaml.kinds import Schema
from proxyguard.core.yaml.nodes import Node, Sequence
from proxyguard.core.yaml.values import complain, read_scalar
from proxyguard.limits.limit import KeyKind, KeyPart
from proxyguard.policy.fields.registry import key_kinds, named_values

MAX_PARTS: Final = 5

PART_SCHEMA: Final[Schema] = {"$ref": "#/definitions/key_part"}

_MEANT_PART: Final = {
    **dict.fromkeys(("ip", "address", "addr", "remote_addr", "client_ip"), "did you mean 'client'?"),
    **dict.fromkeys(("subnet", "prefix", "net"), "did you mean 'network'?"),
    **dict.fromkeys(("global", "all", "total", "everyone"), "did you mean 'site'?"),
    **dict.fromkeys(("url", "uri"), "did you mean 'path'?"),
    **dict.fromkeys(("ua", "agent", "useragent"), "did you mean 'user_agent'?"),
}


def read_per(node: Node, report: Report) -> tuple[KeyPart, ...] | None:
    """One part or a list of them; None when a problem was reported."""
    items = node.items if isinstance(node, Sequence) else [node]
    if not items:
        complain(report, node, "per is an empty list", "per: [site] counts all requests together")
        return None
    if len(items) > MAX_PARTS:
        complain(report, node, f"per has {len(items)} parts", f"at most {MAX_PARTS}")
        return None
    parts = [read_part(item, report, "per") for item in items]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return None
    for item, part in zip(items, found, strict=True):
        if found.count(part) > 1:
            complain(report, item, f"per names {quoted(str(part))} twice", "name each part once")
            return None
        if part.kind == KeyKind.SITE and len(found) > 1:
            hint = "site is one counter for all requests: write it alone, or leave it out"
            complain(report, item, "per has site beside other parts", hint)
            return None
    return tuple(found)


def read_part(node: Node, report: Report, subject: str) -> KeyPart | None:
    """One part; None when a problem was reported."""
    scalar = read_scalar(node, report, f"a part of {subject}", "a word", f"parts: {', '.join(part_names())}")
    if scalar is None:
        return None
    kind, dot, rest = scalar.text.partition(".")
    if kind not in key_kinds():
        meant = _MEANT_PART.get(folded(kind)) or name_hint(scalar.text, part_names(), "parts")
        complain(report, node, f"{subject} cannot be {quoted(scalar.text)}", meant)
        return None
    named = named_values(kind)
    if named is None:
        if dot:
            complain(report, node, f"{subject} cannot be {quoted(scalar.text)}", f"write {kind} alone")
            return None
        return KeyPart(kind)
    if not rest:
        hint = f"write its name after a dot: {kind}.{named.example}"
        complain(report, node, f"{subject} names no {named.noun}", hint)
        return None
    try:
        return KeyPart(kind, named.read_name(rest))
    except Fault as fault:
        complain(report, node, fault.message, fault.hint)
        return None


def part_names() -> tuple[str, ...]:
    """What a part may be, with NAME for the kinds that take one."""
    return tuple(f"{kind}.NAME" if named_values(kind) else kind for kind in key_kinds())
