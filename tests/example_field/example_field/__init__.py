"""The field `field_count`: browsers send a dozen header fields, many scripts send three."""

from __future__ import annotations

from typing import Final

from proxyguard.core.problems import Fault, quoted
from proxyguard.core.request import Request
from proxyguard.policy.fields.field_type import EXACT, NUMBERS, FieldType, KeyForm, SingleValue
from proxyguard.policy.model import TextKind


def _count(request: Request) -> bytes:
    return b"%d" % len(request.headers)


def _check(_kind: TextKind, text: str) -> str:
    if not text.isdecimal():
        raise Fault(f"{quoted(text)} is not a number of headers", "a whole number, such as 3")
    return str(int(text))


FIELD_COUNT: Final = FieldType(
    kind="field_count",
    description="How many header fields the request has, repeated ones counted each time.",
    source=SingleValue(_count),
    matchers=(*EXACT, *NUMBERS),
    check=_check,
    of_client=True,
    key=KeyForm.PLAIN,
    derived_from=("header",),
)
