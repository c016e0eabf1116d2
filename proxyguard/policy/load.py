"""A directory of rule files to one policy, or to all that is wrong with it.

Rule files are `*.yaml` and `*.yml`, in the order of their paths; directories below are read too, except `lists` and whatever
begins with a dot. Reads every file once. Knows nothing of when to load again: it names the files that were read.
"""

from __future__ import annotations

import gc
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from proxyguard.core.preset import DEFAULT_PRESET, RulesPreset
from proxyguard.core.problems import Fault, Problem
from proxyguard.core.yaml.decoding import MAX_BYTES
from proxyguard.policy.bundled import is_apart
from proxyguard.policy.error import PolicyError
from proxyguard.policy.expand import expanded
from proxyguard.policy.fields.registry import field_types
from proxyguard.policy.model import Place, Policy, RuleSet
from proxyguard.policy.parse.file import parse_file
from proxyguard.policy.parse.imports import with_imports
from proxyguard.policy.parse.kept_lists import KeptLists
from proxyguard.policy.parse.lists import ListFiles, read_bounded, reason
from proxyguard.policy.parse.names import check_names
from proxyguard.policy.parse.parsed_file import ParsedFile
from proxyguard.policy.parse.rules import MAX_RULES

MAX_FILES: Final = 5000
MAX_LEVELS: Final = 8

MAX_TEST_DECISIONS: Final = 500_000
"""Requests of all tests of a folder together: about ten seconds at each reload."""

SUFFIXES: Final = (".yaml", ".yml")
LISTS_DIRECTORY: Final = "lists"

WHERE_HINT: Final = (
    "name it with --rules or the setting rules; `bundled` there takes those that come with proxyguard, and "
    "`proxyguard init` writes a first set"
)

NOTHING: Final[Mapping[Path, bytes]] = MappingProxyType({})


class LoadResult(NamedTuple):
    """The policy, or the problems that stand in its way; exactly one of the two. `files` are all that were asked for.

    `stale` says what is wrong with lists whose content of before is in the policy.
    """

    policy: Policy | None
    problems: tuple[Problem, ...]
    files: tuple[Path, ...]
    stale: tuple[Problem, ...] = ()


def load_policy(
    directory: Path,
    kept: KeptLists | None = None,
    *,
    instead: Mapping[Path, bytes] = NOTHING,
    preset: RulesPreset = DEFAULT_PRESET,
) -> LoadResult:
    """Read every rule file and list file below a directory. Paths in problems begin with `directory` as given.

    `kept` has what lists held before, for those that are faulty now, and is given what the others hold. `instead` is what files
    would hold, there or not: it is read in the place of what they hold.
    """
    paths, problems = rule_files(directory)
    paths = _in_order({*paths, *instead}, directory)
    try:
        field_types()
    except PolicyError as error:
        return LoadResult(None, (*problems, Problem(str(directory), 0, 0, str(error), "mend or uninstall it")), tuple(paths))
    if not paths and not problems:
        hint = f"rule files end in {' or '.join(SUFFIXES)}; is this the right directory?"
        problems.append(Problem(str(directory), 0, 0, "no rule file in this directory", hint))
    list_files = ListFiles(directory, kept)
    parsed: list[ParsedFile] = []
    digests: dict[Path, str] = {}
    with _collector_paused():
        for path in paths:
            try:
                data = instead[path] if path in instead else read_bounded(path, directory, MAX_BYTES, "the rule file")
            except Fault as fault:
                problems.append(Problem(str(path), 1, 1, fault.message, fault.hint))
                continue
            digests[path] = hashlib.sha256(data).hexdigest()
            parsed.append(parse_file(data, str(path), list_files))
        is_whole = len(parsed) == len(paths)
        imported = with_imports(parsed, preset)
    parsed = imported.files
    check_names(parsed, whole=is_whole)
    _check_size(parsed)
    for file in parsed:
        problems.extend(file.report.finished())
    problems += (*list_files.problems, *imported.problems)
    files = (*paths, *list_files.paths)
    if problems:
        return LoadResult(None, tuple(sorted(problems)), files)
    rule_sets = expanded(file.rule_set for file in parsed if file.rule_set is not None)
    too_much = _check_tests(rule_sets)
    if too_much is not None:
        return LoadResult(None, (too_much,), files)
    overrides = tuple((each.rule, Place(file.report.file, each.line, each.column)) for file in parsed for each in file.overrides)
    policy = Policy(rule_sets, _digest(directory, digests | list_files.digests, imported.digests), overrides)
    list_files.keep()
    return LoadResult(policy, (), files, tuple(sorted(list_files.stale)))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Parsing makes hundreds of thousands of objects and no cycles; collecting meanwhile doubles its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def rule_files(directory: Path) -> tuple[list[Path], list[Problem]]:
    """The rule files of a directory in path order, and what kept us from finding more."""
    found: list[Path] = []
    problems: list[Problem] = []
    try:
        is_directory = stat.S_ISDIR(directory.stat().st_mode)
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        what = "does not exist" if is_missing else f"cannot be read: {reason(error)}"
        return found, [Problem(str(directory), 0, 0, f"the rules directory {what}", WHERE_HINT)]
    if not is_directory:
        return found, [Problem(str(directory), 0, 0, "the rules directory is not a directory", WHERE_HINT)]
    _collect(directory, 0, found, problems)
    found = _in_order(found, directory)
    if len(found) > MAX_FILES:
        problems.append(Problem(str(directory), 0, 0, f"{len(found)} rule files", f"at most {MAX_FILES}"))
        found = []
    return found, problems


