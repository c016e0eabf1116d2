"""Finds the record of one decision in an audit log: from its end backwards, then in the rotated files beside it.

Knows the form of the log (one JSON object a line) and nothing of what records mean. Never holds more than a few lines.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, TypedDict

import msgspec

from proxyguard.telemetry.audit_records import Record
from proxyguard.telemetry.rotated import BROKEN, lines_of, unpacking

BLOCK_BYTES: Final = 1 << 20

MAX_LINE_BYTES: Final = 1 << 20
"""Longer lines are no records, and are skipped."""

MAX_FILES: Final = 200

REFERENCE: Final = re.compile(r"[0-9A-Za-z_.:-]{1,128}", re.ASCII)


SUMMED: Final = "summed"
"""The `kind` of a record that stands for several refusals."""


_Fields = TypedDict(  # type: ignore[misc]  # the fields of a record, all of which may be missing
    "_Fields", {each.encode_name: each.type for each in msgspec.structs.fields(Record)}, total=False
)


class FoundRecord(NamedTuple):
    """The record, the file that it is in, and the files that were searched, in order. Unreadable ones are left out."""

    record: dict[str, Any] | None
    file: Path | None
    files: tuple[Path, ...]


def find_record(log: Path, reference: str) -> FoundRecord:
    """Look a reference up in a log and in the rotated files beside it, newest first. Raises OSError when there is no log."""
    files = log_files(log)
    if not files:
        log.stat()  # raises, with the reason
        raise FileNotFoundError(2, "no such file", str(log))
    needle = json.dumps(reference).encode()
    searched: list[Path] = []
    for path in files:
        try:
            for line in lines_backwards(path, needle):
                record = _record(line, reference)
                if record is not None:
                    return FoundRecord(record, path, (*searched, path))
        except BROKEN as error:
            if path == log and isinstance(error, OSError):
                raise
            continue  # a neighbour that is broken or not ours to read hides nothing in the others
        searched.append(path)
    return FoundRecord(None, None, tuple(searched))


def refusals_summed(log: Path) -> int:
    """How many refusals a log sums without the reference of each, in the file that is written now. Raises OSError."""
    count = 0
    for line in lines_backwards(log, b'"kind":"summed"'):
        try:
            record = json.loads(line)
            count += max(0, int(record["count"]) - len(record["references"]))
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return count


def log_files(log: Path) -> list[Path]:
    """The log and its rotated files: `audit.jsonl.1`, `audit.jsonl-20260701.gz`, `audit-2026-07-01.jsonl.gz`."""
    pattern = re.compile(
        rf"{re.escape(log.name)}[.-][\w.:-]*|{re.escape(log.stem)}[.-][\d._:TZ-]+{re.escape(log.suffix)}(\.gz)?", re.ASCII
    )
    with os.scandir(log.parent) as entries:
        matching = [entry for entry in entries if pattern.fullmatch(entry.name) and entry.is_file()]
        beside = [(-entry.stat().st_mtime, log.parent / entry.name) for entry in matching]
    own = [log] if log.is_file() else []
    return [*own, *(path for _, path in sorted(beside)[:MAX_FILES])]


def lines_backwards(path: Path, needle: bytes) -> Iterator[bytes]:
    """The lines of a file that hold `needle`, the last first; of a packed one in its order. Raises one of `rotated.BROKEN`."""
    with path.open("rb") as file:
        if unpacking(file) is None:
            yield from _backwards(file, needle)
            return
    yield from (line for line in lines_of(path) if needle in line)


def _backwards(file: BinaryIO, needle: bytes) -> Iterator[bytes]:
    at = file.seek(0, os.SEEK_END)
    rest = b""
    while at > 0:
        start = max(0, at - BLOCK_BYTES)
        file.seek(start)
        block = file.read(at - start) + rest
        at = start
        cut = block.find(b"\n") + 1 if start else 0
        if start and not cut:
            rest = block if len(block) <= MAX_LINE_BYTES else b""
            continue
        rest, whole = block[:cut], block[cut:]
        if needle in whole:
            yield from (line for line in reversed(whole.split(b"\n")) if needle in line)


def _record(line: bytes, reference: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    if record.get("kind") == SUMMED:
        references = record.get("references")
        return record if isinstance(references, list) and reference in references else None
    return record if record.get("reference") == reference and _is_of_an_instance(record) else None


def _is_of_an_instance(record: dict[str, Any]) -> bool:
    """Whether each field that it has is of the kind that records have; older ones have fewer."""
    try:
        msgspec.convert(record, _Fields)
    except msgspec.ValidationError:
        return False
    return True
