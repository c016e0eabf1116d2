"""The command that looks a reference up: `proxyguard explain --reference` in a process of its own: no request waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from proxyguard.core.address import Address, Prefixes
from proxyguard.core.problems import quoted
from proxyguard.core.pseudonym import Pseudonyms
from proxyguard.instance.children import spawn_module
from proxyguard.instance.control.server import Command, CommandError
from proxyguard.limits.clock import CLOCK

REFERENCE: Final = re.compile(r"[0-9A-Za-z_.:-]{1,128}", re.ASCII)

LOOK_SECONDS: Final = 30.0
"""How long a search of the log and its rotated files may take."""

MAX_WAITING: Final = 4
"""Searches that wait for the one under way; each reads a log that may be large."""

NICE: Final = 10


class ReferenceCommands:
    """The command `explain-reference`. `audit` says where the log is, `told` is told what was found."""

    def __init__(
        self,
        rules: Path,
        pseudonyms: Pseudonyms,
        prefixes: Prefixes,
        audit: Callable[[], Awaitable[dict[str, Any]]],
        told: Command,
    ) -> None:
        self._rules = rules
        self._pseudonyms = pseudonyms
        self._prefixes = prefixes
        self._audit = audit
        self._told = told
        self._waiting = 0
        self._busy = asyncio.Lock()
        self.commands: dict[str, Command] = {"explain-reference": self._explain}

    async def _explain(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The record of a reference, its rule as it is now, and which of its tests hold. The client is a pseudonym."""
        reference = str(arguments.get("reference", ""))
        if not REFERENCE.fullmatch(reference):
            raise CommandError(
                f"{quoted(reference[:40])} is no reference\n  hint: it stands on the page that a refused visitor sees"
            )
        log = (await self._audit())["path"]
        if log == "-":
            raise CommandError(
                "the audit log goes to standard output, where nothing can be looked up\n  hint: setting audit.path"
            )
        if self._waiting > MAX_WAITING:
            raise CommandError("other references are being looked up\n  hint: try again in a moment")
        self._waiting += 1
        try:
            async with self._busy:
                found = await asyncio.to_thread(self._look, reference, log)
        finally:
            self._waiting -= 1
        record = found["record"]
        await self._told({"reference": reference, "rule": str(record.get("rule", ""))})
        return {**found, "record": self._hidden(record)}

    def _look(self, reference: str, log: str) -> dict[str, Any]:
        words = ("explain", "--reference", reference, "--audit", log, "--rules", str(self._rules), "--json")
        try:
            child = spawn_module("proxyguard", *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            raise CommandError(f"the process that looks it up cannot be started: {error.strerror}") from error
        with child:
            os.setpriority(os.PRIO_PROCESS, child.pid, NICE)
            try:
                output, fault = child.communicate(timeout=LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                raise CommandError(
                    f"looking it up took more than {LOOK_SECONDS:.0f} s\n  hint: proxyguard explain --reference {reference}"
                ) from None
        if child.returncode != 0:
            raise CommandError(fault.decode(errors="replace").strip().removeprefix("error: ") or "it could not be looked up")
        found: dict[str, Any] = json.loads(output)
        return found

    def _hidden(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record with a pseudonym of its day in the place of the client's address, and without its port."""
        shown = {name: value for name, value in record.items() if name != "port"}
        try:
            client = Address.parse(str(record.get("client", ""))).client_key(self._prefixes)
        except ValueError:
            return shown
        at = record.get("time")
        return {**shown, "client": self._pseudonyms.name(client, at if isinstance(at, int | float) else CLOCK.wall(CLOCK()))}
