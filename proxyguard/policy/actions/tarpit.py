"""`tarpit`: answer slowly."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Tarpit
from proxyguard.core.units import duration_text
from proxyguard.core.yaml.kinds import Found, Key, KeyTable, duration, whole
from proxyguard.core.yaml.values import NodeFault
from proxyguard.policy.actions.kind import ActionKind, Effect, meant_time, options

MAX_HOLD_SECONDS: Final = 3600
MAX_DRIP_BYTES: Final = 1024

_EXAMPLE: Final = "action: {tarpit: {hold: 60s}}"

OPTIONS: Final = KeyTable(
    subject="tarpit",
    example=_EXAMPLE,
    meant=meant_time("hold"),
    may_be_empty=True,
    keys={
        "hold": Key(duration(1, MAX_HOLD_SECONDS), "The longest time to hold the client.", attribute="hold_seconds"),
        "drip": Key(duration(0.1, 60), "The time between two pieces of the answer.", attribute="drip_seconds"),
        "drip_bytes": Key(whole(1, MAX_DRIP_BYTES), "The size of a piece.", examples=(1, 16)),
    },
)  # fmt: skip


def _made(found: Found) -> Tarpit:
    tarpit = Tarpit(**found.attributes())
    hold, drip = tarpit.hold_seconds, tarpit.drip_seconds
    if drip > hold:
        message = f"drip ({duration_text(drip)}) is longer than hold ({duration_text(hold)})"
        hint = "drip is the time between two pieces of the answer; hold is the time in all"
        raise NodeFault(found.nodes.get("drip", found.mapping), message, hint)
    return tarpit


ROW: Final = ActionKind(
    value=Tarpit,
    effect=Effect.REFUSE,
    about="Answer slowly, a few bytes at a time, and hold the connection.",
    options=options(OPTIONS, _made),
    short=Tarpit(),
    example=_EXAMPLE,
    unjudged=lambda _: "what it would stop is missing here",
)
