"""Which site a host name belongs to: exact names first, then the longest `*.suffix`, then `*`.

Knows nothing of what a site is; it maps patterns to whatever it is given.
"""

from __future__ import annotations

from collections.abc import Iterable


class HostTable[T]:
    """Values by host pattern. `find` costs one look-up per label of the host."""

    __slots__ = ("_any", "_exact", "_suffixes")

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        self._exact: dict[bytes, T] = {}
        self._suffixes: dict[bytes, T] = {}
        self._any: T | None = None
        for pattern, value in entries:
            text = pattern.lower().encode("ascii")
            if text == b"*":
                self._any = value
            elif text.startswith(b"*."):
                self._suffixes[text[2:]] = value
            else:
                self._exact[text] = value

    def find(self, host: bytes) -> T | None:
        """The value for a lower-case host without port; None when no pattern matches."""
        found = self._exact.get(host)
        if found is not None:
            return found
        if self._suffixes:
            _, dot, rest = host.partition(b".")
            while dot:
                found = self._suffixes.get(rest)
                if found is not None:
                    return found
                _, dot, rest = rest.partition(b".")
        return self._any
