"""Pauses of an instance: tells its workers until when nothing acts, and has the reloader hold paused rules in shadow.

Emergency mode is ordered in the same way: the reloader has its rules act, and workers learn nothing meanwhile.

One per instance, in the process that reloads the rules. The switch for everything waits for nothing: not for a reload under way,
nor for the look at the restrictions. Knows nothing of what a command looks like (`control.pause_commands`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from proxyguard.core.units import format_time
from proxyguard.instance.loaded_rules import RulesRejected
from proxyguard.instance.reloader import Reloader
from proxyguard.instance.restriction_controller import AskWorkers
from proxyguard.limits.clock import CLOCK
from proxyguard.restrictions.override_file import OverrideFile
from proxyguard.restrictions.pauses import EMERGENCY, EVERYTHING, SWITCHES, Pause, in_force
from proxyguard.restrictions.shared_overrides import SharedOverrides
from proxyguard.telemetry.metrics import Metrics

LOOK_SECONDS: Final = 0.2
"""Between looks at what was ordered. With the 0.4 s in which orders travel between instances, all follow within a second."""

REPEAT_SECONDS: Final = 1.0
"""The workers are told again so often while nothing acts: one that was busy and missed it must not go on acting."""

NEWS_SECONDS: Final = 60.0
"""So long they are told again that rules act again: one that missed it would not act until the end that was ordered first."""

_BEGINS: Final = {EVERYTHING: "nothing acts, all rules only record,", EMERGENCY: "emergency mode is on"}
_ENDS: Final = {EVERYTHING: "rules act again", EMERGENCY: "emergency mode is off"}

logger = logging.getLogger(__name__)


class PauseController:
    """`paused` has the pauses in force as of the last look, by rule; `pauses.SWITCHES` are no rules."""

    def __init__(
        self,
        reloader: Reloader,
        orders: OverrideFile,
        ask_workers: AskWorkers,
        counts: Metrics,
        shared: SharedOverrides | None = None,
        *,
        survives: bool = True,
    ) -> None:
        """`shared` are the orders in the store; `survives`: either that or the file outlives this instance."""
        self.paused: dict[str, Pause] = {}
        self.switched_since: float | None = None
        """When everything was last switched to only record; None: not since this start."""
        self.survives = survives
        self._reloader = reloader
        self._orders = orders
        self._ask_workers = ask_workers
        self._shared = shared
        self._told = 0.0
        self._told_at = 0.0
        self._changed_at = -NEWS_SECONDS
        self._frozen_at = 0.0
        self._refused: tuple[frozenset[str], bool] | None = None
        self._holding = asyncio.Lock()
        counts.gauge("shadow_switch", "1 while everything only records, by command.", lambda: EVERYTHING in self.paused)
        ends = "When that ends, Unix seconds; 0: it is off."
        counts.gauge("shadow_switch_end_timestamp_seconds", ends, lambda: self._end(EVERYTHING))
        counts.gauge("rules_paused", "Rules paused by command.", lambda: len(self.paused.keys() - SWITCHES))
        counts.gauge("emergency", "1 while emergency mode is on, by command.", lambda: EMERGENCY in self.paused)
        counts.gauge("emergency_end_timestamp_seconds", ends, lambda: self._end(EMERGENCY))

    def status(self) -> dict[str, Any]:
        """What `status` shows: the switch, None when it is off, and the paused rules."""
        shown = {name: shown_pause(order) for name, order in sorted(self.paused.items())}
        return {"shadow": shown.pop(EVERYTHING, None), "emergency": shown.pop(EMERGENCY, None), "paused": shown}

    async def prepare(self) -> None:
        """Find what was ordered before this start, before any worker takes a request."""
        await self._look_quietly()
        await self._hold_quietly()

    async def watch(self) -> None:
        """Follow what was ordered, here and on other instances, until cancelled."""
        await asyncio.gather(self._watch_switch(), self._watch_rules())

    async def order(self, names: Iterable[str], seconds: float, why: str = "", by: str = "") -> bool:
        """Pause these, or (0 seconds) have them act again; whether that is on the disk and known to all instances."""
        now, saved = CLOCK(), True
        before = self.ordered(now)
        for name in names:
            order = Pause.replacing(before.get(name), now, seconds, why, by)
            saved = self._orders.keep(self._orders.orders.pause(name, order)) and saved
            if self._shared is not None:
                saved = self._shared.pause(name, order) and saved
        await self.look(CLOCK())
        await self._hold()
        return (self._shared is None or await self._shared.saved()) and saved

    def ordered(self, now: float) -> Mapping[str, Pause]:
        """The orders that are remembered. What the store does not know is shared with it again."""
        own = {name: order for name, order in self._orders.orders.paused.items() if now < order.kept}
        if self._shared is None:
            return own
        known = self._shared.collect(now).orders.paused
        for name in own.keys() - known.keys():
            self._shared.pause(name, own[name])
        return {**own, **known}

    async def look(self, now: float) -> None:
        """Look once at the switch, and tell the workers."""
        before, self.paused = self.paused, in_force(self.ordered(now), now)
        self._log_changes(before)
        switch = self.paused.get(EVERYTHING)
        until = 0.0 if switch is None else switch.until
        if switch is not None and EVERYTHING not in before:
            self.switched_since = switch.since
        has_changed = until != self._told
        if has_changed:
            self._told, self._changed_at = until, now
        is_news = until or now - self._changed_at < NEWS_SECONDS
        if has_changed or (is_news and now - self._told_at >= REPEAT_SECONDS):
            self._told_at = now
            await self._ask_workers("shadow", {"until": until})
        if EMERGENCY in self.paused and now - self._frozen_at >= REPEAT_SECONDS:
            self._frozen_at = now
            await self._ask_workers("freeze-learning", {})

    async def _watch_switch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look_quietly()

    async def _watch_rules(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._hold_quietly()

    async def _look_quietly(self) -> None:
        try:
            await self.look(CLOCK())
        except Exception:
            logger.exception("looking at what is paused failed; what is paused stays so until its end")

    async def _hold_quietly(self) -> None:
        try:
            await self._hold()
        except Exception:
            logger.exception("pausing rules failed")

    async def _hold(self) -> None:
        """Have the reloader hold in shadow what is paused, and nothing else, and emergency mode on or off."""
        async with self._holding:
            wanted = frozenset(self.paused.keys() - SWITCHES), EMERGENCY in self.paused
            if wanted in ((self._reloader.paused, self._reloader.is_emergency), self._refused):
                return
            try:
                await self._reloader.pause(wanted[0], is_emergency=wanted[1])
            except RulesRejected as error:
                self._refused = wanted
                logger.error("paused rules cannot be put in force:\n%s", error.report)  # noqa: TRY400 - the report is the message
                return
            self._refused = None

    def _log_changes(self, before: Mapping[str, Pause]) -> None:
        for name, order in self.paused.items():
            if before.get(name) != order:
                what = _BEGINS.get(name, f"rule {name} is paused")
                logger.warning("%s until %s UTC: %s", what, format_time(CLOCK.wall(order.until)), said(order))
        for name in before.keys() - self.paused.keys():
            logger.warning("%s", _ENDS.get(name, f"rule {name} acts again"))

    def _end(self, name: str) -> float:
        switch = self.paused.get(name)
        return 0.0 if switch is None else CLOCK.wall(switch.until)


def said(order: Pause) -> str:
    """Who ordered it, and why."""
    return f"by {order.by or 'an unknown user'}; {order.why or 'no reason given'}"


def shown_pause(order: Pause) -> dict[str, Any]:
    """A pause as plain data. Times are those of the wall, Unix seconds."""
    return {"since": CLOCK.wall(order.since), "until": CLOCK.wall(order.until), "by": order.by, "why": order.why}
