"""`score`: add points and go on."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Score
from proxyguard.core.problems import Fault
from proxyguard.core.yaml.kinds import Kind, plain
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_number
from proxyguard.policy.actions.kind import ActionKind, Effect

MAX_POINTS: Final = 1000


def _read(node: Node, subject: str) -> Score:
    points = read_number(node, subject, -MAX_POINTS, MAX_POINTS)
    if points == 0:
        raise Fault("score is 0", "points to add, such as 40; negative ones speak for the client")
    return Score(points)


ROW: Final = ActionKind(
    value=Score,
    effect=Effect.GO_ON,
    about="Add points and go on to the next rule.",
    options=Kind(plain(_read), "points", {"type": "number", "minimum": -MAX_POINTS, "maximum": MAX_POINTS, "examples": [40]}),
    example="action: {score: 40}",
    unjudged=lambda score: f"scores may be {'higher' if score.points > 0 else 'lower'} than here",
)
