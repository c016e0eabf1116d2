"""The `items:` of a rule file: what an item of the site is, by kind, from nodes to the model."""

from __future__ import annotations

import re
from typing import Any, Final

from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.reading import decoded_path
from proxyguard.core.yaml.kinds import Key, KeyTable, Kind, named_in, plain
from proxyguard.core.yaml.nodes import MappingEntry, Node
from proxyguard.core.yaml.values import NodeFault, read_name, read_scalar
from proxyguard.policy.items import PATH, QUERY, SEGMENT, ItemFamily
from proxyguard.policy.meant import meant
from proxyguard.policy.model import FieldKind, TextKind
from proxyguard.policy.parse.site_paths import site_paths
from proxyguard.policy.parse.texts import read_field_name, read_text_value

MAX_FAMILIES: Final = 20
"""Each is looked for in every request's path."""

MAX_SEGMENT: Final = 20

_SEGMENT: Final = re.compile(rf"{SEGMENT}\.([0-9]{{1,3}})")
_EXAMPLE: Final = "items: {profiles: {path: /profiles/*, id: path_segment.2}}"
_ID_HINT: Final = "path_segment.2, query.NAME, or path"


def _glob(node: Node, subject: str) -> bytes:
    text = read_scalar(node, subject, "a path with * for what differs", "/profiles/*")
    if not text.startswith("/"):
        raise NodeFault(node, f"the path {quoted(text)} does not begin with /", "/profiles/*")
    if not text.rstrip("*?").strip("/"):
        raise NodeFault(
            node, f"the path {quoted(text)} is every page of the site", "say which pages disclose an item: /profiles/*"
        )
    if "%" in text:
        _check_escapes(node, text)
    return read_text_value(FieldKind.PATH, TextKind.GLOB, text)


def _check_escapes(node: Node, text: str) -> None:
    """Refuse a path as it stands in an address bar: globs are held against the decoded one."""
    seen = decoded_path(text.encode()).decode(errors="replace")
    if seen != text:
        raise NodeFault(node, f"the path {quoted(text)} is percent-encoded", f"rules see it decoded: {quoted(seen)}")


def _id(node: Node, _subject: str) -> tuple[int, str]:
    text = read_scalar(node, "id", "a part of the request", _ID_HINT)
    found = _SEGMENT.fullmatch(text)
    if found is not None and 1 <= int(found[1]) <= MAX_SEGMENT:
        return int(found[1]), ""
    if found is not None:
        raise Fault(
            f"id cannot be {quoted(text)}", f"segments are counted from 1 to {MAX_SEGMENT}: /profiles/17 has 17 as its second"
        )
    kind, _, name = text.partition(".")
    if kind == QUERY and name:
        return 0, read_field_name(FieldKind.QUERY, name)
    if text != PATH:
        raise Fault(f"id cannot be {quoted(text)}", _ID_HINT)
    return 0, ""


FAMILY: Final = KeyTable(
    subject="a kind of item",
    example="{path: /profiles/*, id: path_segment.2}",
    meant=meant("item"),
    keys={
        "path": Key(site_paths(_glob, "a glob or a list of globs"),
            "The paths that disclose one: `*` is any text, `?` one character.",
            ("the kind of item has no path", _EXAMPLE), ("/profiles/*",)),
        "id": Key(Kind(plain(_id), "part of the request",
                {"type": "string", "pattern": rf"^({SEGMENT}\.[0-9]+|{QUERY}\..+|{PATH})$"}),
            "What tells items apart: `path_segment.N`, counted from 1, `query.NAME`, or `path`, which it is unless given.",
            examples=("path_segment.2", "query.id")),
    },
)  # fmt: skip


def _family(entry: MappingEntry, report: Report, around: Any) -> ItemFamily:
    name = read_name(entry.key, "the kind of item")
    around.parsed.items.append((name, entry.key.line, entry.key.column))
    found = FAMILY.read(entry.value, report, around).sound()
    segment, parameter = found.get("id", (0, ""))
    return ItemFamily(name, found.values["path"], segment, parameter)


ITEMS: Final = named_in("items", "kinds of items by name", FAMILY, _family, MAX_FAMILIES, example=_EXAMPLE)
