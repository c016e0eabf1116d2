"""One path or a list of paths, where items and forms say which pages they are about: from nodes to values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from proxyguard.core.problems import Fault, Report
from proxyguard.core.yaml.kinds import Kind
from proxyguard.core.yaml.nodes import Node, Sequence
from proxyguard.core.yaml.values import read_each

MAX_PATHS: Final = 50

_ONE: Final = {"type": "string", "pattern": "^/"}
_SCHEMA: Final = {"anyOf": [_ONE, {"type": "array", "minItems": 1, "maxItems": MAX_PATHS, "items": _ONE}]}


def path_list(noun: str, read: Callable[[Node, str], bytes]) -> Kind:
    """Paths that `read` makes of a node and the subject of messages; `noun` is what one is called."""

    def paths(node: Node, report: Report, subject: str, _around: Any) -> tuple[bytes, ...]:
        if not isinstance(node, Sequence):
            return (read(node, subject),)
        if not 0 < len(node.items) <= MAX_PATHS:
            raise Fault(f"{subject} has {len(node.items)} entries", f"one to {MAX_PATHS}")
        return read_each(node.items, report, lambda each: read(each, subject))

    return Kind(paths, f"a {noun} or a list of {noun}s", _SCHEMA)
