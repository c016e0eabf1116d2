"""Who asked for how much within the last hour: by class, client and part of the site, in pieces of five minutes. Bounded.

So that a limit can be tried on what has been before it is set. What does not fit is counted as not kept, never guessed. Knows
nothing of rules.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

PIECE_SECONDS: Final = 300.0
PIECES: Final = 12

MAX_KEYS: Final = 10_000
"""Of each piece: about 20 MB for the whole hour at the most."""

MAX_SECTIONS: Final = 50
"""Parts of the site told apart in each piece; the rest are one."""

ELSEWHERE: Final = b""


class Allowance(NamedTuple):
    """A limit, as far as it can be tried: the class, how many in five minutes and in an hour, and the part of the site."""

    class_name: str
    in_piece: float
    in_hour: float
    section: bytes | None = None
    """None: all of the site."""


class Tried(NamedTuple):
    """What an allowance would have done: clients seen, and those beyond it."""

    seen: int
    touched: int


@dataclass(slots=True)
class _Piece:
    start: float
    counts: Counter[tuple[str, str, bytes]] = field(default_factory=Counter)
    sections: set[bytes] = field(default_factory=set)
    not_kept: int = 0


class Recent:
    """The last hour. One per process."""

    def __init__(self) -> None:
        self._pieces: deque[_Piece] = deque(maxlen=PIECES)

    def saw(self, class_name: str, who: str, path: bytes, now: float) -> None:
        """Count one request."""
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

    def try_out(self, allowance: Allowance, now: float) -> Tried:
        """Whom a limit would have touched, had it been there for the last hour and nobody changed their ways."""
        hour: Counter[str] = Counter()
        touched: set[str] = set()
        for piece in self._within(now):
            counts: Counter[str] = Counter()
            for (class_name, who, section), count in piece.counts.items():
                if class_name == allowance.class_name and allowance.section in (None, section):
                    counts[who] += count
            touched.update(who for who, count in counts.items() if count > allowance.in_piece)
            hour += counts
        touched.update(who for who, count in hour.items() if count > allowance.in_hour)
        return Tried(len(hour), len(touched))

    def _within(self, now: float) -> list[_Piece]:
        return [piece for piece in self._pieces if now - PIECES * PIECE_SECONDS < piece.start + PIECE_SECONDS]


def section_of(path: bytes) -> bytes:
    """The first part of a path, up to and with its slash: `/posts/` of `/posts/7/comments`; `/` of `/about`."""
    end = path.find(b"/", 1)
    return path[: end + 1][:64] if end > 0 else b"/"
