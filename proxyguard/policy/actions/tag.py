"""`tag`: attach a tag and go on."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Tag
from proxyguard.core.problems import Report
from proxyguard.core.yaml.kinds import KEBAB, Kind, plain
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_name
from proxyguard.policy.actions.kind import ActionKind, Effect


def _read(node: Node, report: Report, _subject: str) -> Tag | None:
    name = read_name(node, report, "the tag")
    return None if name is None else Tag(name)


ROW: Final = ActionKind(
    value=Tag,
    effect=Effect.GO_ON,
    about="Attach a tag and go on to the next rule.",
    options=Kind(plain(_read), KEBAB.takes, KEBAB.schema),
    example="action: {tag: suspicious}",
    unjudged=lambda _: "its tag may be on more requests than here",
)
