"""Matchers that stand where a name belongs: `query: {contains: x}` would be a parameter called contains, which nobody means.

A parameter, header or cookie that is really called so is written with a dot. Knows every matcher of the registry, what other
tools call them where no name is likely to be the same, and the words that combine conditions.
"""

from __future__ import annotations

from typing import Final

from proxyguard.core.problems import Fault, folded, quoted
from proxyguard.core.yaml.nodes import Mapping, MappingEntry, Sequence
from proxyguard.core.yaml.values import NodeFault
from proxyguard.policy.fields.field_type import MATCHERS
from proxyguard.policy.fields.registry import field_type, named_values
from proxyguard.policy.meant import meant
from proxyguard.policy.model import FieldKind

WHOLE: Final = {str(FieldKind.QUERY): str(FieldKind.QUERY), str(FieldKind.COOKIE): "header.cookie", "path_segment": "path"}
"""The field that has all values of a family in one text; matchers that `query` takes are not misplaced below it."""

_ALONE: Final = ("present", "absent")

_MEANT: Final = {word: hint.removeprefix("did you mean '").removesuffix("'?") for word, hint in meant("matcher-as-name").items()}
"""Matchers by what they are called elsewhere."""


def refuse_matcher_as_name(kind: str, entry: MappingEntry) -> None:
    """Raises NodeFault when a key below `query:`, `header:` or another family of fields is a matcher."""
    word = entry.key.text
    name = folded(word)
    matcher = name if name in MATCHERS or name in _ALONE else _MEANT.get(name)
    if matcher is None and not (name in ("any", "all") and _has_conditions(entry)):
        return
    named = named_values(kind)
    noun = kind if named is None else named.noun
    hint = f"a {noun} that is called so is written {kind}.{word}"
    if matcher is None:
        message = f"{quoted(word)} combines conditions, it is not the name of a {noun}"
        raise NodeFault(entry.key, message, f"{name}: [{{{kind}.NAME: …}}, …]; {hint}")
    whole = WHOLE.get(kind)
    message = (
        f"{quoted(word)} {'is a matcher' if matcher == name else f'reads as the matcher {matcher}'}, not the name of a {noun}"
    )
    readings = [_reading(f"{kind}.NAME", matcher, f"one {noun}")] if _takes(kind, matcher) else []
    if whole is not None and _takes(whole.partition(".")[0], matcher):
        readings.append(_reading(whole, matcher, "all of them as one text"))
    if matcher == "not":
        readings.append(f"not: {{{kind}: {{NAME: …}}}}")
    if _can_be_called(kind, word):
        readings.append(hint)
    raise NodeFault(entry.key, message, "; ".join(readings))


def _can_be_called(kind: str, word: str) -> bool:
    named = named_values(kind)
    try:
        return named is None or bool(named.read_name(word))
    except Fault:
        return False


def _takes(kind: str, matcher: str) -> bool:
    return matcher in _ALONE or matcher in field_type(kind).matchers


def _reading(field: str, matcher: str, what: str) -> str:
    return f"{field}: {matcher if matcher in _ALONE else f'{{{matcher}: …}}'} for {what}"


def _has_conditions(entry: MappingEntry) -> bool:
    return isinstance(entry.value, Sequence) and any(isinstance(item, Mapping) for item in entry.value.items)
