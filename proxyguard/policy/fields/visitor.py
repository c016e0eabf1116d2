"""Whether a client was here on an earlier day, as the firewall remembers it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from proxyguard.core.request import Request, Values
from proxyguard.policy.fields.field_type import EXACT, AnyValues, FieldType
from proxyguard.policy.fields.words import one_of


class VisitorState(StrEnum):
    """What is known of a client."""

    KNOWN = "known"
    """It was let through on one of the last seven days before this one."""
    NEW = "new"


def _visitor(request: Request) -> Values:
    return (request.visitor,) if request.visitor else ()


VISITOR: Final = FieldType(
    kind="visitor",
    description="Whether the client's address was here in the last seven days (`known`) or not (`new`); today does not count.",
    source=AnyValues(_visitor),
    matchers=EXACT,
    check=one_of("visitor", VisitorState),
    share=0.5,
)
