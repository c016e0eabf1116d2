"""What a ban's key is called before an operator: with pseudonyms and redacted texts as the privacy settings ask, and back.

Acting needs no address: who reads `client:c-5f2b8e01c77a` in a list can lift that ban. Knows nothing of stores or commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from proxyguard.core.pseudonym import DAY_SECONDS, PATTERN, Pseudonyms

CLIENT: Final = "client:"

BETWEEN: Final = "+"
"""Between the parts of a key; in none of them."""

MARK: Final = "#"
"""Before the mark of a text that something was taken out of, and before a hash that is all there is of a text."""

_NO_TEXTS: Final[Mapping[str, Callable[[bytes], str]]] = {}


class BanNames:
    """The names of one instance."""

    def __init__(
        self, pseudonyms: Pseudonyms, *, is_clear: bool, texts: Mapping[str, Callable[[bytes], str]] = _NO_TEXTS
    ) -> None:
        """`is_clear`: clients are called by their addresses. `texts`: what may be shown of parts of a key, by their kinds."""
        self._pseudonyms = pseudonyms
        self._is_clear = is_clear
        self._texts = texts

    def shown(self, key: str, wall: float) -> str:
        """A key as it is shown at a time (Unix seconds)."""
        return self._redacted(key, wall) if self._is_clear else self._named(key, wall)

    def find(self, shown: str, keys: Iterable[str], wall: float) -> str | None:
        """The key that is shown so, or was yesterday; of a bare pseudonym the key of the client. None when there is none.

        Pseudonyms are understood also where clients are called by their addresses: the API has no others.
        """
        bare = PATTERN.fullmatch(shown) is not None
        if not bare and CLIENT not in shown and MARK not in shown:
            return None
        wanted = CLIENT + shown if bare else shown
        known = [key for key in keys if CLIENT in key or (MARK in shown and self._redacted(key, wall) != key)]
        days = (wall, wall - DAY_SECONDS)
        return next((key for day in days for key in known if wanted in (self.shown(key, day), self._named(key, day))), None)

    def _named(self, key: str, wall: float) -> str:
        return with_names(self._redacted(key, wall), lambda client: self._pseudonyms.name(client, wall))

    def _redacted(self, key: str, wall: float) -> str:
        """A key with what may be shown of each text; two that are shown alike are told apart by a mark of the day."""
        parts = key.split(BETWEEN)
        for at, part in enumerate(parts):
            kind, _, text = part.partition(":")
            show = self._texts.get(kind)
            shown = text if show is None or text.startswith(MARK) else show(text.encode())
            if shown != text:
                parts[at] = f"{kind}:{shown}{MARK}{self._pseudonyms.name(part, wall).removeprefix('c-')}"
        return BETWEEN.join(parts)


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
