"""A mapping is read by the rows of its table, and its schema comes from the same rows."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from yaml import safe_load as load_yaml

from proxyguard.core.problems import Report
from proxyguard.core.yaml.kinds import (
    KEBAB,
    NOTHING,
    RAW,
    TRUTH,
    Found,
    Key,
    KeyTable,
    Kind,
    duration,
    filled,
    listed_in,
    made,
    number,
    size,
    text,
    whole,
)
from proxyguard.core.yaml.nodes import Node, read_yaml
from proxyguard.core.yaml.values import read_or_report

POT = KeyTable(
    subject="a pot",
    example="{name: big, litres: 3}",
    meant={"volume": "did you mean 'litres'?"},
    keys={
        "name": Key(KEBAB, "What it is called.", ("the pot has no name", "name: big"), subject="the pot"),
        "litres": Key(whole(1, 9), "What goes in.", ("the pot{named} has no size", "litres: 3"), (3,)),
        "lid": Key(TRUTH, attribute="has_lid"),
        "raw": Key(RAW, attribute=None),
    },
)


def node(yaml: str, report: Report) -> Node:
    found = read_yaml(yaml, report)
    assert found is not None
    return found


def read(yaml: str, table: KeyTable = POT) -> tuple[Found | None, list[tuple[int, str, str]]]:
    report = Report("x.yaml")
    found = read_or_report(node(yaml, report), report, table.read, report)
    return found, [(problem.column, problem.message, problem.hint) for problem in report.problems]


def test_values_are_named_after_the_attributes_that_they_fill() -> None:
    found, problems = read("{name: big, litres: 3, lid: true, raw: {}}")
    assert problems == []
    assert found is not None
    assert found.is_sound
    assert found.attributes(colour="red") == {"name": "big", "litres": 3, "has_lid": True, "colour": "red"}


def test_a_key_that_is_not_there_has_its_default_and_a_faulty_one_none() -> None:
    found, _ = read("{name: big, litres: 10}")
    assert found is not None
    assert not found.is_sound
    assert (found.get("lid", "default"), found.get("litres", "default")) == ("default", None)


def test_every_missing_key_is_reported_by_name() -> None:
    assert read("{lid: true}")[1] == [(1, "the pot has no name", "name: big"), (1, "the pot has no size", "litres: 3")]
    assert read("{name: big}")[1] == [(1, "the pot 'big' has no size", "litres: 3")]


def test_the_value_of_a_misspelt_key_is_read() -> None:
    assert read("{name: big, volume: 10}")[1] == [
        (13, "unknown key 'volume' in a pot", "did you mean 'litres'?"),
        (21, "litres is 10", "a whole number from 1 to 9"),
    ]


@pytest.mark.parametrize("yaml", ["{lid: true}", "{nmae: big}"])
def test_a_quiet_table_reports_one_missing_key_and_none_beside_an_unknown_one(yaml: str) -> None:
    quiet = KeyTable(subject="a pot", keys=POT.keys, is_quiet=True)
    assert len(read(yaml, quiet)[1]) == 1


def test_a_prefixed_table_names_the_mapping_in_messages() -> None:
    prefixed = KeyTable(subject="pot", keys={"lid": POT.keys["lid"]}, prefixed=True)
    assert read("{lid: no}", prefixed)[1] == [(7, "pot.lid must be true or false, not 'no'", "did you mean false?")]


@pytest.mark.parametrize(
    ("yaml", "message"),
    [("{}", "a pot is empty"), ("[]", "a pot must be a mapping, not a list"), ("3", "a pot must be a mapping, not '3'")],
)
def test_what_is_no_mapping_is_reported_with_the_example(yaml: str, message: str) -> None:
    assert read(yaml) == (None, [(1, message, "{name: big, litres: 3}")])


def test_the_schema_has_the_rows_of_the_table() -> None:
    schema = POT.schema(minProperties=2)
    assert list(schema["properties"]) == ["name", "litres", "lid", "raw"]
    assert schema["properties"]["litres"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "description": "What goes in.",
        "examples": [3],
    }
    assert (schema["required"], schema["minProperties"]) == (["name", "litres"], 2)


KINDS: dict[str, tuple[Kind, str, Any, str]] = {
    "whole": (whole(1, 9), "3", 3, "10"),
    "number": (number(0, 1), "0.5", 0.5, "2"),
    "duration": (duration(1, 60), "30s", 30.0, "30"),
    "a duration that is off": (duration(1, 60, "never"), "never", NOTHING, "always"),
    "size": (size(1, 4096), "2KiB", 2048, "2KB"),
    "text": (text(5), "abc", "abc", "[a]"),
    "name": (KEBAB, "a-b", "a-b", "A b"),
    "truth": (TRUTH, "true", True, "maybe"),
    "list": (listed_in("pots", whole(1, 9), 2, example="[1]"), "[1, 2]", (1, 2), "[]"),
    "mapping": (Kind(filled(POT, dict), "pot", POT.schema()), "{name: a, litres: 1}", {"name": "a", "litres": 1}, "{name: a}"),
    "made": (Kind(made(POT, lambda found: found.get("lid", "none")), "pot", POT.schema()), "{name: a, litres: 1}", "none", "{}"),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_reads_what_its_schema_accepts_and_refuses_what_it_refuses(name: str) -> None:
    kind, good, value, bad = KINDS[name]
    report = Report("x.yaml")
    assert kind.read(node(good, report), report, "it", None) == value
    assert report.problems == []
    assert kind.read(node(bad, report), report, "it", None) is None
    assert report.count > 0
    validator = jsonschema.Draft7Validator(kind.schema)
    assert validator.is_valid(plain_value(good))
    assert not validator.is_valid(plain_value(bad))


def plain_value(yaml: str) -> Any:
    return load_yaml(yaml)


def test_a_list_that_is_too_long_is_refused_whole() -> None:
    report = Report("x.yaml")
    kind = listed_in("pots", whole(1, 9), 2, example="[1]", advice="; buy fewer")
    assert kind.read(node("[1, 2, 3]", report), report, "pots", None) is None
    assert [(problem.message, problem.hint) for problem in report.problems] == [("the file has 3 pots", "at most 2; buy fewer")]
