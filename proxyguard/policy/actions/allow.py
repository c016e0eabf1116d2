"""`allow`: forward, whatever else would be done."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import ALLOW, Allow
from proxyguard.policy.actions.kind import ActionKind, Effect, no_options

ROW: Final = ActionKind(
    value=Allow,
    effect=Effect.FORWARD,
    about="Forward, whatever any rule, ban or limit says. Allow rules are looked at first.",
    options=no_options(ALLOW),
    short=ALLOW,
    meant=("accept", "permit", "whitelist", "allowlist"),
    unjudged=lambda _: "some of what is shown as stopped may be let through by it",
)
