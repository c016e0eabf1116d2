"""Orders are remembered, whichever way they came, without the address of any client."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from proxyguard.instance.control.client_names import hidden_keys
from proxyguard.instance.control.order_log import CHANGING, KEPT, MAX_WHAT, OrderLog

ADDED = {"bans": [{"key": f"client:192.0.2.{number}"} for number in range(12)]}


async def pseudonyms(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"names": {client: f"c-{len(client):012x}" for client in arguments["clients"]}}


COMMANDS = {"pseudonyms": pseudonyms}


def noted(*orders: tuple[str, dict[str, Any], dict[str, Any] | None]) -> list[dict[str, Any]]:
    async def run() -> list[dict[str, Any]]:
        log = OrderLog()
        for name, arguments, answer in orders:
            await log.note(name, arguments, "by command", COMMANDS, answer)
        return log.newest_first()

    return asyncio.run(run())


def test_an_order_is_one_line_that_names_no_address(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        [order] = noted(("bans-add", {"key": "192.0.2.0/28", "seconds": 3600, "note": "4711\nx"}, ADDED))
    assert order["done"]
    assert order["what"].endswith("and 2 more seconds=1h note=4711\\nx")
    assert "192.0.2" not in order["what"] + caplog.text
    assert len(caplog.records) == 1


def test_a_refused_order_is_remembered_without_the_key_that_was_wrong() -> None:
    [order] = noted(("bans-remove", {"key": "192.0.2.7"}, None))
    assert (order["done"], order["what"]) == (False, "")


def test_what_only_tells_is_no_order() -> None:
    assert noted(("bans-list", {}, {}), ("promote", {"rule": "x", "dry_run": True}, {}), ("snapshot", {}, {})) == []
    assert {"bans-add", "shadow-on", "reload"} <= CHANGING


def test_arguments_are_written_as_people_read_them_and_are_bounded() -> None:
    [start] = noted(("restrictions-start", {"name": "s", "until": 0.0, "classes": {"anonymous": "60/hour"}, "why": "w"}, {}))
    assert start["what"] == "name=s why=w classes=anonymous:60/hour"
    [long] = noted(("pause", {"rules": ["r" * 100] * 100}, {}))
    assert len(long["what"]) == MAX_WHAT
    assert len(noted(*[("demote", {"rule": "x"}, {})] * (KEPT + 5))) == KEPT


def test_every_key_that_holds_a_client_is_hidden() -> None:
    keys = ["client:192.0.2.7", "client:2001:db8::/64", "client:c-00000000000f", "network:192.0.2.0/24", "header.x-key:9f3a"]
    long = "client:" + "x" * 100
    names = asyncio.run(hidden_keys([*keys, long], COMMANDS))
    assert [names[key] for key in keys[3:]] == keys[3:]
    assert all(names[key].startswith("c-") for key in keys[:3])
    assert names[long] == "a client"


def test_a_client_is_hidden_wherever_it_stands_in_a_key() -> None:
    """As `policy.compile.keys` makes them, and as commands answer them already."""
    keys = ["client:192.0.2.7+path:/x", "header.x-key:9f3a+client:192.0.2.7", "client:c-00000000000f+path:/x"]
    names = asyncio.run(hidden_keys(keys, COMMANDS))
    assert [*names.values()] == ["client:c-000000000009+path:/x", "header.x-key:9f3a+client:c-000000000009", keys[2]]
