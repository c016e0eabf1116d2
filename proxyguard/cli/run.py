"""`proxyguard run`: the firewall itself. Writes to standard error where it listens and which rules are in force."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
import sys
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import NoReturn, Protocol

import click

from proxyguard import __version__
from proxyguard.cli.options import config_option, fail
from proxyguard.core.decision import Mode
from proxyguard.core.instance_secrets import Secrets
from proxyguard.core.preset import RulesPreset
from proxyguard.core.problems import format_report, plural
from proxyguard.core.settings import Settings
from proxyguard.instance.control.socket_file import control_path
from proxyguard.instance.load_rules import load_tested
from proxyguard.instance.loaded_rules import LoadedRules, RulesRejected
from proxyguard.instance.preflight.concern import Weight
from proxyguard.instance.preflight.run import check_settings
from proxyguard.instance.process import LoopSignals, StopRequests, configure_logging, end_process, loop_factory
from proxyguard.instance.service_manager import DRAINING, READY, ServiceManager
from proxyguard.instance.settings_reloader import ReadSettings
from proxyguard.instance.signals import STOPPING
from proxyguard.limits.stores.snapshot_seal import kept_secret
from proxyguard.policy.model import rules_by_mode
from proxyguard.settings.file import read_as_given, read_settings
from proxyguard.settings.given import SettingsAsGiven

logger = logging.getLogger(__name__)

MAX_NAMES_SHOWN = 12


@click.command()
@config_option
@click.option("--listen", metavar="HOST:PORT", help="Where clients connect. Default 0.0.0.0:8080.")
@click.option("--upstream", metavar="URL", help="The web server to protect, such as http://127.0.0.1:9000.")
@click.option("--rules", metavar="DIR", type=click.Path(path_type=Path), help="Folder of rule sets, or bundled. Default: rules.")
@click.option("--admin", metavar="HOST:PORT", help="Health and metrics. Default 127.0.0.1:9901.")
@click.option("--audit", metavar="FILE", help="Audit log; - is standard output, the default.")
@click.option("--mode", type=click.Choice([mode.value for mode in Mode]), help="enforce, or shadow: record, never act.")
@click.option(
    "--preset",
    type=click.Choice([preset.value for preset in RulesPreset]),
    help="How much the bundled rules do. Default: standard.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Processes. Default 1.")
def run(
    config: Path | None, listen: str | None, upstream: str | None, rules: Path | None, admin: str | None,
    audit: str | None, mode: str | None, preset: str | None, workers: int | None,
) -> None:  # fmt: skip
    """Run the firewall in front of a web server until SIGTERM, which lets requests finish.

    Options win over PROXYGUARD_* variables, which win over the settings file.

    \b
    Example:
      proxyguard run --listen 127.0.0.1:8080 --upstream http://127.0.0.1:9000 --rules rules
    """
    given = {
        "listen": listen, "upstream": upstream, "rules": rules, "admin": admin, "audit.path": audit, "mode": mode,
        "preset": preset, "workers": workers,
    }  # fmt: skip
    overrides = {name: str(value) for name, value in given.items() if value is not None}
    environ = dict(os.environ)
    found = read_as_given(config, environ, overrides)
    settings = found.settings
    loaded = _checked(found)
    kept = instance_secrets(settings)
    try:
        reading = partial(read_settings, config, environ, overrides)
        asyncio.run(serve(settings, loaded, kept, reading), loop_factory=loop_factory())
    except RulesRejected as error:
        fail(f"{error.report}\nproxyguard does not start with these rules.")
    except OSError as error:
        fail(f"error: cannot start: {error}{_hint(error)}")


def _checked(found: SettingsAsGiven) -> LoadedRules:
    """The rules of settings with which an instance can start; ends the program with all that is wrong with both otherwise.

    What can be done without is logged: a firewall that does not start takes the site with it.
    """
    weighed = check_settings(found, starts=True)
    problems = [*found.problems, *(each.problem for each in weighed if each.weight is Weight.FATAL)]
    of_settings = len(problems)
    loaded = None
    try:
        if found.is_known("rules"):
            loaded = load_tested(found.settings.rules, preset=found.settings.preset)
    except RulesRejected as error:
        problems += error.problems
    if not problems and not any(site.upstreams for site in found.settings.sites):
        fail(
            "error: there is no web server to protect\n"
            "  hint: --upstream http://127.0.0.1:9000, or `upstream:` in proxyguard.yaml"
        )
    if problems or loaded is None:
        what = "these rules" if not of_settings else "these settings" + (" and rules" if len(problems) > of_settings else "")
        fail(f"{format_report(problems)}\nproxyguard does not start with {what}.")
    configure_logging()
    for each in weighed:
        level = logging.WARNING if each.weight is Weight.DOUBT else logging.ERROR
        logger.log(level, "%s", each.problem.shown_on_a_line)
    return loaded


def _hint(error: OSError) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
        return (
            "\n  hint: something listens there already, perhaps another proxyguard (proxyguard status); choose other ports with"
            " --listen and --admin (make run: PORT=8081 ADMIN_PORT=9902)"
        )
    return ""


def instance_secrets(settings: Settings) -> Secrets:
    """The configured one; else what is signed lasts as long as the snapshot does, pseudonyms as long as the instance."""
    if settings.key_secret:
        return Secrets(settings.key_secret.encode(), settings.key_secret.encode())
    names = secrets.token_bytes(32)
    if settings.store.snapshot is None:
        return Secrets(names, names)
    try:
        kept = kept_secret(settings.store.snapshot)
    except OSError as error:
        logger.warning("cookie jars and tokens of forms end with this instance, as their secret cannot be kept: %s", error)
        return Secrets(names, names)
    return Secrets(blake2b(kept, digest_size=32, person=b"instance").digest(), names)


class StartedInstance(Protocol):
    """One worker in this process, or several under a supervisor."""

    @property
    def addresses(self) -> tuple[str, ...]: ...
    @property
    def admin_port(self) -> int | None: ...
    async def start(self) -> None: ...
    async def serve_until_stopped(self, stops: StopRequests, signals: LoopSignals) -> None: ...
    async def hurry(self) -> None: ...


def new_instance(settings: Settings, loaded: LoadedRules, kept: Secrets, read: ReadSettings) -> StartedInstance:
    """The kind that there is to be as many workers of. A supervisor loads no proxy: its workers do. Raises as the kinds do."""
    if settings.workers == 1:
        from proxyguard.instance.single_process import SingleProcess  # noqa: PLC0415 - loads the proxy

        return SingleProcess(settings, loaded, kept, read)
    from proxyguard.instance.supervisor import Supervisor  # noqa: PLC0415 - loads what one process needs none of

    return Supervisor(settings, loaded, kept, read)


async def serve(settings: Settings, loaded: LoadedRules, kept: Secrets, read: ReadSettings) -> NoReturn:
    """Run one worker here, or several under a supervisor, until asked to stop; then end the process with 0."""
    stops, signals, manager = StopRequests(), LoopSignals(), ServiceManager.of(os.environ)
    signals.on(STOPPING, lambda _: stops.add())
    instance = new_instance(settings, loaded, kept, read)
    if await started(instance, stops):
        sys.stderr.write(summary(settings, loaded, instance.addresses, instance.admin_port))
        sys.stderr.flush()
        manager.notify(READY)
        telling = asyncio.gather(manager.keep_alive(), _tell_stopping(manager, stops))
        await instance.serve_until_stopped(stops, signals)
        telling.cancel()
    end_process()


async def _tell_stopping(manager: ServiceManager, stops: StopRequests) -> None:
    await stops.asked.wait()
    manager.notify(DRAINING)


async def started(instance: StartedInstance, stops: StopRequests) -> bool:
    """Start an instance; False when asked to stop before it was up, and nothing of it is left. Raises OSError."""
    starting, asked = asyncio.ensure_future(instance.start()), asyncio.ensure_future(stops.asked.wait())
    await asyncio.wait((starting, asked), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if starting.done():
        starting.result()
        return True
    starting.cancel()
    hurrying = asyncio.create_task(_hurry(instance, stops))
    await asyncio.gather(starting, return_exceptions=True)
    hurrying.cancel()
    return False


async def _hurry(instance: StartedInstance, stops: StopRequests) -> None:
    """End the drain of what was up already, when asked a second time."""
    await stops.hurried.wait()
    await instance.hurry()


def summary(settings: Settings, loaded: LoadedRules, addresses: tuple[str, ...], admin_port: int | None) -> str:
    """The summary that is shown once after a start."""
    modes: dict[Mode, list[str]] = {mode: [] for mode in Mode}
    for rule, mode in rules_by_mode(loaded.policy, settings.mode):
        modes[mode].append(rule.name)
    upstreams = [str(upstream) for site in settings.sites for upstream in site.upstreams]
    counts = ", ".join(f"{len(names)} {mode}" for mode, names in modes.items())
    total = f"{plural(sum(map(len, modes.values())), 'rule')} ({counts})"
    files = [rule_set for rule_set in loaded.policy.rule_sets if not rule_set.common]
    lines = [
        f"proxyguard {__version__}",
        f"  listens on    {', '.join(addresses)} ({plural(settings.workers, 'worker')})",
        f"  protects      {', '.join(dict.fromkeys(upstreams))}",
        f"  rules         in {settings.rules}, preset {settings.preset}: {plural(len(files), 'rule set')}, {total}",
        f"  in shadow     {'everything: mode is shadow' if settings.mode is Mode.SHADOW else _some(modes[Mode.SHADOW])}",
        f"  admin         http://{settings.admin.host}:{admin_port} (dashboard), control socket {control_path(settings)}",
        f"  audit log     {'standard output' if settings.audit.path == '-' else settings.audit.path}",
        f"  if we fail    requests are {'forwarded (open)' if settings.failure_mode == 'open' else 'refused (closed)'}",
    ]
    return "\n".join(lines) + "\n"


def _some(names: list[str]) -> str:
    if not names:
        return "-"
    more = f" and {len(names) - MAX_NAMES_SHOWN} more" if len(names) > MAX_NAMES_SHOWN else ""
    return ", ".join(names[:MAX_NAMES_SHOWN]) + more
