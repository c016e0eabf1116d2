"""Control commands for a person's request: under which pseudonyms records have a client, what memory holds, and to forget it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from proxyguard.core.address import Address
from proxyguard.core.problems import quoted
from proxyguard.core.pseudonym import Pseudonyms
from proxyguard.core.settings import Settings
from proxyguard.instance.control.server import Command, CommandError
from proxyguard.instance.control.traffic_commands import Broadcast
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.stores.store import AsyncStore, Store
from proxyguard.telemetry.audit_records import ABOUT_RECORDS, Notice

MAX_DAYS: Final = 4000
"""Days whose pseudonyms are given: longer than anybody may keep records."""

MAX_TEXT: Final = 400
"""Characters of each text of a notice."""

MAX_ACCOUNT: Final = 64
"""Bytes of an account's name that are remembered."""


class PrivacyCommands:
    """The commands about people, of one instance."""

    def __init__(self, broadcast: Broadcast, pseudonyms: Pseudonyms, store: Store | AsyncStore, settings: Settings) -> None:
        self._broadcast = broadcast
        self._pseudonyms = pseudonyms
        self._store = store
        self._prefixes = settings.counting.prefixes
        self.commands: dict[str, Command] = {"person-find": self._find, "person-erase": self._erase, "audit-note": self._note}

    async def _note(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Record in the chain of a worker what somebody did with the records: there it cannot be left out unnoticed."""
        try:
            notice = msgspec.convert(arguments.get("notice"), Notice)
        except msgspec.ValidationError as error:
            raise CommandError(f"notice: {error}") from error
        if notice.kind not in ABOUT_RECORDS or max(map(len, (notice.who, notice.subject, notice.reason))) > MAX_TEXT:
            raise CommandError(
                f"notice: a kind of {', '.join(sorted(ABOUT_RECORDS))}, and texts of at most {MAX_TEXT} characters"
            )
        plain = msgspec.to_builtins(notice)
        workers = await self._broadcast("note", {"pid": 0, "notice": plain})
        answers = await self._broadcast("note", {"pid": min(each["pid"] for each in workers), "notice": plain}) if workers else []
        return {"noted": any(each["noted"] for each in answers)}

    async def _find(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The pseudonyms of an address for so many `days` back, how many sessions of an account are remembered, and the bans."""
        return await self._look(arguments, erase=False)

    async def _erase(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The same, and forget what memory has: names and sessions. Bans stay until their end, or until they are lifted."""
        return await self._look(arguments, erase=True)

    async def _look(self, arguments: dict[str, Any], *, erase: bool) -> dict[str, Any]:
        subject = str(arguments.get("subject", ""))
        days = arguments.get("days", 0)
        if not isinstance(days, int) or not 0 <= days <= MAX_DAYS:
            raise CommandError(f"days: a number up to {MAX_DAYS}")
        names: list[str] = []
        keys: set[str] = set()
        try:
            client = Address.parse(subject).client_key(self._prefixes)
        except ValueError:
            if not subject or len(subject.encode()) > MAX_ACCOUNT:
                message = f"{quoted(subject)} is neither an address nor the name of an account"
                raise CommandError(f"{message}\n  hint: 203.0.113.9, or what the upstream calls the account") from None
            client = subject
        else:
            names = self._pseudonyms.names(client, CLOCK.wall(CLOCK()), days)
            keys.add(f"client:{client}")
        answers = await self._broadcast("person", {"subject": client, "erase": erase})
        sessions = {session for answer in answers for session in answer["sessions"]}  # several workers may know one
        keys |= {f"account:{session}" for session in sessions}
        bans = [
            {"until": CLOCK.wall(ban.until), "rule": ban.rule, "reason": ban.reason}
            for ban in self._store.bans(CLOCK())
            if not keys.isdisjoint(ban.key.split("+"))
        ]
        return {"client": client, "names": names, "bans": bans, "sessions": len(sessions)}
