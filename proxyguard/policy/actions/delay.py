"""`delay`: forward after a wait."""

from __future__ import annotations

from typing import Any, Final

from proxyguard.core.decision import Delay
from proxyguard.core.problems import Report
from proxyguard.core.yaml.kinds import Kind, duration
from proxyguard.core.yaml.nodes import Mapping, Node
from proxyguard.core.yaml.values import complain, not_what
from proxyguard.policy.actions.kind import ActionKind, Effect

MAX_DELAY_SECONDS: Final = 60

_SECONDS: Final = duration(0.01, MAX_DELAY_SECONDS)
_EXAMPLE: Final = "action: {delay: 2s}"


def _read(node: Node, report: Report, subject: str, around: Any) -> Delay | None:
    if isinstance(node, Mapping):
        complain(report, node, not_what(node, subject, "a duration"), _EXAMPLE)
        return None
    seconds = _SECONDS.read(node, report, subject, around)
    return None if seconds is None else Delay(seconds)


ROW: Final = ActionKind(
    value=Delay,
    effect=Effect.DELAY,
    about="Forward after a wait.",
    options=Kind(_read, _SECONDS.takes, _SECONDS.schema),
    example=_EXAMPLE,
    unjudged=lambda _: "what it would delay is missing here",
)
