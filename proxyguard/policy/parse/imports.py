"""Puts the bundled rule sets that files import before the files that import them, and applies what files override.

A file of the folder with the name of a bundled rule set takes its place: a copy that was edited. Overrides hold for the whole
folder, copies included: they name a rule, and rule names are different in all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from proxyguard.core.decision import Allow
from proxyguard.core.preset import DEFAULT_PRESET, RulesPreset
from proxyguard.core.problems import Problem, name_hint, quoted
from proxyguard.policy.bundled import (
    BUNDLED_DIRECTORY,
    BUNDLED_WORD,
    bundled_file,
    bundled_names,
    bundled_rule_sets,
    importable_names,
    is_bundled,
    kit_names,
    preset_file,
)
from proxyguard.policy.model import Rule, RuleSet
from proxyguard.policy.parse.file import parse_file
from proxyguard.policy.parse.lists import ListFiles
from proxyguard.policy.parse.overrides import Override, overridden
from proxyguard.policy.parse.parsed_file import Mention, ParsedFile

_KIT_PREFIX: Final = "kit-"
"""What the rule sets of kits are called."""


@dataclass(slots=True)
class Imported:
    """The files of a folder with those that they import, in order, and a digest of each that came."""

    files: list[ParsedFile] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def with_imports(parsed: list[ParsedFile], preset: RulesPreset = DEFAULT_PRESET) -> Imported:
    """The files, and before each the rule sets that it imports, changed as preset and files say; problems go to their reports."""
    imported = Imported()
    list_files = ListFiles(BUNDLED_DIRECTORY)
    own = {file.name[0] for file in parsed if file.name is not None}
    first: dict[str, str] = {}
    kits = kit_names()
    for file in parsed:
        for mention in file.imports:
            for name in bundled_names() if mention[0] == BUNDLED_WORD else (mention[0].removeprefix(f"{BUNDLED_WORD}/"),):
                place = f"{file.report.file}:{mention[1]}:{mention[2]}"
                if first.setdefault(name, place) != place:
                    message = f"{quoted(f'{BUNDLED_WORD}/{name}')} is already imported in {first[name]}"
                    file.report.add(mention[1], mention[2], message, "import it once")
                    continue
                data = bundled_file(name).read_bytes()
                came = parse_file(data, str(bundled_file(name)), list_files)
                if came.name is not None and came.name[0] in own:
                    continue  # a file of the operator's takes its place
                if name in kits:
                    _check_kit_is_first(mention, file, imported.files)
                imported.digests[f"{BUNDLED_WORD}/{name}.yaml"] = hashlib.sha256(data).hexdigest()
                came.imported_by = (file.report, mention[1], mention[2])
                imported.files.append(came)
        imported.files.append(file)
    for path, digest in list_files.digests.items():
        imported.digests[f"{BUNDLED_WORD}/{path.relative_to(BUNDLED_DIRECTORY).as_posix()}"] = digest
    imported.problems = list_files.problems
    if preset is not DEFAULT_PRESET:
        _apply_preset(imported, preset)
    _apply_overrides(imported.files)
    return imported


def _check_kit_is_first(mention: Mention, file: ParsedFile, before: list[ParsedFile]) -> None:
    """Report a kit behind imported rules, which decide before it does; those that allow come first wherever they stand."""
    for earlier in before:
        rule_set = earlier.rule_set
        if rule_set is None or earlier.imported_by is None or rule_set.name.startswith(_KIT_PREFIX):
            continue
        if all(isinstance(rule.action, Allow) for rule in rule_set.rules):
            continue
        message = f"{quoted(mention[0])} comes after the bundled rules of {quoted(rule_set.name)}, which decide first"
        file.report.add(mention[1], mention[2], message, f"import it before them: import: [{mention[0]}, {BUNDLED_WORD}]")
        return


def _apply_preset(imported: Imported, preset: RulesPreset) -> None:
    """Change bundled rules as a preset says. In a copy those are left alone whose mode, limit, action or end was edited."""
    data = preset_file(preset).read_bytes()
    overrides = {each.rule: each for each in parse_file(data, str(preset_file(preset)), None).overrides}
    pristine: dict[str, Rule] = {}
    for file in imported.files:
        if file.rule_set is None or (file.imported_by is None and file.rule_set.name not in bundled_rule_sets()):
            continue
        mine = {rule.name: overrides[rule.name] for rule in file.rule_set.rules if rule.name in overrides}
        if file.imported_by is None and not is_bundled(file.report.file):
            pristine = pristine or _bundled_rules()
            mine = {name: each for name, each in mine.items() if _is_as_bundled(_named(file.rule_set, name), pristine.get(name))}
        file.rule_set = _changed(file.rule_set, mine)
        imported.digests[f"{BUNDLED_WORD}/presets/{preset}.yaml"] = hashlib.sha256(data).hexdigest()


def _bundled_rules() -> dict[str, Rule]:
    list_files = ListFiles(BUNDLED_DIRECTORY)
    files = (parse_file(bundled_file(name).read_bytes(), str(bundled_file(name)), list_files) for name in importable_names())
    return {rule.name: rule for file in files if file.rule_set is not None for rule in file.rule_set.rules}


def _named(rule_set: RuleSet, name: str) -> Rule:
    return next(rule for rule in rule_set.rules if rule.name == name)


def _is_as_bundled(rule: Rule, pristine: Rule | None) -> bool:
    """Whether what presets change is as it came."""
    kept = pristine is not None and (pristine.mode, pristine.limit, pristine.action, pristine.expires)
    return kept == (rule.mode, rule.limit, rule.action, rule.expires)


def _apply_overrides(files: list[ParsedFile]) -> None:
    if not any(file.overrides for file in files):
        return
    bundled = bundled_rule_sets()
    came = [file for file in files if file.imported_by is not None or (file.name is not None and file.name[0] in bundled)]
    own = {name: f"{file.report.file}:{line}" for file in files if file not in came for name, line, _ in file.rule_names}
    known = [name for file in came for name, _, _ in file.rule_names]
    chosen: dict[str, tuple[str, Override]] = {}
    for file in files:
        for override in file.overrides:
            place, rule = f"{file.report.file}:{override.line}", override.rule
            message, hint = "", ""
            if rule in own:
                message, hint = (
                    f"{quoted(rule)} is a rule of your own, in {own[rule]}",
                    "change it there: overrides are for rules that come with proxyguard",
                )
            elif rule not in known:
                message = f"there is no imported rule {quoted(rule)}"
                hint = name_hint(rule, known, "rules") if known else f"import: {BUNDLED_WORD}/NAME, in any file of the folder"
            elif rule in chosen:
                message, hint = f"{quoted(rule)} is already overridden in {chosen[rule][0]}", "say it once"
            else:
                chosen[rule] = place, override
            if message:
                file.report.add(override.line, override.column, message, hint)
    for file in came:
        if file.rule_set is not None:
            file.rule_set = _changed(file.rule_set, {rule: override for rule, (_, override) in chosen.items()})


def _changed(rule_set: RuleSet, overrides: dict[str, Override]) -> RuleSet:
    """The rule set with some rules overridden; without its tests when those would be about rules that do something else now."""
    mine = list(_of(rule_set, overrides))
    if not mine:
        return rule_set
    rules = tuple(overridden(rule, overrides[rule.name]) if rule.name in overrides else rule for rule in rule_set.rules)
    is_tested = not any(override.changes_what_is_tested for override in mine)
    return replace(rule_set, rules=rules, tests=rule_set.tests if is_tested else ())


def _of(rule_set: RuleSet, overrides: dict[str, Override]) -> Iterator[Override]:
    return (overrides[rule.name] for rule in rule_set.rules if rule.name in overrides)
