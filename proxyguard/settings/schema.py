"""The settings file as a JSON Schema (draft 7), for editors. Built from the table that the reader goes by."""

from __future__ import annotations

from proxyguard.core.yaml.kinds import Schema
from proxyguard.settings.groups import GROUPS
from proxyguard.settings.setting import BY_PRESET, Setting
from proxyguard.settings.table import BY_PATH, SETTINGS, SHORT


def settings_schema() -> Schema:
    root: Schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "proxyguard settings",
        "description": "Each key is a setting; none is needed but `upstream` or `sites`.",
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {},
    }
    for setting in SETTINGS:
        *groups, name = setting.path.split(".")
        _group(root, groups)["properties"][name] = _described(setting)
    for group, path in SHORT.items():
        long = root["properties"][group]
        word = BY_PATH[path].kind.schema
        long |= {"type": [long["type"], "string"], "pattern": f"^({'|'.join(word['enum'])})$"}
    return root


def _group(root: Schema, groups: list[str]) -> Schema:
    """The part of the schema for a group of settings, made when it is not there yet."""
    found = root
    for depth, name in enumerate(groups, start=1):
        empty: Schema = {"type": "object", "minProperties": 1, "additionalProperties": False, "properties": {}}
        described = empty | {"description": GROUPS[".".join(groups[:depth])]}
        found = found["properties"].setdefault(name, described)
    return found


def _described(setting: Setting) -> Schema:
    default = setting.default
    value: object = default
    if default in ("true", "false"):
        value = default == "true"
    elif default and setting.kind.takes.startswith("list of"):
        value = default.split(", ")
    elif default.isdecimal():
        value = int(default)
    elif setting.kind.schema.get("type") == "number":
        value = float(default)
    return {
        **setting.kind.schema,
        "description": setting.about,
        **({"default": value} if default and default != BY_PRESET else {}),
    }
