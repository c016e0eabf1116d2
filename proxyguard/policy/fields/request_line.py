"""Method, scheme and version of HTTP."""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.problems import Fault, quoted
from proxyguard.policy.fields.field_type import EXACT, NUMBERS, FieldType, SingleValue
from proxyguard.policy.model import FieldKind, TextKind

_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", re.ASCII)


def _method(_kind: TextKind, text: str) -> str:
    if not _METHOD.fullmatch(text):
        raise Fault(f"{quoted(text)} is not a method", "one word, such as GET or POST")
    return text.upper()


def _scheme(_kind: TextKind, text: str) -> str:
    scheme = text.lower()
    if scheme not in ("http", "https"):
        raise Fault(f"{quoted(text)} is not a scheme", "http or https")
    return scheme


def _http_version(_kind: TextKind, text: str) -> str:
    version = text.upper().removeprefix("HTTP/")
    version = version[0] if version in ("2.0", "3.0") else version
    if version not in ("1.0", "1.1", "2", "3"):
        raise Fault(f"{quoted(text)} is not a version of HTTP", "1.0, 1.1, 2 or 3")
    return version


METHOD: Final = FieldType(
    kind=FieldKind.METHOD,
    description="The method, upper case.",
    source=SingleValue(lambda request: request.method),
    matchers=EXACT,
    check=_method,
    share=0.5,
    derived_from=(),
)
SCHEME: Final = FieldType(
    kind=FieldKind.SCHEME,
    description="`http` or `https`.",
    source=SingleValue(lambda request: request.scheme),
    matchers=EXACT,
    check=_scheme,
    share=0.9,
)
HTTP_VERSION: Final = FieldType(
    kind=FieldKind.HTTP_VERSION,
    description="1.0, 1.1, 2 or 3.",
    source=SingleValue(lambda request: request.http_version),
    matchers=(*EXACT, *NUMBERS),
    check=_http_version,
    share=0.9,
)
