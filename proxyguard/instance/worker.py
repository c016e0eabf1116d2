"""One worker, from start to drained: carries traffic, installs policies, answers commands.

Runs alone (`single_process`) or as one of several under the supervisor (`worker_main`). Knows nothing of where rules come from.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pickle
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from proxyguard import __version__
from proxyguard.core.build_info import BUILD_KIND
from proxyguard.core.decision import Mode
from proxyguard.core.instance_secrets import Secrets
from proxyguard.core.settings import Listen, Settings
from proxyguard.instance.assembly import assemble
from proxyguard.instance.background import working_thread, yield_control
from proxyguard.instance.clock_watch import watch_clock
from proxyguard.instance.collector import send_metrics
from proxyguard.instance.control.order_log import OrderLog
from proxyguard.instance.control.server import Command, CommandError, ControlServer, MakeAdminPages
from proxyguard.instance.deploy import compile_sites
from proxyguard.instance.economy import economy
from proxyguard.instance.learned_commands import LearnedCommands
from proxyguard.instance.loaded_rules import LoadedRules, RulesRejected
from proxyguard.instance.neighbours import certificate_state, missing, store_state
from proxyguard.instance.policy_transfer import join, read_parts
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.stores.store import AsyncStore, Store
from proxyguard.policy.compile.network_table import NetworkTable
from proxyguard.policy.compile.teardown import dismantle
from proxyguard.policy.model import Policy, rules_by_mode
from proxyguard.policy.sites import Policies
from proxyguard.restrictions.active import on_from
from proxyguard.restrictions.preview import allowance_from
from proxyguard.telemetry.audit_records import Notice
from proxyguard.telemetry.latencies import quantiles
from proxyguard.telemetry.metric_families import Family
from proxyguard.telemetry.recent_records import records_since
from proxyguard.telemetry.shadow import TallyWindow

logger = logging.getLogger(__name__)


class _Ready(NamedTuple):
    """A compiled policy that only has to be swapped in."""

    policies: Policies
    allowed: NetworkTable
    shadow_marks: dict[str, int]


class Worker:
    """Carries traffic in one process. Implements `control.server.Instance` and `controller.Workers`."""

    def __init__(
        self,
        settings: Settings,
        loaded: LoadedRules,
        secrets: Secrets,
        store: Store | AsyncStore,
        *,
        admin: Listen | None,
        pages: MakeAdminPages | None = None,
        control: Path,
        sockets: tuple[socket.socket, ...] = (),
    ) -> None:
        """Compile the rules and open the audit log. Raises RulesRejected and OSError."""
        self.settings = settings
        self._secret = secrets.keys
        self._started = CLOCK()
        self._draining = self._listening = False
        self._hurried = asyncio.Event()
        self._watching: list[asyncio.Task[None]] = []
        self._installing = asyncio.Lock()
        parts = assemble(settings, loaded.policy, secrets, store, sockets)
        self.counts, self._tally, self._talkers, self._ban_hits = parts.counts, parts.tally, parts.talkers, parts.ban_hits
        self._audit, self._discretion, self._sealed, self._accounts = parts.audit, parts.discretion, parts.sealed, parts.accounts
        self.guard, self._accept_filter, self._front = parts.guard, parts.accept_filter, parts.front
        self._exporter, self._origins, self._robots = parts.exporter, parts.origins, parts.robots
        self._daily, self._kept = parts.learning.daily, parts.kept
        self._shadow_marks = shadow_marks(loaded.policy, settings.mode)
        orders = OrderLog() if pages is not None else None
        self._dashboard = pages(self, settings, self.counts, orders) if pages is not None and orders is not None else None
        self._control = ControlServer(
            self, admin, control, settings.admin_hosts,
            routes=self._dashboard.routes if self._dashboard else (), note_order=orders.note if orders else None,
        )  # fmt: skip
        self._commands: dict[str, Command] = {
            "install": self._install_file,
            "snapshot": self._snapshot,
            "tally": self._tally_window,
            "talkers": self._busiest,
            "whose": self._find_client,
            "ban-hits": self._hits_of_bans,
            "recent": self._recent,
            "decisions": self._decisions,
            "person": self._forget_person,
            "note": self._note,
            "forget": self._forget,
            "refresh-certificates": self._refresh,
            "reopen-logs": self._reopen,
            "hurry": self._hurry,
            "restrictions": self._switch_restrictions,
            "shadow": self._switch_shadow,
            "settings": self._apply_file,
            "restrictions-try": self._try_restriction,
            **LearnedCommands(parts.learning, parts.campaigns).commands,
        }
        self._report: Callable[[], dict[str, Any]] = dict

    def share_nonces(self, path: Path) -> None:
        """Remember the nonces of signatures together with other workers, in a file. Raises OSError."""
        self._origins.share_nonces(path, self._secret)

    @property
    def ready(self) -> bool:
        return self._listening and not self._draining

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the front listens, once started."""
        return tuple(str(address) for address in self._front.addresses)

    @property
    def admin_port(self) -> int | None:
        return self._control.port

    @property
    def commands(self) -> Mapping[str, Command]:
        return self._commands

    def offer(self, commands: Mapping[str, Command], report: Callable[[], dict[str, Any]]) -> None:
        """Add commands to the control socket, and the fields of `report` to `status`."""
        self._commands.update(commands)
        self._report = report

    async def start(self) -> None:
        """Bind everything. Raises OSError when an address is taken; nothing listens then."""
        self._control.start()
        try:
            await self._front.start()
        except BaseException:
            self._control.stop()
            raise
        self._listening = True
        if self._front.certificate_ends():
            about = "When the first of the certificates ends, Unix seconds."
            self.counts.gauge(
                "certificate_end_timestamp_seconds", about, lambda: min(self._front.certificate_ends(), default=0.0)
            )
        self._watching = [asyncio.create_task(each) for each in (watch_clock(self.counts), self._kept.watch())]
        if self._robots is not None:
            self._watching.append(asyncio.create_task(self._robots.run(self._front.ask_site)))
        if self._exporter is not None and self.settings.workers == 1:  # of several workers the supervisor sends their sum
            self._watching.append(asyncio.create_task(send_metrics(self.settings.otel, self._exporter, self._families)))
        gc.collect()
        gc.freeze()

    async def refresh_certificates(self) -> None:
        """Look for renewed certificates now, without waiting for the look of every minute."""
        self._front.refresh_certificates()

    async def reopen_logs(self) -> None:
        """Open the audit log again if it was moved, now."""
        self._audit.reopen()

    async def stop(self, hurried: asyncio.Event | None = None) -> None:
        """Let requests finish, at most for the drain time and until `hurried`, then close everything."""
        self._draining = True
        hurried = hurried or self._hurried
        logger.info("draining for at most %g s", self.settings.drain_seconds)
        await self._front.drain(self.settings.drain_seconds, hurried.is_set)
        if hurried.is_set():
            logger.info("asked again to stop: the drain has ended")
        if self._dashboard is not None:
            self._dashboard.stop()
        self._control.stop()
        for watching in self._watching:
            watching.cancel()
        await self._kept.save()
        self._origins.close()
        self._audit.close()
        if self._sealed is not None:
            self._sealed.close()
        if self._exporter is not None:
            await asyncio.to_thread(self._exporter.close)

    async def _families(self) -> list[Family]:
        return self.counts.snapshot()

    async def install(self, parts: list[bytes]) -> None:
        """Compile a policy in a thread and put it in force in one step. Raises RulesRejected."""
        async with self._installing:
            with working_thread():
                ready = await asyncio.to_thread(self._compile, parts)
            replaced: list[Any] = [self.guard.policies]
            self.guard.swap(ready.policies)
            self._accept_filter.swap(ready.allowed)
            for name, mark in ready.shadow_marks.items():
                if self._shadow_marks.get(name) != mark:
                    self._tally.forget(name, Mode.SHADOW)
            self._shadow_marks = ready.shadow_marks
            with working_thread():
                await asyncio.to_thread(dismantle, replaced, yield_control)

    async def apply(self, settings: Settings) -> None:
        """Take over those settings that a running instance can; the rules are compiled with them at their next install."""
        self.settings = settings
        self.guard.configure(settings.failure_mode, settings.audit.passes)
        self._accept_filter.configure(settings)
        self._front.configure(settings)
        self._control.configure(settings.admin_hosts)
        if self._dashboard is not None:
            self._dashboard.configure(settings)

    def _compile(self, parts: list[bytes]) -> _Ready:
        """Compile a policy from its parts. The policy itself is freed here, in the thread, not in the event loop."""
        loaded = join(parts)
        policies = compile_sites(loaded.policy, self.settings, self._secret, yield_control)
        if policies.asks_origin:
            self._origins.prepare()
        ready = _Ready(policies, self._accept_filter.table(loaded.policy), shadow_marks(loaded.policy, self.settings.mode))
        replaced: list[Any] = [loaded]
        del loaded
        dismantle(replaced, yield_control)
        return ready

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        from proxyguard.telemetry.exposition import exposition  # noqa: PLC0415 - one of several workers is never asked

        return exposition(self.counts.snapshot(), self.counts.exemplars(), accept)

    async def missing(self) -> list[str]:
        """What of `ready_when` is not well; nothing is asked when it is empty."""
        wanted = self.settings.ready_when
        return missing(wanted, await self.status()) if wanted else []

    async def status(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "build": BUILD_KIND,
            "pid": os.getpid(),
            "ready": self.ready,
            "uptime_seconds": round(CLOCK() - self._started, 1),
            "listen": self.addresses,
            "mode": self.settings.mode,
            "policy": self.guard.policies.digest,
            "rules": dict(self.counts.rules),
            "front": self._front.stats(),
            "upstreams": self._front.upstreams(),
            "upstream_errors_last_minute": self.counts.recent_errors.total(CLOCK()),
            "store": store_state(self.counts),
            "bounds": self._front.bounds_in_force,
            "certificates": [certificate_state(ends, CLOCK.wall(CLOCK())) for ends in self._front.certificate_ends()],
            "connections": self.counts.connections,
            "requests": self.counts.requests,
            "tarpits": self.counts.tarpits,
            "latencies": quantiles([self.counts.latencies(CLOCK())]),
            "audit": self._audit.state(),
            "tarpit_seconds": round(self.counts.tarpit_seconds(), 1),
            "economy": economy(self.counts, self.guard.policies.default, CLOCK.wall(CLOCK())),
            "internal_errors": dict(self.counts.internal_errors),
            **self._report(),
        }

    async def _install_file(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Install the policy that the supervisor wrote to its private folder."""
        try:
            await self.install(await asyncio.to_thread(read_parts, Path(str(arguments["file"]))))
        except RulesRejected as error:
            raise CommandError(error.report) from error
        return {"digest": self.guard.policies.digest}

    async def _apply_file(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Take over the settings that the supervisor wrote to its private folder."""
        data = await asyncio.to_thread(Path(str(arguments["file"])).read_bytes)
        await self.apply(pickle.loads(data).settings)  # noqa: S301 - written by our parent, mode 0600
        return {}

    async def window(self, *, enforced_only: bool) -> TallyWindow:
        """The clients that shadow rules would have stopped, and those that enforced rules stopped."""
        return await self._tally.window(enforced_only=enforced_only)

    async def forget(self, rule: str, mode: Mode) -> None:
        """Tally a rule from zero."""
        self._tally.forget(rule, mode)

    async def _tally_window(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return (await self.window(enforced_only=bool(arguments.get("enforced_only")))).as_data()

    async def _busiest(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Who talks most within a window, and how many requests came in each minute of the last day."""
        return {"window": self._talkers.window(str(arguments["window"])), "history": self._talkers.history()}

    async def _find_client(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = str(arguments["pseudonym"])
        return {"client": self._discretion.find(name) or self._talkers.find(name)}

    async def _forget_person(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What is known here of a client key or an account; with `erase` it is forgotten."""
        subject, erase = str(arguments["subject"]), bool(arguments.get("erase"))
        sessions = self._accounts.of_word(subject)
        if erase:
            self._discretion.forget(subject)
            if self._daily.forget(subject):
                await self._kept.save()
            for session in sessions:
                self._accounts.learn(session, "", 0.0)
        return {"sessions": sessions}

    async def _note(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Record what somebody did with the records, if this is the worker that is named; which one this is."""
        pid = os.getpid()
        noted = arguments.get("pid") == pid and self._audit.note(msgspec.convert(arguments["notice"], Notice))
        return {"pid": pid, "noted": noted}

    async def _hits_of_bans(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return self._ban_hits.as_data(arguments["keys"])

    async def _recent(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The last records since this worker's mark."""
        mark = int(arguments["marks"].get(str(os.getpid()), 0))
        records, missed = records_since(self._audit, mark, self._talkers.name)
        return {"pid": os.getpid(), "mark": self._audit.recorded, "records": records, "missed": missed}

    async def _decisions(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        """How often each rule decided, or would have."""
        return {"decisions": [[rule, mode, count] for (rule, _, mode), count in self.counts.decisions.items()]}

    async def _forget(self, arguments: dict[str, Any]) -> dict[str, Any]:
        await self.forget(str(arguments["rule"]), Mode(arguments["mode"]))
        return {}

    async def _switch_restrictions(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Take over which restrictions are on; returns what was counted for their alarms and roll-backs."""
        counts, restrictions = self.counts, self.guard.restrictions
        restrictions.switch(on_from(arguments["on"]))
        within = counts.upstream_head_seconds.counts
        return {
            "totals": [counts.requests, counts.site_answers, counts.site_errors, list(within)],
            "collateral": restrictions.collateral(),
            "refused": dict(restrictions.refused),
        }

    async def _switch_shadow(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Until `until` (on the line, 0: no longer) decide and record only; those who are held in tarpits are let go."""
        restrictions, now = self.guard.restrictions, CLOCK()
        was_on = now < restrictions.shadow_until
        restrictions.shadow_until = float(arguments["until"])
        if now < restrictions.shadow_until and not was_on:
            self._front.release_tarpits()
        return {}

    async def _try_restriction(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """How often each client asked within the last hour for what each allowance is about."""
        recent, now = self.guard.restrictions.recent, CLOCK()
        reads = [recent.reads(allowance_from(plain), now) for plain in arguments["allowances"]]
        return {"reads": [list(each) for each in reads], "not_kept": recent.not_kept(now)}

    async def broadcast(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        """Carry out a command as if it came by the control socket; for a controller in this process."""
        return [await self._commands[name](arguments)]

    async def _refresh(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        await self.refresh_certificates()
        return {}

    async def _reopen(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        await self.reopen_logs()
        return {}

    async def _hurry(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        """End the drain. A command and not a second SIGTERM: service managers send that to every process beside ours."""
        self._hurried.set()
        return {}

    async def _snapshot(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        counts = self.counts
        return {
            "families": counts.snapshot(),
            "exemplars": counts.exemplars(),
            "latencies": counts.latencies(CLOCK()),
            "status": await self.status(),
        }


def shadow_marks(policy: Policy, mode: Mode) -> dict[str, int]:
    """By name, a hash of what each rule in shadow looks at and would do. A rule whose hash is new is tallied anew."""
    shadowed = (rule for rule, effective in rules_by_mode(policy, mode) if effective is Mode.SHADOW)
    return {rule.name: hash((rule.when, rule.limit, rule.action)) for rule in shadowed}
