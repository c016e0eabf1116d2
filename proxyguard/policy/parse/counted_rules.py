"""The names of the rules whose refusals are counted, from a node to the names. Knows nothing of what counts them."""

from __future__ import annotations

from typing import Any, Final

from proxyguard.core.problems import Fault, Report
from proxyguard.core.yaml.kinds import items_of
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_each, read_name

MAX_COUNTED_RULES: Final = 50


def read_counted_rules(node: Node, report: Report, subject: str, around: Any) -> tuple[str, ...]:
    """Names of rules whose refusals count; `around` collects them with their places."""

    def read(item: Node) -> str:
        name = read_name(item, f"a rule of {subject}")
        if around is not None:
            around.append((name, item.line, item.column))
        return name

    items = items_of(node)
    if not 1 <= len(items) <= MAX_COUNTED_RULES:
        raise Fault(f"{subject} has {len(items)} rules", f"from 1 to {MAX_COUNTED_RULES}")
    return tuple(sorted(set(read_each(items, report, read))))
