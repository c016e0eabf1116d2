"""`prove`: send a client that has no cookie jar to where it is, with one."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Prove
from proxyguard.policy.actions.kind import ActionKind, Effect, no_options

ROW: Final = ActionKind(
    value=Prove,
    effect=Effect.REFUSE,
    about="Answer a GET of a client without a cookie jar, once, with 303 to itself and a jar. Browsers follow silently.",
    options=no_options(Prove()),
    short=Prove(),
    unjudged=lambda _: "who has a jar is not known from a log",
)
