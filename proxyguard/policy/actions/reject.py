"""`reject`: answer at once."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Reject
from proxyguard.core.problems import Fault
from proxyguard.core.yaml.kinds import Key, KeyTable, Kind, duration, plain, text
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_integer
from proxyguard.policy.actions.kind import ActionKind, Effect, meant_time, options

STATUSES: Final = (400, 402, 403, 404, 406, 409, 410, 418, 422, 423, 429, 451, 500, 502, 503, 504)
"""Statuses that say no and need nothing else. Others need a header field (401, 405, 407, 426), are about the connection (408,
413, 414, 431), or are no refusal at all."""

MAX_MESSAGE_CHARACTERS: Final = 500
MAX_WAIT_SECONDS: Final = 366 * 86_400


def _status(node: Node, subject: str) -> int:
    status = read_integer(node, subject, 100, 599)
    if status in STATUSES:
        return status
    if status < 300:
        hint = "an answer that looks like success is cached and indexed as the page; 403, 404 or 429 say no"
    elif status < 400:
        hint = "a redirect is followed and remembered by browsers, caches and search engines; 403, 404 or 429 say no"
    else:
        hint = f"it needs more than a status; allowed: {', '.join(map(str, STATUSES))}"
    raise Fault(f"reject cannot answer with status {status}", hint)


_EXAMPLE: Final = "action: {reject: {status: 403}}"

OPTIONS: Final = KeyTable(
    subject="reject",
    example=_EXAMPLE,
    meant=meant_time("retry_after"),
    may_be_empty=True,
    keys={
        "status": Key(Kind(plain(_status), "status", {"enum": list(STATUSES)}), "The status of the answer."),
        "message": Key(text(MAX_MESSAGE_CHARACTERS), "A line for the person or the log of the program that is refused.",
            examples=("Automated access needs an API key.",)),
        "retry_after": Key(duration(1, MAX_WAIT_SECONDS), "When to come back, as a Retry-After header.",
            attribute="retry_after_seconds"),
    },
)  # fmt: skip

ROW: Final = ActionKind(
    value=Reject,
    effect=Effect.REFUSE,
    about="Answer at once: 429 with Retry-After when a limit decided, else 403.",
    options=options(OPTIONS, lambda found: Reject(**found.attributes())),
    short=Reject(),
    example=_EXAMPLE,
    meant=("deny", "block", "refuse", "forbid", "403", "return"),
    unjudged=lambda _: "what it would stop is missing here",
)
