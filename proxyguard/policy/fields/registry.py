"""The table of fields: the program's own, and those that installed packages add.

A package adds a field with an entry point of the group `proxyguard.fields` that names a `FieldType`. They are loaded once, when
a field is first looked up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from proxyguard.core.reading import STRICT, SiteReading
from proxyguard.limits.limit import KeyKind
from proxyguard.policy.error import PolicyError
from proxyguard.policy.fields.arising import CLASS, SCORE, TAG
from proxyguard.policy.fields.bot import BOT
from proxyguard.policy.fields.client import ACCOUNT, CLIENT
from proxyguard.policy.fields.connection import CLAIMED_KIND, CLIENT_KIND, CONTRADICTION, HTTP2, TLS
from proxyguard.policy.fields.counts import BODY_SIZE, HEADER_COUNT, QUERY_COUNT, QUERY_LENGTH
from proxyguard.policy.fields.field_type import MATCHERS, ArisingValues, FieldType, NamedValues
from proxyguard.policy.fields.form import FORM
from proxyguard.policy.fields.headers import CONTENT_TYPE, HEADER_ORDER
from proxyguard.policy.fields.host import HOST
from proxyguard.policy.fields.item import HEAT, ITEM
from proxyguard.policy.fields.jar import JAR
from proxyguard.policy.fields.named import COOKIE, HEADER, QUERY, USER_AGENT
from proxyguard.policy.fields.origin import ROWS as ORIGIN
from proxyguard.policy.fields.outside import REFUSED, SAMPLE, TIME_OF_DAY
from proxyguard.policy.fields.path import LOOSE_PATH, PATH
from proxyguard.policy.fields.path_segment import PATH_SEGMENT
from proxyguard.policy.fields.query_string import QUERY_STRING
from proxyguard.policy.fields.request_line import HTTP_VERSION, METHOD, SCHEME
from proxyguard.policy.fields.robots import ROWS as ROBOTS
from proxyguard.policy.fields.visitor import VISITOR
from proxyguard.policy.model import Field, FieldKind

GROUP: Final = "proxyguard.fields"

_OWN: Final = (
    CLIENT, HOST, SCHEME, METHOD, PATH, LOOSE_PATH, QUERY, QUERY_STRING, HEADER, COOKIE, USER_AGENT, HTTP_VERSION, SCORE, TAG,
    CLASS, ACCOUNT, BOT, JAR, VISITOR, ITEM, HEAT, FORM, HEADER_ORDER, HEADER_COUNT, QUERY_LENGTH, QUERY_COUNT, PATH_SEGMENT,
    BODY_SIZE, CONTENT_TYPE, TIME_OF_DAY, SAMPLE, REFUSED, TLS, HTTP2, CLIENT_KIND, CLAIMED_KIND, CONTRADICTION, *ORIGIN, *ROBOTS,
)  # fmt: skip
"""In the order in which messages list them."""

_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_TAKEN: Final = frozenset({"any", "all", "not", *KeyKind})
"""Words that mean something else where the name of a field may stand."""


@cache
def field_types() -> Mapping[str, FieldType]:
    """Every field by its word; those of packages come last, sorted. Raises PolicyError for a package's that cannot be used."""
    found = {each.kind: each for each in _OWN}
    points = entry_points(group=GROUP)
    for point in sorted(points, key=lambda point: point.name):
        added = _load(point)
        if added.kind in found or added.kind in _TAKEN:
            raise PolicyError(f"{_subject(point)}: there is a field or word '{added.kind}' already")
        found[added.kind] = added
    return found


def field_type(kind: str) -> FieldType:
    """The row of a field. Raises PolicyError when no installed package has it (any more)."""
    found = field_types().get(kind)
    if found is None:
        raise PolicyError(f"there is no field '{kind}'")
    return found


@cache
def key_kinds() -> tuple[str, ...]:
    """What a limit can count by, in the order in which messages list it: what limits know themselves, then other fields."""
    others = (each.kind for each in field_types().values() if each.key is not None and each.kind not in set(KeyKind))
    return (*map(str, KeyKind), *others)


def named_values(kind: str) -> NamedValues | None:
    """How a field or part of a key is named; None for one that takes no name."""
    found = field_types().get(kind)
    return found.source if found is not None and isinstance(found.source, NamedValues) else None


def takes_no_name(kind: str) -> bool:
    """Whether a field may stand without a name: those that never have one, and those that then are all of them in one text."""
    named = named_values(kind)
    return named is None or named.whole is not None


def canonical(field: Field) -> Field:
    """One name for each fact: the user agent is a header."""
    return field_type(field.kind).canonical or field


def reading_of(row: FieldType, site: SiteReading) -> SiteReading | None:
    """How the texts of rules about a field are folded; None: they are compared as they were written."""
    read = None if row.reading is None else row.reading(site)
    return read if read is not None and read.folds_paths else None


def read_name(row: FieldType, name: bytes, site: SiteReading) -> bytes:
    """The name of a field as `by_name` has it for a site."""
    if row.kind != FieldKind.QUERY or site is STRICT or not name:
        return name
    return site.names(name)[0]


def _load(point: EntryPoint) -> FieldType:
    try:
        added = point.load()
    except Exception as error:
        raise PolicyError(f"{_subject(point)} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(added, FieldType):
        raise PolicyError(f"{_subject(point)}: {point.value} is not a FieldType")
    if not _KIND.fullmatch(added.kind):
        raise PolicyError(f"{_subject(point)}: '{added.kind}' is not a word of lower-case letters, digits and underscores")
    unknown = [name for name in added.matchers if name not in MATCHERS]
    if unknown or not added.matchers:
        raise PolicyError(f"{_subject(point)}: its matchers are some of {', '.join(MATCHERS)}")
    if isinstance(added.source, ArisingValues):
        raise PolicyError(f"{_subject(point)}: only the program's own rules give values that arise")
    return added


def _subject(point: EntryPoint) -> str:
    package = f" of the package {point.dist.name}" if point.dist is not None else ""
    return f"the field plug-in '{point.name}'{package}"
