"""What is found of a person: bans of the address, of each session of an account, and of no one else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxyguard.core.decision import Drop
from proxyguard.core.pseudonym import Pseudonyms
from proxyguard.core.settings import Settings
from proxyguard.instance.control.privacy_commands import PrivacyCommands
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.store import BanTerms

SESSIONS = {"alice": ({"s1", "s2"}, {"s2"})}
"""By what the upstream calls an account: the sessions that each of two workers knows."""


class Person:
    """The commands of an instance of two workers with some bans."""

    def __init__(self, *banned: str) -> None:
        self.asked: list[dict[str, Any]] = []
        store = MemoryStore()
        for key in banned:
            store.ban(key, f"by-{key}", "", BanTerms(60.0, Drop()), CLOCK())
        settings = Settings()
        self._commands = PrivacyCommands(self.broadcast, Pseudonyms(b"secret"), store, settings).commands

    async def broadcast(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        self.asked.append({"name": name, **arguments})
        return [{"sessions": sorted(each)} for each in SESSIONS.get(arguments["subject"], ((), ()))]

    def said(self, subject: str, command: str = "person-find") -> tuple[set[str], int]:
        """The rules of the bans, and the number of sessions."""

        async def ask() -> dict[str, Any]:
            return dict(await self._commands[command]({"subject": subject, "days": 1}))

        found = asyncio.run(ask())
        return {ban["rule"] for ban in found["bans"]}, found["sessions"]


BANNED = ("client:192.0.2.1", "client:192.0.2.10", "account:s1", "account:s2+path:/a", "account:s3", "cookie.sid:s1")


@pytest.mark.parametrize(
    ("subject", "rules", "sessions"),
    [
        ("alice", {"by-account:s1", "by-account:s2+path:/a"}, 2),
        ("bob", set(), 0),
        ("192.0.2.1", {"by-client:192.0.2.1"}, 0),
        ("192.0.2.2", set(), 0),
    ],
)
def test_bans_are_found_by_the_address_and_by_the_sessions_of_the_account(subject: str, rules: set[str], sessions: int) -> None:
    person = Person(*BANNED)
    assert person.said(subject) == (rules, sessions)
    assert person.said(subject, "person-erase") == (rules, sessions)
    assert [each["erase"] for each in person.asked] == [False, True]
