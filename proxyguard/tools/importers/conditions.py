"""Conditions of the rule language as plain mappings, and how they are joined: and, or, not.

`ALWAYS` is the empty mapping, as in a rule without `when`; None is the condition that never holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from proxyguard.tools.importers.draft import NotCarried, one_or_list

Condition = dict[str, Any]
"""A mapping of fields, `any`, `all` and `not`, all of which must hold."""

ALWAYS: Final[Condition] = {}

MAX_TEXTS: Final = 20
"""Values that stand in a condition; more become a list of the file."""

_WORDS: Final = frozenset({"any", "all", "not"})


def every(parts: Iterable[Condition | None]) -> Condition | None:
    """All of them: one mapping where no key stands twice, else `all`."""
    kept: list[Condition] = []
    for part in parts:
        if part is None:
            return None
        flat = part["all"] if part.keys() == {"all"} else [part]
        kept += [each for each in flat if each and each not in kept]
    if any(negated(each) in kept for each in kept):
        return None
    if sum(len(each) for each in kept) == len({key for each in kept for key in each}):
        return {key: value for each in kept for key, value in each.items()}
    return {"all": kept}


def some(parts: Iterable[Condition | None]) -> Condition | None:
    """Any of them; values of one field become a list."""
    kept: list[Condition] = []
    for part in parts:
        if part is None:
            continue
        if not part:
            return ALWAYS
        flat = part["any"] if part.keys() == {"any"} else [part]
        kept += [each for each in flat if each not in kept]
    if any(negated(each) in kept for each in kept):
        return ALWAYS
    return _of_one_field(kept)


def _of_one_field(parts: list[Condition]) -> Condition | None:
    """`any` of the parts, those of one field as one part with a list."""
    merged: list[Condition] = []
    at: dict[str, Condition] = {}
    for part in parts:
        [*keys] = part
        key = keys[0] if len(keys) == 1 and keys[0] not in _WORDS else ""
        if key and key in at:
            at[key][key] = _joined(at[key][key], part[key])
            continue
        fresh = dict(part)
        merged.append(fresh)
        if key:
            at[key] = fresh
    if not merged:
        return None
    return merged[0] if len(merged) == 1 else {"any": merged}


def _joined(first: Any, second: Any) -> Any:
    """Any of both values of a field; texts of one matcher stand under it together."""
    values: list[Any] = []
    for value in (*_listed(first), *_listed(second)):
        if value in values:
            continue
        same = next((known for known in values if _is_like(known, value)), None)
        if same is None:
            values.append(dict(value) if isinstance(value, dict) else value)
        else:
            [matcher] = same
            same[matcher] = list(dict.fromkeys([*_listed(same[matcher]), *_listed(value[matcher])]))
    return values[0] if len(values) == 1 else values


def _is_like(known: Any, value: Any) -> bool:
    """Whether both are one matcher of texts, the same."""
    if not isinstance(known, dict) or not isinstance(value, dict) or len(known) != 1:
        return False
    return known.keys() == value.keys() and not known.keys() & {"not", "at_least", "at_most"}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def negated(part: Condition | None) -> Condition | None:
    """What holds where the part does not."""
    if part is None:
        return ALWAYS
    if not part:
        return None
    if part.keys() == {"not"}:
        return part["not"]  # type: ignore[no-any-return]  # what stands under not is a condition
    if part.keys() == {"all"} and all(each.keys() == {"not"} for each in part["all"]):
        return some(each["not"] for each in part["all"])
    return {"not": part}


def equal(field: str, values: Iterable[str]) -> Condition:
    """A field that has one of the values. A value that looks like a pattern or a word of the language stands under `in`."""
    texts = [literal(value) for value in dict.fromkeys(values)]
    if any("*" in text or text in {"absent", "present"} for text in texts):
        return {field: {"in": texts}}
    return {field: one_or_list(texts)}


def literal(text: str) -> str:
    """A text as a value: one that begins with `$` would be the name of a list."""
    return f"${text}" if text.startswith("$") else text


def required(part: Condition | None, subject: str) -> Condition:
    """A condition that can hold. Raises NotCarried."""
    if part is None:
        raise NotCarried(f"{subject} can never hold")
    return part
