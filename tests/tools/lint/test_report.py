"""The same problems and findings as text, JSON, annotations and SARIF."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from proxyguard.core.problems import Problem
from proxyguard.policy.model import Place
from proxyguard.tools.lint.codes import LINTS
from proxyguard.tools.lint.findings import Edit, Finding
from proxyguard.tools.lint.report import ReportEntry, as_github, as_json, as_sarif, as_text, entries

FOUND = entries(
    [
        Problem("rules/b c.yaml", 3, 5, "unknown key 'wen'", "did you mean 'when'?"),
        Problem("rules", 0, 0, "100% odd: a, b\nmore"),
    ],
    [
        Finding(Place("rules/a.yaml", 7, 2), "PG020", "contains 'bot' finds too much", "use word"),
        Finding(Place("rules/a.yaml", 4, 1), "PG052", "blanks", edits=(Edit("rules/a.yaml", 4, ""),)),
    ],
)


def test_text_is_in_order_of_place_and_counts() -> None:
    assert as_text(FOUND) == (
        "rules: error: 100% odd: a, b\nmore\n"
        "rules/a.yaml:4:1: info: blanks [PG052 trailing-blank]\n"
        "  see: docs/lints/PG052.md\n"
        "rules/a.yaml:7:2: warning: contains 'bot' finds too much [PG020 short-word]\n"
        "  hint: use word\n"
        "  see: docs/lints/PG020.md\n"
        "rules/b c.yaml:3:5: error: unknown key 'wen'\n"
        "  hint: did you mean 'when'?\n"
        "2 problems, 1 warning, 1 remark\n"
    )


def test_json_has_every_field() -> None:
    shown = json.loads(as_json(FOUND))
    assert shown["ok"] is False
    assert shown["findings"][2] == {
        "file": "rules/a.yaml",
        "line": 7,
        "column": 2,
        "severity": "warning",
        "code": "PG020",
        "name": "short-word",
        "message": "contains 'bot' finds too much",
        "hint": "use word",
        "fixable": False,
    }
    assert [finding["fixable"] for finding in shown["findings"]] == [False, True, False, False]
    assert json.loads(as_json(FOUND[1:3]))["ok"] is True


def test_annotations_escape_what_github_reads() -> None:
    assert as_github(FOUND).splitlines() == [
        "::error file=rules,title=proxyguard::100%25 odd: a, b%0Amore",
        "::notice file=rules/a.yaml,line=4,col=1,title=PG052 trailing-blank::blanks",
        "::warning file=rules/a.yaml,line=7,col=2,title=PG020 short-word::contains 'bot' finds too much%0Ahint: use word",
        "::error file=rules/b c.yaml,line=3,col=5,title=proxyguard::unknown key 'wen'%0Ahint: did you mean 'when'?",
    ]


def test_nothing_found_is_nothing_said() -> None:
    assert as_text([]) == as_github([]) == ""
    assert json.loads(as_json([])) == {"ok": True, "findings": []}


@pytest.mark.parametrize("found", [FOUND, []], ids=["some", "none"])
def test_sarif_is_what_its_standard_asks_for(found: Sequence[ReportEntry]) -> None:
    """What OASIS SARIF 2.1.0 requires of a log, a run, a driver, a rule, a result and a location."""
    log = json.loads(as_sarif(found))
    assert (log["version"], log["$schema"]) == ("2.1.0", "https://json.schemastore.org/sarif-2.1.0.json")
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "proxyguard"
    assert [rule["id"] for rule in driver["rules"]] == ["PG000", *LINTS]
    assert len({rule["name"] for rule in driver["rules"]}) == len(LINTS) + 1
    assert run["columnKind"] == "unicodeCodePoints"
    assert len(run["results"]) == len(found)
    for result, entry in zip(run["results"], found, strict=True):
        assert result["level"] == {"error": "error", "warning": "warning", "info": "note"}[entry.severity]
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == entry.code
        assert result["message"]["text"].startswith(entry.message)
        [location] = result["locations"]
        physical: dict[str, Any] = location["physicalLocation"]
        assert " " not in physical["artifactLocation"]["uri"]
        assert ("region" in physical) is bool(entry.line)
        if entry.line:
            assert physical["region"] == {"startLine": entry.line, "startColumn": entry.column}


def test_sarif_names_whole_paths_as_files() -> None:
    [result] = json.loads(as_sarif(entries([Problem("/etc/pro xy/a.yaml", 1, 1, "odd")], [])))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///etc/pro%20xy/a.yaml"
