"""Expressions of an Anubis policy (CEL) as conditions, and those on the weight as conditions on the score."""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.yaml.nodes import Mapping, Node, Scalar, Sequence
from proxyguard.tools.importers.cel import FunctionCall, Index, Many, Name, Operation, TextLiteral, Tree, parse_expression
from proxyguard.tools.importers.conditions import ALWAYS, Condition, equal, every, negated, some
from proxyguard.tools.importers.draft import NotCarried
from proxyguard.tools.importers.networks import clients, network_of
from proxyguard.tools.importers.patterns import ALWAYS_THERE, pattern_condition, text_condition

_FIELDS: Final = {"userAgent": "user_agent", "path": "path", "method": "method", "host": "host", "remoteAddress": "client"}
_METHODS: Final = {"contains": "contains", "startsWith": "prefix", "endsWith": "suffix"}
_WEIGHT: Final = re.compile(r"weight\s*(<=|>=|<|>|==)\s*(-?\d{1,6}(?:\.\d{1,3})?)")


def condition_of(node: Node) -> Condition | None:
    """An expression, or a mapping of `all` or `any` to expressions, as a condition. Raises NotCarried."""
    if isinstance(node, Mapping):
        for key, join in (("all", every), ("any", some)):
            texts = _listed(node, key)
            if texts and len(node.entries) == 1:
                return join(_of(parse_expression(text)) for text in texts)
        raise NotCarried("its expression is neither a text nor one list of all or any")
    return _of(parse_expression(_expression(node)))


def score_of(node: Node) -> Condition:
    """An expression on the weight as a condition on the score. Raises NotCarried."""
    texts = _listed(node, "all") or [_expression(node)]
    bounds: dict[str, str] = {}
    for text in " && ".join(texts).split("&&"):
        found = _WEIGHT.fullmatch(text.strip().strip("()").strip())
        if found is None:
            raise NotCarried(f"the expression '{text.strip()[:60]}' is not a comparison of the weight with a number")
        sign, number = found[1], float(found[2])
        step = 0.001 if sign in {"<", ">"} else 0.0
        if sign in {">=", ">", "=="}:
            bounds["at_least"] = f"{number + step:g}"
        if sign in {"<=", "<", "=="}:
            bounds["at_most"] = f"{number - step:g}"
    return {"score": bounds}


def _listed(node: Node, key: str) -> list[str]:
    if not isinstance(node, Mapping):
        return []
    value = next((entry.value for entry in node.entries if entry.key.text == key), None)
    return [_expression(item) for item in value.items] if isinstance(value, Sequence) else []


def _expression(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise NotCarried("its expression is not a text")
    return node.text


def _of(tree: Tree) -> Condition | None:
    match tree:
        case Operation("||", operands):
            return some(_of(each) for each in operands)
        case Operation("&&", operands):
            return every(_of(each) for each in operands)
        case Operation("!", (inner,)):
            return negated(_of(inner))
        case Name("true") | TextLiteral("true"):
            return ALWAYS
        case Name("false"):
            return None
        case Operation("==" | "!=" as sign, (left, Name("true" | "false" as truth))):
            return negated(_of(left)) if (sign == "==") == (truth == "false") else _of(left)
        case Operation("==", (left, right)):
            return _equal(left, [right])
        case Operation("!=", (left, right)):
            return negated(_equal(left, [right]))
        case Operation("in", (TextLiteral(name), Name("headers"))):
            return {f"header.{name.lower()}": "present"}
        case Operation("in", (TextLiteral(name), Name("query"))):
            return {f"query.{name}": "present"}
        case Operation("in", (left, Many(items))):
            return _equal(left, list(items))
        case FunctionCall("missingHeader", (Name("headers"), TextLiteral(name))):
            return {f"header.{name.lower()}": "absent"}
        case FunctionCall(name, (TextLiteral(text),), of) if of is not None:
            return _call(name, text, of)
        case _:
            raise NotCarried(f"its expression has {_shown(tree)}, which rules cannot say")


def _shown(tree: Tree) -> str:
    match tree:
        case FunctionCall(name):
            return f"a call of {name[:40]}"
        case Operation(sign):
            return f"a comparison with {sign}"
        case Name(path):
            return path[:40]
        case _:
            return "a part"


def _field(tree: Tree) -> str:
    """The field that a part of an expression stands for. Raises NotCarried."""
    match tree:
        case Name(path) if path in _FIELDS:
            return _FIELDS[path]
        case Index(Name("headers"), TextLiteral(name)):
            return "user_agent" if name.lower() == "user-agent" else f"header.{name.lower()}"
        case Index(Name("query"), TextLiteral(name)):
            return f"query.{name}"
        case Name(path) if path.startswith(("headers.", "query.")):
            kind, _, name = path.partition(".")
            return f"query.{name}" if kind == "query" else f"header.{name.lower()}"
        case _:
            raise NotCarried(f"its expression has {_shown(tree)}, which rules cannot say")


def _equal(left: Tree, right: list[Tree]) -> Condition | None:
    if isinstance(left, TextLiteral) and len(right) == 1:
        left, right = right[0], [left]
    field = _field(left)
    texts = [each.value for each in right if isinstance(each, TextLiteral)]
    if len(texts) < len(right):
        raise NotCarried("its expression compares with something that is no text")
    if field == "client":
        networks = [network for text in texts if (network := network_of(text)) is not None]
        return clients(networks)
    found = [text for text in texts if text]
    empty: Condition | None = {field: ["absent", ""]} if "" in texts and field not in ALWAYS_THERE else None
    return some([empty, equal(field, found) if found else None])


def _call(name: str, text: str, of: Tree) -> Condition | None:
    field = _field(of)
    if name == "matches":
        return pattern_condition(field, text)
    if name not in _METHODS:
        raise NotCarried(f"its expression has a call of {name[:40]}, which rules cannot say")
    if field == "client" and name == "startsWith" and text.endswith("."):
        network = network_of(text)
        return clients([network] if network is not None else [])
    return text_condition(field, _METHODS[name], [text])
