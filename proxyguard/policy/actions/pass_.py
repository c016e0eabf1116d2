"""`pass`: forward, and look at no later rule."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import PASS, Pass
from proxyguard.policy.actions.kind import ActionKind, Effect, no_options

ROW: Final = ActionKind(
    value=Pass,
    effect=Effect.FORWARD,
    about="Forward, and look at no later rule.",
    options=no_options(PASS),
    short=PASS,
    meant=("ok", "continue", "none", "skip"),
    unjudged=lambda _: "some of what is shown as stopped may be let through by it",
)
