"""Control commands about traffic: who talks most, how much came when, names for clients, and references that were looked up."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from proxyguard.core.privacy import Audit
from proxyguard.core.problems import quoted
from proxyguard.core.pseudonym import Pseudonyms
from proxyguard.instance.control.server import Command, CommandError
from proxyguard.limits.clock import CLOCK
from proxyguard.telemetry.ban_hits import joined_hits
from proxyguard.telemetry.talkers import WINDOWS, joined_histories, joined_windows

type Broadcast = Callable[[str, dict[str, Any]], Awaitable[list[dict[str, Any]]]]

MAX_NAMED: Final = 1_000
"""Clients whose pseudonyms were asked for and are remembered; also the most that one question may name."""

MAX_CLIENT: Final = 64
"""Characters of a client's key."""

MAX_LOOKED_UP: Final = 1_000
"""References that were looked up and are remembered."""

MAX_RULE: Final = 100
"""Characters of a rule's name."""


class TrafficCommands:
    """The commands about traffic, of one instance."""

    def __init__(self, broadcast: Broadcast, pseudonyms: Pseudonyms, audit: Callable[[], Audit]) -> None:
        """`audit`: the settings of the audit log in force."""
        self._broadcast = broadcast
        self._pseudonyms = pseudonyms
        self._audit = audit
        self._folder = Path.cwd()
        self._named: dict[str, None] = {}
        self._looked_up: deque[dict[str, Any]] = deque(maxlen=MAX_LOOKED_UP)
        self.commands: dict[str, Command] = {
            "top": self._top,
            "pseudonyms": self._name,
            "looked-up": self.look_up,
            "audit-log": self._describe_audit,
        }

    async def _top(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The busiest of a window, as `telemetry.talkers.joined_windows` gives it, with `window` and `history`."""
        window = str(arguments.get("window", "minute"))
        if window not in WINDOWS:
            raise CommandError(f"there is no window {quoted(window)}\n  hint: {', '.join(WINDOWS)}")
        answers = await self._broadcast("talkers", {"window": window})
        whole = joined_windows(answer["window"] for answer in answers)
        return {"window": window, **whole, "history": joined_histories(answer["history"] for answer in answers)}

    async def _name(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The pseudonyms of today for client keys, which `whose` then knows."""
        clients = arguments.get("clients")
        if not isinstance(clients, list) or len(clients) > MAX_NAMED:
            raise CommandError(f"clients: a list of at most {MAX_NAMED} addresses")
        if not all(isinstance(client, str) and 0 < len(client) <= MAX_CLIENT for client in clients):
            raise CommandError(f"clients: each is a text of at most {MAX_CLIENT} characters")
        for client in clients:
            self._named.pop(client, None)
            self._named[client] = None
        while len(self._named) > MAX_NAMED:
            del self._named[next(iter(self._named))]
        wall = _wall()
        return {"names": {client: self._pseudonyms.name(client, wall) for client in clients}}

    async def look_up(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Remember that an operator looked up a reference of a rule; each reference counts once."""
        reference, rule = (str(arguments.get(name, ""))[:MAX_RULE] for name in ("reference", "rule"))
        if not reference:
            raise CommandError("reference: it is missing")
        if all(each["reference"] != reference for each in self._looked_up):
            self._looked_up.append({"time": _wall(), "reference": reference, "rule": rule})
        return {}

    async def _describe_audit(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        return await self.audit_log()

    async def audit_log(self) -> dict[str, Any]:
        """Where the audit log is (`-`: standard output), the share of plain passes in it, what was looked up there."""
        audit = self._audit()
        path = audit.path if audit.path == "-" else str(self._folder / audit.path)
        return {"path": path, "passes": audit.passes, "looked_up": [*self._looked_up]}

    async def whose(self, pseudonym: str) -> str | None:
        """The client that a pseudonym means; None when neither a worker nor a report knows it."""
        answers = await self._broadcast("whose", {"pseudonym": pseudonym})
        found = next((answer["client"] for answer in answers if answer["client"]), None)
        return found or self._pseudonyms.find(pseudonym, self._named, _wall())

    async def ban_hits(self, keys: list[str]) -> dict[str, tuple[int, float]]:
        """How often the banned came back since the workers started, and when last (the line's time)."""
        return joined_hits(await self._broadcast("ban-hits", {"keys": keys}))


def _wall() -> float:
    """Unix seconds."""
    return CLOCK.wall(CLOCK())
