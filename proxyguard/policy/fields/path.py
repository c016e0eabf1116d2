"""The path of a request: as its site reads it, and as the most lenient server would."""

from __future__ import annotations

import re
from operator import attrgetter
from typing import Final

from proxyguard.core.key_values import canonical_path
from proxyguard.core.problems import Fault, quoted
from proxyguard.core.reading import LOOSE, decoded_path
from proxyguard.policy.fields.field_type import AnyValues, FieldType, KeyForm, SingleValue
from proxyguard.policy.model import FieldKind, TextKind

_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")


def _path(kind: TextKind, text: str) -> str:
    if kind in (TextKind.EQUAL, TextKind.PREFIX):
        _check_beginning(text)
    if kind is TextKind.GLOB:
        _check_merged(text)
    elif kind is not TextKind.WORD:
        _check_visible(text)
    return text


def _check_beginning(text: str) -> None:
    if not text:
        raise Fault("the path is empty", "the shortest path is /")
    if "://" in text:
        path = "/" + text.partition("://")[2].partition("/")[2]
        raise Fault(f"{quoted(text)} is a whole address", f"did you mean {quoted(path)}? the host is a field of its own")
    if not text.startswith("/"):
        hint = "use regex for a pattern" if text[0] in "^(.[\\" else f"did you mean {quoted('/' + text)}?"
        raise Fault(f"the path {quoted(text)} does not begin with /", hint)


def _check_visible(text: str) -> None:
    """Refuse what no path holds as rules see it."""
    if "?" in text:
        path, _, query = text.partition("?")
        without = f"path is {quoted(path)} without it; use" if path else "use"
        name = query.partition("=")[0] or "NAME"
        raise Fault(f"the path {quoted(text)} has a query", f"{without} query.{name} beside it")
    if _ESCAPE.search(text):
        raise _never_seen(text)
    _check_merged(text)


def _check_merged(text: str) -> None:
    """Refuse runs of slashes."""
    if "//" in text:
        raise _never_seen(text)


def _never_seen(text: str) -> Fault:
    seen = decoded_path(text.encode()).decode(errors="replace")
    return Fault(f"{quoted(text)} never occurs in a path", f"rules see it decoded, with single slashes: {quoted(seen)}")


PATH: Final = FieldType(
    kind=FieldKind.PATH,
    description="The path: percent-decoded, runs of slashes merged, without the query.",
    source=SingleValue(attrgetter("path")),
    check=_path,
    has_stars=False,
    key=KeyForm.PLAIN,
    key_value=lambda request: canonical_path(request.whole_path),
    all_values=attrgetter("paths"),
    reading=lambda site: site,
    of_path=True,
    derived_from=(),
)
LOOSE_PATH: Final = FieldType(
    kind=FieldKind.LOOSE_PATH,
    description="The path as the most lenient server reads it: any case, `/` at the end, `;x`, `.php/x`, `.json`.",
    source=AnyValues(attrgetter("loose_paths")),
    check=_path,
    has_stars=False,
    key=KeyForm.PLAIN,
    key_value=lambda request: canonical_path(request.whole_loose_path),
    reading=lambda _site: LOOSE,
    of_path=True,
    derived_from=(),
)
