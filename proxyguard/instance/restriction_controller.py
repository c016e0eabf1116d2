"""Controls the restrictions of an instance: looks once a second, tells all workers which are on, carries out orders about them.

One per instance, in the process that reloads the rules. Decides nothing itself (`restrictions.monitor` does); knows nothing of
sockets or of what a command looks like (`control.restriction_commands`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from proxyguard.instance.in_force import InForce
from proxyguard.instance.loaded_rules import RulesRejected
from proxyguard.instance.reloader import Reloader
from proxyguard.limits.clock import CLOCK
from proxyguard.policy.given import Plain
from proxyguard.policy.model import Restriction
from proxyguard.restrictions.active import ActiveRestriction, as_plain
from proxyguard.restrictions.alarms import Meter, Signals, Totals
from proxyguard.restrictions.monitor import Ended, GivenRestriction, Look, Monitor, Overrides, Standing, Started, identity
from proxyguard.restrictions.override_file import OverrideFile
from proxyguard.restrictions.shared_overrides import CollectedOverrides, SharedOverrides
from proxyguard.telemetry.metric_families import SECONDS_BOUNDS
from proxyguard.telemetry.metrics import Metrics

TICK_SECONDS: Final = 1.0

PARTS: Final = 5
"""Of a tick. After each, changed rules and orders of other instances are noticed, so that they do not wait for the next tick."""

logger = logging.getLogger(__name__)

type AskWorkers = Callable[[str, dict[str, Any]], Awaitable[list[dict[str, Any]]]]
"""Gives a command with its arguments to every worker; the answers of those that gave one."""


class RestrictionController:
    """The restrictions of one instance, as of the last tick: `standings`, `signals`, and by name `collateral` and `refused`."""

    def __init__(
        self,
        reloader: Reloader,
        orders: OverrideFile,
        ask_workers: AskWorkers,
        counts: Metrics,
        shared: SharedOverrides | None = None,
    ) -> None:
        """`shared` are the orders of all instances on one store, if there is one."""
        self.standings: tuple[Standing, ...] = ()
        self.signals = Signals()
        self.collateral: dict[str, tuple[int, int]] = {}
        self.refused: Counter[str] = Counter()
        self._reloader = reloader
        self._orders = orders
        self.ask_workers = ask_workers
        self._counts = counts
        self._shared = shared
        self._collected = CollectedOverrides()
        self._monitor = Monitor()
        self._meter = Meter((*SECONDS_BOUNDS, SECONDS_BOUNDS[-1]))
        self._installed: list[Plain] = []
        self._left_out: frozenset[str] = frozenset()
        self._busy = asyncio.Lock()
        counts.gauge("restrictions_on", "Restrictions that are on.", lambda: sum(each.on for each in self.standings))

    @property
    def rules(self) -> InForce:
        """What is known of the rules in force."""
        return self._reloader.current

    @property
    def orders(self) -> Overrides:
        """What was ordered here and on other instances."""
        return self._orders.orders.merged(self._collected.orders)

    def status(self) -> dict[str, str]:
        """What `status` shows: how each stands, in words."""
        return {each.restriction.name: f"{'on' if each.on else 'off'} ({each.reason})" for each in self.standings}

    async def look_now(self) -> None:
        """Tick; a tick that fails is reported, and nothing else comes of it."""
        try:
            await self.tick(CLOCK())
        except Exception:
            logger.exception("looking at the restrictions failed; those that are on stay so")

    async def watch(self) -> None:
        """Tick until cancelled."""
        while True:
            looked_at = self._reloader.current
            await self.look_now()
            for _ in range(PARTS):
                await asyncio.sleep(TICK_SECONDS / PARTS)
                if self._reloader.current is not looked_at or self._collect(CLOCK()) != self._collected:
                    break

    async def tick(self, now: float) -> None:
        """Look once, and tell the workers what is on."""
        async with self._busy:
            CLOCK.look()
            orders = self._orders_now(now)
            await self._install([order.plain for _, order in sorted(orders.given.items())])
            look = self._look(orders, now)
            on = {
                each.restriction.name: ActiveRestriction(each.ends, each.step, spared(each.restriction))
                for each in look.standings
                if each.on
            }
            self._add_up(await self.ask_workers("restrictions", {"on": as_plain(on)}), now)

    async def start(self, restriction: Restriction, until: float | None, now: float) -> bool:
        """Start one that a file defines; whether that is on the disk, and known to the server that instances share."""
        saved = self._orders.keep(self._orders.orders.start(restriction.name, now, until))
        if self._shared is not None:
            saved = self._shared.start(restriction, Started(now, until)) and saved
        return await self._carried_out(saved, now)

    async def give(self, name: str, order: GivenRestriction, now: float) -> bool:
        """Start one that no file has, in place of one of the same name; as `start`."""
        saved = self._orders.keep(self._orders.orders.give(name, order))
        if self._shared is not None:
            saved = self._shared.give(name, order) and saved
        return await self._carried_out(saved, now)

    async def end(self, restriction: Restriction, why: str, now: float) -> bool:
        """End one; as `start`."""
        return await self._carried_out(self._order_end(restriction, why, now), now)

    async def _carried_out(self, saved: bool, now: float) -> bool:  # noqa: FBT001 - private
        await self.tick(now)
        return (self._shared is None or await self._shared.saved()) and saved

    def _order_end(self, restriction: Restriction, why: str, now: float) -> bool:
        order = Ended(now, why, identity(restriction))
        saved = self._orders.keep(self._orders.orders.end(restriction.name, order))
        if self._shared is not None:
            saved = self._shared.end(restriction, order) and saved
        return saved

    def _collect(self, now: float) -> CollectedOverrides:
        return CollectedOverrides() if self._shared is None else self._shared.collect(now)

    def _orders_now(self, now: float) -> Overrides:
        """The orders of all instances. What was given here and is not known to the store (it is a new one, or had no room) is
        shared again; what others ended is forgotten here."""
        self._collected = self._collect(now)
        orders = self._orders.orders.merged(self._collected.orders)
        own = self._orders.orders
        given = {name: each for name, each in own.given.items() if is_same(each, orders.given.get(name))}
        kept = replace(own, given=given).only(self._reloader.current.restrictions, now, CLOCK.line(0.0))
        if kept != own:
            self._orders.keep(kept)
        if self._shared is not None:
            for name, order in kept.given.items():
                if name not in self._collected.orders.given:
                    self._shared.give(name, order)
        return orders.only(self._reloader.current.restrictions, now, CLOCK.line(0.0))

    async def _install(self, given: list[Plain]) -> None:
        """Put the restrictions that commands gave in force with the rules, when they are not."""
        if given != self._installed:
            try:
                await self._reloader.give(given)
            except RulesRejected as error:
                logger.error("restrictions given by command cannot be put in force:\n%s", error.report)  # noqa: TRY400 - the report is the message
            except Exception:
                logger.exception("restrictions given by command could not be put in force; the next look tries again")
                return
            self._installed = given
        left_out = frozenset(str(plain["name"]) for plain in given) - self._reloader.current.given
        for name in left_out - self._left_out:
            logger.warning("restriction %s was given by command and does not go together with the rules: left out", name)
        self._left_out = left_out

    def _look(self, orders: Overrides, now: float) -> Look:
        restrictions = self._reloader.current.restrictions
        look = self._monitor.look(
            restrictions, orders, self.signals, self.collateral, now, self._collected.alarms, CLOCK.line(0.0)
        )
        self.standings = look.standings
        for name, what in look.changes:
            logger.warning("restriction %s is %s", name, what)
            self._counts.restriction_changes[what.partition(":")[0]] += 1
        self._counts.restriction_changes["rolled-back"] += len(look.rolled_back)
        known = {each.name: each for each in restrictions}
        for name, why in look.rolled_back:
            self._order_end(known[name], why, now)
        if self._shared is not None:
            for restriction in restrictions:
                if restriction.alarm is not None:
                    self._shared.alarm(restriction.name, look.alarms.get(restriction.name), now)
        return look

    def _add_up(self, answers: Sequence[dict[str, Any]], now: float) -> None:
        """Add up what the workers counted."""
        totals, collateral, refused = Totals(), dict[str, tuple[int, int]](), Counter[str]()
        for answer in answers:
            requests, upstream, errors, within = answer["totals"]
            totals = totals.plus(Totals(requests, upstream, errors, tuple(within)))
            refused.update(answer["refused"])
            for name, (touched, seen) in answer["collateral"].items():
                before = collateral.get(name, (0, 0))
                collateral[name] = (before[0] + touched, before[1] + seen)
        self.signals = self._meter.feed(totals, now, len(answers))
        self.collateral, self.refused = collateral, refused


def is_same(one: GivenRestriction, other: GivenRestriction | None) -> bool:
    """Whether two orders give the same; the store's clock may have moved their beginning a little."""
    return other is not None and one.plain == other.plain


def spared(restriction: Restriction) -> str:
    """The class that it is not to touch; empty: none."""
    return restriction.roll_back.class_name if restriction.roll_back is not None else ""
