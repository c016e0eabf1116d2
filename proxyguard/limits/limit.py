"""A limit as a value: so many per period, how many at once, per which key.

Knows nothing of stores or YAML. The key of a limit is made of parts; each part names one fact of a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class KeyKind(StrEnum):
    """What one part of a key is taken from."""

    CLIENT = "client"
    NETWORK = "network"
    HOST = "host"
    PATH = "path"
    USER_AGENT = "user_agent"
    HEADER = "header"
    COOKIE = "cookie"
    SITE = "site"


@dataclass(frozen=True, slots=True)
class KeyPart:
    """One part of a key; `name` is the lower-case header or the cookie for the kinds that have one, else empty."""

    kind: KeyKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}.{self.name}" if self.name else str(self.kind)


class Missing(StrEnum):
    """What to do with a request that lacks a part of the key."""

    SHARED = "shared"
    """All such requests share one counter for that part (the default: leaving a header out is no way round a limit)."""
    SEPARATE = "separate"
    """Count by the client address instead."""
    SKIP = "skip"
    """The limit does not apply."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`amount` per `period_seconds`, of which `burst` may come at once, counted per key. GCRA: no window edges."""

    amount: int
    period_seconds: float
    burst: int
    per: tuple[KeyPart, ...]
    missing: Missing = Missing.SHARED

    @property
    def interval_seconds(self) -> float:
        """The time that one unit takes to be given back."""
        return self.period_seconds / self.amount
