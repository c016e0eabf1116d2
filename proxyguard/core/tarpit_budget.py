"""What tarpits may cost, whatever the rules say. Settings; durations are seconds, sizes are bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TarpitBudget:
    """What tarpits may cost in all; when it is used up a tarpit becomes a reject."""

    connections: int = 10_000
    per_network: int = 100
    hold_seconds: float = 300.0
    bytes_per_connection: int = 64 * 1024
