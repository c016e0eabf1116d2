"""The commands about campaigns: what all workers noticed, as plain data. Knows nothing of sockets or terminals."""

from __future__ import annotations

from typing import Any, Final

from proxyguard.core.distinct import Distinct
from proxyguard.core.problems import name_hint, quoted
from proxyguard.instance.control.server import Command, CommandError
from proxyguard.instance.control.traffic_commands import Broadcast

ADDED: Final = ("reads", "count", "usual", "usual_reads")


class CampaignCommands:
    """`campaigns-list` and `campaigns-show`."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self.commands: dict[str, Command] = {"campaigns-list": self._list, "campaigns-show": self._show}

    async def _list(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        """The alarms of the last 24 hours, those that are on first. Each worker compares what it serves with what is usual."""
        found: dict[str, list[dict[str, Any]]] = {}
        for answer in await self._broadcast("campaigns", {}):
            for each in answer["campaigns"]:
                found.setdefault(each["name"], []).append(each)
        joined = [_joined(name, each) for name, each in found.items()]
        return {"campaigns": sorted(joined, key=lambda each: (not each["on"], -each["last"], each["name"]))}

    async def _show(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = str(arguments.get("name", ""))
        found: dict[str, dict[str, Any]] = {each["name"]: each for each in (await self._list({}))["campaigns"]}
        if name not in found:
            hint = name_hint(name, sorted(found), "alarms") if found else "there was none within the last 24 hours"
            raise CommandError(f"there is no alarm {quoted(name)}\n  hint: {hint}")
        return found[name]


def _joined(name: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """One alarm of several workers."""
    cells: dict[tuple[int, str, str], int] = {}
    for part in parts:
        for asn, owner, kind, reads in part["cells"]:
            cells[asn, owner, kind] = cells.get((asn, owner, kind), 0) + reads
    top = sorted(cells.items(), key=lambda cell: (-cell[1], cell[0]))
    return {
        "name": name,
        "on": any(part["on"] for part in parts),
        "began": min(part["began"] for part in parts),
        "last": max(part["last"] for part in parts),
        **{key: round(sum(part[key] for part in parts), 1) for key in ADDED},
        "standings": joined_standings([part["standings"] for part in parts]),
        "cells": [{"asn": asn, "owner": owner, "kind": kind, "reads": reads} for (asn, owner, kind), reads in top],
    }


def joined_standings(parts: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Reads and clients by what these have to show for themselves, of several workers."""
    found: dict[str, dict[str, int]] = {}
    for standing in parts[0] if parts else ():
        counted = [part[standing] for part in parts]
        clients = Distinct.joined(Distinct.from_data(data) for _, data in counted)
        found[standing] = {"reads": sum(reads for reads, _ in counted), "clients": clients.count()}
    return found
