"""What `status` counts since the start of an instance: of all its workers, those included that have ended since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from proxyguard.instance.economy import joined


def added_up(statuses: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Of several workers as one; without a first status that names items, none is disclosed now. A status may be empty."""
    known = [status for status in statuses if status]
    economies = [status["economy"] for status in known]
    return {
        "requests": sum(status["requests"] for status in known),
        "tarpit_seconds": round(sum(status["tarpit_seconds"] for status in known), 1),
        "economy": joined(economies) if economies and economies[0] else {},
        "internal_errors": summed(status["internal_errors"] for status in known),
    }


def summed(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """What each worker counts, of all of them together."""
    total: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    return total
