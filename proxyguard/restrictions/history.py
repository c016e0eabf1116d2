"""Who asked for how much within the last hour: by class, client and part of the site, in pieces of five minutes. Bounded.

So that a limit can be tried on what has been before it is set. What does not fit is counted as not kept, never guessed. Knows
nothing of rules.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from typing import Final, NamedTuple

PIECE_SECONDS: Final = 300.0
PIECES: Final = 12

MAX_KEYS: Final = 10_000
"""Of each piece: about 20 MB for the whole hour at the most."""

MAX_SECTIONS: Final = 50
"""Parts of the site told apart in each piece; the rest are one."""

ELSEWHERE: Final = b""


class PathText(NamedTuple):
    """Paths that begin with a text, or only the text itself."""

    text: bytes
    is_prefix: bool = True


class PathShare(IntEnum):
    """How much of a part of the site a restriction is about."""

    NONE = 0
    SOME = 1
    ALL = 2


class Allowance(NamedTuple):
    """A limit, as far as it can be tried: the class, how many in five minutes and in an hour, and the paths it is about."""

    class_name: str
    in_piece: float
    in_hour: float
    paths: tuple[PathText, ...] | None = None
    """None: all of the site."""


class Tried(NamedTuple):
    """What an allowance would have done: clients seen, and those beyond it.

    Not `exact`: of a part of the site that it is about in part, all requests were counted; so at most that many.
    """

    seen: int
    touched: int
    exact: bool = True


class Reads(NamedTuple):
    """How often each client asked for what an allowance is about, by the start of the piece. `exact`: see `Tried`."""

    pieces: dict[str, dict[str, int]]
    exact: bool


@dataclass(slots=True)
class _Piece:
    start: float
    counts: defaultdict[tuple[str, str, bytes], int] = field(default_factory=partial(defaultdict, int))
    sections: set[bytes] = field(default_factory=set)
    not_kept: int = 0


class RequestHistory:
    """The last hour. One per process."""

    def __init__(self) -> None:
        self._pieces: deque[_Piece] = deque(maxlen=PIECES)

    def observe(self, class_name: str, who: str, path: bytes, now: float) -> None:
        pieces = self._pieces
        if not pieces or not pieces[-1].start <= now < pieces[-1].start + PIECE_SECONDS:
            pieces.append(_Piece(now // PIECE_SECONDS * PIECE_SECONDS))
        piece = pieces[-1]
        section = section_of(path)
        if section not in piece.sections:
            if len(piece.sections) < MAX_SECTIONS:
                piece.sections.add(section)
            else:
                section = ELSEWHERE
        key = (class_name, who, section)
        if key in piece.counts or len(piece.counts) < MAX_KEYS:
            piece.counts[key] += 1
        else:
            piece.not_kept += 1

    def not_kept(self, now: float) -> int:
        """Requests of the last hour that did not fit."""
        return sum(piece.not_kept for piece in self._within(now))

    def reads(self, allowance: Allowance, now: float) -> Reads:
        """What is remembered of the last hour that a limit is about."""
        pieces: dict[str, dict[str, int]] = {}
        exact = True
        for piece in self._within(now):
            shares = {section: share_of(section, allowance.paths) for section in (*piece.sections, ELSEWHERE)}
            counts = pieces.setdefault(f"{piece.start:.0f}", {})
            for (class_name, who, section), count in piece.counts.items():
                share = shares[section]
                if share and class_name == allowance.class_name:
                    counts[who] = counts.get(who, 0) + count
                    exact = exact and share is PathShare.ALL
        return Reads(pieces, exact)

    def _within(self, now: float) -> list[_Piece]:
        return [piece for piece in self._pieces if now - PIECES * PIECE_SECONDS < piece.start + PIECE_SECONDS]


def tried(allowance: Allowance, several: Sequence[Reads]) -> Tried:
    """Whom a limit would have touched in the last hour had nobody changed their ways, by what all workers saw together."""
    hour: Counter[str] = Counter()
    touched: set[str] = set()
    for start in {start for reads in several for start in reads.pieces}:
        counts: Counter[str] = Counter()
        for reads in several:
            counts.update(reads.pieces.get(start, {}))
        touched.update(who for who, count in counts.items() if count > allowance.in_piece)
        hour.update(counts)
    touched.update(who for who, count in hour.items() if count > allowance.in_hour)
    return Tried(len(hour), len(touched), all(reads.exact for reads in several))


def share_of(section: bytes, paths: tuple[PathText, ...] | None) -> PathShare:
    """How much of a part of the site these paths are."""
    if paths is None:
        return PathShare.ALL
    return max((_share(section, path) for path in paths), default=PathShare.NONE)


def _share(section: bytes, path: PathText) -> PathShare:
    text, is_prefix = path
    if is_prefix and text == b"/":
        return PathShare.ALL
    if section == ELSEWHERE:
        return PathShare.SOME
    if section == section_of(text) and not (is_prefix and text == section):
        return PathShare.SOME
    if is_prefix and section.startswith(text):
        return PathShare.ALL
    return PathShare.NONE


def section_of(path: bytes) -> bytes:
    """The first part of a path, up to and with its slash: `/posts/` of `/posts/7/comments`; `/` of `/about`."""
    end = path.find(b"/", 1)
    return path[: end + 1][:64] if end > 0 else b"/"
