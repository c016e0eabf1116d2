"""Examples for tests and warnings: texts that a matcher finds, and real browsers that a pattern would hit.

Knows patterns, but not the source that they came from.
"""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.problems import Fault
from proxyguard.policy.compile.pattern_set import compile_pattern, pattern_of
from proxyguard.policy.model import FieldKind, TextKind
from proxyguard.policy.parse.texts import read_text_value
from proxyguard.tools.data import user_agents

BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
"""A person's user agent, for tests of requests that must not be stopped."""

_ESCAPES: Final = {"d": "1", "w": "a", "s": " ", "S": "a", "D": "a", "W": " ", "b": "", "B": "", "A": "", "z": ""}
_CLASS_FIRST: Final = re.compile(r"\[(\^?)\\?(.)")


def browser_hit(kind: TextKind, text: str) -> str | None:
    """A real browser whose user agent the matcher finds."""
    search = compile_pattern(pattern_of(kind, text.encode())).search
    return next((agent.decode() for agent in user_agents() if search(agent) is not None), None)


def word_fault(text: str) -> str | None:
    """Why a name cannot be looked for as a word; None when it can."""
    try:
        read_text_value(FieldKind.USER_AGENT, TextKind.WORD, text)
    except Fault as fault:
        return f"{fault.message}; {fault.hint}"
    hit = browser_hit(TextKind.WORD, text)
    return None if hit is None else f"it is in the user agents of real browsers, such as {hit}"


def finds(kind: TextKind, text: str, value: str) -> bool:
    """Whether a matcher finds a value."""
    return compile_pattern(pattern_of(kind, text.encode())).search(value.encode()) is not None


def example_of(pattern: str) -> str | None:
    """A short text that a simple regular expression matches; None if the expression is not simple."""
    made = _Walk(pattern).text()
    if made is None or not made.strip() or not made.isprintable() or not made.isascii():
        return None
    return made if finds(TextKind.REGEX, pattern, made) else None


class _Walk:
    """Takes the first alternative everywhere and every repetition as often as it must be."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.sub(r"^\(\?[a-z]+\)", "", pattern)
        self._at = 0

    def text(self) -> str | None:
        try:
            return self._alternatives()
        except (IndexError, ValueError):
            return None

    def _alternatives(self) -> str:
        """Up to the closing bracket or the end."""
        made: list[str] = []
        chosen: str | None = None
        while self._at < len(self._pattern) and self._pattern[self._at] != ")":
            if self._pattern[self._at] == "|":
                chosen = "".join(made) if chosen is None else chosen
                made = []
                self._at += 1
            else:
                made.append(self._repeated(self._atom()))
        return "".join(made) if chosen is None else chosen

    def _atom(self) -> str:
        char = self._pattern[self._at]
        self._at += 1
        match char:
            case "(":
                group = re.compile(r"\?(?:P?<\w+>|[a-z]*:)").match(self._pattern, self._at)
                if group:
                    self._at = group.end()
                inner = self._alternatives()
                self._at += 1
                return inner
            case "[":
                return self._class()
            case ".":
                return "x"
            case "^" | "$":
                return ""
            case "\\":
                escaped = self._pattern[self._at]
                self._at += 1
                return _ESCAPES.get(escaped, escaped)
            case _:
                return char

    def _class(self) -> str:
        found = _CLASS_FIRST.match(self._pattern, self._at - 1)
        end = self._pattern.index("]", self._at + 1)
        self._at = end + 1
        if found is None or found[2] == "[":
            raise ValueError
        return "~" if found[1] else found[2]

    def _repeated(self, atom: str) -> str:
        match self._pattern[self._at : self._at + 1]:
            case "*" | "?":
                self._at += 1
                self._lazy()
                return ""
            case "+":
                self._at += 1
                self._lazy()
                return atom
            case "{":
                end = self._pattern.index("}", self._at)
                least = int(self._pattern[self._at + 1 : end].partition(",")[0])
                self._at = end + 1
                self._lazy()
                return atom * min(least, 50)
            case _:
                return atom

    def _lazy(self) -> None:
        if self._pattern[self._at : self._at + 1] == "?":
            self._at += 1
