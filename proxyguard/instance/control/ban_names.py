"""What a ban's key is called before an operator: with pseudonyms where the privacy settings ask for them, and back.

Acting needs no address: who reads `client:c-5f2b8e01c77a` in a list can lift that ban. Knows nothing of stores or commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from proxyguard.core.pseudonym import DAY_SECONDS, PATTERN, Pseudonyms

CLIENT: Final = "client:"

BETWEEN: Final = "+"
"""Between the parts of a key; in none of them."""


class BanNames:
    """The names of one instance."""

    def __init__(self, pseudonyms: Pseudonyms, *, is_clear: bool) -> None:
        """`is_clear`: clients are called by their addresses."""
        self._pseudonyms = pseudonyms
        self._is_clear = is_clear

    def shown(self, key: str, wall: float) -> str:
        """A key as it is shown at a time (Unix seconds)."""
        return key if self._is_clear else self._named(key, wall)

    def find(self, shown: str, keys: Iterable[str], wall: float) -> str | None:
        """The key that is shown so, or was yesterday; of a bare pseudonym the key of the client. None when there is none.

        Pseudonyms are understood also where clients are called by their addresses: the API has no others.
        """
        bare = PATTERN.fullmatch(shown) is not None
        if not bare and CLIENT not in shown:
            return None
        wanted = CLIENT + shown if bare else shown
        known = [key for key in keys if CLIENT in key]
        days = (wall, wall - DAY_SECONDS)
        return next((key for day in days for key in known if wanted in (self.shown(key, day), self._named(key, day))), None)

    def _named(self, key: str, wall: float) -> str:
        return with_names(key, lambda client: self._pseudonyms.name(client, wall))


def clients_of(key: str) -> list[str]:
    """The clients that a key names, such as `192.0.2.7`."""
    if CLIENT not in key:
        return []
    return [part.removeprefix(CLIENT) for part in key.split(BETWEEN) if part.startswith(CLIENT)]


def with_names(key: str, name: Callable[[str], str]) -> str:
    """A key with the names of clients in their place."""
    if CLIENT not in key:
        return key
    parts = key.split(BETWEEN)
    return BETWEEN.join(CLIENT + name(part.removeprefix(CLIENT)) if part.startswith(CLIENT) else part for part in parts)
