"""Notices that rule files changed, by comparing signatures. Never reads a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

type Signature = tuple[tuple[str, int, int, int], ...]
"""Path, inode, modification time and size of every file that the rules depend on."""


def signature_of_load(before: Signature, after: Signature, started_ns: int) -> Signature:
    """The signature of what a load that began at `started_ns` (Unix nanoseconds) has surely read, from those before and after.

    A file that changed meanwhile keeps its state of before, and a file that only the load found counts as missing when it is
    younger than the load: both then differ from the next signature, and are read again.
    """
    known = {facts[0]: facts for facts in before}
    return tuple(known.get(facts[0]) or (facts if facts[2] < started_ns else (facts[0], 0, 0, 0)) for facts in after)


def signature(rules: Path, files: Iterable[Path]) -> Signature:
    """Differs from an earlier one when an editor has saved, git has checked out, or a ConfigMap's symlink was swapped."""
    watched = {os.fspath(path) for path in files}
    watched.add(os.fspath(rules))
    for folder, folders, names in os.walk(rules, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        watched.update(os.path.join(folder, name) for name in names if name.endswith((".yaml", ".yml")))  # noqa: PTH118 - ten times the speed of Path, once a second
        watched.update(os.path.join(folder, name) for name in folders)  # noqa: PTH118 - as above
    found = []
    for path in sorted(watched):
        try:
            facts = os.stat(path)  # noqa: PTH116 - as above
        except OSError:
            found.append((path, 0, 0, 0))
        else:
            found.append((path, facts.st_ino, facts.st_mtime_ns, facts.st_size))
    return tuple(found)
