"""Promotes rules from shadow to enforce, watches them, and rolls them back.

A rule is promoted when it would have stopped few clients of protected classes. It goes back to shadow by itself when it stops
more of them than allowed; log, metrics and status show it. Knows nothing of how decisions are tallied, rules loaded or files
edited.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from proxyguard.core.decision import STOPPING, Mode
from proxyguard.core.problems import name_hint
from proxyguard.core.units import duration_text, format_time, span_text
from proxyguard.instance.control.mode_edit import Edited, EditError, write_back
from proxyguard.instance.control.server import Command, CommandError
from proxyguard.instance.loaded_rules import RulesRejected
from proxyguard.instance.loader_process import run_child
from proxyguard.instance.reloader import Reloader
from proxyguard.limits.clock import CLOCK
from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.shadow import Hits, TallyWindow

MAX_SHARE: Final = 0.01
"""The default of the share of protected clients that a promoted rule may stop."""

WATCH_SECONDS: Final = 3600.0

MIN_SECONDS: Final = 900.0
"""A rule must have been tallied in shadow for so long before its tally says anything; --force does without."""

MIN_QUIET_SECONDS: Final = 3600.0
"""The same for a rule that would have stopped nobody: it may be one that the traffic of the hour has nothing for."""

LOOK_SECONDS: Final = 2.0
"""Between checks of watched rules."""

MAX_WATCHED: Final = 100

MAX_ROLLBACKS_SHOWN: Final = 20
"""Roll-backs that `status` lists, the latest."""

logger = logging.getLogger(__name__)


class Collect(Protocol):
    """Adds up the tallies of all workers."""

    async def __call__(self, *, enforced_only: bool) -> TallyWindow: ...


type Forget = Callable[[str, Mode], Awaitable[object]]


class PromotionVerdict(NamedTuple):
    """Whether a rule may act, and the reasons, in lines for the operator."""

    allowed: bool
    lines: tuple[str, ...]


OFF: Final = PromotionVerdict(
    allowed=False,
    lines=("nothing is known of what it would stop", "hint: put it into shadow first: proxyguard demote; or use --force"),
)
"""Of a rule that is off: it neither acts nor records."""


@dataclass(slots=True)
class Watch:
    """A rule that was promoted: until when it is watched, and how many protected clients it may stop."""

    until: float
    max_share: float


def judge(window: TallyWindow, rule: str, max_share: float, now: float) -> PromotionVerdict:
    """Whether promoting a rule would newly stop more than `max_share` of the protected clients seen, as far as can be told."""
    hits, age = window.shadow.get(rule, Hits()), max(0.0, now - window.since_of(rule))
    lines = [f"in shadow it would have stopped {hits.requests} requests of {hits.clients.count()} clients in {span_text(age)}"]
    seen = window.seen.count()
    if hits.requests and not seen:
        lines += [
            "whether people are among them cannot be told: no request of a class other than anonymous was seen",
            "hint: define classes (such as signed-in) in a rule file, or look at `proxyguard shadow report` and use --force",
        ]
        return PromotionVerdict(allowed=False, lines=tuple(lines))
    if hits.requests:
        share = hits.protected.count() / seen
        lines.append(f"{hits.protected.count()} of {seen} clients of protected classes ({share:.1%}; allowed {max_share:.1%})")
        if share > max_share:
            lines += [*suspects(hits), "hint: make the rule narrower, or use --force"]
            return PromotionVerdict(allowed=False, lines=tuple(lines))
    wanted = MIN_SECONDS if hits.requests else MIN_QUIET_SECONDS
    if age < wanted:
        lines.append("that is too short to judge it by" if hits.requests else "there is nothing yet to judge it by")
        lines.append(f"hint: wait until it has been in shadow for {duration_text(wanted)}, or use --force")
    return PromotionVerdict(allowed=age >= wanted, lines=tuple(lines))


def suspects(hits: Hits) -> list[str]:
    """The networks of protected clients that a rule hits most, one a line."""
    top = [(protected, network) for network, (_, protected, _) in hits.top_networks.counts.items() if protected]
    return [f"  {network}: {protected} requests of protected clients" for protected, network in sorted(top, reverse=True)]


class Promotions:
    """The commands `shadow-report`, `promote` and `demote`, and the watch over promoted rules."""

    def __init__(
        self,
        reloader: Reloader,
        collect: Collect,
        forget: Forget,
        counts: Metrics,
        *,
        switched_since: Callable[[], float | None] = lambda: None,
        clock: Callable[[], float] = CLOCK,
    ) -> None:
        """`switched_since` says when all rules were last switched to only record, if they were."""
        self._switched_since = switched_since
        self._reloader = reloader
        self._collect = collect
        self._forget = forget
        self._counts = counts
        self._clock = clock
        self._watched: dict[str, Watch] = {}
        self._rolled_back: list[dict[str, Any]] = []
        self._busy = asyncio.Lock()
        self.commands: dict[str, Command] = {"shadow-report": self._report, "promote": self._promote, "demote": self._demote}
        counts.gauge("rules_watched", "Promoted rules that go back to shadow by themselves.", lambda: len(self._watched))
        counts.gauge(
            "rules_held_in_shadow", "Rules held in shadow although their file says enforce.", lambda: len(self._reloader.shadowed)
        )

    def status(self) -> dict[str, Any]:
        """The promotions' part of `status`. Times are Unix seconds."""
        self._end_idle_watches()
        return {
            "watched": {
                rule: {"until": CLOCK.wall(watch.until), "max_share": watch.max_share} for rule, watch in self._watched.items()
            },
            "rolled_back": self._rolled_back,
            "held_in_shadow": sorted(self._reloader.shadowed),
        }

    async def watch(self) -> None:
        """Watch promoted rules until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception:
                logger.exception("watching promoted rules failed; the next look is in %g s", LOOK_SECONDS)

    async def look(self) -> None:
        """Roll back what stops too many protected clients, and end watches that are over."""
        now = self._clock()
        self._end_idle_watches()
        for rule in [rule for rule, watch in self._watched.items() if watch.until <= now]:
            del self._watched[rule]
            logger.info("rule %s has proved itself: its watch is over", rule)
        if not self._watched:
            return
        window = await self._collect(enforced_only=True)
        seen = window.seen_recently.count()
        for rule, watch in list(self._watched.items()):
            stopped = window.enforce[rule].protected.count() if rule in window.enforce else 0
            if stopped > watch.max_share * seen:
                await self._roll_back(rule, watch, stopped, seen)

    def _end_idle_watches(self) -> None:
        """End the watch of rules that an edit of their file keeps from acting. One that is paused acts again by itself."""
        modes = self._reloader.current.modes
        for rule in [rule for rule in self._watched if modes.get(rule) is not Mode.ENFORCE and rule not in self._reloader.paused]:
            del self._watched[rule]
            logger.info("rule %s acts no longer: its watch is over", rule)

    async def _roll_back(self, rule: str, watch: Watch, stopped: int, seen: int) -> None:
        async with self._busy:
            if self._watched.get(rule) is not watch:
                return  # somebody else put it in shadow meanwhile
            place, trouble, _ = await self._put_in_shadow(rule)
            self._watched.pop(rule, None)
        where = f"in memory only, because {trouble}" if trouble else f"({place})"
        share = stopped / seen if seen else 1.0
        self._counts.rollbacks[rule] += 1
        self._rolled_back = [
            *self._rolled_back[1 - MAX_ROLLBACKS_SHOWN :],
            {
                "rule": rule,
                "time": CLOCK.wall(self._clock()),
                "stopped": stopped,
                "seen": seen,
                "file": place,
                "trouble": trouble,
            },
        ]
        logger.error(
            "rule %s is back in shadow %s: it stopped %d of %d clients of protected classes (%.1f %%; allowed %.1f %%)",
            rule, where, stopped, seen, share * 100, watch.max_share * 100,
        )  # fmt: skip

    async def _put_in_shadow(self, rule: str) -> tuple[str, str, bool]:
        """Put a rule into shadow: at once in memory, then in its file. Returns the place there or why not, and if it is new."""
        await self._reloader.hold_in_shadow(rule)
        try:
            edited = await self._change(rule, Mode.SHADOW)
        except CommandError as error:
            return "", str(error), False
        self._reloader.release(rule)
        return f"{edited.file}:{edited.line}", "", edited.after != edited.before

    async def _report(self, arguments: dict[str, Any]) -> dict[str, Any]:
        window = await self._collect(enforced_only=False)
        modes, switched = self._reloader.current.modes, self._switched_since()
        rules = []
        emergency = self._reloader.emergency_rules  # they have a preview of their own, and cannot be promoted
        for rule, hits in window.shadow.items():
            if rule in emergency:
                continue
            was_switched = switched is not None and hits.last >= switched and modes.get(rule) is not Mode.OFF
            if modes.get(rule) is Mode.SHADOW or was_switched:
                rules.append(_shown(rule, hits, with_clients=bool(arguments.get("full"))))
                await asyncio.sleep(0)
        return {
            "since": CLOCK.wall(window.since),
            "protected_clients_seen": window.seen.count(),
            "left_out": window.left_out,
            "rules": sorted(rules, key=lambda shown: -shown["requests"]),
            "quiet": sorted(
                rule
                for rule, mode in modes.items()
                if mode is Mode.SHADOW and rule not in window.shadow and rule not in emergency
            ),
        }

    async def _promote(self, arguments: dict[str, Any]) -> dict[str, Any]:
        rule = self._known(arguments)
        if rule in self._reloader.emergency_rules:
            raise CommandError(f"{rule} is for emergencies\n  hint: proxyguard emergency on; or take `emergency` out of the rule")
        if rule in self._reloader.paused:
            raise CommandError(f"{rule} is paused; have it act first: proxyguard resume {rule}")
        max_share = _number(arguments, "max_share", MAX_SHARE, 1.0)
        watch_seconds = _number(arguments, "watch_seconds", WATCH_SECONDS, 30 * 86_400.0)
        mode = self._reloader.current.modes[rule]
        if mode is Mode.ENFORCE:
            return self._acts_already(rule)
        verdict = OFF if mode is Mode.OFF else judge(await self._collect(enforced_only=False), rule, max_share, self._clock())
        watch = self._watch_words(rule, max_share, watch_seconds)
        if arguments.get("dry_run"):
            would, lines = ("promote", verdict.lines) if verdict.allowed else ("refuse", verdict.lines)
            try:
                await self._edit(rule, Mode.ENFORCE, "try")
            except CommandError as error:
                would, lines = "refuse", (*lines, *str(error).split("\n"))
            return {"rule": rule, "would": would, "lines": lines, "watch": watch}
        if not verdict.allowed and not arguments.get("force"):
            stays = "off" if mode is Mode.OFF else "in shadow"
            raise CommandError("\n".join((f"{rule} stays {stays}:", *(f"  {line}" for line in verdict.lines))))
        if self._blind(rule):
            watch_seconds = 0.0
        if watch_seconds and len(self._watched) >= MAX_WATCHED:
            raise CommandError(f"{MAX_WATCHED} promoted rules are watched already; wait for one, or use --watch 0s")
        async with self._busy:
            held = self._reloader.release(rule)
            try:
                edited = await self._change(rule, Mode.ENFORCE)
            except CommandError:
                if held:
                    await self._reloader.hold_in_shadow(rule)
                raise
            await self._forget(rule, Mode.ENFORCE)
            if watch_seconds:
                self._watched[rule] = Watch(self._clock() + watch_seconds, max_share)
        logger.info("rule %s is promoted (%s:%d)%s", rule, edited.file, edited.line, " by force" if not verdict.allowed else "")
        lines = tuple(line for line in verdict.lines if not line.startswith("hint: "))  # which say how to get what was done
        return {
            "rule": rule, "file": f"{edited.file}:{edited.line}", "lines": lines, "watch_seconds": watch_seconds, "watch": watch,
        }  # fmt: skip

    def _acts_already(self, rule: str) -> dict[str, Any]:
        """The answer to a promotion that changes nothing."""
        watch = self._watched.get(rule)
        ends = "" if watch is None else f"watched until {format_time(CLOCK.wall(watch.until))} UTC"
        lines = (f"{rule} acts already",)
        return {"rule": rule, "would": "nothing", "file": "", "lines": lines, "watch_seconds": 0.0, "watch": ends}

    def _blind(self, rule: str) -> str:
        """Why a watch over a rule could never act; empty: it could."""
        rules = self._reloader.current
        if not rules.classes:
            return "the rules define no class of clients, so nobody is protected"
        action = rules.actions.get(rule, "")
        return "" if action in STOPPING else f"its action, {action}, stops nobody by itself"

    def _watch_words(self, rule: str, max_share: float, seconds: float) -> str:
        """What will be watched once it acts, or that nothing will."""
        blind = self._blind(rule)
        if blind or not seconds:
            return f"not watched: {blind or 'by --watch 0s'}"
        whom = ", ".join(self._reloader.current.classes)
        return (
            f"watched for {duration_text(seconds)}: it goes back to shadow when it stops more than {max_share:.1%} of the "
            f"clients of {whom} that are seen in an hour"
        )

    async def _demote(self, arguments: dict[str, Any]) -> dict[str, Any]:
        rule = self._known(arguments)
        async with self._busy:
            self._watched.pop(rule, None)
            acted = self._reloader.current.modes[rule] is not Mode.SHADOW
            place, trouble, is_new = await self._put_in_shadow(rule)
        if acted or is_new:
            logger.info("rule %s is back in shadow %s", rule, f"({place})" if place else "in memory only")
        return {"rule": rule, "file": place, "trouble": trouble, "already": not (acted or is_new)}

    async def _change(self, rule: str, mode: Mode) -> Edited:
        """Write a mode into the rule's file and put the rules in force; the file is as before when they are refused."""
        # A promotion is tried before anything is written. A demotion must neither wait nor fail for another rule's sake.
        edited = await self._edit(rule, mode, *(("try", "write") if mode is Mode.ENFORCE else ("write",)))
        try:
            await self._reloader.reload()
        except RulesRejected as error:
            await asyncio.to_thread(_undo, edited)
            raise CommandError(f"{error.report.rstrip()}\nnot changed: with {rule} in {mode} the rules are refused") from error
        really = self._reloader.current.modes.get(rule)
        if really is not mode:
            await asyncio.to_thread(_undo, edited)
            await self._reloader.reload()
            raise CommandError(
                f"{rule} would stay in {really}: its rule set ({edited.file}) or the whole process is in {really}\n"
                "  hint: change that mode; the rule is as it was"
            )
        return edited

    async def _edit(self, rule: str, mode: Mode, *steps: str) -> Edited:
        """Let a child plan the edit of the rule's file, and do these steps with it: `try`, `write`."""
        rules, words = self._reloader.rules, (rule, mode, self._reloader.mode, self._reloader.preset, *steps)
        try:
            fault, edited = await run_child("proxyguard.instance.control.mode_edit", rules, str(rules), *map(str, words))
        except RulesRejected as error:
            raise CommandError(error.report) from error
        if edited is None:
            raise CommandError(fault)
        return Edited(*edited)

    def _known(self, arguments: dict[str, Any]) -> str:
        rule = str(arguments.get("rule", ""))
        modes = self._reloader.current.modes
        if rule not in modes:
            raise CommandError(f"there is no rule {rule!r}\n  hint: {name_hint(rule, modes, 'rules')}")
        return rule


def _undo(edited: Edited) -> None:
    """Undo an edit, unless the file was saved again since."""
    path = Path(edited.file)
    try:
        write_back(path, edited.after, edited.before, f"{edited.file}:{edited.line}", "undo it by hand")
    except EditError as error:
        logger.error("%s", error)  # noqa: TRY400 - the message has it all


def _number(arguments: dict[str, Any], name: str, default: float, most: float) -> float:
    value = arguments.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise CommandError(f"{name} is a number from 0 to {most:g}, not {value!r}")
    return float(value)


def _shown(rule: str, hits: Hits, *, with_clients: bool) -> dict[str, Any]:
    """One rule of the report. Addresses only when asked for."""
    top = hits.top_clients if with_clients else hits.top_networks
    busiest = sorted(((requests, name) for name, (requests, _, _) in top.counts.items()), reverse=True)
    return {
        "rule": rule,
        "requests": hits.requests,
        "clients": hits.clients.count(),
        "networks": hits.networks.count(),
        "protected_requests": hits.protected_requests,
        "protected_clients": hits.protected.count(),
        "first": CLOCK.wall(hits.first),
        "last": CLOCK.wall(hits.last),
        "top": [{"name": name, "requests": requests} for requests, name in busiest[:10]],
    }
