"""Control commands for bans and reloads: arguments in, plain data out. Knows nothing of sockets or terminals."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from heapq import nlargest
from typing import Any, Final, Protocol

from proxyguard.core.decision import ACTION_NAMES
from proxyguard.core.pseudonym import PATTERN
from proxyguard.instance.control.ban_keys import BanKeys, NoBanKey
from proxyguard.instance.control.ban_names import CLIENT, BanNames
from proxyguard.instance.control.server import Command, CommandError
from proxyguard.instance.loaded_rules import RulesRejected
from proxyguard.instance.reloader import Reloader
from proxyguard.instance.settings_reloader import SettingsReloader
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.stores.open import Backend
from proxyguard.limits.stores.store import OPERATOR, BanRecord, BanTerms
from proxyguard.policy.actions.registry import SHORT_REFUSALS

MAX_BAN_SECONDS: Final = 10 * 365 * 86_400.0

MAX_NOTE_CHARACTERS: Final = 500


logger = logging.getLogger(__name__)


class Known(Protocol):
    """What the workers know of clients."""

    async def whose(self, pseudonym: str) -> str | None:
        """The client that a pseudonym means, such as `192.0.2.7`; None when no worker knows it."""

    async def ban_hits(self, keys: list[str]) -> dict[str, tuple[int, float]]:
        """How often the banned came back, and when last (the line's time), by key."""


class ControlCommands:
    """The commands about bans and reloads, of one instance."""

    def __init__(
        self, books: Backend, keys: BanKeys, reloader: Reloader, known: Known, settings: SettingsReloader, names: BanNames
    ) -> None:
        self._books = books
        self._store = books.store
        self._reloader = reloader
        self._settings = settings
        self._keys = keys
        self._known = known
        self._names = names
        self.commands: dict[str, Command] = {
            "reload": self._reload,
            "bans-list": self._list_bans,
            "bans-add": self._add_bans,
            "bans-remove": self._remove_bans,
        }

    async def _reload(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        """Reload rules and settings. What is wrong with one does not hold up the other; either way it is an error."""
        settings = await self._settings.reload()
        try:
            answer = {**await self._reloader.reload(), "settings": settings, "notes": settings_lines(settings)}
        except RulesRejected as error:
            raise CommandError("\n".join((error.report.rstrip(), RULES_REFUSED, *settings_lines(settings)))) from error
        except Exception as error:
            logger.exception("reloading the rules failed; those of before stay in force")
            raise CommandError(f"reloading failed through a fault of ours: {error!r}; the log has more") from error
        if settings["report"]:
            rules = f"the rules are in force, digest {answer['digest'][:12]}"
            raise CommandError("\n".join((*settings_lines(settings), rules)))
        return answer

    async def _list_bans(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The bans in force; with `clear` by addresses, for a firewall that is to have them.

        With `most` only so many, the last to end, and their `total`: a full table takes most of a second to be shown whole.
        """
        records = [*self._store.bans(CLOCK())]
        most = arguments.get("most")
        if most is not None:
            listed = await self._shown_bans(nlargest(int(most), records, key=_end))
            return {"bans": [*map(self._named_ban, listed)], "total": len(records)}
        bans = await self._shown_bans(records)
        if arguments.get("clear"):
            logger.info("%d bans were exported with their addresses", len(bans))
            return {"bans": bans}
        return {"bans": [*map(self._named_ban, bans)]}

    async def _shown_bans(self, records: Iterable[BanRecord]) -> list[dict[str, Any]]:
        """Bans as plain data, with how often the banned came back."""
        bans = [*map(shown_ban, records)]
        hits = await self._known.ban_hits([ban["key"] for ban in bans])
        for ban in bans:
            refused, last = hits.get(ban["key"], (0, 0.0))
            ban.update(hits=refused, last_seen=CLOCK.wall(last) if refused else None)
        return bans

    def _named_ban(self, ban: dict[str, Any]) -> dict[str, Any]:
        return {**ban, "key": self._name(ban["key"])}

    def _name(self, key: str) -> str:
        return self._names.shown(key, CLOCK.wall(CLOCK()))

    async def _add_bans(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Ban every key that matches the named client. An operator's ban replaces one that is in force."""
        seconds = arguments.get("seconds")
        if not isinstance(seconds, int | float) or not 0 < seconds <= MAX_BAN_SECONDS:
            raise CommandError(f"a ban lasts more than 0 and at most {MAX_BAN_SECONDS:.0f} seconds, not {seconds!r}")
        then = SHORT_REFUSALS.get(str(arguments.get("then", "reject")))
        if then is None:
            raise CommandError(f"the banned can get {', '.join(SHORT_REFUSALS)}, not {arguments['then']!r}")
        terms = BanTerms(for_seconds=seconds, then=then, note=str(arguments.get("note", ""))[:MAX_NOTE_CHARACTERS])
        keys, now = await self._named(arguments), CLOCK()
        replaced = 0
        for key in keys:
            if self._store.banned(key, now) is not None:
                replaced += self._store.unban(key)
        made = [shown_ban(self._store.ban(key, OPERATOR, "banned by an operator", terms, now)) for key in keys]
        return {"bans": [self._named_ban(ban) for ban in made], "replaced": replaced, **await self._saved()}

    async def _remove_bans(self, arguments: dict[str, Any]) -> dict[str, Any]:
        keys = await self._named(arguments)
        removed = [key for key in keys if self._store.unban(key)]
        return {"keys": [*map(self._name, keys)], "removed": [*map(self._name, removed)], **await self._saved(removal=True)}

    async def _saved(self, *, removal: bool = False) -> dict[str, Any]:
        """Whether the change survives a crash; if not, why. A removal does where nothing of before comes back."""
        saved = (removal and not self._books.survives) or await self._books.saved()
        return {"saved": saved, "unsaved_because": "" if saved else self._books.unsaved_because}

    async def _named(self, arguments: dict[str, Any]) -> list[str]:
        named = str(arguments.get("key", ""))
        now = CLOCK()
        key = self._names.find(named, (record.key for record in self._store.bans(now)), CLOCK.wall(now))
        if key is not None:
            return [key]
        named = named.removeprefix(CLIENT) if PATTERN.fullmatch(named.removeprefix(CLIENT)) else named
        if PATTERN.fullmatch(named):
            client = await self._known.whose(named)
            if client is None:
                hint = "name its address or its network"
                raise CommandError(f"no client of today or yesterday is known by the pseudonym {named}\n  hint: {hint}")
            named = client
        try:
            return self._keys.of(named, self._reloader.current.banned_by)
        except NoBanKey as error:
            raise CommandError(str(error)) from error


def _end(record: BanRecord) -> float:
    return record.until


RULES_REFUSED: Final = "not applied: the rules of before stay in force"


def settings_lines(settings: dict[str, Any]) -> list[str]:
    """What became of changed settings, in lines for the operator; none when none changed."""
    if settings["report"]:
        return [settings["report"].rstrip(), "not applied: the settings of before stay in force"]
    lines = [f"settings in force: {', '.join(settings['applied'])}"] if settings["applied"] else []
    if settings["restart"]:
        lines.append(f"settings NOT applied, restart needed for: {', '.join(settings['restart'])}")
    return lines


def shown_ban(record: BanRecord) -> dict[str, Any]:
    """A ban as plain data. Times are those of the wall, Unix seconds."""
    return {
        "key": record.key,
        "since": CLOCK.wall(record.since),
        "until": CLOCK.wall(record.until),
        "rule": record.rule,
        "reason": record.reason,
        "then": ACTION_NAMES[type(record.then)],
        "strikes": record.strikes,
        "note": record.note,
    }
