"""`delay`: forward after a wait."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Delay
from proxyguard.core.problems import Fault
from proxyguard.core.yaml.kinds import Kind, duration, plain
from proxyguard.core.yaml.nodes import Mapping, Node
from proxyguard.core.yaml.values import not_what, read_duration
from proxyguard.policy.actions.kind import ActionKind, Effect

MIN_DELAY_SECONDS: Final = 0.01
MAX_DELAY_SECONDS: Final = 60

_SECONDS: Final = duration(MIN_DELAY_SECONDS, MAX_DELAY_SECONDS)
_EXAMPLE: Final = "action: {delay: 2s}"


def _read(node: Node, subject: str) -> Delay:
    if isinstance(node, Mapping):
        raise Fault(not_what(node, subject, "a duration"), _EXAMPLE)
    return Delay(read_duration(node, subject, MIN_DELAY_SECONDS, MAX_DELAY_SECONDS))


ROW: Final = ActionKind(
    value=Delay,
    effect=Effect.DELAY,
    about="Forward after a wait.",
    options=Kind(plain(_read), _SECONDS.takes, _SECONDS.schema),
    example=_EXAMPLE,
    unjudged=lambda _: "what it would delay is missing here",
)
