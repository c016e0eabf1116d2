"""Who asked for how much within the last hour: by class, client and part of the site, in pieces of five minutes. Bounded.

So that a limit can be tried on what has been before it is set. What does not fit is counted as not kept, never guessed. Knows
nothing of rules.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from mypy_extensions import i64  # compiled, a machine's integer

PIECE_SECONDS: Final = 300.0
PIECES: Final = 12

MAX_KEYS: Final = 10_000
"""Of each piece: about 20 MB for the whole hour at the most."""

MAX_SECTIONS: Final = 50
"""Parts of the site told apart in each piece; the rest are one."""

MAX_SECTION: Final = 64
"""Bytes of a part's name."""

ELSEWHERE: Final = b""
SLASH: Final = 0x2F


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


class _Piece:
    __slots__ = ("counts", "not_kept", "sections", "start")

    def __init__(self, start: float) -> None:
        self.start = start
        self.counts: dict[tuple[str, str, bytes], int] = {}
        self.sections: set[bytes] = set()
        self.not_kept = 0

    def known(self, section: bytes) -> bytes:
        """A part of the site, taken up if there is room; else the part that has all others."""
        sections = self.sections
        if section not in sections:
            if len(sections) >= MAX_SECTIONS:
                return ELSEWHERE
            sections.add(section)
        return section


class RequestHistory:
    """The last hour. One per process."""

    def __init__(self) -> None:
        self._pieces: deque[_Piece] = deque(maxlen=PIECES)
        self._piece: _Piece | None = None
        """The last of them."""

    def observe(self, class_name: str, who: str, path: bytes, now: float) -> None:
        piece = self._piece
        if piece is None or not piece.start <= now < piece.start + PIECE_SECONDS:
            piece = self._piece = _Piece(now // PIECE_SECONDS * PIECE_SECONDS)
            self._pieces.append(piece)
        counts = piece.counts
        key: Any = (class_name, who, section_of(path))  # Any: else mypyc makes the tuple again for each use
        count = counts.get(key)
        if count is None:
            key = (class_name, who, piece.known(key[2]))
            count = counts.get(key)
        if count is not None:
            counts[key] = count + 1
        elif len(counts) < MAX_KEYS:
            counts[key] = 1
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
    end: i64
    for end in range(1, min(len(path), MAX_SECTION)):
        if path[end] == SLASH:
            return path[: end + 1]
    return path[:MAX_SECTION] if len(path) > MAX_SECTION and path.find(b"/", MAX_SECTION) > 0 else b"/"
