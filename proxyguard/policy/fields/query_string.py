"""The whole query of a request, for rules that must know that there is nothing else in it."""

from __future__ import annotations

from typing import Final

from proxyguard.core.request import Request, Values
from proxyguard.policy.fields.field_type import AnyValues, FieldType, KeyForm
from proxyguard.policy.model import FieldKind


def _query_string(request: Request) -> Values:
    return (request.sent_query,) if request.has_query else ()


QUERY_STRING: Final = FieldType(
    kind=FieldKind.QUERY_STRING,
    description="All that follows the `?`, as it was sent; absent when there is none.",
    source=AnyValues(_query_string),
    key=KeyForm.HASHED,
    derived_from=(FieldKind.QUERY,),
)
