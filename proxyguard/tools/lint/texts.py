"""What can be proved about texts that a field is compared with: that one matcher covers another, or that two exclude each other.

Sound and incomplete, like `logic`. Knows nothing of fields or conditions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from proxyguard.policy.compile.pattern_set import compile_pattern, pattern_of
from proxyguard.policy.model import Text, TextKind

MAX_PAIRS: Final = 20_000
"""Pairs of texts compared for two matchers; longer lists are compared by equality alone."""

_FIXED: Final = (
    TextKind.EQUAL, TextKind.PREFIX, TextKind.SUFFIX, TextKind.CONTAINS, TextKind.CONTAINS_ANY, TextKind.WORD,
)  # fmt: skip

_EITHER_CASE: Final = (TextKind.WORD, TextKind.CONTAINS_ANY)


def covers(wide: Text, narrow: Text) -> bool:
    """Whether every value that `narrow` matches is proved to be matched by `wide`."""
    if wide.kind is narrow.kind:
        left = set(narrow.texts) - set(wide.texts)
        if not left:
            return True
    else:
        left = set(narrow.texts)
    if len(left) * len(wide.texts) > MAX_PAIRS:
        return False
    return all(any(_covers(wide.kind, text, narrow.kind, inner) for text in wide.texts) for inner in left)


def excludes(one: Text, other: Text) -> bool:
    """Whether no single value is proved to match both."""
    if len(one.texts) * len(other.texts) > MAX_PAIRS:
        return False
    return all(_excludes(one.kind, first, other.kind, second) for first in one.texts for second in other.texts)


def matches(kind: TextKind, text: bytes, value: bytes) -> bool:
    """Whether a value compares with a text."""
    match kind:
        case TextKind.EQUAL:
            return value == text
        case TextKind.PREFIX:
            return value.startswith(text)
        case TextKind.SUFFIX:
            return value.endswith(text)
        case TextKind.CONTAINS:
            return text in value
        case TextKind.CONTAINS_ANY:
            return text in value.lower()
        case _:
            return _pattern(kind, text).search(value) is not None


@lru_cache(maxsize=20_000)
def _pattern(kind: TextKind, text: bytes) -> Any:
    return compile_pattern(pattern_of(kind, text))


def _covers(wide: TextKind, text: bytes, narrow: TextKind, inner: bytes) -> bool:
    if narrow is wide and inner == text:
        return True
    if narrow is TextKind.EQUAL:
        return matches(wide, text, inner)
    if narrow not in _FIXED:
        return False
    match wide:
        case TextKind.PREFIX:
            return narrow is TextKind.PREFIX and inner.startswith(text)
        case TextKind.SUFFIX:
            return narrow is TextKind.SUFFIX and inner.endswith(text)
        case TextKind.CONTAINS:
            return text in inner and (narrow not in _EITHER_CASE or text.lower() == text.upper())
        case TextKind.CONTAINS_ANY:
            return text in inner.lower()
        case TextKind.WORD:
            return narrow is TextKind.WORD and matches(TextKind.WORD, text, inner)
        case _:
            return False


def _excludes(one: TextKind, first: bytes, other: TextKind, second: bytes) -> bool:
    if one is TextKind.EQUAL:
        return not matches(other, second, first)
    if other is TextKind.EQUAL:
        return not matches(one, first, second)
    if one is other is TextKind.PREFIX:
        return not (first.startswith(second) or second.startswith(first))
    if one is other is TextKind.SUFFIX:
        return not (first.endswith(second) or second.endswith(first))
    return False
