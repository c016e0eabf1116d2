"""Control commands about traffic: who talks most, and how much came when. Knows nothing of terminals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from proxyguard.core.problems import quoted
from proxyguard.instance.control.server import Command, CommandError
from proxyguard.telemetry.ban_hits import joined_hits
from proxyguard.telemetry.talkers import WINDOWS, joined_histories, joined_windows

type Broadcast = Callable[[str, dict[str, Any]], Awaitable[list[dict[str, Any]]]]


class TrafficCommands:
    """The commands about traffic, of one instance."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self.commands: dict[str, Command] = {"top": self._top}

    async def _top(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The busiest of a window, as `telemetry.talkers.joined_windows` gives it, with `window` and `history`."""
        window = str(arguments.get("window", "minute"))
        if window not in WINDOWS:
            raise CommandError(f"there is no window {quoted(window)}\n  hint: {', '.join(WINDOWS)}")
        answers = await self._broadcast("talkers", {"window": window})
        whole = joined_windows(answer["window"] for answer in answers)
        return {"window": window, **whole, "history": joined_histories(answer["history"] for answer in answers)}

    async def whose(self, pseudonym: str) -> str | None:
        """The client that a pseudonym means; None when no worker knows it."""
        answers = await self._broadcast("whose", {"pseudonym": pseudonym})
        return next((answer["client"] for answer in answers if answer["client"]), None)

    async def ban_hits(self, keys: list[str]) -> dict[str, tuple[int, float]]:
        """How often the banned came back since the workers started, and when last (the line's time)."""
        return joined_hits(await self._broadcast("ban-hits", {"keys": keys}))
