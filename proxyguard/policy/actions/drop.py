"""`drop`: close the connection."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Drop
from proxyguard.policy.actions.kind import ActionKind, Effect, no_options

ROW: Final = ActionKind(
    value=Drop,
    effect=Effect.REFUSE,
    about="Close the connection without an answer.",
    options=no_options(Drop()),
    short=Drop(),
    meant=("close", "reset", "abort", "444"),
    unjudged=lambda _: "what it would stop is missing here",
)