def _in_order(paths: Iterable[Path], directory: Path) -> list[Path]:
    return sorted(paths, key=lambda path: path.relative_to(directory).as_posix())


def _collect(directory: Path, level: int, found: list[Path], problems: list[Problem]) -> None:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        problems.append(Problem(str(directory), 0, 0, f"the directory cannot be read: {reason(error)}"))
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = directory / entry.name
        if os.path.isdir(path):  # noqa: PTH112 - of what may not be looked at, Path.is_dir raises
            _descend(entry, path, level, found, problems)
        elif entry.name.lower().endswith(SUFFIXES):
            found.append(path)


def _descend(entry: os.DirEntry[str], path: Path, level: int, found: list[Path], problems: list[Problem]) -> None:
    if entry.name == LISTS_DIRECTORY or is_apart(path):
        return
    if entry.is_symlink():
        message = "links to directories are not followed"
        problems.append(Problem(str(path), 0, 0, message, "mount or copy the directory, or link each file"))
    elif level >= MAX_LEVELS:
        problems.append(Problem(str(path), 0, 0, f"directories are nested more than {MAX_LEVELS} levels deep"))
    else:
        _collect(path, level + 1, found, problems)


def _check_size(parsed: list[ParsedFile]) -> None:
    """Report the file with which a policy grows beyond its bound."""
    rules = 0
    for file in parsed:
        rules += len(file.rule_names)
        if rules > MAX_RULES:
            message = f"the policy has more than {MAX_RULES} rules from this file on"
            file.report.add(1, 1, message, "put addresses and words into lists")
            return


def _check_tests(rule_sets: tuple[RuleSet, ...]) -> Problem | None:
    """The test with which the tests of all files together need more decisions than a reload has time for."""
    decisions = 0
    for rule_set in rule_sets:
        for test in rule_set.tests:
            asked = sum(step.repeat + step.under_way for step in test.steps)
            decisions += asked
            if decisions > MAX_TEST_DECISIONS:
                named = f"the test '{test.name}'" if test.name else "the test"
                message = f"{named} asks for {asked:,} requests, and all tests up to it for {decisions:,}"
                hint = f"at most {MAX_TEST_DECISIONS:,} in a folder; lower `repeat` and `under_way`"
                return Problem(*test.place, message, hint)
    return None


def _digest(directory: Path, digests: dict[Path, str], imported: dict[str, str]) -> str:
    """One digest of names and bytes: equal exactly when every file read is equal."""
    whole = hashlib.sha256()
    for path in sorted(digests):
        whole.update(f"{os.path.relpath(path, directory)} {digests[path]}\n".encode())
    for name in sorted(imported):
        whole.update(f"{name} {imported[name]}\n".encode())
    return whole.hexdigest()
