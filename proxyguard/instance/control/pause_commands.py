"""The commands about pauses: arguments in, plain data out. Knows nothing of sockets or terminals."""

from __future__ import annotations

import socket
from typing import Any

from proxyguard.core.decision import Mode
from proxyguard.core.problems import name_hint, quoted
from proxyguard.core.units import duration_text
from proxyguard.instance.control.server import Command, CommandError
from proxyguard.instance.pause_controller import PauseController, shown_pause
from proxyguard.instance.reloader import Reloader
from proxyguard.limits.clock import CLOCK
from proxyguard.restrictions.pauses import (
    DEFAULT_SECONDS,
    EVERYTHING,
    MAX_BY_CHARACTERS,
    MAX_PAUSED,
    MAX_SECONDS,
    MAX_WHY_CHARACTERS,
    SWITCHES,
    in_force,
)


class PauseCommands:
    """`shadow-on`, `shadow-off`, `pause` and `resume`."""

    def __init__(self, keeper: PauseController, reloader: Reloader) -> None:
        self._keeper = keeper
        self._reloader = reloader
        self.commands: dict[str, Command] = {
            "shadow-on": self._switch_on,
            "shadow-off": self._switch_off,
            "pause": self._pause,
            "resume": self._resume,
        }

    async def _switch_on(self, arguments: dict[str, Any]) -> dict[str, Any]:
        before = self._keeper.paused.get(EVERYTHING)
        saved = await self._keeper.order((EVERYTHING,), *order_terms(arguments))
        replaced = None if before is None else CLOCK.wall(before.until)
        return {"replaced": replaced, **shown_pause(self._keeper.paused[EVERYTHING]), **self._kept(saved)}

    async def _switch_off(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        was_on = EVERYTHING in in_force(self._keeper.ordered(CLOCK()), CLOCK())
        saved = await self._keeper.order((EVERYTHING,), 0.0)
        return {"was_on": was_on, "paused": sorted(self._keeper.paused.keys() - SWITCHES), **self._kept(saved)}

    async def _pause(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Pause rules by name. What is wrong with any name is reported, and nothing paused."""
        terms, names = order_terms(arguments), _names(arguments)
        wrong = [fault for fault in map(self._fault, names) if fault]
        if wrong:
            raise CommandError("\n".join(wrong))
        before = self._keeper.paused
        already = before.keys() - SWITCHES
        if len(already | set(names)) > MAX_PAUSED:
            raise CommandError(
                f"at most {MAX_PAUSED} rules are paused at a time\n  hint: proxyguard shadow on pauses all of them"
            )
        rules = self._reloader.current
        quiet = [name for name in names if rules.modes[name] is not Mode.ENFORCE and name not in already]
        saved = await self._keeper.order(names, *terms)
        return {
            "rules": names,
            "allowing": [name for name in names if rules.actions[name] == "allow" and name not in quiet],
            "quiet": {name: str(rules.modes[name]) for name in quiet},
            "replaced": {name: CLOCK.wall(before[name].until) for name in names if name in already},
            **shown_pause(self._keeper.paused[names[0]]),
            **self._kept(saved),
        }

    async def _resume(self, arguments: dict[str, Any]) -> dict[str, Any]:
        paused = self._keeper.paused.keys() - SWITCHES
        names = sorted(paused) if arguments.get("all") else _names(arguments)
        for name in names:
            if name not in paused:
                hint = name_hint(name, sorted(paused), "paused rules") if paused else "no rule is paused"
                raise CommandError(f"{quoted(name)} is not paused\n  hint: {hint}")
        saved = await self._keeper.order(names, 0.0)
        return {"rules": names, "switched_off": EVERYTHING in self._keeper.paused, **self._kept(saved)}

    def _fault(self, name: str) -> str:
        """What stands against pausing a rule; empty: nothing."""
        rules = self._reloader.current
        if name in rules.actions:
            return ""
        if name in rules.modes:
            return f"{quoted(name)} belongs to a class or a restriction\n  hint: proxyguard restrict end, for a restriction"
        return f"there is no rule {quoted(name)}\n  hint: {name_hint(name, rules.actions, 'rules')}"

    def _kept(self, saved: bool) -> dict[str, Any]:  # noqa: FBT001 - private
        return {"saved": saved, "survives": self._keeper.survives}


def order_terms(arguments: dict[str, Any]) -> tuple[float, str, str]:
    """For how many seconds, why, and by whom as far as that is known."""
    seconds = arguments.get("seconds", DEFAULT_SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= MAX_SECONDS:
        raise CommandError(f"a pause lasts at most {duration_text(MAX_SECONDS)}, so that nobody forgets it")
    by = one_line(arguments.get("by", ""))[:MAX_BY_CHARACTERS]
    return float(seconds), one_line(arguments.get("why", ""))[:MAX_WHY_CHARACTERS], f"{by}@{socket.gethostname()}" if by else ""


def one_line(value: object) -> str:
    """A text as one line of a log; JSON can bring halves of characters that no log can hold."""
    return " ".join(str(value).encode("utf-8", "replace").decode().split())


def _names(arguments: dict[str, Any]) -> list[str]:
    names = arguments.get("rules")
    if not isinstance(names, list) or not names:
        raise CommandError("no rule is named\n  hint: proxyguard pause RULE, or proxyguard shadow on for all of them")
    return list(dict.fromkeys(map(str, names)))
