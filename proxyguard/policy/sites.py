"""Maps host names to sites (exact names first, then the longest `*.suffix`, then `*`), and sites to their compiled policies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from proxyguard.policy.compile.compile import CompiledPolicy


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


@dataclass(frozen=True, slots=True)
class Policies:
    """The compiled policy in force, by site. `table` maps hosts to the rules that apply there."""

    digest: str
    table: HostTable[CompiledPolicy]
    default: CompiledPolicy

    asks_origin: bool = False
    """Whether any of them looks at where requests come from or who they are."""
    asks_robots: bool = False
    """Whether any of them looks at what robots.txt says."""

    def of(self, host: bytes) -> CompiledPolicy:
        return self.table.find(host) or self.default
