"""The actions that there are, in the order of the reference.

A new one is a value in `core.decision`, a module with its row, and its name in this table. mypy then names whoever has to
carry it out and does not: `adapters.mitmproxy.exchange`.
"""

from __future__ import annotations

from typing import Final, TypeGuard

from proxyguard.core.decision import (
    ACTION_NAMES,
    Action,
    Allow,
    Ban,
    Delay,
    Drop,
    Mask,
    Maze,
    Pass,
    Prove,
    Refusal,
    Reject,
    Tarpit,
    Uniform,
)
from proxyguard.core.yaml.kinds import Kind
from proxyguard.policy.actions import allow, ban, delay, drop, jar, mask, maze, pass_, prove, reject, score, tag, tarpit, uniform
from proxyguard.policy.actions.ban import REFUSALS
from proxyguard.policy.actions.kind import ActionKind
from proxyguard.policy.actions.reading import read_action

ACTIONS: Final[dict[str, ActionKind]] = {
    module.ROW.name: module.ROW
    for module in (allow, pass_, reject, tarpit, maze, delay, drop, ban, score, tag, jar, prove, mask, uniform)
}

SHORT_REFUSALS: Final[dict[str, Refusal]] = {
    name: row.short for name, row in REFUSALS.items() if isinstance(row.short, Reject | Tarpit | Drop)
}
"""What the banned can get, by the word alone."""

DECISIONS: Final = tuple(name for name, row in ACTIONS.items() if row.is_terminal)
"""What a decision can be called; score and tag never decide."""

ACTION: Final = Kind(
    lambda node, report, _subject, _around: read_action(node, report, ACTIONS), "action", {"$ref": "#/definitions/action"}
)


def kind_of(action: Action) -> ActionKind:
    return ACTIONS[ACTION_NAMES[type(action)]]


def refuses(action: Action) -> bool:
    """Whether the request never reaches the site."""
    return kind_of(action).refuses


def ends(action: Action) -> TypeGuard[Allow | Pass | Prove | Reject | Tarpit | Maze | Delay | Drop | Mask | Uniform | Ban]:
    return kind_of(action).is_terminal
