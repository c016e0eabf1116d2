"""Keeps the restrictions of an instance: looks once a second, tells all workers which are on, carries out commands about them.

One per instance, in the process that reloads the rules. Decides nothing itself (`restrictions` does); knows nothing of sockets.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from time import time
from typing import Any, Final

from proxyguard.admin.server import Command, CommandError
from proxyguard.announcements import limit_text
from proxyguard.decision import Quota
from proxyguard.limits.limit import Limit, Window
from proxyguard.orders import RULE_SET, OrderFile
from proxyguard.policy.model import ALWAYS, ANONYMOUS, Condition, FieldKind, Test, Text, TextKind
from proxyguard.policy.parse import parse_rule_set
from proxyguard.policy.restriction import Restriction
from proxyguard.problems import format_report, quoted
from proxyguard.recent import PIECE_SECONDS, PIECES, Allowance
from proxyguard.reload import RulesRejected
from proxyguard.reloader import Reloader
from proxyguard.restricting import On, as_plain
from proxyguard.restrictions import Ended, Look, Meter, Monitor, Orders, Signals, Standing, Started, Totals, identity
from proxyguard.shared_orders import SharedOrders
from proxyguard.telemetry.metrics import SECONDS_BOUNDS, Metrics

TICK_SECONDS: Final = 1.0

PARTS: Final = 5

BY_COMMAND: Final = "ended by command"

MAX_GIVEN: Final = 20
"""Restrictions given by command at a time."""

logger = logging.getLogger(__name__)

type Exchange = Callable[[str, dict[str, Any]], Awaitable[list[dict[str, Any]]]]
"""Gives a command to every worker; the answers of those that gave one."""


class RestrictionKeeper:
    """See the module."""

    def __init__(
        self,
        reloader: Reloader,
        orders: OrderFile,
        exchange: Exchange,
        counts: Metrics,
        shared: SharedOrders | None = None,
    ) -> None:
        """`shared` are the orders of all instances on one store, if there is one."""
        self._shared = shared
        self._reloader = reloader
        self._orders = orders
        self._exchange = exchange
        self._counts = counts
        self._monitor = Monitor()
        self._meter = Meter((*SECONDS_BOUNDS, SECONDS_BOUNDS[-1]))
        self._standings: tuple[Standing, ...] = ()
        self._collateral: dict[str, tuple[int, int]] = {}
        self._refused: Counter[str] = Counter()
        self._signals = Signals()
        self._busy = asyncio.Lock()
        self.commands: dict[str, Command] = {
            "restrictions-list": self._list,
            "restrictions-start": self._start,
            "restrictions-end": self._end,
            "restrictions-preview": self._preview,
        }
        counts.gauge("restrictions_on", "Restrictions that are on.", lambda: sum(each.on for each in self._standings))

    async def watch(self) -> None:
        """Tick until cancelled. A tick that fails is reported, and the next one comes."""
        while True:
            looked_at = self._reloader.current
            try:
                await self.tick(time())
            except Exception:
                logger.exception("looking at the restrictions failed; those that are on stay so")
            for _ in range(PARTS):
                await asyncio.sleep(TICK_SECONDS / PARTS)
                if self._reloader.current is not looked_at:
                    break  # changed rules do not wait for the next tick

    async def tick(self, now: float) -> None:
        """Look once, and tell the workers what is on."""
        async with self._busy:
            restrictions = self._reloader.current.restrictions
            look = self._look(restrictions, now)
            for name, why in look.rolled_back:
                self._order_end(self._known(name), why, now)
            if self._has_stale_orders(restrictions, now):
                self._keep(self._orders.orders.only(restrictions, now))
            on = {
                each.restriction.name: On(each.ends, each.step, _spared(each.restriction))
                for each in look.standings
                if each.on
            }
            self._hear(await self._exchange("restrictions", {"on": as_plain(on)}), now)

    def _look(self, restrictions: tuple[Restriction, ...], now: float) -> Look:
        orders = self._orders.orders
        if self._shared is not None:
            orders = self._shared.merged(orders, restrictions, now)
        look = self._monitor.look(restrictions, orders, self._signals, self._collateral, now)
        self._standings = look.standings
        for name, what in look.changes:
            logger.warning("restriction %s is %s", name, what)
            self._counts.restriction_changes[what.partition(":")[0]] += 1
        self._counts.restriction_changes["rolled-back"] += len(look.rolled_back)
        return look

    def _has_stale_orders(self, restrictions: tuple[Restriction, ...], now: float) -> bool:
        return self._orders.orders.only(restrictions, now) is not self._orders.orders

    def _keep(self, orders: Orders) -> bool:
        """Whether the orders are on the disk as well."""
        try:
            self._orders.keep(orders)
        except OSError as error:
            logger.error("the orders cannot be written to %s: %s", self._orders.path, error.strerror)  # noqa: TRY400 - the message has it all
            return False
        return True

    def _hear(self, answers: Iterable[dict[str, Any]], now: float) -> None:
        """Add up what the workers counted."""
        totals, collateral, refused = Totals(), dict[str, tuple[int, int]](), Counter[str]()
        for answer in answers:
            requests, upstream, errors, within = answer["totals"]
            totals = totals.plus(Totals(requests, upstream, errors, tuple(within)))
            refused.update(answer["refused"])
            for name, (touched, seen) in answer["collateral"].items():
                before = collateral.get(name, (0, 0))
                collateral[name] = (before[0] + touched, before[1] + seen)
        self._signals = self._meter.feed(totals, now)
        self._collateral, self._refused = collateral, refused

    # -- commands --------------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, str]:
        """What `status` shows: how each stands, in words."""
        return {each.restriction.name: f"{'on' if each.on else 'off'} ({each.reason})" for each in self._standings}

    async def _list(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        return {
            "restrictions": [self._shown(each) for each in self._standings],
            "signals": dict(zip(Signals._fields, self._signals, strict=True)),
        }

    def _shown(self, standing: Standing) -> dict[str, Any]:
        restriction = standing.restriction
        name = restriction.name
        touched, seen = self._collateral.get(name, (0, 0))
        return {
            "name": name,
            "on": standing.on,
            "reason": standing.reason,
            "why": restriction.why,
            "since": standing.since,
            "ends": standing.ends,
            "until": restriction.until,
            "classes": {each: said_limit(limit) for each, limit in restriction.limits},
            "shedding": list((restriction.shed.steps or ())[: standing.step]) if restriction.shed else [],
            "refused": self._refused[name],
            "spared": {"class": _spared(restriction), "touched": touched, "seen": seen}
            if restriction.roll_back
            else None,
            "by_command": name in self._orders.given,
        }

    async def _start(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = str(arguments.get("name", ""))
        until = arguments.get("until")
        if until is not None and not (isinstance(until, int | float) and until > time()):
            raise CommandError("the end must lie in the future")
        if arguments.get("classes"):
            await self._give(name, arguments, until)
        else:
            whole = self._known(name)
            if whole.shed is not None:
                raise CommandError(f"{quoted(name)} sheds load by its alarm; it cannot be started by command")
            if time() >= whole.until:
                raise CommandError(f"{quoted(name)} ended at {said_time(whole.until)}; say another until in its file")
            now = time()
            self._keep(self._orders.orders.start(name, now, until))
            if self._shared is not None:
                self._shared.start(whole, Started(now, until))
        await self.tick(time())
        return self._one(name)

    async def _give(self, name: str, arguments: dict[str, Any], until: float | None) -> None:
        """Take a restriction that no file has, and put it in force with the rules."""
        if until is None:
            raise CommandError("the restriction does not end\n  hint: --until 2h; what nobody ends stays for years")
        if any(each.name == name for each in self._reloader.current.restrictions) and name not in self._orders.given:
            raise CommandError(f"a file has a restriction {quoted(name)} already\n  hint: choose another name")
        now = time()
        given = {
            each: plain
            for each, plain in self._orders.given.items()
            if datetime.fromisoformat(plain["until"]).timestamp() > now
        }
        if len(given) >= MAX_GIVEN:
            raise CommandError(
                f"{MAX_GIVEN} restrictions are given by command already\n  hint: end one, or write a file"
            )
        plain = {
            "name": name,
            "why": str(arguments.get("why", "")),
            "classes": {str(each): str(rate) for each, rate in dict(arguments["classes"]).items()},
            "until": said_iso(until),
        }
        if arguments.get("path_prefix"):
            plain["when"] = {"path": {"prefix": str(arguments["path_prefix"])}}
        self._check(plain)
        before = dict(self._orders.given)
        await self._install({**given, name: plain})
        if not any(each.name == name for each in self._reloader.current.restrictions):
            await self._install(before)
            raise CommandError(
                f"{quoted(name)} does not go together with the rules: a rule may have the name of one of its own"
            )

    def _check(self, plain: dict[str, Any]) -> None:
        """Report what a rule file with this restriction would be refused for."""
        _, problems = parse_rule_set(json.dumps({"name": RULE_SET, "restrictions": [plain]}), "the command")
        if problems:
            raise CommandError(
                "\n".join(f"{each.message}\n  hint: {each.hint}" if each.hint else each.message for each in problems)
            )
        self._check_classes(plain["classes"])

    def _check_classes(self, names: Iterable[str]) -> None:
        known = (ANONYMOUS, *self._reloader.current.classes)
        for name in names:
            if name not in known:
                raise CommandError(f"there is no class {quoted(name)}\n  hint: classes: {', '.join(known)}")

    async def _install(self, given: dict[str, dict[str, Any]]) -> None:
        try:
            self._orders.keep(self._orders.orders, given)
        except OSError as error:
            raise CommandError(f"the order cannot be written to {self._orders.rules}: {error.strerror}") from error
        try:
            await self._reloader.reload()
        except RulesRejected as error:
            raise CommandError(f"the rules cannot be read at the moment:\n{error.report}") from error

    async def _end(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = str(arguments.get("name", ""))
        whole = self._known(name)
        if name in self._orders.given:
            await self._install({each: plain for each, plain in self._orders.given.items() if each != name})
            await self.tick(time())
            return {"name": name, "on": False, "reason": BY_COMMAND}
        self._order_end(whole, BY_COMMAND, time())
        await self.tick(time())
        return self._one(name)

    def _order_end(self, whole: Restriction, why: str, now: float) -> None:
        order = Ended(now, why, identity(whole))
        self._keep(self._orders.orders.end(whole.name, order))
        if self._shared is not None:
            self._shared.end(whole, order)

    def _known(self, name: str) -> Restriction:
        known = {each.name: each for each in self._reloader.current.restrictions}
        if name not in known:
            hint = (
                f"restrictions: {', '.join(known)}"
                if known
                else "no file defines one; give it classes to start one: --class"
            )
            raise CommandError(f"there is no restriction {quoted(name)}\n  hint: {hint}")
        return known[name]

    def _one(self, name: str) -> dict[str, Any]:
        return next(self._shown(each) for each in self._standings if each.restriction.name == name)

    async def _preview(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Whom a restriction would have touched within the last hour."""
        limits, when = self._tried(arguments)
        section, exact = _section(when)
        tried = [[name, *_allowances(limit), None if section is None else section.decode()] for name, limit in limits]
        answers = await self._exchange("restrictions-try", {"allowances": tried})
        sums = [[sum(answer["tried"][at][part] for answer in answers) for part in (0, 1)] for at in range(len(tried))]
        return {
            "classes": [
                {"class": name, "limit": said_limit(limit), "seen": seen, "touched": touched}
                for (name, limit), (seen, touched) in zip(limits, sums, strict=True)
            ],
            "not_kept": sum(answer["not_kept"] for answer in answers),
            "exact": exact,
            "workers": len(answers),
        }

    def _tried(self, arguments: dict[str, Any]) -> tuple[tuple[tuple[str, Limit], ...], Condition]:
        if not arguments.get("classes"):
            whole = self._known(str(arguments.get("name", "")))
            if not whole.limits:
                raise CommandError(f"{quoted(whole.name)} sheds load: whom it touches depends on the alarm")
            return whole.limits, whole.when
        plain = {
            "name": "preview",
            "why": "preview",
            "classes": {str(each): str(rate) for each, rate in dict(arguments["classes"]).items()},
            "until": "2100-01-01",
        }
        if arguments.get("path_prefix"):
            plain["when"] = {"path": {"prefix": str(arguments["path_prefix"])}}
        self._check(plain)
        rule_set, problems = parse_rule_set(json.dumps({"name": RULE_SET, "restrictions": [plain]}), "the command")
        if rule_set is None:
            raise CommandError(format_report(problems))
        return rule_set.restrictions[0].limits, rule_set.restrictions[0].when


