"""Fields that a request has by name: query parameters, headers, cookies; and the user agent, which is a header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import attrgetter
from typing import Final

from proxyguard.core.canonical_names import canonical_name
from proxyguard.core.key_values import canonical_header_name, cookie_values, header_values, query_values
from proxyguard.core.problems import Fault, quoted
from proxyguard.core.reading import percent_decode
from proxyguard.core.request import Request, Values
from proxyguard.policy.fields.field_type import (
    ANY_TEXT,
    MATCHERS,
    NUMBERS,
    TEXT_MATCHERS,
    AnyValues,
    FieldType,
    KeyForm,
    NamedValues,
)
from proxyguard.policy.model import Field, FieldKind

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}", re.ASCII)
"""RFC 9110 section 5.6.2."""

_NOTHING: Final[Mapping[bytes, Values]] = {}


def _read_parameter(name: str) -> str:
    _refuse_star(name, "query parameter", "look for it in the whole query: query_string: {regex: …}")
    if not name or len(name) > 256 or not name.isprintable():
        raise Fault(f"{quoted(name)} is not the name of a query parameter", "1 to 256 printable characters")
    return name


def _read_token(name: str, noun: str) -> str:
    _refuse_star(name, noun, "cookies are together in header.cookie" if noun == "cookie" else "")
    if not _TOKEN.fullmatch(name):
        raise Fault(f"{quoted(name)} is not the name of a {noun}", "letters, digits and hyphens, such as x-api-key")
    return name


def _refuse_star(name: str, noun: str, otherwise: str) -> None:
    """A * would stand for itself, which nobody means."""
    if "*" in name:
        hint = f"name each {noun}; {otherwise}" if otherwise else f"name each {noun}"
        raise Fault(f"{quoted(name)} is no name of a {noun}: in names a * means nothing but itself", hint)


def _query(request: Request) -> Mapping[bytes, Values]:
    return request.query if request.has_query else _NOTHING


def _whole_query(request: Request) -> Values:
    if not request.has_query:
        return ()
    query = request.sent_query
    if request.reading.folds_names:
        query = request.reading.raw_query(query)
    if query.find(b"+") >= 0:
        query = query.replace(b"+", b" ")
    return (percent_decode(query) if query.find(b"%") >= 0 else query,)


def _cookies(request: Request) -> Mapping[bytes, Values]:
    return request.cookies if b"cookie" in request.header_index else _NOTHING


def _user_agent(request: Request) -> Values:
    return request.header_index.get(b"user-agent", ())


QUERY: Final = FieldType(
    kind=FieldKind.QUERY,
    description="A query parameter, decoded: `query.page: present`; without a name all of them: `query: {contains: x}`.",
    source=NamedValues(_query, "query parameter", "page", _read_parameter, (canonical_name, query_values), whole=_whole_query),
    is_lenient=True,
    matchers=(*TEXT_MATCHERS, *NUMBERS, "not"),
    key=KeyForm.HASHED,
)
HEADER: Final = FieldType(
    kind=FieldKind.HEADER,
    description="Headers, names in any case: `header: {referer: absent}` or `header.referer: absent`.",
    source=NamedValues(
        attrgetter("header_index"),
        "header",
        "x-api-key",
        lambda name: _read_token(name, "header").lower(),
        (canonical_header_name, header_values),
    ),
    is_lenient=True,
    matchers=MATCHERS,
    of_client=True,
    key=KeyForm.HASHED,
)
COOKIE: Final = FieldType(
    kind=FieldKind.COOKIE,
    description="Cookies: `cookie: {session: present}` or `cookie.session: present`.",
    source=NamedValues(_cookies, "cookie", "session", lambda name: _read_token(name, "cookie"), (canonical_name, cookie_values)),
    is_lenient=True,
    matchers=MATCHERS,
    of_client=True,
    ignores_referer=True,
    key=KeyForm.HASHED,
    is_secret=True,
)
USER_AGENT: Final = FieldType(
    kind=FieldKind.USER_AGENT,
    description="The User-Agent header. For names of programs use `word`.",
    source=AnyValues(_user_agent),
    is_lenient=True,
    matchers=ANY_TEXT,
    has_stars=False,
    canonical=Field(FieldKind.HEADER, "user-agent"),
    of_client=True,
    ignores_referer=True,
    key=KeyForm.HASHED,
)
