"""The commands about restrictions: arguments in, plain data out, and in words what cannot be done.

Knows nothing of sockets or terminals, or of how a restriction is kept (`restriction_controller`).
"""

from __future__ import annotations

from typing import Any, Final

from proxyguard.core.decision import Quota
from proxyguard.core.problems import quoted
from proxyguard.core.units import format_iso_time, format_minute
from proxyguard.http.ratelimit_fields import limit_text
from proxyguard.instance.control.server import Command, CommandError
from proxyguard.instance.restriction_controller import RestrictionController, spared
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.limit import Limit
from proxyguard.policy.given import Plain, plain_restriction, read_given
from proxyguard.policy.model import ANONYMOUS, Restriction
from proxyguard.restrictions.monitor import GivenRestriction, Standing
from proxyguard.restrictions.preview import Trial, trial_of

BY_COMMAND: Final = "ended by command"

MAX_GIVEN: Final = 20
"""Restrictions given by command at a time, on all instances together."""

NEVER_YET: Final = 4_102_444_800.0
"""2100: the end of a restriction that is only tried."""


class RestrictionCommands:
    def __init__(self, keeper: RestrictionController) -> None:
        self._keeper = keeper
        self.commands: dict[str, Command] = {
            "restrictions-list": self._list,
            "restrictions-start": self._start,
            "restrictions-end": self._end,
            "restrictions-preview": self._preview,
        }

    async def _list(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        return {"restrictions": [self._shown(each) for each in self._keeper.standings], "signals": self._keeper.signals._asdict()}

    def _shown(self, standing: Standing) -> dict[str, Any]:
        keeper, restriction = self._keeper, standing.restriction
        name = restriction.name
        given = keeper.orders.given.get(name)
        touched, seen = keeper.collateral.get(name, (0, 0))
        whom = {"class": spared(restriction), "touched": touched, "seen": seen}
        return {
            "name": name,
            "on": standing.on,
            "reason": standing.reason,
            "why": restriction.why,
            "since": None if standing.since is None else CLOCK.wall(standing.since),
            "ends": None if standing.ends is None else CLOCK.wall(standing.ends),
            "until": restriction.until if given is None else CLOCK.wall(given.until),
            "classes": {each: format_limit(limit) for each, limit in restriction.limits},
            "shedding": list((restriction.shed.steps or ())[: standing.step]) if restriction.shed else [],
            "refused": keeper.refused[name],
            "spared": whom if restriction.roll_back else None,
            "by_command": name in keeper.rules.given,
        }

    async def _start(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = str(arguments.get("name", ""))
        until = arguments.get("until")
        CLOCK.look()  # the end is one of the wall as it is now
        if until is not None and not (isinstance(until, int | float) and CLOCK.line(until) > CLOCK()):
            raise CommandError("the end must lie in the future")
        if arguments.get("classes"):
            known = await self._give(name, arguments, until)
        else:
            whole = self._known(name)
            if whole.shed is not None and self._keeper.orders.ending(name) is None:
                raise CommandError(f"{quoted(name)} sheds load by its alarm; it cannot be started by command")
            if CLOCK() >= CLOCK.line(whole.until):
                raise CommandError(f"{quoted(name)} ended at {format_minute(whole.until)}; say another until in its file")
            if name in self._keeper.rules.given and until is None:
                return {**self._one(name), "saved": True}  # it is on by being given
            known = await self._start_until(whole, until)
        return {**self._one(name), "saved": known}

    async def _start_until(self, whole: Restriction, until: float | None) -> bool:
        """Start one of a file. One that is given has no end but its own: it is given again, with this end."""
        keeper, now = self._keeper, CLOCK()
        if until is None:
            return await keeper.start(whole, None, now)
        given = keeper.orders.given.get(whole.name) if whole.name in keeper.rules.given else None
        if given is None:
            return await keeper.start(whole, CLOCK.line(until), now)
        plain = {**given.plain, "until": format_iso_time(until)}
        return await keeper.give(whole.name, GivenRestriction(now, CLOCK.line(until), plain), now)

    async def _give(self, name: str, arguments: dict[str, Any], until: float | None) -> bool:
        """Take a restriction that no file has, and put it in force with the rules."""
        keeper = self._keeper
        if until is None:
            raise CommandError("the restriction does not end\n  hint: --until 2h; what nobody ends stays for years")
        if any(each.name == name for each in keeper.rules.restrictions) and name not in keeper.orders.given:
            raise CommandError(f"a file has a restriction {quoted(name)} already\n  hint: choose another name")
        if len(keeper.orders.given.keys() - {name}) >= MAX_GIVEN:
            raise CommandError(f"{MAX_GIVEN} restrictions are given by command already\n  hint: end one, or write a file")
        plain, restriction = self._read(arguments, name, str(arguments.get("why", "")), until)
        known = await keeper.give(name, GivenRestriction(CLOCK(), CLOCK.line(restriction.until), plain), CLOCK())
        if name not in keeper.rules.given:
            await keeper.end(restriction, BY_COMMAND, CLOCK())
            raise CommandError(f"{quoted(name)} does not go together with the rules: a rule may have the name of one of its own")
        return known

    def _read(self, arguments: dict[str, Any], name: str, why: str, until: float) -> tuple[Plain, Restriction]:
        """A restriction as a command says it. Raises CommandError with what a rule file would be refused for."""
        classes = {str(each): str(rate) for each, rate in dict(arguments["classes"]).items()}
        plain = plain_restriction(name, why, classes, format_iso_time(until), str(arguments.get("path_prefix") or ""))
        restriction, problems = read_given(plain)
        if restriction is None:
            raise CommandError(
                "\n".join(f"{each.message}\n  hint: {each.hint}" if each.hint else each.message for each in problems)
            )
        known = (ANONYMOUS, *self._keeper.rules.classes)
        for each in classes:
            if each not in known:
                raise CommandError(f"there is no class {quoted(each)}\n  hint: classes: {', '.join(known)}")
        return plain, restriction

    async def _end(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = str(arguments.get("name", ""))
        was_given = name in self._keeper.rules.given
        saved = await self._keeper.end(self._known(name), BY_COMMAND, CLOCK())
        shown = {"name": name, "on": False, "reason": BY_COMMAND} if was_given else self._one(name)
        return {**shown, "saved": saved}

    def _known(self, name: str) -> Restriction:
        known = {each.name: each for each in self._keeper.rules.restrictions}
        if name not in known:
            hint = f"restrictions: {', '.join(known)}" if known else "no file defines one; give it classes to start one: --class"
            raise CommandError(f"there is no restriction {quoted(name)}\n  hint: {hint}")
        return known[name]

    def _one(self, name: str) -> dict[str, Any]:
        return next(self._shown(each) for each in self._keeper.standings if each.restriction.name == name)

    async def _preview(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Whom a restriction would have touched within the last hour."""
        trial = self._tried(arguments)
        answers = await self._keeper.ask_workers("restrictions-try", {"allowances": trial.plain()})
        sums = trial.added_up([answer["reads"] for answer in answers])
        return {
            "classes": [
                {"class": name, "limit": format_limit(limit), "seen": tried.seen, "touched": tried.touched}
                for (name, limit), tried in zip(trial.limits, sums, strict=True)
            ],
            "not_kept": sum(answer["not_kept"] for answer in answers),
            "exact": not trial.left_out and all(tried.exact for tried in sums),
            "left_out": trial.left_out,
            "workers": len(answers),
        }

    def _tried(self, arguments: dict[str, Any]) -> Trial:
        if arguments.get("classes"):
            return trial_of(self._read(arguments, "preview", "preview", NEVER_YET)[1])
        whole = self._known(str(arguments.get("name", "")))
        if not whole.limits:
            raise CommandError(f"{quoted(whole.name)} sheds load: whom it touches depends on the alarm")
        return trial_of(whole)


def format_limit(limit: Limit) -> str:
    """`300 requests a day`."""
    return limit_text(Quota(limit.amount, limit.period_seconds, 0, 0.0))
