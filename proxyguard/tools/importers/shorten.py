"""Long values of conditions as lists of the file: a list of names is read and edited more easily beside the rules than in one."""

from __future__ import annotations

from typing import Any

from proxyguard.tools.importers.conditions import MAX_TEXTS
from proxyguard.tools.importers.draft import Draft, slug


def shorten(draft: Draft) -> None:
    """Move every value with more than MAX_TEXTS texts into `lists`; equal ones share a list."""
    for rule in draft.rules:
        rule.when = _shortened(draft, rule.when, rule.name)


def _shortened(draft: Draft, condition: dict[str, Any], label: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in condition.items():
        if key in {"any", "all"}:
            made[key] = [_shortened(draft, part, label) for part in value]
        elif key == "not":
            made[key] = _shortened(draft, value, f"{label}-except")
        else:
            made[key] = _value(draft, value, label)
    return made


def _value(draft: Draft, value: Any, label: str) -> Any:
    if isinstance(value, dict):
        return {matcher: _value(draft, texts, label) for matcher, texts in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) <= MAX_TEXTS or not all(_is_plain(text) for text in value):
        return [_value(draft, each, label) for each in value]
    entries = list(dict.fromkeys(value))
    for name, known in draft.lists.items():
        if known == entries:
            return f"${name}"
    name, count = slug(label), 2
    while name in draft.lists:
        name, count = slug(f"{label[:58]}-{count}"), count + 1
    draft.lists[name] = entries
    return f"${name}"


def _is_plain(text: Any) -> bool:
    return isinstance(text, str) and not text.startswith("$") and text not in {"", "absent", "present"}
