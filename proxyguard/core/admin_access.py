"""Who may use the dashboard and its API on the admin port."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminAccess:
    """Tokens, None: there is none. `loopback_reads`: programs on this machine may read without one."""

    token: str | None = None
    read_token: str | None = None
    loopback_reads: bool = True

    def __repr__(self) -> str:
        """Without the tokens, wherever settings are shown."""
        return f"AdminAccess(loopback_reads={self.loopback_reads})"
