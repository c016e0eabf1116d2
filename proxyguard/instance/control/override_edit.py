"""Changes the mode of an imported rule: in `override:` of the operator's file, never in the bundled one.

Where the file overrides the rule already, the mode changes there; else an override is added to the file that imports the rule.
The result is verified by reading it. Knows nothing of writing files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxyguard.core.decision import Mode
from proxyguard.core.problems import Report
from proxyguard.core.yaml.nodes import Mapping, MappingEntry, Scalar, read_yaml
from proxyguard.policy.bundled import BUNDLED_WORD, bundled_file, importable_names
from proxyguard.policy.parse.file import parse_file
from proxyguard.policy.parse.lists import ListFiles
from proxyguard.policy.parse.parsed_file import ParsedFile

INDENT: Final = "  "


@dataclass(frozen=True, slots=True)
class OverrideEdit:
    """A file with another mode of an imported rule, and the line that says so."""

    text: str
    line: int


def overriding_file(rule: str, files: dict[Path, str]) -> Path | None:
    """The file that overrides the rule."""
    parsed = ((path, _parsed(text, path)) for path, text in files.items() if "override" in text and rule in text)
    return next((path for path, each in parsed if any(override.rule == rule for override in each.overrides)), None)


def importing_file(rule: str, files: dict[Path, str]) -> Path | None:
    """The file that imports the rule."""
    home = _home(rule)
    for path, text in files.items():
        each = _parsed(text, path) if home and BUNDLED_WORD in text else ParsedFile(Report(str(path)))
        if any(name in {BUNDLED_WORD, f"{BUNDLED_WORD}/{home}"} for name, _, _ in each.imports):
            return path
    return None


def has_faults(text: str, path: Path) -> bool:
    """Whether the file is refused as it is."""
    return bool(_parsed(text, path).report.count)


def with_override(text: str, rule: str, mode: Mode, path: Path) -> OverrideEdit | None:
    """The file with the override; None when it is written in a way that only a person can change safely."""
    root = read_yaml(text, Report(str(path)))
    if not isinstance(root, Mapping):
        return None
    lines = text.splitlines(keepends=True)
    overrides = root.get("override")
    if overrides is None:
        edit = _with_block(lines, root, rule, mode)
    elif isinstance(overrides, Mapping):
        entry = next((each for each in overrides if each.key.text == rule), None)
        key = next(each.key for each in root if each.key.text == "override")
        edit = _added(lines, key.line, overrides, rule, mode) if entry is None else _changed(lines, entry, mode)
    else:
        return None
    return edit if edit is not None and _says(edit.text, rule, mode, path, before=text) else None


def _with_block(lines: list[str], root: Mapping, rule: str, mode: Mode) -> OverrideEdit | None:
    """An `override:` at the end of the file."""
    at, start = root.line - 1, root.column - 1
    line = lines[at]
    if line.startswith("{", start):
        lines[at] = f"{line[: start + 1]}override: {{{rule}: {{mode: {mode}}}}}, {line[start + 1 :]}"
        return OverrideEdit("".join(lines), at + 1)
    if start:
        return None
    ending = "\r\n" if lines[0].endswith("\r\n") else "\n"
    if not lines[-1].endswith("\n"):
        lines[-1] += ending
    lines += [f"override:{ending}", f"{INDENT}{rule}: {{mode: {mode}}}{ending}"]
    return OverrideEdit("".join(lines), len(lines))


def _added(lines: list[str], key_line: int, overrides: Mapping, rule: str, mode: Mode) -> OverrideEdit:
    """The rule as the first that is overridden, in the style of the mapping, above what stands over the next."""
    at, start = overrides.line - 1, overrides.column - 1
    line = lines[at]
    if line.startswith("{", start):
        lines[at] = f"{line[: start + 1]}{rule}: {{mode: {mode}}}, {line[start + 1 :]}"
    else:
        ending = "\r\n" if line.endswith("\r\n") else "\n"
        lines.insert(key_line, f"{line[:start]}{rule}: {{mode: {mode}}}{ending}")
        return OverrideEdit("".join(lines), key_line + 1)
    return OverrideEdit("".join(lines), at + 1)


def _changed(lines: list[str], entry: MappingEntry, mode: Mode) -> OverrideEdit | None:
    """The override of the rule with another mode, or with one."""
    said = entry.value
    if not isinstance(said, Mapping):
        return None
    for each in said:
        if each.key.text == "mode":
            value = each.value
            if not isinstance(value, Scalar):
                return None
            at, start = value.line - 1, value.column - 1
            written = value.text if value.plain else lines[at][start : start + len(value.text) + 2]
            lines[at] = f"{lines[at][:start]}{mode}{lines[at][start + len(written) :]}"
            return OverrideEdit("".join(lines), at + 1)
    at, start = said.line - 1, said.column - 1
    line = lines[at]
    if line.startswith("{", start):
        lines[at] = f"{line[: start + 1]}mode: {mode}, {line[start + 1 :]}"
    else:
        lines[at] = f"{line[:start]}mode: {mode}\n{line}"
    return OverrideEdit("".join(lines), at + 1)


def _says(after: str, rule: str, mode: Mode, path: Path, *, before: str) -> bool:
    """Whether the file reads as before but for this one mode."""
    old, new = _parsed(before, path), _parsed(after, path)
    if new.report.count:
        return False
    was = {each.rule: _facts(each.found.values) for each in old.overrides}
    now = {each.rule: _facts(each.found.values) for each in new.overrides}
    was[rule] = was.get(rule, {}) | {"mode": str(mode)}
    return was == now and _names(old) == _names(new) and _imports(old) == _imports(new)


def _facts(values: dict[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items() if key != "limit"}


def _names(parsed: ParsedFile) -> list[str]:
    return [name for name, _, _ in parsed.rule_names]


def _imports(parsed: ParsedFile) -> list[str]:
    return [name for name, _, _ in parsed.imports]


def _parsed(text: str, path: Path) -> ParsedFile:
    return parse_file(text, str(path), ListFiles(path.parent))


def _home(rule: str) -> str:
    """The bundled file that has the rule."""
    for name in importable_names():
        if rule in _names(_parsed(bundled_file(name).read_text("utf-8"), bundled_file(name))):
            return name
    return ""
