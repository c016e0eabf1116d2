"""Mends what is mechanical: lines of list files and of lists, replaced or deleted; everything else in the file stays as it is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from proxyguard.tools.lint.findings import Edit, Finding


def apply_fixes(findings: Iterable[Finding]) -> dict[str, int]:
    """Carry out the edits of findings; how many lines of each file were changed. Raises OSError."""
    by_file: dict[str, dict[int, Edit]] = {}
    for edit in (edit for finding in findings for edit in finding.edits):
        edits = by_file.setdefault(edit.file, {})
        if edit.line not in edits or edit.text is None:  # deleting a line wins over mending it
            edits[edit.line] = edit
    for file, edits in by_file.items():
        _rewrite(Path(file), edits)
    return {file: len(edits) for file, edits in sorted(by_file.items())}


def _rewrite(path: Path, edits: dict[int, Edit]) -> None:
    lines = path.read_bytes().decode("utf-8").split("\n")
    kept: list[str] = []
    for number, line in enumerate(lines, 1):
        edit = edits.get(number)
        if edit is None:
            kept.append(line)
        elif edit.text is not None:
            kept.append(edit.text + ("\r" if line.endswith("\r") else ""))
    replace_file(path, "\n".join(kept).encode())


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in one step, so that whoever reads it meanwhile (a running instance) sees the old or the new whole.

    Follows a link to the file that it names; keeps the mode. Raises OSError.
    """
    real = path.resolve()
    mode = real.stat().st_mode & 0o7777 if real.exists() else 0o644
    handle, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, mode)  # noqa: PTH101 - the name is a text here
        os.replace(name, real)  # noqa: PTH105 - the name is a text here
    except BaseException:
        os.unlink(name)  # noqa: PTH108 - the name is a text here
        raise
