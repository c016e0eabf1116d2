"""The commands that an operator gives a running instance: arguments in, plain data out.

Knows stores and reloads; nothing of sockets or terminals.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import time
from typing import Any

from proxyguard.admin.server import Command, CommandError
from proxyguard.client_address import Address, Prefixes
from proxyguard.decision import ACTION_NAMES, Drop, Refusal, Reject, Tarpit
from proxyguard.limits.store import BanRecord, BanTerms
from proxyguard.reload import RulesRejected
from proxyguard.reloader import Reloader
from proxyguard.shared_orders import PREFIXES
from proxyguard.stores import Books

MAX_BAN_SECONDS = 10 * 365 * 86_400.0

REFUSALS: Mapping[str, Refusal] = {"reject": Reject(), "tarpit": Tarpit(), "drop": Drop()}

logger = logging.getLogger(__name__)


class Operations:
    """The commands of one instance."""

    def __init__(self, books: Books, prefixes: Prefixes, reloader: Reloader) -> None:
        self._books = books
        self._store = books.store
        self._reloader = reloader
        self._prefixes = prefixes
        self.commands: dict[str, Command] = {
            "reload": self._reload,
            "bans-list": self._list_bans,
            "bans-add": self._add_ban,
            "bans-remove": self._remove_ban,
        }

    async def _reload(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._reloader.reload()
        except RulesRejected as error:
            raise CommandError(error.report) from error
        except Exception as error:
            logger.exception("reloading the rules failed; those of before stay in force")
            raise CommandError(f"reloading failed through a fault of ours: {error!r}; the log has more") from error

    async def _list_bans(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        return {
            "bans": [shown_ban(record) for record in self._store.bans(time()) if not record.key.startswith(PREFIXES)]
        }

    async def _add_ban(self, arguments: dict[str, Any]) -> dict[str, Any]:
        seconds = arguments.get("seconds")
        if not isinstance(seconds, int | float) or not 0 < seconds <= MAX_BAN_SECONDS:
            raise CommandError(f"a ban lasts more than 0 and at most {MAX_BAN_SECONDS:.0f} seconds, not {seconds!r}")
        then = REFUSALS.get(str(arguments.get("then", "reject")))
        if then is None:
            raise CommandError(f"the banned can get {', '.join(REFUSALS)}, not {arguments['then']!r}")
        terms = BanTerms(for_seconds=seconds, then=then, note=str(arguments.get("note", ""))[:500])
        record = self._store.ban(self._key(arguments), "operator", "banned by an operator", terms, time())
        return {**shown_ban(record), "saved": await self._books.saved()}

    async def _remove_ban(self, arguments: dict[str, Any]) -> dict[str, Any]:
        key = self._key(arguments)
        removed = self._store.unban(key)
        return {"key": key, "removed": removed, "saved": await self._books.saved()}

    def _key(self, arguments: dict[str, Any]) -> str:
        """A ban's key as given (`client:…`, `header.x-api-key:…`), or the one that an address is banned by."""
        text = str(arguments.get("key", ""))
        try:
            return f"client:{Address.parse(text).client_key(self._prefixes)}"
        except ValueError:
            pass
        kind, mark, rest = text.partition(":")
        if not (mark and rest and kind.replace("-", "").replace(".", "").replace("_", "").isalnum()):
            raise CommandError(f"{text!r} is neither an address nor a ban's key, such as client:192.0.2.7")
        return text


def shown_ban(record: BanRecord) -> dict[str, Any]:
    """A ban as commands and files show it. Times are Unix seconds."""
    return {
        "key": record.key,
        "since": record.since,
        "until": record.until,
        "rule": record.rule,
        "reason": record.reason,
        "then": ACTION_NAMES[type(record.then)],
        "strikes": record.strikes,
        "note": record.note,
    }
