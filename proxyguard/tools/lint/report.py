"""Problems and findings as text, JSON, GitHub annotations or SARIF 2.1.0. Knows nothing of how they were found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from proxyguard import __version__
from proxyguard.core.problems import Problem
from proxyguard.tools.lint.codes import LINTS, page_of, severity_of
from proxyguard.tools.lint.findings import Finding, Severity

SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"

PROBLEM_CODE: Final = "PG000"
"""What problems are called where a code is asked for: rule files with one are never loaded."""


class ReportEntry(NamedTuple):
    """A problem or a finding, as reports show it."""

    file: str
    line: int
    column: int
    severity: Severity
    code: str
    message: str
    hint: str
    is_fixable: bool


def entries(problems: Iterable[Problem], findings: Iterable[Finding]) -> list[ReportEntry]:
    found = [as_entry(problem, Severity.ERROR) for problem in problems]
    for finding in findings:
        severity = severity_of(finding)
        found.append(ReportEntry(*finding.place, severity, finding.code, finding.message, finding.hint, bool(finding.edits)))
    return by_place(found)


def as_entry(problem: Problem, severity: Severity) -> ReportEntry:
    """A problem, which has no code of its own."""
    return ReportEntry(*problem[:3], severity, PROBLEM_CODE, problem.message, problem.hint, is_fixable=False)


def by_place(found: Iterable[ReportEntry]) -> list[ReportEntry]:
    return sorted(found, key=lambda entry: (entry.file, entry.line, entry.column, entry.code, entry.message))


def as_text(found: Sequence[ReportEntry]) -> str:
    """One paragraph for each, in the form of `format_report`, and a line that counts them; empty when there are none."""
    if not found:
        return ""
    paragraphs = [_paragraph(entry) for entry in found]
    return "\n".join([*paragraphs, counted(found)]) + "\n"


def _paragraph(entry: ReportEntry) -> str:
    place = f"{entry.file}:{entry.line}:{entry.column}" if entry.line else entry.file
    is_lint = entry.code in LINTS
    name = f" [{entry.code} {LINTS[entry.code].name}]" if is_lint else ""
    lines = [f"{place}: {entry.severity}: {entry.message}{name}"]
    if entry.hint:
        lines.append(f"  hint: {entry.hint}")
    if is_lint:
        lines.append(f"  see: {page_of(entry.code)}")
    return "\n".join(lines)


def counted(found: Sequence[ReportEntry]) -> str:
    """`2 errors, 1 warning in 2 files`."""
    words = []
    for severity, noun in ((Severity.ERROR, "problem"), (Severity.WARNING, "warning"), (Severity.INFO, "remark")):
        count = sum(entry.severity is severity for entry in found)
        if count:
            words.append(f"{count} {noun}{'' if count == 1 else 's'}")
    text = ", ".join(words)
    if all(entry.line for entry in found):
        files = len({entry.file for entry in found})
        text += f" in {files} file{'' if files == 1 else 's'}"
    return text


def as_json(found: Sequence[ReportEntry]) -> str:
    """An object with `ok` and `findings`, on one line."""
    shown = [
        {
            "file": entry.file,
            "line": entry.line,
            "column": entry.column,
            "severity": str(entry.severity),
            "code": entry.code,
            "name": LINTS[entry.code].name if entry.code in LINTS else "problem",
            "message": entry.message,
            "hint": entry.hint,
            "fixable": entry.is_fixable,
        }
        for entry in found
    ]
    return json.dumps({"ok": all(entry.severity is not Severity.ERROR for entry in found), "findings": shown}) + "\n"


_GITHUB: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def as_github(found: Sequence[ReportEntry]) -> str:
    """Workflow commands, which GitHub shows beside the lines of a pull request."""
    lines = []
    for entry in found:
        title = f"{entry.code} {LINTS[entry.code].name}" if entry.code in LINTS else "proxyguard"
        place = [f"file={_property(entry.file)}"]
        if entry.line:
            place += [f"line={entry.line}", f"col={entry.column}"]
        message = entry.message + (f"\nhint: {entry.hint}" if entry.hint else "")
        lines.append(f"::{_GITHUB[entry.severity]} {','.join(place)},title={_property(title)}::{_escaped(message)}")
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


_SARIF: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def as_sarif(found: Sequence[ReportEntry]) -> str:
    """SARIF 2.1.0, for code scanning."""
    codes = [PROBLEM_CODE, *LINTS]
    run = {
        "tool": {"driver": {"name": "proxyguard", "version": __version__, "rules": [_sarif_rule(code) for code in codes]}},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(entry, codes.index(entry.code)) for entry in found],
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _sarif_rule(code: str) -> dict[str, Any]:
    lint = LINTS.get(code)
    if lint is None:
        text = "The rule files cannot be loaded as they are"
        return {"id": code, "name": "problem", "shortDescription": {"text": text}}
    return {
        "id": code,
        "name": lint.name,
        "shortDescription": {"text": lint.title},
        "help": {"text": f"See {page_of(code)}, or: proxyguard check --explain {code}"},
        "defaultConfiguration": {"level": _SARIF[lint.severity]},
    }


def _sarif_result(entry: ReportEntry, index: int) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(entry.file)}}
    if entry.line:
        place["region"] = {"startLine": entry.line, "startColumn": entry.column}
    text = entry.message + (f"\nhint: {entry.hint}" if entry.hint else "")
    return {
        "ruleId": entry.code,
        "ruleIndex": index,
        "level": _SARIF[entry.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }


def _uri(file: str) -> str:
    """A reference relative to where the command ran, or a whole URI for a path that is whole."""
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


FORMATS: Final[dict[str, Callable[[Sequence[ReportEntry]], str]]] = {
    "text": as_text,
    "json": as_json,
    "github": as_github,
    "sarif": as_sarif,
}
