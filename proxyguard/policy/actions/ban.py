"""`ban`: refuse from now on, for a time."""

from __future__ import annotations

from typing import Any, Final

from proxyguard.core.decision import ACTION_NAMES, Ban
from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.units import duration_text
from proxyguard.core.yaml.kinds import Found, Key, KeyTable, Kind, duration, number
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar
from proxyguard.core.yaml.values import NodeFault
from proxyguard.policy.actions import drop, reject, tarpit
from proxyguard.policy.actions.kind import ActionKind, Effect, meant_time, options
from proxyguard.policy.actions.reading import read_action

MAX_SECONDS: Final = 366 * 86_400
MAX_ESCALATION: Final = 100

REFUSALS: Final = {row.name: row for row in (reject.ROW, tarpit.ROW, drop.ROW)}
"""What the banned can get."""

_EXAMPLE: Final = "action: {ban: {for: 1h}}"


def _then(node: Node, report: Report, _subject: str, _around: Any) -> Any:
    first = node.entries[0].key if isinstance(node, Mapping) and node.entries else node
    allowed = f"allowed: {', '.join(REFUSALS)}"
    if isinstance(first, Scalar) and first.text not in REFUSALS and first.text in ACTION_NAMES.values():
        raise NodeFault(first, f"the banned cannot get {quoted(first.text)}", allowed)
    if isinstance(node, Scalar) and node.is_null:
        raise Fault("then has no value", allowed)
    return read_action(node, report, REFUSALS)


OPTIONS: Final = KeyTable(
    subject="ban",
    example=_EXAMPLE,
    meant=meant_time("for"),
    may_be_empty=True,
    is_quiet=True,
    keys={
        "for": Key(duration(1, MAX_SECONDS), "How long the first ban lasts.", ("the ban has no duration", _EXAMPLE),
            attribute="for_seconds"),
        "escalation": Key(number(1, MAX_ESCALATION), "How many times longer each further ban of the same key lasts.",
            examples=(2,)),
        "max": Key(duration(1, MAX_SECONDS), "The longest that a repeated ban lasts.", attribute="max_seconds"),
        "forget": Key(duration(1, MAX_SECONDS), "How long after a ban's end the next one counts as a repetition.",
            attribute="forget_seconds"),
        "then": Key(Kind(_then, "refusal", {"$ref": "#/definitions/refusal"}),
            "What the banned get: `reject`, `tarpit` or `drop`."),
    },
)  # fmt: skip


def _made(found: Found) -> Ban:
    first, most = found.values["for"], found.get("max")
    if most is not None and most < first:
        message = f"max ({duration_text(most)}) is shorter than for ({duration_text(first)})"
        raise NodeFault(found.nodes["max"], message, "max is the longest that a repeated ban may last")
    ban = Ban(**found.attributes())
    return Ban(**found.attributes(max_seconds=max(first, ban.max_seconds)))


ROW: Final = ActionKind(
    value=Ban,
    effect=Effect.REFUSE,
    about="Refuse the client (or the limit's key) from now on, for a time.",
    options=options(OPTIONS, _made),
    example=_EXAMPLE,
    unjudged=lambda _: "what it would stop is missing here",
)
