"""What mazes may cost, whatever the rules say. Settings; sizes are bytes.

Not compiled: workers get settings by pickle, which frozen compiled classes do not survive.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MazeBudget:
    """What a worker spends on mazes within a minute; when it is used up a maze becomes a reject."""

    pages: int = 12_000
    """What a thousand clients ask for, each with one request at a time, where a page takes five seconds."""
    page_bytes: int = 48 * 1024 * 1024
    page_seconds: float = 0.6
    """Processor time of making pages."""
    shares: int = 400
    """One client gets at most a part in so many of each."""
    canary_domain: str = ""
    """Where the e-mail addresses of invented people are; empty: there are none."""
