"""The check of a field whose values are a few words, such as the state of a jar."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from proxyguard.core.problems import Fault, quoted
from proxyguard.policy.model import TextKind


def one_of(noun: str, words: Iterable[str]) -> Callable[[TextKind, str], str]:
    """Refuses every text but the words, which messages list as what a `noun` can be."""
    known = tuple(map(str, words))

    def check(_kind: TextKind, text: str) -> str:
        if text not in known:
            raise Fault(f"{quoted(text)} is no {noun}", ", ".join(known))
        return text

    return check
