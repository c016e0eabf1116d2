"""Names for clients of an audit log, references that were looked up, and where the log is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from proxyguard.core.privacy import Audit
from proxyguard.core.pseudonym import PATTERN, Pseudonyms
from proxyguard.instance.control.server import CommandError
from proxyguard.instance.control.traffic_commands import MAX_LOOKED_UP, MAX_NAMED, TrafficCommands


async def nobody(_command: str, _arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """The only worker, which knows no client."""
    return [{"client": None}]


def made() -> TrafficCommands:
    return TrafficCommands(nobody, Pseudonyms(b"secret"), lambda: Audit(path="audit.jsonl", passes=0.25))


def ask(commands: TrafficCommands, name: str, **arguments: Any) -> dict[str, Any]:
    async def asked() -> dict[str, Any]:
        return await commands.commands[name](arguments)

    return asyncio.run(asked())


def test_a_name_that_was_asked_for_is_known_later() -> None:
    commands = made()
    names = ask(commands, "pseudonyms", clients=["192.0.2.7", "2001:db8::/64"])["names"]
    assert all(PATTERN.fullmatch(name) for name in names.values())
    assert asyncio.run(commands.whose(names["2001:db8::/64"])) == "2001:db8::/64"
    assert asyncio.run(commands.whose("c-000000000000")) is None


def test_names_are_remembered_for_the_last_ones_only() -> None:
    commands = made()
    first = ask(commands, "pseudonyms", clients=["192.0.2.7"])["names"]["192.0.2.7"]
    ask(commands, "pseudonyms", clients=[f"10.0.{number // 256}.{number % 256}" for number in range(MAX_NAMED)])
    assert asyncio.run(commands.whose(first)) is None


@pytest.mark.parametrize("clients", [None, "192.0.2.7", [7], [""], ["x" * 65], ["192.0.2.7"] * (MAX_NAMED + 1)])
def test_what_is_no_list_of_clients(clients: Any) -> None:
    with pytest.raises(CommandError, match="clients: "):
        ask(made(), "pseudonyms", clients=clients)


def test_a_reference_that_is_looked_up_twice_counts_once() -> None:
    commands = made()
    for _ in range(2):
        ask(commands, "looked-up", reference="abc", rule="flood")
    [looked_up] = ask(commands, "audit-log")["looked_up"]
    assert (looked_up["reference"], looked_up["rule"]) == ("abc", "flood")
    for number in range(MAX_LOOKED_UP + 5):
        ask(commands, "looked-up", reference=str(number), rule="flood")
    assert len(ask(commands, "audit-log")["looked_up"]) == MAX_LOOKED_UP
    with pytest.raises(CommandError, match="reference: it is missing"):
        ask(commands, "looked-up")


def test_where_the_log_is() -> None:
    assert ask(made(), "audit-log") == {"path": str(Path.cwd() / "audit.jsonl"), "passes": 0.25, "looked_up": []}
    commands = TrafficCommands(nobody, Pseudonyms(b"secret"), lambda: Audit(path="-"))
    assert ask(commands, "audit-log")["path"] == "-"
