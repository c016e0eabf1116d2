"""Detects the format of a log from its first lines, or takes the one that is named.

Every format is tried on the lines as they are, then without each front that half of them have. The first, from the most
specific to the least, that reads at least half as many as any other is the log's: a combined log with a few shorter lines is
not a common one. Lines without a request say little: when the first lines have none, the next ones are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from proxyguard.core.address import address_number
from proxyguard.tools.replay.formats.field_map import FieldMap
from proxyguard.tools.replay.formats.format_type import LogSample
from proxyguard.tools.replay.formats.registry import FORMATS, formats_named
from proxyguard.tools.replay.fronts.front_type import FrontType
from proxyguard.tools.replay.fronts.registry import FRONTS
from proxyguard.tools.replay.logged_request import LineError, LogFormat, NoRequest, NotAnEntry

SAMPLE_LINES: Final = 50
"""Lines that are looked at together."""

MAX_SAMPLES: Final = 40
"""How often the next lines are looked at, when the ones before have no request that a format reads."""

MAX_DIRECTIVES: Final = 16

NO_FIELDS: Final = FieldMap()


class Stated(NamedTuple):
    """What the operator said about a log."""

    name: str | None = None
    forwarded: bool = False
    fields: FieldMap = NO_FIELDS


class Detected(NamedTuple):
    """The format of a log, and the front of its lines if they have one."""

    format: LogFormat
    front: FrontType | None


class _Read(NamedTuple):
    """How many lines a format reads: with a request, and without one."""

    found: LogFormat
    front: FrontType | None
    entries: int
    others: int


def detect_format(lines: Sequence[bytes], stated: Stated = Stated()) -> Detected | None:  # noqa: B008 - a value that never changes
    """The format of a log that begins with `lines` (blank ones left out), or the one that was stated; None if no line is read.

    Of a log without any request in its first lines, the format is the first in which most of them are well formed.
    """
    directives = [line for line in lines[:MAX_DIRECTIVES] if line[:1] == b"#"]
    quiet: list[_Read] = []
    for start in range(0, min(len(lines), MAX_SAMPLES * SAMPLE_LINES), SAMPLE_LINES):
        read = list(_attempts(lines[start : start + SAMPLE_LINES], directives, stated))
        most = max((each.entries for each in read), default=0)
        if most:
            found = next(each for each in read if each.entries and 2 * (each.entries + each.others) >= most)
            return Detected(found.found, found.front)
        quiet = quiet or read
    best = max((each.others for each in quiet), default=0)
    if best and 2 * best >= min(len(lines), SAMPLE_LINES):
        found = next(each for each in quiet if 2 * each.others >= best)
        return Detected(found.found, found.front)
    return None


def _attempts(lines: Sequence[bytes], directives: Sequence[bytes], stated: Stated) -> Iterator[_Read]:
    yield from _formats(lines, directives, stated, None)
    for front in FRONTS:
        inner, fronted = without_front(front, lines)
        if 2 * fronted >= len(lines):
            yield from _formats(inner, directives, stated, front)


def without_front(front: FrontType, lines: Sequence[bytes]) -> tuple[list[bytes], int]:
    """The lines without the front, those that have none left out; and how many have it, parts of lines included."""
    strip = front.make()
    inner: list[bytes] = []
    fronted = 0
    for line in lines:
        try:
            inner.append(strip(line))
        except NotAnEntry:
            pass
        except LineError:
            continue
        fronted += 1
    return inner, fronted


def _formats(lines: Sequence[bytes], directives: Sequence[bytes], stated: Stated, front: FrontType | None) -> Iterator[_Read]:
    named = stated.name is not None
    sample = LogSample(lines, directives, forwarded=stated.forwarded, named=named, fields=stated.fields)
    types = formats_named(stated.name) if named or not stated.fields.parts else [each for each in FORMATS if each.takes_fields]
    for each in types:
        made = each.make(sample)
        if made is not None:
            entries, others = _lines_read(made, lines)
            yield _Read(made, front, entries, others)


def _lines_read(found: LogFormat, lines: Sequence[bytes]) -> tuple[int, int]:
    """How many lines the format reads with a request, and without one."""
    entries = others = 0
    for line in lines:
        try:
            address_number(found.parse(line).client.decode("ascii", "replace"))
            entries += 1
        except NoRequest:
            others += 1
        except (LineError, NotAnEntry, ValueError):
            continue
    return entries, others
