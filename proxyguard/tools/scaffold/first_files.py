"""Writes the files of `proxyguard init`. Knows nothing of terminals."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath


class AlreadyThere(Exception):
    """Files that would be overwritten."""

    def __init__(self, paths: list[Path]) -> None:
        super().__init__(", ".join(map(str, paths)))
        self.paths = paths


def first_files() -> dict[PurePosixPath, str]:
    """Path and text of every file, without those that are generated."""
    return dict(sorted(_walk(files("proxyguard.tools.scaffold") / "files", PurePosixPath())))


def _walk(folder: Traversable, below: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    for entry in folder.iterdir():
        path = below / entry.name
        if entry.is_dir():
            yield from _walk(entry, path)
        elif not entry.name.endswith((".pyc", ".py")):
            yield path, entry.read_text("utf-8")


def write_first_files(directory: Path, more: dict[PurePosixPath, str], *, with_rules: bool = True) -> list[Path]:
    """Write the files, and `more`, below a directory, which is made if it is not there. All or, if one exists, none.

    Without rules, `more` has some.

    Raises AlreadyThere, OSError.
    """
    first = {path: text for path, text in first_files().items() if with_rules or path.parts[0] != "rules"}
    texts = {directory / path: text for path, text in (first | more).items()}
    taken = [path for path in texts if path.exists() or path.is_symlink()]
    if taken:
        raise AlreadyThere(taken)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    return list(texts)
