"""What a text of a kind becomes, for the tests of importers."""

from __future__ import annotations

from typing import Any

from proxyguard.core.decision import Mode
from proxyguard.tools.importers.draft import Draft
from proxyguard.tools.importers.finish import Finished, Provenance, finish
from proxyguard.tools.importers.registry import BY_KIND
from proxyguard.tools.importers.sources import Source, Sources


def of_text(text: str, name: str = "-") -> Sources:
    """One text without a folder."""
    return Sources((Source(name, text),))


def draft_of(kind: str, text: str) -> Draft:
    return BY_KIND[kind].read(of_text(text), "x")


def rules_of(kind: str, text: str) -> list[tuple[Any, Any]]:
    """Conditions and actions."""
    return [(rule.when, rule.action) for rule in draft_of(kind, text).rules]


def limits_of(kind: str, text: str) -> list[tuple[Any, Any]]:
    """Conditions and limits."""
    return [(rule.when, rule.limit) for rule in draft_of(kind, text).rules]


def notes_of(kind: str, text: str) -> list[str]:
    return [str(note) for note in draft_of(kind, text).notes]


def finished(kind: str, text: str, mode: Mode = Mode.ENFORCE) -> Finished:
    return finish(draft_of(kind, text), Provenance("source", f"proxyguard import {kind} source", mode), None)
