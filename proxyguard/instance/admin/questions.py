"""Puts the operations of the API to the instance as commands, and shapes the answers: pseudonyms for clients, bounded lists."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from proxyguard.instance.admin.operations import ApiOperation
from proxyguard.instance.control.client_names import hidden_keys
from proxyguard.instance.control.order_log import OrderLog
from proxyguard.instance.control.server import CommandError, Instance

MAX_BANS: Final = 500
"""Bans that are listed."""


class Questions:
    """One instance, as the API asks it."""

    def __init__(self, instance: Instance, orders: OrderLog) -> None:
        self._instance = instance
        self._orders = orders

    async def read(self, operation: ApiOperation, arguments: dict[str, Any]) -> bytes:
        """The answer of an operation that only reads, as JSON. Raises CommandError."""
        answer = await self._asked(operation.command, arguments)
        return msgspec.json.encode(msgspec.convert(answer, operation.answer, strict=False))

    async def order(self, operation: ApiOperation, arguments: dict[str, Any], by: str) -> bytes:
        """Carry an order out, remember it, and say what became of it. Raises CommandError."""
        commands = self._instance.commands
        try:
            answer = await commands[operation.command](arguments)
        except CommandError:
            await self._orders.note(operation.command, arguments, by, commands, None)
            raise
        await self._orders.note(operation.command, arguments, by, commands, answer)
        done = bool(answer.get("removed", True)) and answer.get("would", "promote") == "promote"
        return msgspec.json.encode({"done": done, "detail": await self._hidden(answer)})

    async def feed(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The command `feed`."""
        return await self._instance.commands["feed"](arguments)

    async def _asked(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if command == "status":
            return await self._instance.status()
        if command == "changes":
            return {"changes": self._orders.newest_first()}
        commands = self._instance.commands
        if command == "bans-list":
            return await self._hidden(await commands[command]({"most": MAX_BANS}))
        return await commands[command](arguments)

    async def _hidden(self, answer: dict[str, Any]) -> dict[str, Any]:
        """An answer about bans with names for clients."""
        keys = [*(ban["key"] for ban in answer.get("bans", ())), *answer.get("keys", ()), *answer.get("removed", ())]
        names = await hidden_keys(keys, self._instance.commands)
        changed: dict[str, Any] = {
            name: [names[key] for key in answer[name]] for name in ("keys", "removed") if isinstance(answer.get(name), list)
        }
        if "bans" in answer:
            changed["bans"] = [{**ban, "key": names[ban["key"]]} for ban in answer["bans"]]
        return {**answer, **changed}
