"""A reference is looked up without showing who it was, under the names that everything else has."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from proxyguard.core.address import Prefixes
from proxyguard.core.pseudonym import Pseudonyms
from proxyguard.instance.control.reference_commands import ReferenceCommands

NAMES = Pseudonyms(b"the key of pseudonyms")


async def explained(commands: ReferenceCommands) -> dict[str, Any]:
    return await commands.commands["explain-reference"]({"reference": "r1"})


@pytest.mark.parametrize(
    ("client", "shown"), [("2001:db8::7", NAMES.name("2001:db8::/64", 9.0)), ("c-00000000000f", "c-00000000000f"), ("", "")]
)
def test_the_client_of_a_record_gets_the_pseudonym_of_its_day(client: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []

    async def tell(arguments: dict[str, Any]) -> dict[str, Any]:
        told.append(arguments)
        return {}

    async def audit() -> dict[str, Any]:
        return {"path": "/audit.jsonl"}

    commands = ReferenceCommands(Path("rules"), NAMES, Prefixes(), audit, tell)
    record = {"reference": "r1", "client": client, "port": 4711, "time": 9.0, "rule": "no-curl"}
    monkeypatch.setattr(commands, "_look", lambda reference, log: {"record": record, "file": log})
    found = asyncio.run(explained(commands))
    assert found["record"] == {"reference": "r1", "client": shown, "time": 9.0, "rule": "no-curl"}
    assert told == [{"reference": "r1", "rule": "no-curl"}]
