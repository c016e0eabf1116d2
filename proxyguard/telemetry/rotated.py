"""The lines of an audit log and of the rotated files beside it, plain or compressed, in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from errno import ENOTSUP
from io import BufferedReader
from pathlib import Path
from typing import Any, Final, NoReturn

MAX_LINE_BYTES: Final = 1 << 18
"""Longer lines are no records; they come cut."""


def _no_reader(file: Any) -> NoReturn:
    raise OSError(ENOTSUP, "it is packed in a way that is not read here: unpack it", file.name)


COMPRESSED: Final[dict[bytes, Callable[[Any], Any]]] = {
    b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open, b"\x28\xb5": _no_reader, b"\x04\x22": _no_reader,
}  # fmt: skip
"""By the first two bytes: what unpacks the file. The last two are those of zstd and lz4."""

BROKEN: Final = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What reading a broken file or archive raises."""


def rotated_files(log: Path, since: float, *, doubles: bool = False) -> list[Path]:
    """The log and its rotated files that were written since a time, newest first: `.1`, `.2.gz`, `-20260701`.

    Copies (`.bak`, `.old`) are left out, and so is an archive of which the file is there, too (unless `doubles`): nothing is
    counted twice.
    Raises OSError when the folder cannot be read.
    """
    stem, suffix = re.escape(log.stem), re.escape(log.suffix)
    rotated = re.compile(
        rf"({re.escape(log.name)}[.-]\d[\d._:TZ-]*|{stem}[.-]\d[\d._:TZ-]*{suffix})(\.gz|\.bz2|\.xz|\.zst|\.lz4)?", re.ASCII
    )
    found: dict[tuple[int, int], tuple[float, Path]] = {}
    with os.scandir(log.parent) as entries:
        for entry in entries:
            match = rotated.fullmatch(entry.name)
            if match is None or not entry.is_file():
                continue
            state = entry.stat()
            packed = match[2] is not None
            if state.st_mtime >= since and not (packed and not doubles and (log.parent / match[1]).is_file()):
                found[state.st_dev, state.st_ino] = state.st_mtime, log.parent / entry.name
    own = log.stat() if log.is_file() else None
    if own is not None:
        found.pop((own.st_dev, own.st_ino), None)
    beside = [path for _, path in sorted(found.values(), reverse=True)]
    return [log, *beside] if own is not None else beside


def lines_of(path: Path | None) -> Iterator[bytes]:
    """The lines of a file, unpacked if need be; None: of standard input. Raises one of BROKEN."""
    if path is None:
        yield from _lines(sys.stdin.buffer)
        return
    with path.open("rb") as raw:
        unpack = unpacking(raw)
        yield from _lines(raw if unpack is None else unpack(raw))


def unpacking(file: BufferedReader) -> Callable[[Any], Any] | None:
    """What unpacks a file that was just opened, whatever its name is; None when it is not packed."""
    return COMPRESSED.get(file.peek(2)[:2])


def _lines(stream: Any) -> Iterator[bytes]:
    is_rest = False
    while line := stream.readline(MAX_LINE_BYTES):
        if not is_rest:
            yield line
        is_rest = not line.endswith(b"\n")
