"""The commands that tell of the rules in force and of single decisions: plain data out. Knows nothing of sockets or terminals."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from proxyguard.instance.control.server import Command
from proxyguard.instance.control.traffic_commands import Broadcast
from proxyguard.instance.reloader import Reloader

MAX_RECORDS: Final = 200
"""Of all workers together, in one answer."""


class RuleCommands:
    """`rules-list` and `feed`."""

    def __init__(self, broadcast: Broadcast, reloader: Reloader) -> None:
        self._broadcast = broadcast
        self._reloader = reloader
        self.commands: dict[str, Command] = {"rules-list": self._list, "feed": self._feed}

    async def _list(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        """Each rule of a file: what it does, what it may do now, and how often it decided since the workers started."""
        rules = self._reloader.current
        decided: Counter[str] = Counter()
        would_have: Counter[str] = Counter()
        for answer in await self._broadcast("decisions", {}):
            for rule, mode, count in answer["decisions"]:
                (would_have if mode == "shadow" else decided)[rule] += count
        return {
            "rules": [
                {
                    "rule": name,
                    "mode": str(rules.modes[name]),
                    "action": action,
                    "paused": name in self._reloader.paused,
                    "decided": decided[name],
                    "would_have": would_have[name],
                }
                for name, action in rules.actions.items()
            ]
        }

    async def _feed(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The decisions that were recorded since `marks`, oldest first, and the marks to ask with next; `skipped` did not fit."""
        marks = arguments.get("marks") or {}
        records: list[dict[str, Any]] = []
        seen: dict[str, int] = {}
        missed = 0
        for answer in await self._broadcast("recent", {"marks": marks}):
            seen[str(answer["pid"])] = answer["mark"]
            records += answer["records"]
            missed += answer["missed"]
        records.sort(key=lambda record: record["time"])
        shown = records[-MAX_RECORDS:]
        return {"marks": seen, "records": shown, "skipped": missed + len(records) - len(shown) if marks else 0}
