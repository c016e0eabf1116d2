"""`tag`: attach a tag and go on."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Tag
from proxyguard.core.yaml.kinds import KEBAB, Kind, plain
from proxyguard.core.yaml.values import read_name
from proxyguard.policy.actions.kind import ActionKind, Effect

ROW: Final = ActionKind(
    value=Tag,
    effect=Effect.GO_ON,
    about="Attach a tag and go on to the next rule.",
    options=Kind(plain(lambda node, _subject: Tag(read_name(node, "the tag"))), KEBAB.takes, KEBAB.schema),
    example="action: {tag: suspicious}",
    unjudged=lambda _: "its tag may be on more requests than here",
)
