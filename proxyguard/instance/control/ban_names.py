"""What a ban's key is called before an operator: with pseudonyms where the privacy settings ask for them, and back.

Acting needs no address: who reads `client:c-5f2b8e01c77a` in a list can lift that ban. Knows nothing of stores or commands.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxyguard.core.pseudonym import DAY_SECONDS, PATTERN, Pseudonyms

CLIENT: Final = "client:"


class BanNames:
    """The names of one instance."""

    def __init__(self, pseudonyms: Pseudonyms, *, is_clear: bool) -> None:
        """`is_clear`: clients are called by their addresses."""
        self._pseudonyms = pseudonyms
        self._is_clear = is_clear

    def shown(self, key: str, wall: float) -> str:
        """A key as it is shown at a time (Unix seconds)."""
        if self._is_clear or CLIENT not in key:
            return key
        return "+".join(self._part(part, wall) for part in key.split("+"))

    def find(self, shown: str, keys: Iterable[str], wall: float) -> str | None:
        """The key that is shown so, or was yesterday; of a bare pseudonym the key of the client. None when there is none."""
        bare = PATTERN.fullmatch(shown) is not None
        if not bare and CLIENT not in shown:
            return None
        wanted = CLIENT + shown if bare else shown
        known = [key for key in keys if CLIENT in key]
        days = (wall, wall - DAY_SECONDS)
        return next((key for day in days for key in known if self.shown(key, day) == wanted), None)

    def _part(self, part: str, wall: float) -> str:
        kind, colon, client = part.partition(":")
        return f"{CLIENT}{self._pseudonyms.name(client, wall)}" if colon and kind == "client" else part
