"""What rules give while they are looked at: score, tags, and the class that a tag says. `compile.conditions` asks about them."""

from __future__ import annotations

from typing import Final

from proxyguard.core.problems import Fault, quoted
from proxyguard.core.yaml.values import NAME
from proxyguard.policy.fields.field_type import EXACT, NUMBERS, ArisingValues, FieldType
from proxyguard.policy.model import FieldKind, TextKind


def _name(text: str, noun: str) -> str:
    if not NAME.fullmatch(text):
        raise Fault(f"{quoted(text)} is not {noun}", "lower-case letters, digits and single hyphens")
    return text


def _tag(_kind: TextKind, text: str) -> str:
    return _name(text, "a tag")


def _class(_kind: TextKind, text: str) -> str:
    return _name(text, "the name of a class")


SCORE: Final = FieldType(
    kind=FieldKind.SCORE,
    description="The points collected by the rules before this one.",
    source=ArisingValues(single=True),
    matchers=NUMBERS,
    derived_from=(),
)
TAG: Final = FieldType(
    kind=FieldKind.TAG,
    description="The tags attached by the rules before this one.",
    source=ArisingValues(single=False),
    matchers=EXACT,
    check=_tag,
    derived_from=(),
)
CLASS: Final = FieldType(
    kind=FieldKind.CLASS,
    description="The class of the client, as `classes` define it; `anonymous` when it is in none.",
    source=ArisingValues(single=True),
    matchers=EXACT,
    check=_class,
    derived_from=(),
)
