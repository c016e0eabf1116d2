"""Chains the lines of the audit log, so that one that is changed, left out or put elsewhere shows; and erases lines from it.

Each writer (a process, a command) has a chain of its own, as several append to one file. The last field of a line, `chain`, has
writer, number and digest: the digest (BLAKE2b, RFC 7693) is that of the digest before and of the line's own content. An erased
line leaves a tombstone with the digest of what stood there, so that the chain holds without it
(docs/adr/0047-privacy-by-construction.md).
"""

from __future__ import annotations

import os
import re
from binascii import hexlify
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import pairwise
from operator import attrgetter
from typing import Final, NamedTuple

DIGEST_BYTES: Final = 16

LINK_BYTES: Final = 90
"""More than a link adds to a line."""

_LINK: Final = re.compile(rb',"chain":"([0-9a-f]{12})\.(\d{1,18})\.([0-9a-f]{32})"\}\s*\Z')

_TOMBSTONE: Final = re.compile(rb'\{"time":[0-9.e+]{1,20},"kind":"erased","content":"([0-9a-f]{32})"\s*\}\Z')

MAX_WRITERS: Final = 100_000
"""Chains that a check tells apart: each start of each worker is one."""

MAX_PROBLEMS: Final = 100


class AuditChain:
    """The chain of one writer, used from the one thread that writes."""

    def __init__(self) -> None:
        self._start = b',"chain":"%s.' % hexlify(os.urandom(6))
        self._number = 0
        self._digest = bytes(DIGEST_BYTES)

    def link(self, line: bytes) -> bytes:
        """A line (a JSON object without its end of line) with the link that makes it the next of the chain."""
        self._number += 1
        self._digest = _next(self._digest, content_digest(line))
        return line[:-1] + self._start + b"%d." % self._number + hexlify(self._digest) + b'"}'


class ChainCheck(NamedTuple):
    """What a check of lines found. `problems` name lines, MAX_PROBLEMS at most."""

    lines: int
    erased: int
    unchained: int
    """Lines without a link: of an older version, or not ours."""
    writers: int
    problems: tuple[str, ...]


def content_digest(line: bytes) -> bytes:
    """The digest of a line without its link."""
    return blake2b(line, digest_size=DIGEST_BYTES).digest()


def split_link(line: bytes) -> tuple[bytes, bytes] | None:
    """A line without its link and end, and the link; None when it has none."""
    found = _LINK.search(line[-128:])
    if found is None:
        return None
    begin = max(0, len(line) - 128) + found.start()
    return line[:begin] + b"}", line[begin:].rstrip()


def tombstone(line: bytes, time: float) -> bytes | None:
    """What takes the place of an erased line, as long as it was (its end of line included); None when it has no link."""
    parts = split_link(line)
    if parts is None or _TOMBSTONE.match(parts[0]):
        return None
    ends = line[len(line.rstrip(b"\r\n")) :]
    stone = b'{"time":%.3f,"kind":"erased","content":"%s"' % (time, content_digest(parts[0]).hex().encode())
    room = len(line) - len(ends) - len(parts[1])
    if len(stone) > room:
        return None
    return stone.ljust(room) + parts[1] + ends


class _Part(NamedTuple):
    """The records of one writer in one file, by their ends. `line`: of the first one."""

    line: int
    number: int
    content: bytes
    digest: bytes
    last: tuple[int, bytes]
    """Number and digest."""


def check_chain(*files: Iterable[bytes]) -> ChainCheck:
    """Check the lines of files. Those of one file stand in the order in which they were written; files may come in any order.

    A chain may begin anywhere, as what is older has been deleted in time; from there on no line may be missing.
    """
    parts: dict[bytes, list[_Part]] = {}
    problems: list[str] = []
    count = erased = unchained = 0
    for lines in files:
        seen: dict[bytes, _Part] = {}
        for line in lines:
            count += 1
            split = split_link(line)
            found = _LINK.search(split[1]) if split is not None else None
            if split is None or found is None:
                unchained += bool(line.strip())
                continue
            writer, number, digest = found[1], int(found[2]), bytes.fromhex(found[3].decode())
            stone = _TOMBSTONE.match(split[0])
            erased += stone is not None
            content = bytes.fromhex(stone[1].decode()) if stone is not None else content_digest(split[0])
            here = _Part(count, number, content, digest, (number, digest))
            before = seen.get(writer)
            if (before is not None or number == 1) and len(problems) < MAX_PROBLEMS:
                problems += _problem(writer, (0, bytes(DIGEST_BYTES)) if before is None else before.last, here)
            if before is not None:
                seen[writer] = before._replace(last=here.last)
            elif len(parts) + len(seen) < MAX_WRITERS or writer in parts:
                seen[writer] = here
        for writer, part in seen.items():
            parts.setdefault(writer, []).append(part)
    for writer, several in parts.items():
        for one, other in pairwise(sorted(several, key=attrgetter("number"))):
            problems += _problem(writer, one.last, other)
    return ChainCheck(count, erased, unchained, len(parts), tuple(problems[:MAX_PROBLEMS]))


def _problem(writer: bytes, before: tuple[int, bytes], part: _Part) -> Iterator[str]:
    """What is wrong with the link from a record to the first one of a part."""
    number, digest = before
    if part.number != number + 1:
        yield f"line {part.line}: record {number + 1} of writer {writer.decode()} is missing: {part.number} follows {number}"
    elif _next(digest, part.content) != part.digest:
        yield f"line {part.line}: record {part.number} of writer {writer.decode()} was changed"


def _next(digest: bytes, content: bytes) -> bytes:
    return blake2b(digest + content, digest_size=DIGEST_BYTES).digest()
