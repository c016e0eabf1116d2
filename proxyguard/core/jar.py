"""What a request brought in its cookie jar: the firewall's own signed cookie, read by the guard.

A value only. How the cookie is written, signed and checked is `guard.jars`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class JarState(StrEnum):
    """What a jar shows."""

    NONE = "none"
    """No valid cookie came."""
    ASKED = "asked"
    """Nor after the client was just sent to fetch one. It is `none` as well."""
    FOLLOWED = "followed"
    """Nor then, but it followed at once, as whoever follows redirects does. It is `asked` and `none` as well."""
    FRESH = "fresh"
    """A cookie of the last day."""
    PROVEN = "proven"
    """A cookie of the last day, whose client fetched an asset of a page."""
    OLD = "old"
    """A cookie of an earlier day."""


NONE: Final = b"none"
ASKED: Final = b"asked"
FOLLOWED: Final = b"followed"
FRESH: Final = b"fresh"
PROVEN: Final = b"proven"
OLD: Final = b"old"


class Jar:
    """The cookie of one request. `name` tells jars apart and says nothing of whose they are; empty without a valid cookie."""

    __slots__ = ("is_written", "name", "states")

    def __init__(self, name: str, states: tuple[bytes, ...], *, is_written: bool = False) -> None:
        self.name = name
        self.states = states
        self.is_written = is_written
        """Whether the cookie itself says what is proven."""


NO_JAR: Final = Jar("", (NONE,))
ASKED_JAR: Final = Jar("", (NONE, ASKED))
"""Of a client that comes back without the cookie that it was given."""
FOLLOWED_JAR: Final = Jar("", (NONE, ASKED, FOLLOWED))
"""Of one that came back at once."""
