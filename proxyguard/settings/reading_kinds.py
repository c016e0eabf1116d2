"""The kind of value that says how a server reads paths: a preset by its name, or a mapping."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Final

from proxyguard.core.problems import Fault, Report, name_hint, quoted
from proxyguard.core.reading import PRESETS, STRICT, SiteReading
from proxyguard.core.yaml.kinds import TRUTH, Found, Key, KeyTable, Kind, Schema, made, plain
from proxyguard.core.yaml.nodes import Node, Scalar
from proxyguard.core.yaml.values import read_scalar

_READING_ABOUT: Final = {
    "ignore_case": "`/SIGNUP` is `/signup`.",
    "trailing_slash": "`/signup/` is `/signup`.",
    "semicolon_parameters": "`/signup;a=1` is `/signup`.",
    "path_info": "`/signup.php/x` is `/signup.php`.",
    "index_files": "`/admin/index.php` is `/admin/`.",
    "format_suffix": "`/signup.json` is `/signup`.",
    "front_controller": "`/index.php/signup` is `/signup`.",
    "windows_names": "`/signup.aspx.` is `/signup.aspx`.",
    "name_brackets": "The parameter `page[]` is also `page`.",
    "php_names": "Parameters are named as PHP does.",
    "query_semicolons": "`;` parts parameters as `&` does.",
}
_PATHS_EXAMPLE: Final = f"one of {', '.join(PRESETS)}; or a mapping such as {{like: php, front_controller: true}}"
_PRESET_SCHEMA: Final[Schema] = {"enum": list(PRESETS)}


def _preset(node: Node, subject: str) -> SiteReading:
    written = read_scalar(node, subject, "a kind of server", _PATHS_EXAMPLE)
    found = PRESETS.get(written)
    if found is None:
        raise Fault(f"{subject} has no kind of server {quoted(written)}", name_hint(written, tuple(PRESETS), "kinds of server"))
    return found


READING: Final = KeyTable(
    subject="paths",
    example=_PATHS_EXAMPLE,
    prefixed=True,
    keys={"like": Key(Kind(plain(_preset), "kind of server", _PRESET_SCHEMA), "The preset to start from; `strict` if none.")}
    | {each.name: Key(TRUTH, _READING_ABOUT[each.name]) for each in fields(SiteReading)},
)


def _made_reading(found: Found) -> SiteReading:
    values = dict(found.values)
    start: SiteReading = values.pop("like", STRICT)
    return replace(start, **values)


_by_name: Final = plain(_preset)
_by_hand: Final = made(READING, _made_reading)


def _paths(node: Node, report: Report, subject: str, around: Any) -> Any:
    """A preset by its name, or a mapping of what makes no difference."""
    return (_by_name if isinstance(node, Scalar) else _by_hand)(node, report, subject, around)


PATHS: Final = Kind(
    _paths, f"{', '.join(list(PRESETS)[:-1])} or {list(PRESETS)[-1]}; or a mapping", {"anyOf": [_PRESET_SCHEMA, READING.schema()]}
)
