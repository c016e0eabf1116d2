"""Changes the mode of one rule in its file, and nothing else: every other byte, comments included, stays as it was.

The edit is made at the place that the parser reports, and verified by parsing the result: the same rule set except for that one
mode. Run as a module (`DIR RULE MODE PROCESS-MODE PRESET STEP…`) in a process of its own, because reading a large file takes
seconds. The steps are `try`, which refuses what a reload would refuse, and `write`. Knows nothing of whether the change is wise.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from proxyguard.core.decision import Mode
from proxyguard.core.preset import RulesPreset
from proxyguard.core.problems import Report
from proxyguard.core.yaml.nodes import Mapping, MappingEntry, Scalar, Sequence, read_yaml
from proxyguard.instance.children import let_in_termination
from proxyguard.instance.control.override_edit import has_faults, importing_file, overriding_file, with_override
from proxyguard.instance.load_rules import load_tested
from proxyguard.instance.loaded_rules import RulesRejected
from proxyguard.instance.loader_process import lower_priority
from proxyguard.policy.bundled import BUNDLED_DIRECTORY, BUNDLED_WORD
from proxyguard.policy.load import rule_files
from proxyguard.policy.model import NOWHERE, RuleSet, rules_by_mode
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.parse.lists import ListFiles

_LINE: Final = re.compile("[^\n\r\x85\u2028\u2029]*(?:\r\n|[\n\r\x85\u2028\u2029]|$)")
"""One line with its break, as YAML's parser counts them."""


class Edited(NamedTuple):
    """A rule file that was changed: where, and what it held before and after."""

    file: str
    line: int
    before: bytes
    after: bytes


class EditError(Exception):
    """The mode cannot be changed in the file. The message is for the operator and says what to change by hand."""


def with_mode(data: bytes, rule: str, mode: Mode, file: str, list_files: ListFiles | None) -> tuple[bytes, int]:
    """The file with another mode of one rule, and the line that changed. Raises EditError, KeyError for an unknown rule."""
    text = data.decode("utf-8")
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    mapping = _find(data, rule, file)
    if mapping is None:
        raise KeyError(rule)
    lines = _lines(text.removeprefix(mark))
    entry = next((entry for entry in mapping if entry.key.text == "mode"), None)
    if entry is not None:
        line = _replace(lines, entry, mode, file)
    elif mode is Mode.ENFORCE:
        line = mapping.line  # it says so by saying nothing: a folder that nobody can write to needs no change
    else:
        line = _insert(lines, mapping, mode)
    changed = (mark + "".join(lines)).encode()
    if not _only_the_mode_differs(data, changed, rule, mode, file, list_files):
        raise EditError(f"{file}:{mapping.line}: the rule is written in a way that only a person can change safely")
    return changed, line


def rewrite(directory: Path, rule: str, mode: Mode) -> Edited:
    """Change the mode of a rule below a rules directory. Raises EditError."""
    edited = planned(directory, rule, mode)
    carry_out(edited, mode)
    return edited


def carry_out(edited: Edited, mode: Mode) -> None:
    """Write a planned edit. Raises EditError."""
    if edited.after != edited.before:
        write_back(Path(edited.file), edited.before, edited.after, f"{edited.file}:{edited.line}", _by_hand(mode))


def tried(directory: Path, edited: Edited, rule: str, mode: Mode, process_mode: Mode, preset: RulesPreset) -> None:
    """Load the rules as they would be with a planned edit, and run their tests; writes nothing. Raises EditError."""
    try:
        policy = load_tested(directory, instead={Path(edited.file): edited.after}, preset=preset).policy
    except RulesRejected as error:
        raise EditError(f"{error.report.rstrip()}\nnot changed: with {rule} in {mode} the rules are refused") from error
    really = next(found for each, found in rules_by_mode(policy, process_mode) if each.name == rule)
    if really is not mode:
        raise EditError(
            f"{rule} would stay in {really}: its rule set ({edited.file}) or the whole process is in {really}\n"
            "  hint: change that mode; the rule is as it was"
        )


def planned(directory: Path, rule: str, mode: Mode) -> Edited:
    """The edit that changes the mode of a rule below a rules directory. Raises EditError."""
    by_hand = _by_hand(mode)
    if directory == BUNDLED_DIRECTORY:
        hint = f"have a folder of your own, and a file there: import: {BUNDLED_WORD}, override: {{{rule}: {{mode: {mode}}}}}"
        raise EditError(f"{rule} is in the bundled rules, which the next version replaces\n  hint: {hint}")
    texts = _texts(directory, rule)
    path = overriding_file(rule, texts)
    if path is not None:
        return _overriding(path, texts[path], rule, mode)
    for path in rule_files(directory)[0]:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise EditError(f"{path}: {error.strerror}\n  hint: {by_hand}") from error
        if rule.encode() not in data:
            continue
        try:
            changed, line = with_mode(data, rule, mode, str(path), ListFiles(directory))
        except KeyError:
            continue
        except (EditError, ValueError) as error:
            raise EditError(f"{error}\n  hint: {by_hand}") from error
        return Edited(str(path), line, data, changed)
    path = importing_file(rule, texts)
    if path is None:
        raise EditError(f"the rule {rule!r} is in no file of {directory}")
    return _overriding(path, texts[path], rule, mode)


def _texts(directory: Path, rule: str) -> dict[Path, str]:
    """The files that may override or import a rule; one that cannot be read says nothing about it."""
    found = {}
    for path in rule_files(directory)[0]:
        with contextlib.suppress(OSError, ValueError):
            text = path.read_bytes().decode("utf-8")
            if BUNDLED_WORD in text or ("override" in text and rule in text):
                found[path] = text
    return found


