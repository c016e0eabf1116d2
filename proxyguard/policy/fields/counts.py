"""How much a request has: header fields, parameters, bytes of its query and of its body, as its head says."""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.problems import Fault, quoted
from proxyguard.core.request import Request, Values
from proxyguard.policy.fields.field_type import EXACT, NUMBERS, AnyValues, FieldType, KeyForm, SingleValue
from proxyguard.policy.model import FieldKind, TextKind

_COUNT: Final = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_NO_BODY: Final[Values] = (b"0",)


def _count(_kind: TextKind, text: str) -> str:
    if not _COUNT.fullmatch(text):
        raise Fault(f"{quoted(text)} is not a whole number", "such as 3, or {at_least: 3}")
    return text


def _header_count(request: Request) -> bytes:
    return b"%d" % len(request.headers)


def _query_length(request: Request) -> bytes:
    mark = request.target.find(b"?")
    return b"0" if mark < 0 else b"%d" % (len(request.target) - mark - 1)


def _query_count(request: Request) -> bytes:
    query = request.target.partition(b"?")[2]
    if not query:
        return b"0"
    if request.reading.query_semicolons:
        query = query.replace(b";", b"&")
    return b"%d" % sum(1 for part in query.split(b"&") if part)


def _body_size(request: Request) -> Values:
    """HTTP/1 says with one of two fields that there is a body (RFC 9112 section 6.3); HTTP/2 with neither."""
    index = request.header_index
    declared = index.get(b"content-length")
    if declared is not None:
        return tuple(dict.fromkeys(declared))
    return _NO_BODY if request.http_version[:1] == b"1" and b"transfer-encoding" not in index else ()


HEADER_COUNT: Final = FieldType(
    kind="header_count",
    description="How many header fields there are, those that are repeated and Host included.",
    source=SingleValue(_header_count),
    matchers=(*EXACT, *NUMBERS),
    check=_count,
    of_client=True,
    ignores_referer=True,
    key=KeyForm.PLAIN,
    derived_from=(FieldKind.HEADER,),
)
QUERY_LENGTH: Final = FieldType(
    kind="query_length",
    description="The bytes that follow the `?`, as they were sent; 0 when there are none.",
    source=SingleValue(_query_length),
    matchers=(*EXACT, *NUMBERS),
    check=_count,
    has_sizes=True,
    key=KeyForm.PLAIN,
    derived_from=(FieldKind.QUERY,),
)
QUERY_COUNT: Final = FieldType(
    kind="query_count",
    description="How many query parameters there are, those that are repeated included, empty ones (`&&`) not.",
    source=SingleValue(_query_count),
    matchers=(*EXACT, *NUMBERS),
    check=_count,
    key=KeyForm.PLAIN,
    derived_from=(FieldKind.QUERY,),
)
BODY_SIZE: Final = FieldType(
    kind="body_size",
    description="The bytes of the body as Content-Length declares them; absent when they are not known before it comes.",
    source=AnyValues(_body_size),
    matchers=(*EXACT, *NUMBERS),
    check=_count,
    has_sizes=True,
    of_client=True,
    ignores_referer=True,
    key=KeyForm.HASHED,
    derived_from=(FieldKind.HEADER, FieldKind.HTTP_VERSION),
)
