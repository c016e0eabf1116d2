"""How often the banned came back: requests and connections refused for each ban, and when the last one was.

Bounded: MAX_BANS keys, the ones that were met least recently give way. Knows nothing of what a ban is for or when it ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

MAX_BANS: Final = 10_000
"""Keys with a count of their own: about 2 MiB."""


class BanHits:
    """Counts by key of a ban. One per process; called from the event loop only."""

    def __init__(self) -> None:
        self._hits: dict[str, list[float]] = {}
        self.refused_connections = 0

    def observe(self, key: str, now: float) -> None:
        """Count one refusal at a time, in seconds of the process's clock."""
        hits = self._hits
        counts = hits.pop(key, None)
        if counts is None:
            counts = [0.0, 0.0]
            if len(hits) >= MAX_BANS:
                del hits[next(iter(hits))]
        counts[0] += 1
        counts[1] = now
        hits[key] = counts

    def observe_connection(self, key: str, now: float) -> None:
        """Count a connection that was closed before it could ask for anything."""
        self.refused_connections += 1
        self.observe(key, now)

    def as_data(self, keys: Iterable[str]) -> dict[str, list[float]]:
        """Refusals and the time of the last, of those of the keys that were met."""
        return {key: self._hits[key] for key in keys if key in self._hits}


def joined_hits(several: Iterable[dict[str, Any]]) -> dict[str, tuple[int, float]]:
    """What several workers counted: refusals in all, and when the last one was."""
    found: dict[str, tuple[int, float]] = {}
    for data in several:
        for key, (hits, last) in data.items():
            before = found.get(key, (0, 0.0))
            found[key] = before[0] + int(hits), max(before[1], last)
    return found
