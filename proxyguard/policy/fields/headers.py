"""What is derived from the header fields of a request: the order of their names, the media type of its body."""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.problems import Fault, quoted
from proxyguard.core.request import Request, Values
from proxyguard.policy.fields.field_type import AnyValues, FieldType, KeyForm, SingleValue
from proxyguard.policy.model import FieldKind, TextKind

_NAMES: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z,-]*", re.ASCII)
_MEDIA_TYPE: Final = re.compile(r"[!#$&^_.+0-9a-z-]{1,127}/[!#$&^_.+0-9a-z-]{1,127}", re.ASCII)
"""RFC 6838 section 4.2."""


def _header_order(request: Request) -> bytes:
    return b",".join([name for name, _ in request.headers]).lower()


def _names(kind: TextKind, text: str) -> str:
    if kind in (TextKind.GLOB, TextKind.WORD):
        return text.lower()
    names = text.lower()
    if not _NAMES.fullmatch(names):
        bare = re.sub(r"[\s:;]*,[\s:;]*|[\s;:]+", ",", names).strip(",")
        hint = f"did you mean {quoted(bare)}?" if _NAMES.fullmatch(bare) and bare else "such as host,user-agent,accept"
        raise Fault(f"{quoted(text)} is no order of headers: names with a comma between them and no blank", hint)
    return names


def _content_type(request: Request) -> Values:
    """An empty field says nothing, and several may be read as any of them."""
    sent = request.header_index.get(b"content-type", ())
    types = [value.partition(b";")[0].strip(b" \t").lower() for value in sent]
    return tuple(dict.fromkeys(each for each in types if each))


def _media_type(kind: TextKind, text: str) -> str:
    if kind is not TextKind.EQUAL:
        return text.lower()
    media_type = text.partition(";")[0].strip().lower()
    if ";" in text:
        raise Fault(f"{quoted(text)} has parameters", f"they are left out: {quoted(media_type)}; header.content-type has them")
    if text and not _MEDIA_TYPE.fullmatch(media_type):
        raise Fault(f"{quoted(text)} is not a media type", "such as application/json")
    return media_type


HEADER_ORDER: Final = FieldType(
    kind="header_order",
    description="The names of all header fields as they came, in lower case, commas between: `host,user-agent,accept`.",
    source=SingleValue(_header_order),
    check=_names,
    has_stars=False,
    of_client=True,
    ignores_referer=True,
    key=KeyForm.HASHED,
)
CONTENT_TYPE: Final = FieldType(
    kind="content_type",
    description="The media type of the body, in lower case, without parameters: `application/json`.",
    source=AnyValues(_content_type),
    check=_media_type,
    has_stars=False,
    of_client=True,
    ignores_referer=True,
    key=KeyForm.HASHED,
    derived_from=(FieldKind.HEADER,),
)
