"""The files that an importer reads: those that were named, and those that they include when they lie beside them.

The one module that opens files for an importer. Nothing outside of the folder is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from proxyguard.tools.importers.draft import ImportFault

MAX_BYTES: Final = 16 * 1024 * 1024
"""Of all files together: the bound of a rule file."""

MAX_FILES: Final = 500
"""Files that are followed; a server has tens of them."""


class Source(NamedTuple):
    """A file that was read. `name`: as it was named or included; bytes that are not UTF-8 are replaced."""

    name: str
    text: str


@dataclass(slots=True)
class Sources:
    """What was named on the command line. `folder`: where included files may lie; None when there is none."""

    named: tuple[Source, ...]
    folder: Path | None = None
    refusing: frozenset[str] = frozenset()
    """Names of variables that the operator says are refused when they are set."""
    opened: int = 0
    size: int = 0

    @property
    def text(self) -> str:
        """The text of the only file. Raises ImportFault when several were named."""
        if len(self.named) != 1:
            raise ImportFault(f"this kind is read from one file at a time, not from {len(self.named)}")
        return self.named[0].text

    def beside(self, wanted: str) -> list[Source]:
        """The files that an include names, looked for in the folder: by its path, by the end of it, by its name alone.

        A `*` in the name stands for several, in order of name. Empty when there are none. Raises ImportFault when it is too much.
        """
        if self.folder is None or not wanted or "\0" in wanted:
            return []
        parts = [part for part in PurePosixPath(wanted.replace("\\", "/")).parts if part not in {"/", ".", ".."}]
        alone = len(parts) > 1 and any(char in parts[-1] for char in "*?[")  # *.conf of another folder is not *.conf of this one
        for first in range(len(parts) - alone):
            found = list(self._matching("/".join(parts[first:])))
            if found:
                return found
        return []

    def _matching(self, pattern: str) -> Iterator[Source]:
        folder = (self.folder or Path()).resolve()
        try:
            paths = sorted(folder.glob(pattern)) if any(char in pattern for char in "*?[") else [folder / pattern]
            for path in paths:
                resolved = path.resolve()
                if resolved.is_relative_to(folder) and resolved.is_file():
                    yield Source(path.relative_to(folder).as_posix(), self._read(resolved))
        except (ValueError, NotImplementedError, OSError):
            return

    def _read(self, path: Path) -> str:
        self.opened += 1
        if self.opened > MAX_FILES:
            raise ImportFault(f"more than {MAX_FILES} files are included")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1 - self.size)
        self.size += len(data)
        if self.size > MAX_BYTES:
            raise ImportFault(f"the files are larger than {MAX_BYTES >> 20} MiB")
        return data.decode("utf-8", "replace")
