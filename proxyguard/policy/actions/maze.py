"""`maze`: answer with made pages that lead to each other without end."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Maze
from proxyguard.core.yaml.kinds import Found, Key, KeyTable, duration
from proxyguard.policy.actions.kind import ActionKind, Effect, meant_time, options

MAX_WAIT_SECONDS: Final = 60

_EXAMPLE: Final = "action: {maze: {wait: 5s}}"

OPTIONS: Final = KeyTable(
    subject="maze",
    example=_EXAMPLE,
    meant=meant_time("wait") | {"delay": "did you mean 'wait'?"},
    may_be_empty=True,
    keys={"wait": Key(duration(0, MAX_WAIT_SECONDS), "How long each page takes.", attribute="wait_seconds")},
)


def _made(found: Found) -> Maze:
    return Maze(**found.attributes())


ROW: Final = ActionKind(
    value=Maze,
    effect=Effect.REFUSE,
    about="Answer a GET with a made page whose links lead to more of them; never a verified bot, the signed-in, a proven jar.",
    options=options(OPTIONS, _made),
    short=Maze(),
    example=_EXAMPLE,
    meant=("labyrinth", "decoy"),
    unjudged=lambda _: "what it would stop is missing here",
)
