"""What an instance has once, of however many processes it is: whoever changes its rules, restrictions and bans.

Puts together reloads, restrictions, promotions and the operators' commands. Knows nothing of how workers are reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from proxyguard.core.decision import Mode
from proxyguard.core.settings import Settings
from proxyguard.instance.control.ban_keys import BanKeys
from proxyguard.instance.control.commands import ControlCommands
from proxyguard.instance.control.promotion import Promotions
from proxyguard.instance.control.restriction_commands import RestrictionCommands
from proxyguard.instance.control.server import Command
from proxyguard.instance.deploy import InForce
from proxyguard.instance.process import until_signal
from proxyguard.instance.reloader import Reloader
from proxyguard.instance.restriction_controller import RestrictionController
from proxyguard.limits.stores.open import Books
from proxyguard.restrictions.override_file import OverrideFile
from proxyguard.restrictions.shared_overrides import SharedOverrides
from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.shadow import TallyWindow


class Workers(Protocol):
    """All workers of the instance, be it one."""

    async def install(self, parts: list[bytes]) -> InForce:
        """Put a policy's pieces in force. Raises RulesRejected."""

    async def broadcast(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        """Give a command to each; the answers of those that gave one soon."""

    async def window(self, *, enforced_only: bool) -> TallyWindow:
        """Whom shadow rules would have stopped, and enforced ones did."""

    async def forget(self, rule: str, mode: Mode) -> None:
        """Tally a rule from zero."""

    async def refresh_certificates(self) -> None:
        """Look for renewed certificates now."""


class Controller:
    """The upkeep of one instance. `folder` is the instance's own, and gone after it."""

    def __init__(
        self,
        settings: Settings,
        secret: bytes,
        workers: Workers,
        books: Books,
        counts: Metrics,
        folder: Path,
        *,
        in_force: InForce,
        parts: list[bytes],
    ) -> None:
        """`in_force` and `parts` are of the rules that the workers start with."""
        self._workers = workers
        orders = OverrideFile(settings.restrictions_file or folder / "orders")
        shared = None if settings.store.url is None else SharedOverrides(books.store, books.saved)
        self._reloader = Reloader(settings.rules, in_force, parts, workers.install, counts)
        self._restrictions = RestrictionController(self._reloader, orders, workers.broadcast, counts, shared)
        self._promotions = Promotions(self._reloader, workers.window, workers.forget, counts)
        counts.show(books.gauges())
        operations = ControlCommands(books, BanKeys(secret, settings.counting.prefixes), self._reloader)
        self.commands: Mapping[str, Command] = {
            **operations.commands,
            **self._promotions.commands,
            **RestrictionCommands(self._restrictions).commands,
        }

    async def prepare(self) -> None:
        """Before any worker takes a request: the restrictions that are on. The store has started."""
        await self._restrictions.look_now()

    def status(self) -> dict[str, Any]:
        """What `status` shows of it."""
        return {
            "reload": self._reloader.last,
            "restrictions": self._restrictions.status(),
            "promotions": self._promotions.status(),
        }

    async def until_signal(self) -> None:
        """Keep watch until SIGTERM or SIGINT. SIGHUP reloads the rules and looks for renewed certificates."""
        watched = (self._reloader, self._promotions, self._restrictions)
        watching = [asyncio.create_task(each.watch()) for each in watched]
        await until_signal(self._hang_up)
        for task in watching:
            task.cancel()

    async def _hang_up(self) -> None:
        await self._workers.refresh_certificates()
        await self._reloader.reload_quietly()
