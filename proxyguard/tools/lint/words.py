"""How lints say things: tests, rules and texts in short."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxyguard.core.problems import quoted
from proxyguard.policy.compile.normal_form import Leaf
from proxyguard.policy.matchers import During, Refused, Sampled
from proxyguard.policy.model import Absent, AtLeast, AtMost, InNetworks, Present, Rule, Text, TextKind

MAX_TEXTS: Final = 3


def format_leaf(leaf: Leaf) -> str:
    """A test as an operator would write it: `path prefix '/api/'`, `not method 'GET'`."""
    field = format_field(leaf)
    matcher = leaf.test.matcher
    match matcher:
        case Text(kind, texts):
            word = "" if kind is TextKind.EQUAL else f"{kind} "
            shown = f"{field} {word}{format_texts(text_of(text) for text in texts)}"
        case InNetworks(networks):
            shown = f"{field} {format_texts(network.text for network in networks)}"
        case Present():
            return f"{field} {'absent' if leaf.negated else 'present'}"
        case Absent():
            return f"{field} {'present' if leaf.negated else 'absent'}"
        case AtLeast(bound):
            shown = f"{field} at_least {bound:g}"
        case AtMost(bound):
            shown = f"{field} at_most {bound:g}"
        case During() | Sampled() | Refused():
            shown = f"{field} {matcher}"
        case _:
            shown = f"{field} {type(matcher).__name__.lower()}"
    return f"not {shown}" if leaf.negated else shown


def format_field(leaf: Leaf) -> str:
    """The field of a test as an operator would write it."""
    return "user_agent" if str(leaf.test.field) == "header.user-agent" else str(leaf.test.field)


def format_texts(texts: Iterable[str]) -> str:
    """The first texts, quoted."""
    every = list(texts)
    shown = ", ".join(quoted(text, 40) for text in every[:MAX_TEXTS])
    return shown if len(every) <= MAX_TEXTS else f"{shown} and {len(every) - MAX_TEXTS} more"


def text_of(text: bytes) -> str:
    """A text of a matcher as it is written in a rule file."""
    return text.decode("utf-8", "backslashreplace")


def rule_at(rule: Rule) -> str:
    """A rule and where it is: `'scanners' (rules/30-scanners.yaml:9)`."""
    return f"'{rule.name}' ({rule.place.file}:{rule.place.line})"
