"""Paths of the site that a part of a rule file names: one, or a list of them, `*` for what differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from proxyguard.core.problems import Fault, Report
from proxyguard.core.yaml.kinds import Kind, Schema, one_or_more
from proxyguard.core.yaml.nodes import Node, Sequence
from proxyguard.core.yaml.values import read_each

MAX_PATHS: Final = 50

_SCHEMA: Final[Schema] = {"type": "string", "pattern": "^/"}


def site_paths(read_path: Callable[[Node, str], bytes], takes: str) -> Kind:
    """One path or 1 to `MAX_PATHS` of them, each as `read_path` makes it of its node and of what messages call it."""

    def read(node: Node, report: Report, subject: str, _around: Any) -> tuple[bytes, ...]:
        if not isinstance(node, Sequence):
            return (read_path(node, subject),)
        if not 0 < len(node.items) <= MAX_PATHS:
            raise Fault(f"{subject} has {len(node.items)} entries", f"one to {MAX_PATHS}")
        return read_each(node.items, report, lambda each: read_path(each, subject))

    return Kind(read, takes, one_or_more(_SCHEMA, minItems=1, maxItems=MAX_PATHS))
