"""The commands about emergency mode: arguments in, plain data out. Knows nothing of sockets or terminals."""

from __future__ import annotations

from typing import Any, Final

from proxyguard.instance.control.campaign_commands import joined_standings
from proxyguard.instance.control.pause_commands import order_terms
from proxyguard.instance.control.promotion import Collect
from proxyguard.instance.control.server import Command, CommandError
from proxyguard.instance.control.traffic_commands import Broadcast
from proxyguard.instance.pause_controller import PauseController, shown_pause
from proxyguard.instance.reloader import Reloader
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.daily import rule_of
from proxyguard.restrictions.pauses import EMERGENCY, in_force
from proxyguard.telemetry.shadow import Hits, TallyWindow

MAX_CELLS: Final = 40
"""In one answer, those with the most refusals, or else the most reads."""

NO_RULES: Final = (
    "no rule is for emergencies\n"
    "  hint: import: bundled/65-reading-by-jar has three; proxyguard rules update takes them into copies"
)


class EmergencyCommands:
    """`emergency-on`, `emergency-off`, `emergency-preview` and `emergency-status`."""

    def __init__(self, keeper: PauseController, reloader: Reloader, broadcast: Broadcast, window: Collect) -> None:
        """`window` gives what rules in shadow would have done within 24 hours."""
        self._keeper = keeper
        self._reloader = reloader
        self._broadcast = broadcast
        self._window = window
        self.commands: dict[str, Command] = {
            "emergency-on": self._switch_on,
            "emergency-off": self._switch_off,
            "emergency-preview": self._preview,
            "emergency-status": self._status,
        }

    async def _switch_on(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Have the rules for emergencies act. Refused while they know too little to bound anything."""
        terms = order_terms(arguments)
        preview = await self._preview({})
        if not preview["known"]:
            raise CommandError(
                "nothing is known yet of what is usual in this hour, so the rules for emergencies would bound nothing\n"
                "  hint: they learn by themselves, for three days; proxyguard campaigns list, and restrict start meanwhile"
            )
        saved = await self._keeper.order((EMERGENCY,), *terms)
        return {**shown_pause(self._keeper.paused[EMERGENCY]), **preview, "saved": saved, "survives": self._keeper.survives}

    async def _switch_off(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        was_on = EMERGENCY in in_force(self._keeper.ordered(CLOCK()), CLOCK())
        saved = await self._keeper.order((EMERGENCY,), 0.0)
        return {"was_on": was_on, "saved": saved, "survives": self._keeper.survives}

    async def _status(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        return {"emergency": self._keeper.status()["emergency"]}

    async def _preview(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        """Whom emergency mode touches, or would: by rule within 24 hours, by cell in this hour."""
        rules = self._reloader.emergency_rules
        if not rules:
            raise CommandError(NO_RULES)
        cells: dict[str, tuple[float, int, float]] = {}
        known: set[str] = set()
        standings: list[dict[str, Any]] = []
        for answer in await self._broadcast("cells", {"rules": list(rules)}):
            known.update(answer["known"])
            standings.append(answer["standings"])
            for place, used, refused, usual in answer["cells"]:
                if rule_of(place) in rules:
                    before = cells.get(place, (0.0, 0, 0.0))
                    cells[place] = max(before[0], used), before[1] + refused, max(before[2], usual)
        window = await self._window(enforced_only=False)
        shown = sorted(cells.items(), key=lambda cell: (-cell[1][1], -cell[1][0], cell[0]))[:MAX_CELLS]
        return {
            "on": EMERGENCY in self._keeper.paused,
            "known": sorted(known),
            "standings": joined_standings(standings),
            "rules": [_rule(rule, window) for rule in rules],
            "cells": [
                {
                    "rule": rule_of(place),
                    "cell": place.partition("|")[2].split("|"),
                    "reads": used,
                    "refused": refused,
                    "usual": usual,
                }
                for place, (used, refused, usual) in shown
            ],
        }


def _rule(rule: str, window: TallyWindow) -> dict[str, Any]:
    """What a rule would have stopped within 24 hours; nothing is known of the time in which it acted."""
    hits = window.shadow.get(rule, Hits())
    return {
        "rule": rule, "requests": hits.requests, "clients": hits.clients.count(), "networks": hits.networks.count(),
        "protected_clients": hits.protected.count(),
    }  # fmt: skip