def _overriding(path: Path, text: str, rule: str, mode: Mode) -> Edited:
    """The edit of what a file says about a rule that it has not itself. Raises EditError."""
    edit = with_override(text, rule, mode, path)
    if has_faults(text, path):
        raise EditError(f"{path}: the file has faults of its own; see proxyguard check")
    if edit is None:
        hint = f"write by hand: override: {{{rule}: {{mode: {mode}}}}}"
        raise EditError(f"{path}: the file is written in a way that only a person can change safely\n  hint: {hint}")
    return Edited(str(path), edit.line, text.encode(), edit.text.encode())


def _by_hand(mode: Mode) -> str:
    return f"change it by hand: mode: {mode}"


def write_back(path: Path, before: bytes, data: bytes, place: str, hint: str) -> None:
    """Replace a file's content in one step, unless it is not `before` any more. Raises EditError."""
    target = path.resolve()
    try:
        if target.read_bytes() != before:
            raise EditError(f"{place}: the file was changed meanwhile\n  hint: try again")
        try:
            _replace_file(target, data)
        except OSError:
            target.write_bytes(data)  # a folder that takes no new file, or a file mounted alone
    except OSError as error:
        raise EditError(f"{place}: the file cannot be written: {error.strerror}\n  hint: {hint}") from error


def _replace_file(target: Path, data: bytes) -> None:
    facts = target.stat()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        fresh = Path(name)
        fresh.chmod(facts.st_mode & 0o7777)
        with contextlib.suppress(PermissionError):
            os.chown(name, facts.st_uid, facts.st_gid)
        fresh.replace(target)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _find(data: bytes, rule: str, file: str) -> Mapping | None:
    """The rule's mapping in a file; None when it is not there or the file is not YAML."""
    root = read_yaml(data, Report(file))
    rules = root.get("rules") if isinstance(root, Mapping) else None
    for item in rules.items if isinstance(rules, Sequence) else ():
        if isinstance(item, Mapping):
            name = item.get("name")
            if isinstance(name, Scalar) and name.text == rule:
                return item
    return None


def _lines(text: str) -> list[str]:
    """The text in lines, each with its break; joined they are the text again."""
    return [found for found in _LINE.findall(text) if found] or [""]


def _replace(lines: list[str], entry: MappingEntry, mode: Mode, file: str) -> int:
    value = entry.value
    if not isinstance(value, Scalar):
        raise EditError(f"{file}:{entry.key.line}: mode is not a word")
    line, start = lines[value.line - 1], value.column - 1
    quote = "" if value.plain else line[start : start + 1]
    written = f"{quote}{value.text}{quote}"
    if not line.startswith(written, start):
        raise EditError(f"{file}:{value.line}: mode is written in an unusual way")
    lines[value.line - 1] = f"{line[:start]}{quote}{mode}{quote}{line[start + len(written) :]}"
    return value.line


def _insert(lines: list[str], mapping: Mapping, mode: Mode) -> int:
    """Put `mode:` in front of the rule's second key, in the style of the rule (block or flow)."""
    second = mapping.entries[1].key
    line, start = lines[second.line - 1], second.column - 1
    if lines[mapping.line - 1].startswith("{", mapping.column - 1):
        lines[second.line - 1] = f"{line[:start]}mode: {mode}, {line[start:]}"
    else:
        ending = line[len(line.rstrip("\r\n\x85\u2028\u2029")) :] or "\n"
        lines[second.line - 1] = f"{line[:start]}mode: {mode}{ending}{line}"
    return second.line


def _only_the_mode_differs(before: bytes, after: bytes, rule: str, mode: Mode, file: str, list_files: ListFiles | None) -> bool:
    old, _ = parse_rule_set(before, file, list_files)
    new, _ = parse_rule_set(after, file, list_files)
    if old is None:
        raise EditError(f"{file}: the file has faults of its own; see proxyguard check")
    if new is None:
        return False
    return _rules(old, rule, mode) == _rules(new, rule, mode) and any(
        each.name == rule and each.mode is mode for each in new.rules
    )


def _rules(rule_set: RuleSet, rule: str, mode: Mode) -> RuleSet:
    """The rule set with one rule's mode as asked for, and without tests and places, which an edit may move."""
    rules = tuple(replace(each, mode=mode if each.name == rule else each.mode, place=NOWHERE) for each in rule_set.rules)
    classes = tuple(replace(each, place=NOWHERE) for each in rule_set.classes)
    restrictions = tuple(replace(each, place=NOWHERE) for each in rule_set.restrictions)
    return replace(rule_set, rules=rules, classes=classes, restrictions=restrictions, tests=())


def main() -> None:
    """The child: edit, then write the error message and the edit, pickled, to standard output."""
    let_in_termination()
    lower_priority()
    directory, rule, mode, process_mode, preset, *steps = sys.argv[1:]
    answer: tuple[str, tuple[str, int, bytes, bytes] | None]
    try:
        edited = planned(Path(directory), rule, Mode(mode))
        if "try" in steps:
            tried(Path(directory), edited, rule, Mode(mode), Mode(process_mode), RulesPreset(preset))
        if "write" in steps:
            carry_out(edited, Mode(mode))
        answer = ("", (*edited,))
    except EditError as error:
        answer = (str(error), None)
    sys.stdout.buffer.write(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))


if __name__ == "__main__":
    main()
