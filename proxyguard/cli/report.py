"""`proxyguard report`: what happened in a time, from the running instance, its audit log, or a log alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from time import time
from typing import Any, Final

import click
import msgspec

from proxyguard.cli.echo import echo
from proxyguard.cli.options import config_option, control_option, control_or_exit, fail, json_option
from proxyguard.core.address import Prefixes
from proxyguard.core.printable import printable_json
from proxyguard.core.pseudonym import PATTERN, Pseudonyms
from proxyguard.core.units import parse_duration
from proxyguard.instance.control.client import CommandRefused, ControlError, send_command
from proxyguard.policy.parse.lists import reason
from proxyguard.telemetry.rotated import BROKEN, lines_of, rotated_files
from proxyguard.tools.report.audit_facts import DAY_SECONDS, AuditFacts
from proxyguard.tools.report.build import shown_clients, traffic_report
from proxyguard.tools.report.sources import InstanceAnswers, ReportSources
from proxyguard.tools.report.text import text_report

MIN_SECONDS: Final = 60.0
"""The instance keeps totals by the minute."""

MAX_SECONDS: Final = 31 * DAY_SECONDS

MAX_FILES: Final = 1_000
"""Rotated ones of a log that are read, the newest."""

WINDOWS: Final = (("minute", 60.0), ("hour", 3600.0), ("day", DAY_SECONDS))

STANDARD_INPUT: Final = "-"


@click.command()
@click.option("--since", default="1h", show_default=True, help="How far back, 1m to 31d.")
@click.option(
    "--audit", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True),
    help="Audit log; - is standard input. Default: that of the running instance. Without --config and --control: it alone.",
)  # fmt: skip
@click.option("--html", "page", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write a page, too.")
@config_option
@control_option
@json_option
def report(
    since: str, audit: Path | None, page: Path | None, config: Path | None, control: Path | None, *, as_json: bool
) -> None:
    """Say whether something is going on, who it is, what was stopped, who gets through, whether people are hurt, what to do.

    Rates and the busiest come from the running instance; single refusals and clients from its audit log and the rotated files
    beside it. With --audit alone no instance is asked: the log may be of another machine. Clients are pseudonyms; those of a
    running instance are known to `bans add`.

    \b
    Examples:
      proxyguard report
      proxyguard report --since 15m --html report.html
      proxyguard report --since 1d --audit /var/log/proxyguard/audit.jsonl
      proxyguard report --json | jq -r '.next[].command'
    """
    seconds = _seconds(since)
    key = secrets.token_bytes(32)
    sources, ask = _sources(seconds, audit, config, control, key)
    names = _names(shown_clients(sources), sources.now, key, ask)
    made = traffic_report(sources, names)
    if page is not None:
        from proxyguard.tools.report.html import html_page  # noqa: PLC0415 - the text needs no templates: 0.1 s

        try:
            page.write_text(html_page(made), encoding="utf-8")
        except OSError as error:
            fail(f"error: --html {page}: {reason(error)}")
    if as_json:
        echo(printable_json(msgspec.json.encode(made)).decode())
    elif page is None:
        echo(text_report(made), nl=False)
    else:
        echo(f"wrote {page}")


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number and a unit, such as 5m, 24h or 7d", param_hint="--since") from None
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise click.BadParameter(f"{text} is not between 1m and 31d", param_hint="--since")
    return seconds


class _Asked:
    """A running instance that answers."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def __call__(self, command: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        """An answer. Raises ControlError."""
        return send_command(self._socket, command, arguments)

    def optional(self, command: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        """An answer, or nothing from an instance of another version, which does not know the command."""
        try:
            return self(command, arguments)
        except CommandRefused:
            return {}


def _sources(
    seconds: float, audit: Path | None, config: Path | None, control: Path | None, key: bytes
) -> tuple[ReportSources, _Asked | None]:
    """What the report is made of; ends the program when there is neither an instance nor a log."""
    notes: list[str] = []
    ask, instance, log_path = None, None, audit
    if audit is None or config is not None or control is not None:
        ask = _Asked(control_or_exit(config, control))
        try:
            instance, told = _ask(ask, seconds)
        except ControlError as error:
            ask = None
            log_path = audit or _configured_log(config)
            if log_path is None or not log_path.exists():
                fail(f"error: {error}\n  or name an audit log, which says what was recorded: --audit FILE")
            notes.append(f"no instance answers: {str(error).splitlines()[0]}")
        else:
            log_path = audit or _told_log(told, notes)
    now = time()
    facts: AuditFacts | None = None
    files: tuple[str, ...] = ()
    if log_path is not None:
        facts = AuditFacts(now, seconds, _prefixes(config), key)
        files = _read(log_path, facts, notes, is_needed=instance is None or audit is not None)
        if not files:
            facts = None
    return ReportSources(now=now, seconds=seconds, instance=instance, audit=facts, files=files, notes=tuple(notes)), ask


def _ask(ask: _Asked, seconds: float) -> tuple[InstanceAnswers, dict[str, Any]]:
    """What the instance says, and of its audit log. Raises ControlError."""
    window = next((name for name, length in WINDOWS if seconds <= length), "day")
    told = ask.optional("audit-log")
    answers = InstanceAnswers(
        top=ask("top", {"window": window}), status=ask("status"), shadow=ask.optional("shadow-report"),
        looked_up=told.get("looked_up"), passes=told.get("passes"),
    )  # fmt: skip
    return answers, told


def _told_log(told: dict[str, Any], notes: list[str]) -> Path | None:
    """The log that the instance writes, if it is a file."""
    path = told.get("path")
    if path == STANDARD_INPUT:
        notes.append("the instance writes its audit log to standard output; name the file that keeps it: --audit FILE")
    return None if path in (None, STANDARD_INPUT) else Path(str(path))


def _configured_log(config: Path | None) -> Path | None:
    from proxyguard.settings.file import read_as_given  # noqa: PLC0415 - a report of a named log needs no settings: 0.1 s

    path = read_as_given(config, os.environ).settings.audit.path
    return None if path == STANDARD_INPUT else Path(path)


def _prefixes(config: Path | None) -> Prefixes:
    """What counts as one client and one network, by the settings if there are any."""
    from proxyguard.settings.file import read_as_given  # noqa: PLC0415 - as above

    return read_as_given(config, os.environ).settings.counting.prefixes


def _read(log: Path, facts: AuditFacts, notes: list[str], *, is_needed: bool) -> tuple[str, ...]:
    """Read a log and the rotated files beside it; returns what was read. Ends the program when it `is_needed` and unreadable."""
    if str(log) == STANDARD_INPUT:
        for line in lines_of(None):
            facts.add(line)
        return ("standard input",)
    read = []
    try:
        files = rotated_files(log, min(period.begin for period in facts.periods))[: 1 + MAX_FILES]
    except OSError as error:
        files, why = [], reason(error)
    else:
        why = "no such file" if not log.exists() else "it is no file"
    for path in files:
        try:
            for line in lines_of(path):
                facts.add(line)
        except BROKEN as error:
            why = reason(error) if isinstance(error, OSError) else str(error)
            notes.append(f"{path} could not be read to its end: {why}")
            if path == log and isinstance(error, PermissionError):
                continue
        read.append(str(path))
    if not read:
        text = f"the audit log {log} cannot be read: {why}"
        if is_needed:
            fail(f"error: {text}\n  hint: who runs this command must be allowed to read it; name it with --audit")
        notes.append(text)
    return tuple(read)


def _names(clients: list[str], now: float, key: bytes, ask: _Asked | None) -> dict[str, str]:
    """A pseudonym for each client of a log, by the instance if it answers; those that are pseudonyms stay."""
    plain = [client for client in clients if not PATTERN.fullmatch(client)]
    answer = {} if ask is None or not plain else ask.optional("pseudonyms", {"clients": plain})
    given = answer.get("names", {})
    own = Pseudonyms(key)
    return {client: given.get(client) or own.name(client, now) for client in plain}
