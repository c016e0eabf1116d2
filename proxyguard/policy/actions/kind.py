"""What is to be said of an action: the row that each module of this package makes. Knows nothing of how one is carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from proxyguard.core.decision import ACTION_NAMES, Action
from proxyguard.core.problems import Fault, Report
from proxyguard.core.yaml.kinds import Found, KeyTable, Kind, plain
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar
from proxyguard.policy.meant import meant


class Effect(Enum):
    """What a request meets when the action applies."""

    FORWARD = auto()
    DELAY = auto()
    ALTER = auto()
    """The request goes to the site; its answer is changed."""
    REFUSE = auto()
    GO_ON = auto()
    """The action ends nothing: the next rules are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionKind:
    """One action: `value` is the class of its values in `core.decision`, which names it too.

    `options` reads what stands below the word. `short` is what the word alone means, None when it needs a value, of which
    `example` shows one. `meant` are words that people use for it. `unjudged` says what a replay lacks when no log can tell
    whether a rule with this action applies.
    """

    value: type[Any]
    effect: Effect
    about: str
    options: Kind
    unjudged: Callable[[Any], str]
    short: Action | None = None
    example: str = ""
    meant: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its word in rule files, audit records, metrics and reports."""
        return ACTION_NAMES[self.value]

    @property
    def is_terminal(self) -> bool:
        """Whether it ends the evaluation."""
        return self.effect is not Effect.GO_ON

    @property
    def refuses(self) -> bool:
        """Whether the request never reaches the site."""
        return self.effect is Effect.REFUSE


MEANT_OPTION: Final = meant("option")
"""Words that people use for options, whichever action they belong to."""


def meant_time(key: str) -> dict[str, str]:
    """Hints for words that people use for options, where `key` is the option that is a time."""
    return MEANT_OPTION | dict.fromkeys(("duration", "time", "seconds", "length", "until"), f"did you mean '{key}'?")


def options(table: KeyTable, make: Callable[[Found], Action], check: Callable[[Found], None] = lambda _: None) -> Kind:
    """Options in a mapping, and what is made of them when they are sound. `check` complains of those that do not go together."""

    def read(node: Node, report: Report, subject: str, around: Any) -> Action:
        hint = ""
        if isinstance(node, Scalar) and node.text[:1].isdecimal():
            hint = f"did you mean {{{subject}: {{{next(iter(table.keys))}: {node.text}}}}}?"
        found = table.read(node, report, around, hint=hint)
        check(found)
        return make(found.sound())

    return Kind(read, "options", table.schema())


def no_options(action: Action) -> Kind:
    """Nothing, or an empty mapping."""

    def read(node: Node, subject: str) -> Action:
        if isinstance(node, Mapping) and not node.entries:
            return action
        raise Fault(f"{subject} takes no options", f"action: {subject}")

    return Kind(plain(read), "nothing", {"type": "object", "maxProperties": 0})
