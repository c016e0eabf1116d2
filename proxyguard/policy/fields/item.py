"""The item that a request asks for, as `items` of the rule files name them, and whether it is often read."""

from __future__ import annotations

from typing import Final

from proxyguard.core.item import RECENT, ItemHeat
from proxyguard.core.problems import Fault, quoted
from proxyguard.core.request import Request, Values
from proxyguard.core.yaml.values import NAME
from proxyguard.policy.fields.field_type import EXACT, AnyValues, FieldType
from proxyguard.policy.fields.words import one_of
from proxyguard.policy.model import TextKind


def _family(request: Request) -> Values:
    return () if request.item is None else (request.item.family,)


def _heat(request: Request) -> Values:
    item = request.item
    if item is None:
        return ()
    return (item.heat, RECENT) if item.is_recent else (item.heat,)


def _name(_kind: TextKind, text: str) -> str:
    if not NAME.fullmatch(text):
        raise Fault(f"{quoted(text)} is not the name of a kind of item", "lower-case letters, digits and single hyphens")
    return text


ITEM: Final = FieldType(
    kind="item",
    description="The kind of item that is asked for, as `items` names it; absent for everything else.",
    source=AnyValues(_family),
    matchers=EXACT,
    check=_name,
    share=0.02,
)
HEAT: Final = FieldType(
    kind="heat",
    description="Whether the item is `cold` (read a few times lately at most) or `hot`, and `recent` besides when it is cold and "
    "somebody was let through to it in the last half hour; absent when no item is asked for.",
    source=AnyValues(_heat),
    matchers=EXACT,
    check=one_of("heat of an item", ItemHeat),
    share=0.02,
)
