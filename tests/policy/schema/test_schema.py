"""The schema agrees with the reader: what loads is valid, what is misspelt is not, and every key explains itself."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.schema.schema import policy_schema
from tests.paths import BUNDLED_RULES, RULESETS

GOOD = [*sorted((RULESETS / "good").rglob("*.y*ml")), *sorted(BUNDLED_RULES.glob("*.yaml"))]
SCHEMA = policy_schema()


def loaded(path: Path) -> Any:
    """As an editor sees the file: YAML 1.2's core schema, in which dates and `no` are texts."""

    class Core(yaml.SafeLoader):
        pass

    Core.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
        if first not in "yYnNoO"
    }
    return yaml.load(path.read_text(), Core)


def valid(document: Any) -> bool:
    return jsonschema.Draft7Validator(SCHEMA).is_valid(document)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_what_loads_is_valid(path: Path) -> None:
    errors = [f"{error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(loaded(path))]
    assert errors == []


RULE: dict[str, Any] = {"name": "y", "when": {"path": "/x"}, "action": "reject"}

MISTAKES: dict[str, dict[str, Any]] = {
    "unknown key in a rule": {**RULE, "wen": {"path": "/y"}},
    "unknown field": {**RULE, "when": {"pth": "/x"}},
    "unknown matcher": {**RULE, "when": {"path": {"prefx": "/x"}}},
    "matcher of another field": {**RULE, "when": {"method": {"prefix": "P"}}},
    "unknown field below any": {**RULE, "when": {"any": [{"pth": "/x"}]}},
    "unknown action": {**RULE, "action": "rejct"},
    "unknown option": {**RULE, "action": {"reject": {"staus": 403}}},
    "status of a success": {**RULE, "action": {"reject": {"status": 200}}},
    "two actions": {**RULE, "action": {"reject": {}, "drop": {}}},
    "duration without a unit": {**RULE, "action": {"delay": 2}},
    "ban without a duration": {**RULE, "action": {"ban": {}}},
    "ban that allows": {**RULE, "action": {"ban": {"for": "1h", "then": "allow"}}},
    "rate without a period": {**RULE, "limit": {"rate": 10}},
    "unknown key part": {**RULE, "limit": {"rate": "10/minute", "per": "ip"}},
    "unknown mode": {**RULE, "mode": "dry-run"},
    "name that is not kebab-case": {**RULE, "name": "Sign Up"},
    "no action": {"name": "y", "when": {"path": "/x"}},
}


@pytest.mark.parametrize("rule", MISTAKES.values(), ids=MISTAKES)
def test_an_editor_marks_what_the_reader_refuses(rule: dict[str, Any]) -> None:
    document = {"name": "x", "rules": [rule]}
    assert not valid(document)
    assert parse_rule_set(yaml.safe_dump(document))[1] != ()


def test_the_rule_that_the_mistakes_are_made_of_is_valid() -> None:
    assert valid({"name": "x", "rules": [RULE]})


def _keys(schema: Any, path: str) -> list[str]:
    """The properties below a schema that say nothing about themselves."""
    if isinstance(schema, list):
        return [found for number, item in enumerate(schema) for found in _keys(item, f"{path}[{number}]")]
    if not isinstance(schema, dict):
        return []
    silent = [
        f"{path}.{name}"
        for name, value in (schema.get("properties") or {}).items()
        if isinstance(value, dict) and "description" not in value
    ]
    return silent + [found for name, value in schema.items() for found in _keys(value, f"{path}.{name}")]


def test_every_key_explains_itself() -> None:
    assert [name for name in _keys(SCHEMA, "") if not name.endswith(".file")] == []


def test_the_example_in_the_schema_loads() -> None:
    example = SCHEMA["definitions"]["rule"]["examples"][0]
    assert parse_rule_set(yaml.safe_dump({"name": "x", "rules": [example]}))[1] == ()
