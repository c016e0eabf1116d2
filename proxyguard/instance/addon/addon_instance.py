"""What stands behind the addon's hooks: a guard with its store, and rules that are reloaded when their files change.

As a worker without a front, a control socket and an admin port.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from pathlib import Path
from typing import Any

from proxyguard.adapters.mitmproxy_addon.services import AddonServices
from proxyguard.core.settings import Settings
from proxyguard.guard.account_cache import AccountCache
from proxyguard.guard.acquaintances import Acquaintances
from proxyguard.guard.disclosure import Disclosure
from proxyguard.guard.forms import Forms
from proxyguard.guard.guard import Guard
from proxyguard.guard.jars import Jars
from proxyguard.guard.mazes import Mazes
from proxyguard.guard.origin.origins import Origins
from proxyguard.instance.background import working_thread, yield_control
from proxyguard.instance.clock_watch import watch_clock
from proxyguard.instance.deploy import compile_sites
from proxyguard.instance.load_rules import load_tested
from proxyguard.instance.loaded_rules import LoadedRules, RulesRejected
from proxyguard.instance.policy_transfer import PolicyTransfer, join
from proxyguard.instance.reloader import Reloader
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.learning import Learning
from proxyguard.limits.stores.open import open_backend
from proxyguard.policy.compile.teardown import dismantle
from proxyguard.policy.sites import Policies
from proxyguard.settings.file import read_as_given
from proxyguard.telemetry.audit import AuditLog
from proxyguard.telemetry.audit_sums import RefusalSums
from proxyguard.telemetry.discretion import Discretion
from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.sealed import open_sealed

logger = logging.getLogger(__name__)

STANDARD_OUTPUT = "-"
"""The default of `audit.path`. mitmdump writes its flows there, which carry the decisions already: so it means no audit log."""


def open_instance(rules: str, config: str) -> AddonInstance:
    """An instance of the settings in a file (empty: the default one) with the rules of a folder (empty: that of the settings).

    Raises RulesRejected with all that is wrong with either.
    """
    overrides = {"rules": os.path.expanduser(rules)} if rules else {}  # noqa: PTH111 - a text as of the command line
    found = read_as_given(Path(config).expanduser() if config else None, os.environ, overrides)
    problems = list(found.problems)
    loaded = None
    try:
        if found.is_known("rules"):
            loaded = load_tested(found.settings.rules, preset=found.settings.preset)
    except RulesRejected as error:
        problems += error.problems
    if problems or loaded is None:
        raise RulesRejected(tuple(problems))
    try:
        return AddonInstance(found.settings, loaded)
    except OSError as error:
        raise RulesRejected((found.problem("audit.path", f"the audit log cannot be opened: {error}"),)) from error


class AddonInstance:
    """`services` are what flows need."""

    def __init__(self, settings: Settings, loaded: LoadedRules) -> None:
        """Compile the rules and open the audit log. Raises RulesRejected and OSError."""
        self._settings = settings
        self._secret = settings.key_secret.encode() if settings.key_secret else secrets.token_bytes(32)
        counts = self._counts = Metrics()
        policies = compile_sites(loaded.policy, settings, self._secret)
        self._origins = Origins(settings.origin, settings.identity, clock=CLOCK, wall=lambda: CLOCK.wall(CLOCK()))
        if policies.asks_origin:
            self._origins.prepare()
        self._audit: AuditLog | None = None
        if settings.audit.path != STANDARD_OUTPUT:
            sums = RefusalSums(settings.audit.refusals_per_second, counts.audit_record_summed)
            self._audit = AuditLog(settings.audit.path, counts.audit_records_dropped, sums)
        self._sealed = None if self._audit is None else open_sealed(settings.privacy, counts.audit_records_dropped)
        self._backend = open_backend(settings)
        self._guard = Guard(
            policies, self._backend.store, counts, self._audit, failure_mode=settings.failure_mode,
            audit_passes=settings.audit.passes, accounts=AccountCache(settings.counting.accounts),
            disclosure=Disclosure(settings.items), learning=Learning(CLOCK.wall),
            acquaintances=Acquaintances(self._secret, settings.counting.prefixes, CLOCK.wall),
            jars=Jars(settings.jar, self._secret, settings.counting.prefixes, CLOCK.wall),
            mazes=Mazes.of(settings, self._secret, counts.bound_exceeded),
            find_origin=self._origins.find, forms=Forms(self._secret, settings.counting.prefixes, CLOCK.wall),
            discretion=Discretion(settings.privacy, self._secret, settings.counting.prefixes), sealed=self._sealed,
        )  # fmt: skip
        self.services = AddonServices(settings, self._guard, counts)
        self._reloader = Reloader(
            settings.rules, settings.mode, PolicyTransfer.of(loaded, settings.mode), self._install, counts, preset=settings.preset
        )
        self._tasks: list[asyncio.Task[None]] = []
        in_force = self._reloader.current
        logger.info(
            "proxyguard: rules in %s, %s", settings.rules, ", ".join(f"{count} {mode}" for mode, count in in_force.counts.items())
        )

    def start(self) -> None:
        """Begin to watch the rule files and to keep the store."""
        self._tasks = [
            asyncio.create_task(each) for each in (self._backend.start(), self._reloader.watch(), watch_clock(self._counts))
        ]

    async def stop(self) -> None:
        """Let everybody go, write what is not written yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.services.answerer.close()
        self._origins.close()
        await self._backend.stop()
        if self._audit is not None:
            await asyncio.to_thread(self._audit.close)
        if self._sealed is not None:
            await asyncio.to_thread(self._sealed.close)

    async def _install(self, parts: list[bytes]) -> None:
        """Compile a policy in a thread and put it in force in one step. Raises RulesRejected."""
        with working_thread():
            policies = await asyncio.to_thread(self._compile, parts)
        replaced: list[Any] = [self._guard.policies]
        self._guard.swap(policies)
        with working_thread():
            await asyncio.to_thread(dismantle, replaced, yield_control)

    def _compile(self, parts: list[bytes]) -> Policies:
        loaded = join(parts)
        policies = compile_sites(loaded.policy, self._settings, self._secret, yield_control)
        if policies.asks_origin:
            self._origins.prepare()
        replaced: list[Any] = [loaded]
        del loaded
        dismantle(replaced, yield_control)
        return policies
