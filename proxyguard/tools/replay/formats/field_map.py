"""Which field of a JSON log holds which part of a request: the map of a format, or the operator's own.

A field is written `a.b.c` when it is inside of objects; one that has dots in its own name is found too. `a|b` takes the first
of several that a line has. A number that counts time ends in its unit: `duration:ms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

UNITS: Final[dict[str, float]] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
"""Seconds in each unit."""

PARTS: Final[dict[str, str]] = {
    "time": "when: RFC 3339, common log time, or a number since 1970 (s, ms, µs and ns are told by its size)",
    "client": "the client's address, with or without a port",
    "forwarded_for": "X-Forwarded-For: the client is its last address, with --forwarded-for or when there is no client field",
    "request": "the request line, `GET /a?b HTTP/1.1`",
    "method": "GET",
    "path": "the path with its query, or a whole URL",
    "query": "the query, when it is not in the path",
    "http_version": "HTTP/1.1, HTTP/2, 2.0",
    "host": "the host",
    "scheme": "http or https",
    "user": "a user name: the request is of somebody who is logged in",
    "user_agent": "the user agent",
    "referer": "the referer",
    "status": "the status",
    "bytes_sent": "the size of the response's body",
    "upstream_time": "how long the upstream took, in seconds or with a unit",
    "cookies": "the Cookie header",
}
"""The parts of a request that a field can hold, with what is expected in it."""

NAMED_PARTS: Final = ("header.", "cookie.")
"""Parts with a name of their own: `header.accept=…`, `cookie.session=…`."""

MAX_FIELDS: Final = 100


class Path(NamedTuple):
    """Where a value is in an object. `seconds`: what one of its unit is, if a unit was given."""

    key: str
    steps: tuple[str, ...]
    seconds: float | None = None


Paths = tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMap:
    """The paths of each part; `header_prefix`: top-level keys that begin with it are header fields."""

    parts: Mapping[str, Paths] = field(default_factory=dict)
    header_prefix: str = ""
    decoded: frozenset[str] = frozenset()
    """Keys of paths that the server percent-decodes before it logs them."""
    without_query: frozenset[str] = frozenset()
    """Keys of paths that never have the query."""

    def changed_by(self, other: FieldMap) -> FieldMap:
        """This with the parts that the other names."""
        return replace(self, parts={**self.parts, **other.parts}) if other.parts else self


class FieldsError(Exception):
    """`--fields` cannot be used; the message says what is wrong, and what is allowed."""


def read_path(text: str) -> Path:
    """A path as it is written, with its unit."""
    key, colon, unit = text.rpartition(":")
    seconds = UNITS.get(unit) if colon and key else None
    if seconds is None:
        key = text
    return Path(key, tuple(key.split(".")), seconds)


def paths(text: str) -> Paths:
    """Several paths with `|` between them."""
    return tuple(read_path(part) for part in text.split("|") if part)


def field_map(parts: Mapping[str, str], *, header_prefix: str = "", without_query: str = "") -> FieldMap:
    """A map from texts: `{"client": "ClientHost|ClientAddr"}`."""
    found = {part: paths(text) for part, text in parts.items()}
    return FieldMap(parts=found, header_prefix=header_prefix, without_query=frozenset({without_query}))


def read_fields(text: str) -> FieldMap:
    """The map that `--fields` says: `client=ClientHost,path=RequestPath`. Raises FieldsError with every fault."""
    found: dict[str, str] = {}
    faults: list[str] = []
    for entry in text.split(","):
        part, equals, where = (side.strip() for side in entry.partition("="))
        if not entry.strip():
            continue
        if not equals or not where.strip("|"):
            faults.append(f"{entry.strip()!r} is not PART=FIELD")
        elif part in found:
            faults.append(f"{part!r} is given twice; write {part}={found[part]}|{where}")
        elif part not in PARTS and not _is_named(part):
            near = get_close_matches(part, PARTS, 1)
            faults.append(f"{part!r} is no part of a request" + (f"; did you mean {near[0]!r}?" if near else ""))
        else:
            found[part] = where
    if len(found) > MAX_FIELDS:
        faults.append(f"more than {MAX_FIELDS} parts")
    if faults or not found:
        raise FieldsError("; ".join(faults or ["it names no field"]) + f"\n  parts: {', '.join(PARTS)}, header.NAME, cookie.NAME")
    return field_map(found)


def _is_named(part: str) -> bool:
    return any(part.startswith(prefix) and len(part) > len(prefix) for prefix in NAMED_PARTS)


def value_at(found: Mapping[str, Any], path: Path) -> Any:
    """The value at a path, None where there is none: of the key as it is written, else inside of objects."""
    value = found.get(path.key)
    if value is not None or len(path.steps) == 1:
        return value
    inner: Any = found
    for step in path.steps:
        inner = inner.get(step) if isinstance(inner, dict) else None
    return inner


def is_there(found: Mapping[str, Any], path: Path) -> bool:
    """Whether an object has the key, whatever its value."""
    if path.key in found:
        return True
    inner: Any = found
    for step in path.steps:
        if not isinstance(inner, dict) or step not in inner:
            return False
        inner = inner[step]
    return True
