"""What an operator can do about a log that no format reads: which formats there are, and how to describe or convert it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from proxyguard.core.problems import listed, quoted
from proxyguard.tools.replay.detect import Stated, detect_format, without_front
from proxyguard.tools.replay.formats.format_type import LogSample
from proxyguard.tools.replay.formats.json_guess import guessed_map
from proxyguard.tools.replay.formats.json_objects import Layout
from proxyguard.tools.replay.formats.presets import PRESETS
from proxyguard.tools.replay.formats.registry import NAMES
from proxyguard.tools.replay.fronts.registry import FRONTS

MAX_KEYS: Final = 16
MAX_EXCERPT: Final = 120

_SEPARATORS: Final = ("\t", ",", ";", " ")
_W3C_LINE: Final = re.compile(rb"\d{4}-\d\d-\d\d[ \t]\d\d:\d\d:\d\d[ \t]")

NEEDED: Final = "time=…,client=…,method=…,path=…"


def unreadable(name: str, lines: Sequence[bytes], stated: Stated) -> str:
    """The message about a log that begins with `lines`, of which none could be read as it was stated."""
    excerpt = quoted(lines[0][:MAX_EXCERPT].decode("utf-8", "backslashreplace"), MAX_EXCERPT)
    what = f"is not in the format {stated.name}" if stated.name else "is in no known format"
    return "\n".join(
        [f"{name}: the log {what}; its first line: {excerpt}", *(f"  hint: {hint}" for hint in _hints(lines, stated))]
    )


def _hints(lines: Sequence[bytes], stated: Stated) -> Iterator[str]:
    other = detect_format(lines, stated._replace(name=None)) if stated.name else None
    if other is not None:
        front = f" behind what {other.front.name} writes in front" if other.front else ""
        yield f"it looks like {other.format.name}{front}: leave --format out"
        return
    if any(line.startswith(b"(\xb5/\xfd") for line in lines[:1]):
        yield "it is compressed by zstd: zstdcat FILE | proxyguard replay -"
        return
    if lines[0].lstrip()[:2] in {b"[", b"{", b"[{"}:
        yield "it is JSON over several lines: jq -c '.[]? // .' FILE | proxyguard replay -"
        return
    bare = (without_front(front, lines)[0] for front in FRONTS)
    objects = next((found for each in bare if (found := LogSample(each).objects)), LogSample(lines).objects)
    if objects:
        yield from _about_json(objects, stated)
        return
    if _W3C_LINE.match(lines[0]):
        yield "if it is a W3C log, as of IIS or CloudFront, its line that begins with #Fields: is missing: put it first"
    fronts = ", ".join(front.name for front in FRONTS)
    yield f"formats that are read: {', '.join(NAMES)}; each also behind what is written in front by: {fronts}"
    separator = max(_SEPARATORS, key=lambda each: lines[0].count(each.encode()))
    shown = separator.replace("\t", "\\t")
    yield (
        f'of another format, make JSON and pipe it in: jq -cR \'split("{shown}") | {{time: .[0], client: .[1], method: .[2], '
        "path: .[3], user_agent: .[4]}' FILE | proxyguard replay -"
    )


def _about_json(objects: Sequence[dict[str, Any]], stated: Stated) -> Iterator[str]:
    lacking = Layout(guessed_map(objects).changed_by(stated.fields), objects, forwarded=False).lacks()
    if lacking:
        yield f"it is JSON, and no field is known to hold the {listed(lacking)}; its fields: {', '.join(_keys(objects))}"
    else:
        yield f"it is JSON, and no line has a time and an address that can be read; its fields: {', '.join(_keys(objects))}"
    yield f"say which field holds what: --fields {NEEDED},user_agent=…,status=… (a.b for inner fields, a|b for the first of two)"
    yield "or make it simpler: jq -c '{time: .…, client: .…, method: .…, path: .…, user_agent: .…}' FILE | proxyguard replay -"
    yield f"JSON that is known without: {', '.join(PRESETS)}, caddy, and the usual names of fields"


def _keys(objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of all fields, inner ones with dots, as --fields takes them."""
    found = dict.fromkeys(name for each in objects[:10] for name in _leaves(each, "", 0))
    names = [quoted(name, 60)[1:-1] for name in found]
    return [*names[:MAX_KEYS], "…"] if len(names) > MAX_KEYS else names


def _leaves(found: Mapping[str, Any], before: str, depth: int) -> Iterator[str]:
    for key, value in list(found.items())[: 4 * MAX_KEYS]:
        if isinstance(value, dict) and depth < 4:
            yield from _leaves(value, f"{before}{key}.", depth + 1)
        else:
            yield before + key