def _spared(restriction: Restriction) -> str:
    return restriction.roll_back.class_name if restriction.roll_back is not None else ""


def _allowances(limit: Limit) -> tuple[float, float]:
    """How many a limit lets through in five minutes and in an hour, from rest."""
    if limit.window is Window.CALENDAR:
        return limit.amount * max(1.0, PIECE_SECONDS / limit.period_seconds), limit.amount * max(
            1.0, 3600 / limit.period_seconds
        )
    hour = PIECES * PIECE_SECONDS
    return limit.burst + PIECE_SECONDS / limit.interval_seconds, limit.burst + hour / limit.interval_seconds


def _section(when: Condition) -> tuple[bytes | None, bool]:
    """The part of the site that a condition is about, and whether that says it all."""
    if when == ALWAYS:
        return None, True
    if (
        isinstance(when, Test)
        and when.field.kind is FieldKind.PATH
        and isinstance(when.matcher, Text)
        and when.matcher.kind is TextKind.PREFIX
        and len(when.matcher.texts) == 1
    ):
        text = when.matcher.texts[0]
        if text == b"/":
            return None, True
        if text.count(b"/") == 2 and text.endswith(b"/"):
            return text, True
    return None, False


def allowance_from(plain: list[Any]) -> Allowance:
    """What a worker tries; see `_preview`."""
    name, in_piece, in_hour, section = plain
    return Allowance(str(name), float(in_piece), float(in_hour), None if section is None else str(section).encode())


def said_limit(limit: Limit) -> str:
    """`300 requests a day`."""
    return limit_text(Quota(limit.amount, limit.period_seconds, 0, 0.0))


def said_time(at: float) -> str:
    """`2026-07-08 18:00 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def said_iso(at: float) -> str:
    """`2026-07-08T18:00:07Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
