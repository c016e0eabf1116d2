"""What collecting costs and brings: items that were disclosed, what more of them take under the limits in force, what we spent.

The part `economy` of `status`; of several workers the counts are added up and the prices are those of any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from proxyguard.policy.compile.compile import CompiledPolicy
from proxyguard.policy.price import prices
from proxyguard.telemetry.metrics import Metrics

_OF_MAZES: Final = ("pages", "bytes", "cpu_seconds", "held_seconds")
"""As `Metrics.mazes` gives them."""


def economy(counts: Metrics, policy: CompiledPolicy, now: float) -> dict[str, Any]:
    """Of one process; `now` is Unix seconds. Empty where rules name no items."""
    if policy.items is None:
        return {}
    items: Counter[str] = Counter()
    for (_, heat, jar), count in counts.items().items():
        items[f"{heat}, {'without a cookie' if jar == 'none' else f'{jar} cookie'}"] += count
    return {
        "items": dict(items),
        "for_1000_cold": [price._asdict() for price in prices(policy, now)],
        "tarpit_seconds": round(counts.tarpit_seconds(), 1),
        "mazes": dict(zip(_OF_MAZES, counts.mazes(), strict=True)),
        "refused_bytes": counts.refused_bytes,
        "check_seconds": round(counts.check_seconds.total, 3),
    }


def joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What several workers have, as one."""
    found = [part for part in parts if part]
    if not found:
        return {}
    items: Counter[str] = Counter()
    for part in found:
        items.update(part["items"])
    return {
        "items": dict(items),
        "for_1000_cold": found[0]["for_1000_cold"],
        "tarpit_seconds": round(sum(part["tarpit_seconds"] for part in found), 1),
        "mazes": {name: sum(part["mazes"][name] for part in found) for name in _OF_MAZES},
        "refused_bytes": sum(part["refused_bytes"] for part in found),
        "check_seconds": round(sum(part["check_seconds"] for part in found), 3),
    }
