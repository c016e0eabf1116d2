"""Hover text is the documentation: every key of the language says what it is for and shows a value."""

from __future__ import annotations

from typing import Any

import jsonschema

from proxyguard.policy.schema.schema import policy_schema

SCHEMA = policy_schema()
TELLING = frozenset({"examples", "enum", "$ref", "items", "anyOf", "properties", "additionalProperties"})

SILENT = frozenset({"rule", "status", "score", "file", "allow", "pass", "drop", "prove"})
"""Keys whose description says it all: a name, a number, or an action without options."""


def properties(schema: Any, path: str = "") -> dict[str, dict[str, Any]]:
    """Every key below a schema that is written by a person, with what it may be."""
    found: dict[str, dict[str, Any]] = {}
    if isinstance(schema, list):
        for at, item in enumerate(schema):
            found |= properties(item, f"{path}[{at}]")
    elif isinstance(schema, dict):
        for name, value in (schema.get("properties") or {}).items():
            found[f"{path}.{name}"] = value
        for name, value in schema.items():
            found |= properties(value, f"{path}/{name}")
    return found


KEYS = properties(SCHEMA)


def test_every_key_describes_itself_in_a_sentence() -> None:
    said = {path: key.get("description", "") for path, key in KEYS.items() if not path.endswith(".file")}
    assert [path for path, text in said.items() if len(text) < 5 or not text.rstrip("`").endswith(".")] == []


def test_matchers_and_requests_show_a_value() -> None:
    parts = ("/definitions/matcher_path", "/definitions/request", "/definitions/matcher_score")
    keys = {path: key for path, key in KEYS.items() if path.startswith(parts) and not path.endswith(".not")}
    assert [path for path, key in keys.items() if "examples" not in key and "enum" not in key] == []
    assert len(keys) > 15


def test_a_key_tells_its_values_or_says_all_in_words() -> None:
    mute = [path for path, key in KEYS.items() if not TELLING & key.keys() and path.rpartition(".")[2] not in SILENT]
    numbers = [path for path in mute if KEYS[path].get("type") in ("number", "integer", "boolean", ["string", "integer"])]
    assert [path for path in mute if path not in numbers and "restriction" not in path] == []


SHOWN = [path for path, key in KEYS.items() if "examples" in key]


def test_many_keys_show_a_value() -> None:
    assert len(SHOWN) > 100


def test_an_example_is_valid_where_it_is_shown() -> None:
    faults = []
    for path in SHOWN:
        validator = jsonschema.Draft7Validator({**KEYS[path], "definitions": SCHEMA["definitions"]})
        faults += [(path, example) for example in KEYS[path]["examples"] if not validator.is_valid(example)]
    assert faults == []
