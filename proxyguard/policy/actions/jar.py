"""`jar`: give the client a cookie jar with the answer, and go on."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import GiveJar
from proxyguard.core.problems import Fault
from proxyguard.core.yaml.kinds import Kind, plain
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_scalar
from proxyguard.policy.actions.kind import ActionKind, Effect

WORDS: Final = {"give": GiveJar("jar:give"), "asset": GiveJar("jar:asset")}


def _read(node: Node, subject: str) -> GiveJar:
    text = read_scalar(node, subject, "a word", ", ".join(WORDS))
    if text not in WORDS:
        raise Fault(f"jar cannot be {text!r}", ", ".join(WORDS))
    return WORDS[text]


ROW: Final = ActionKind(
    value=GiveJar,
    effect=Effect.GO_ON,
    about="Give the client a cookie jar with the answer, unless it has one, and go on. `{jar: asset}`: its jar fetched an asset.",
    options=Kind(plain(_read), "give or asset", {"enum": list(WORDS)}),
    short=WORDS["give"],
    unjudged=lambda _: "who has a jar is not known from a log",
)
