"""Copies of the bundled rules in an operator's folder: made with a record of what was copied, compared, and updated.

The record is `.bundled/` in the folder of rules: the files as they were copied. With it an edit of the operator is told from a
change of a new version, and both are kept. An update is written whole or not at all. Knows nothing of terminals.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from enum import StrEnum
from pathlib import Path
from shutil import copytree
from typing import Final

from proxyguard.core.problems import Problem
from proxyguard.policy.bundled import BUNDLED_DIRECTORY
from proxyguard.policy.error import PolicyError
from proxyguard.policy.load import load_policy
from proxyguard.policy.testing.runner import run_tests
from proxyguard.tools.lint.fixes import replace_file
from proxyguard.tools.scaffold.merge import Conflict, merged

RECORD: Final = ".bundled"


class CopyState(StrEnum):
    """What an update does with a file, in the words that the operator reads."""

    NEW = "new in this version"
    CHANGED = "changed in this version, and not by you"
    MERGED = "changed in this version and by you, in different places: both are kept"
    CONFLICT = "changed in this version and by you, in the same place"
    REMOVED = "not in this version any more, and not changed by you: it goes"
    KEPT = "not in this version any more: yours stays"
    DELETED = "changed in this version; you deleted it, and it stays so"


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file of which this version has another text. `result` is what it becomes; None: it goes, or is not there."""

    name: str
    state: CopyState
    ours: str | None
    result: str | None
    recorded: str | None
    """What the record is to hold; None: nothing."""
    line: int = 0
    """Of a conflict."""

    def diff(self) -> str:
        """What the update changes in the operator's file."""
        before, after = ((text or "").splitlines(keepends=True) for text in (self.ours, self.result))
        return "".join(unified_diff(before, after, self.name, self.name))


class UpdateRefused(Exception):
    """With the update the rules would not load. `problems` say why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("the rules would be refused")
        self.problems = problems


def bundled_texts() -> dict[str, str]:
    """Every bundled rule file and list, by its path below the folder of rules."""
    return _texts(BUNDLED_DIRECTORY)


def recorded_texts(directory: Path) -> dict[str, str]:
    """The files as they were copied; none when nothing was."""
    return _texts(directory / RECORD)


def copies() -> dict[str, str]:
    """The bundled files and their record, by path below a folder of rules."""
    texts = bundled_texts()
    return texts | {f"{RECORD}/{name}": text for name, text in texts.items()}


def changes(directory: Path) -> list[FileChange]:
    """What this version changes in a folder with copies, by file name. Raises OSError, ValueError for a file that is no text."""
    base, new = recorded_texts(directory), bundled_texts()
    found = (_change(name, base.get(name), new.get(name), _text(directory / name)) for name in sorted({*base, *new}))
    return [each for each in found if each is not None]


def _change(name: str, base: str | None, new: str | None, ours: str | None) -> FileChange | None:
    if new == base:
        return None
    if new is None:
        goes = ours in {None, base}
        return FileChange(name, CopyState.REMOVED if goes else CopyState.KEPT, ours, None if goes else ours, None)
    if ours is None:
        state = CopyState.NEW if base is None else CopyState.DELETED
        return FileChange(name, state, None, new if base is None else None, new)
    if ours in {base, new}:
        return FileChange(name, CopyState.CHANGED, ours, new, new)
    result = merged(base or "", ours, new)
    if isinstance(result, Conflict):
        return FileChange(name, CopyState.CONFLICT, ours, ours, base, result.line)
    return FileChange(name, CopyState.MERGED, ours, result, new)


def update(directory: Path, found: list[FileChange]) -> None:
    """Put changes in place, none of them a conflict. Raises UpdateRefused with nothing written, OSError."""
    _try(directory, found)
    for each in found:
        if each.result is None:
            (directory / each.name).unlink(missing_ok=True)
        elif each.result != each.ours:
            _write(directory / each.name, each.result)
    for each in found:
        # Last: until then another update finds the files as this one left them, and goes on.
        record = directory / RECORD / each.name
        if each.recorded is None:
            record.unlink(missing_ok=True)
        else:
            _write(record, each.recorded)


def _try(directory: Path, found: list[FileChange]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tried = Path(folder) / "rules"
        copytree(directory, tried)
        for each in found:
            if each.result is None:
                (tried / each.name).unlink(missing_ok=True)
            else:
                _write(tried / each.name, each.result)
        loaded = load_policy(tried)
        problems = loaded.problems
        if loaded.policy is not None:
            try:
                problems = tuple(failure.problem for failure in run_tests(loaded.policy))
            except PolicyError as error:
                problems = (Problem(str(directory), 0, 0, str(error)),)
        if problems:
            raise UpdateRefused(tuple(_placed(problem, str(tried), str(directory)) for problem in problems))


def _placed(problem: Problem, tried: str, directory: str) -> Problem:
    """The problem where the operator finds it."""
    file, message, hint = (text.replace(tried, directory) for text in (problem.file, problem.message, problem.hint))
    return problem._replace(file=file, message=message, hint=hint)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode())


def _texts(directory: Path) -> dict[str, str]:
    return dict(sorted(_walk(directory)))


def _walk(directory: Path) -> Iterator[tuple[str, str]]:
    for pattern in ("*.yaml", "lists/*.txt"):
        for path in directory.glob(pattern):
            yield path.relative_to(directory).as_posix(), path.read_text("utf-8")


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
