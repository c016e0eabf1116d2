"""What operators ordered of a running instance, whichever way: a line in the log for each, and the last of them to be shown.

Clients in it are pseudonyms; nothing of it holds a token. Knows nothing of what an order does.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from proxyguard.core.printable import printable
from proxyguard.core.units import duration_text, format_time
from proxyguard.instance.control.client_names import hidden_keys
from proxyguard.limits.clock import CLOCK

CHANGING: Final = frozenset({
    "bans-add", "bans-remove", "reload", "promote", "demote", "shadow-on", "shadow-off", "pause", "resume",
    "restrictions-start", "restrictions-end",
})  # fmt: skip
"""Commands of operators that change something. All others only tell."""

KEPT: Final = 200
"""Orders that are remembered."""

MAX_WHAT: Final = 300
"""Characters of an order that are kept."""

_SHOWN: Final = ("rule", "rules", "name", "seconds", "until", "then", "note", "why", "by", "force", "classes", "path_prefix")
"""Arguments that are shown. The key of a ban may be an address, and is shown as the command answered it."""

logger = logging.getLogger(__name__)


class OrderLog:
    """The last orders of an instance, the newest last."""

    def __init__(self) -> None:
        self._orders: deque[dict[str, Any]] = deque(maxlen=KEPT)

    async def note(
        self, name: str, arguments: Mapping[str, Any], by: str, commands: Mapping[str, Any], answer: Mapping[str, Any] | None
    ) -> None:
        """Remember an order. `answer` None: it was refused."""
        if name not in CHANGING or arguments.get("dry_run"):
            return
        parts = [f"{key}={_value(key, arguments[key])}" for key in _SHOWN if arguments.get(key)]
        if answer is not None and name.startswith("bans-"):
            keys = answer.get("keys") or [ban["key"] for ban in answer["bans"]]
            names = await hidden_keys(keys[:10], commands)
            parts = [*(names[key] for key in keys[:10]), *([f"and {len(keys) - 10} more"] if len(keys) > 10 else []), *parts]
        what = printable(" ".join(parts))[:MAX_WHAT]
        self._orders.append({
            "time": CLOCK.wall(CLOCK()), "order": name, "by": by, "done": answer is not None, "what": what,
        })  # fmt: skip
        logger.warning("order %s %s, %s %s", name, "carried out" if answer is not None else "refused", by, what)

    def newest_first(self) -> list[dict[str, Any]]:
        return [*reversed(self._orders)]


def _value(key: str, value: Any) -> str:
    """An argument as a person reads it."""
    if isinstance(value, dict):
        return ",".join(f"{name}:{item}" for name, item in value.items())
    if isinstance(value, list):
        return ",".join(map(str, value))
    if key == "until" and isinstance(value, int | float):
        return format_time(value).replace(" ", "T")
    return duration_text(value) if key == "seconds" and isinstance(value, int | float) else str(value)
