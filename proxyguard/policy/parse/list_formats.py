"""The entries of a list file, in the forms in which lists are published: one a line, CSV, or JSON of a known shape.

Knows nothing of what entries are for, but that addresses may be followed by more on their line.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from proxyguard.core.problems import Fault, quoted

type ListEntries = Iterator[tuple[int, int, str]]
"""Line, column and text of each entry, in the order of the file."""

SHAPES: Final = (
    "[]",  # a plain list
    "prefixes[].ipv4Prefix", "prefixes[].ipv6Prefix",  # Google, Bing, OpenAI, Apple, Google Cloud
    "prefixes[].ip_prefix", "ipv6_prefixes[].ipv6_prefix",  # AWS
    "values[].properties.addressPrefixes[]",  # Azure service tags
    "addresses[]", "ipv6_addresses[]",  # Fastly
    "result.ipv4_cidrs[]", "result.ipv6_cidrs[]",  # Cloudflare
    "regions[].cidrs[].cidr",  # Oracle
    "data.ipv4_prefixes[].prefix", "data.ipv6_prefixes[].prefix",  # prefixes announced by a network, as looking glasses say
    "[].pattern",  # lists of crawlers
    "hooks[]", "web[]", "api[]", "git[]", "packages[]", "pages[]", "importer[]", "actions[]", "dependabot[]",  # GitHub
)  # fmt: skip
"""Where entries stand in JSON files: keys by dots, [] for each item of a list. A file may have several of these."""

SHAPE_HINT: Final = (
    "known are a list of texts, and the files of Google, Bing, OpenAI, AWS, Azure, Fastly, Cloudflare, GitHub and Oracle; of "
    "another one make a text file: jq -r '.KEY[]' FILE.json > FILE.txt"
)

MAX_LEVELS: Final = 100

_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_WORD: Final = r"(?:start|first|ip|cidr|net|network|prefix|address|subnet|range|block)"
_TABLE_HEAD: Final = re.compile(rf'"?{_WORD}(?:[ _-]?{_WORD})?"?[,;\t].*', re.IGNORECASE)

_SEPARATORS: Final = re.compile(r"[;,\t ]")


def list_entries(text: str) -> ListEntries:
    """The entries of a file. Raises Fault for JSON that cannot be read or has none of the known shapes.

    Of plain text a comment begins with # at the start of a line or after a blank.
    """
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _json_entries(json.loads(text), text)
        except (ValueError, RecursionError) as error:
            if text.lstrip()[:1] == "{" or _breaks_off(error, text):
                line = getattr(error, "lineno", 1)
                raise Fault(f"is JSON that breaks off or is damaged on line {line}", "fetch it again, or delete it") from error
    return _line_entries(text)


def _breaks_off(error: Exception, text: str) -> bool:
    """Whether a text that begins with [ is JSON that ends too soon, and not a list of patterns."""
    if not isinstance(error, json.JSONDecodeError):
        return True
    return text.lstrip()[1:].lstrip()[:1] in ('"', "{") and (
        error.msg.startswith("Unterminated") or error.pos >= len(text.rstrip())
    )


def _line_entries(text: str) -> ListEntries:
    for number, line in enumerate(text.split("\n"), 1):
        if "#" in line:
            line = _without_comment(line)  # noqa: PLW2901 - the rest of the loop wants the line without its comment
        entry = line.strip()
        if entry:
            yield number, line.index(entry[0]) + 1, entry


def _without_comment(line: str) -> str:
    position = line.find("#")
    while position > 0 and line[position - 1] not in " \t":
        position = line.find("#", position + 1)
    return line if position < 0 else line[:position]


def _json_entries(root: Any, text: str) -> ListEntries:
    found = [value for shape in SHAPES for value in _values(root, shape) if isinstance(value, str) and value]
    if not found and root not in ([], {}) and not any(_has_shape(root, shape) for shape in SHAPES):
        raise Fault("is JSON of a shape that is not known", SHAPE_HINT)
    places: dict[str, tuple[int, int]] = {}
    line, start = 1, 0
    for match in _STRING.finditer(text):
        line += text.count("\n", start, match.start())
        start = match.start()
        places.setdefault(match[1], (line, start - text.rfind("\n", 0, start) + 1))
    return ((*places.get(value, (1, 1)), value) for value in dict.fromkeys(found))


def _has_shape(root: Any, shape: str) -> bool:
    """Whether the first list of a shape is there, if only empty."""
    node = root
    for part in shape.partition("[]")[0].split(".") if not shape.startswith("[]") else ():
        node = node.get(part) if isinstance(node, dict) else None
    return isinstance(node, list) and not node


def _values(node: Any, shape: str) -> Iterator[Any]:
    """Everything in a value at the places that a shape names."""
    if not shape:
        yield node
    elif shape.startswith("[]"):
        for item in node if isinstance(node, list) else ():
            yield from _values(item, shape[2:].removeprefix("."))
    elif isinstance(node, dict):
        at = min((end for mark in ".[" if (end := shape.find(mark)) >= 0), default=len(shape))
        if shape[:at] in node:
            yield from _values(node[shape[:at]], shape[at:].removeprefix("."))


def address_part(line: str) -> str:
    """The address in a line of a published list: before `;`, a comma, a tab or a blank; empty for a comment or a table's head."""
    if line.startswith(";") or _TABLE_HEAD.fullmatch(line):
        return ""
    part = _SEPARATORS.split(line, maxsplit=1)[0].strip("\"'")
    rest = line[len(part) :].lstrip()
    return line if rest.startswith("-") else part  # a range, which has a hint of its own


def other_cells(line: str) -> list[str]:
    """What else stands on the line of an address, as far as it could be another address."""
    return [cell.strip("\"'") for cell in _SEPARATORS.split(line)[1:] if "." in cell or ":" in cell]


def unreadable_as_list(text: str) -> Fault | None:
    """Why a file is no list at all, whatever its entries are for."""
    start = text.lstrip()[:200].lower()
    if start.startswith(("<!doctype", "<html", "<?xml", "<head", "<body")):
        title = re.search(r"<title>([^<]*)", text[:4000], re.IGNORECASE)
        said = f": {quoted(title[1].strip())}" if title else ""
        return Fault(f"is a web page and no list{said}", "its source answered with a page, perhaps of an error: fetch it again")
    return None


def place_beside(rule_file: str, name: str) -> Path:
    """Where a list file is that a rule file names. A `..` above a link means what the system takes it to mean."""
    parent = Path(rule_file).parent
    joined = parent / os.path.normpath(name)
    if ".." in parent.parts or ".." not in joined.parts:
        return joined
    return Path(os.path.normpath(joined))
