"""The last good content of each list file, in a folder: what stays in force while a file is broken.

A list that a program fetches breaks now and then, and must not keep other changes from being put in force. Knows nothing of
what is in a list.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


class KeptLists:
    """Contents by the place of their list, each in a file of its own in `folder`, which must be this user's alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, place: Path) -> bytes | None:
        """The last good content; None when there was none."""
        try:
            return self._file(place).read_bytes()
        except OSError:
            return None

    def write(self, place: Path, data: bytes) -> None:
        """Keep a content that was read without a fault. A disk that is full keeps the one of before."""
        file = self._file(place)
        fresh = file.with_suffix(".new")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            fresh.write_bytes(data)
            fresh.replace(file)
        except OSError:
            fresh.unlink(missing_ok=True)

    def copy(self, places: Iterable[Path]) -> None:
        """Keep what files hold that were read just now."""
        for place in places:
            try:
                data = place.read_bytes()
            except OSError:
                continue
            self.write(place, data)

    def _file(self, place: Path) -> Path:
        return self._folder / hashlib.sha256(os.fsencode(place)).hexdigest()
