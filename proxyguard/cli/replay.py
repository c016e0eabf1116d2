"""The command that runs rules over access logs: replay."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic, time
from typing import Any

import click

from proxyguard.cli.as_configured import as_configured, fitting
from proxyguard.cli.echo import echo
from proxyguard.cli.options import config_option, fail, json_option, paths_option, preset_option, robots_option
from proxyguard.cli.rules import policy_or_exit, rules_option
from proxyguard.core.address import Network
from proxyguard.core.origin import Origin
from proxyguard.core.printable import printable
from proxyguard.core.problems import Fault, Problem, format_report
from proxyguard.core.request import Request
from proxyguard.core.settings import Settings
from proxyguard.core.units import counted, duration_text, parse_duration
from proxyguard.instance.deploy import compile_sites
from proxyguard.instance.loaded_rules import RulesRejected
from proxyguard.policy.compile.compile import asks_origin
from proxyguard.policy.compile.pattern_set import compile_pattern
from proxyguard.policy.error import PolicyError
from proxyguard.policy.fields.host import read_host
from proxyguard.policy.fields.origin import CLAIMED_IDENTITY, IDENTITY, NETWORK_KIND, VERIFIED
from proxyguard.policy.fields.robots import ROWS as ROBOTS
from proxyguard.policy.model import FieldKind, Policy, Rule
from proxyguard.policy.parse.lists import reason
from proxyguard.policy.robots.robots_txt import RobotsTxt, whole_lines
from proxyguard.tools.replay.detect import Stated
from proxyguard.tools.replay.formats.audit import NAME as AUDIT
from proxyguard.tools.replay.formats.field_map import FieldMap, FieldsError, read_fields
from proxyguard.tools.replay.formats.registry import NAMES, formats_named
from proxyguard.tools.replay.judgeable import Judgeable, judgeable
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.log_files import Journal, LogFile, LogUnreadable, Mark, in_time_order
from proxyguard.tools.replay.order import MAX_REORDER_SECONDS, REORDER_SECONDS, LogDisordered
from proxyguard.tools.replay.report import Judged, replay_report
from proxyguard.tools.replay.report_values import ReplayReport
from proxyguard.tools.replay.run import Replay
from proxyguard.tools.replay.text_report import text_report

SECRET = b"replay"
"""Keys the hashes in the keys of a store that lives as long as one replay."""

RECORDED = (
    "these are the decisions that the audit log recorded; the rules were not run. Requests that passed by default are in it only "
    "as far as audit.passes has them; --re-decide runs the rules instead."
)
"""What to know about figures that come from our own audit log."""

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended."""


@click.command()
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@rules_option
@click.option(
    "--against", metavar="DIR", type=click.Path(path_type=Path),
    help="Compare with the rules of this folder: what would be newly stopped, and what no longer.",
)  # fmt: skip
@click.option(
    "--format", "log_format", metavar="NAME", type=click.Choice(NAMES),
    help="Format of the logs (docs/reference/log-formats.md). Default: detected from their first lines.",
)  # fmt: skip
@click.option(
    "--fields", metavar="PART=FIELD,...",
    help="Which field of a JSON log holds what: client=ClientHost,path=req.path,time=ts|time. Changes those of --format.",
)  # fmt: skip
@click.option(
    "--reorder", metavar="DURATION", default=duration_text(REORDER_SECONDS), show_default=True,
    help="Put lines that are out of order by less than this in the order of time.",
)  # fmt: skip
@click.option(
    "--re-decide", is_flag=True,
    help="Run the rules over an audit log too, instead of counting what was decided then.",
)  # fmt: skip
@click.option("--host", help="The host of requests, where the log does not have it.")
@click.option("--scheme", type=click.Choice(["http", "https"]), help="The scheme of requests, where the log does not have it.")
@click.option(
    "--forwarded-for", "forwarded", is_flag=True,
    help="The client is the last address of X-Forwarded-For, for logs written behind a proxy.",
)  # fmt: skip
@click.option(
    "--logged-in", metavar="REGEX",
    help="Lines that match are requests of logged-in people, as are lines with a user name.",
)  # fmt: skip
@click.option(
    "--verified", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="Addresses and networks, one a line, of clients known to be good.",
)  # fmt: skip
@click.option(
    "--html", "html_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="Write a report with pictures. Addresses are cut to /24 and /48.",
)  # fmt: skip
@click.option("--full-addresses", is_flag=True, help="Whole addresses in the HTML report.")
@config_option
@robots_option
@paths_option
@preset_option
@json_option
def replay(
    logs: tuple[str, ...], against: Path | None, log_format: str | None, fields: str | None,
    reorder: str, host: str | None, scheme: str | None, *, re_decide: bool, forwarded: bool, logged_in: str | None,
    verified: Path | None, html_file: Path | None, full_addresses: bool, config: Path | None, robots_txt: Path | None,
    as_json: bool, **_settings: object,
) -> None:  # fmt: skip
    """Run the rules over access logs: who would have been stopped, by which rule, and is it who you meant?

    LOG is an access log, plain or compressed (gz, bz2, xz), of one of the usual servers, load balancers and CDNs, also as
    Kubernetes, Docker or syslog keep it; - is standard input. Several are merged by time. Rules that look at what a log does not
    have are left out and named. Of proxyguard's own audit log, what was decided then is counted. Where there are settings, each
    host has the rules and the reading of paths of its site. Nothing is sent anywhere.

    Exit code 0: done. 1: rules or logs cannot be used. 2: the command line is wrong. 130: interrupted; the report is of what was
    read until then.

    \b
    Examples:
      proxyguard replay /var/log/nginx/access.log
      proxyguard replay access.log* --host www.example.org --scheme https --html report.html
      proxyguard replay access.log --rules rules.new --against rules
      proxyguard replay app.log --fields time=ts,client=ip,method=verb,path=url,user_agent=headers.ua
      zstdcat access.log.zst | proxyguard replay - --json > replay.json
    """
    if logs.count("-") > 1:
        raise click.UsageError("standard input can be read only once")
    host_name = _host(host)
    mark = _mark(logged_in)
    stated = Stated(log_format, forwarded, _fields(fields, log_format))
    window = _window(reorder)
    networks = _networks(verified)
    settings = as_configured(config)
    written = policy_or_exit(settings.rules, settings.preset)
    other = policy_or_exit(against, settings.preset) if against is not None else None
    try:
        files = [LogFile(name, stated, reorder=window) for name in logs]
    except LogUnreadable as error:
        fail(str(error))
    knowledge = _knowledge(files, host_name, scheme)
    audited = [file.format.name == AUDIT for file in files]
    recorded = all(audited) and not re_decide and other is None
    find_origin = None
    if any(map(asks_origin, _rules_of(written, other))):
        find_origin, of_origin = _origins(settings)
        knowledge = knowledge.given(*of_origin)
    find_robots = None if robots_txt is None else RobotsTxt(whole_lines(robots_txt.read_bytes())).judge_request
    knowledge = knowledge if find_robots is None else knowledge.given(*(row.kind for row in ROBOTS))
    cut = Judgeable(written, ()) if recorded else judgeable(written, knowledge)
    cut_other = judgeable(other, knowledge) if other is not None else None
    try:
        run = Replay(
            compile_sites(cut.policy, fitting(settings, cut.policy), SECRET),
            compile_sites(cut_other.policy, fitting(settings, cut_other.policy), SECRET) if cut_other is not None else None,
            verified=networks,
            host=host_name,
            scheme=(scheme or "https").encode(),
            recorded=recorded,
            find_origin=find_origin,
            find_robots=find_robots,
        )
    except RulesRejected as error:
        fail("\n".join(problem.message for problem in error.problems))
    if any(audited):
        run.findings.notes.append(RECORDED if recorded else _re_decided(cut, knowledge, everything=all(audited)))
    journal = Journal()
    interrupted = False
    with _progress(files, journal) as tick:
        try:
            run.run(in_time_order(files, journal, mark), tick)
        except KeyboardInterrupt:
            interrupted = True
            journal.notes.append("interrupted: the rest of the log was not read")
        except LogDisordered as error:
            fail(str(error))
    if not run.findings.requests:
        fail(_nothing_read(journal))
    report = replay_report(
        Judged(directory=str(settings.rules), policy=written, unjudged=cut.unjudged),
        Judged(directory=str(against), policy=other, unjudged=cut_other.unjudged) if other and cut_other else None,
        files, knowledge, journal, run.findings,
    )  # fmt: skip
    _write(report, html_file, full_addresses=full_addresses, as_json=as_json)
    if interrupted:
        raise SystemExit(INTERRUPTED)


def _rules_of(*policies: Policy | None) -> Iterator[Rule]:
    return (rule for policy in policies if policy is not None for rule_set in policy.rule_sets for rule in rule_set.rules)


def _origins(settings: Settings) -> tuple[Callable[[Request], Origin], tuple[str, ...]]:
    """Finds the origin of a logged request by the lists and tables of now, without DNS; and the fields that this answers."""
    from proxyguard.guard.origin.origins import Origins  # noqa: PLC0415 - only rules about origins need it

    found = Origins(settings.origin, replace(settings.identity, reverse_dns=False), clock=monotonic, wall=time)
    built = found.data.tables.built
    known = [NETWORK_KIND.kind, *(name for name in ("country", "asn") if name in built)]
    return found.find, (*known, VERIFIED.kind, IDENTITY.kind, CLAIMED_IDENTITY.kind)


def _write(report: ReplayReport, html_file: Path | None, *, full_addresses: bool, as_json: bool) -> None:
    if html_file is not None:
        from proxyguard.tools.replay.html_report import html_report  # noqa: PLC0415 - loads a template engine

        try:
            html_file.write_text(html_report(report, full_addresses=full_addresses), encoding="utf-8")
        except OSError as error:
            fail(f"{html_file}: {error.strerror}")
    if as_json:
        echo(json.dumps(report.as_dict(), indent=2))
        return
    for line in text_report(report):
        click.echo(click.style(printable(line.text), bold=True) if line.heading else printable(line.text))
    if html_file is not None:
        echo(f"\nwritten: {html_file}")


def _re_decided(cut: Judgeable, knowledge: Knowledge, *, everything: bool) -> str:
    """What to know when rules run over our own audit log."""
    why = "the rules were run anew" if everything else "the rules were run anew, as other logs are there too"
    lacking = f"{counted(len(cut.unjudged), 'rule')} cannot be judged from it: it does not have {knowledge.described()[1]}"
    return (
        f"{why}; what was decided then is left aside. An audit log has mostly requests that a rule decided, so that limits see "
        f"only a part of the traffic, and {lacking}. Do not read a smaller number as rules that stop less."
    )


def _fields(text: str | None, log_format: str | None) -> FieldMap:
    if text is None:
        return FieldMap()
    if log_format is not None and not formats_named(log_format)[0].takes_fields:
        raise click.BadParameter(f"the format {log_format} has its fields in fixed places", param_hint="--fields")
    try:
        return read_fields(text)
    except FieldsError as error:
        raise click.BadParameter(str(error), param_hint="--fields") from error


def _window(text: str) -> float:
    try:
        seconds = parse_duration("0s" if text == "0" else text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number and a unit, such as 30s or 5m", param_hint="--reorder") from None
    if seconds > MAX_REORDER_SECONDS:
        raise click.BadParameter(f"{text} is more than {duration_text(MAX_REORDER_SECONDS)}", param_hint="--reorder")
    return seconds


def _nothing_read(journal: Journal) -> str:
    first = journal.shown[0] if journal.shown else None
    example = f"\n  {first.file}:{first.line}: {first.reason}" if first else ""
    return f"no request could be read from {journal.lines:,} lines{example}"


def _knowledge(files: list[LogFile], host: bytes, scheme: str | None) -> Knowledge:
    """The fields that all logs have, or the operator gave."""
    given_fields = ([FieldKind.HOST] if host else []) + ([FieldKind.SCHEME] if scheme else [])
    known = files[0].format.knowledge.given(*given_fields)
    for file in files[1:]:
        known = known.common(file.format.knowledge.given(*given_fields))
    return known


def _host(text: str | None) -> bytes:
    if text is None:
        return b""
    try:
        return read_host(text).encode()
    except Fault as fault:
        raise click.BadParameter(f"{fault.message}; {fault.hint}", param_hint="--host") from fault


def _mark(pattern: str | None) -> Mark | None:
    if pattern is None:
        return None
    try:
        search: Callable[[bytes], Any] = compile_pattern(pattern.encode()).search
    except PolicyError as error:
        raise click.BadParameter(str(error), param_hint="--logged-in") from error
    return lambda line: search(line) is not None


def _networks(path: Path | None) -> tuple[Network, ...]:
    if path is None:
        return ()
    found: list[Network] = []
    problems: list[Problem] = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        fail(f"error: --verified {path} cannot be read: {reason(error)}")
    except UnicodeDecodeError:
        fail(f"error: --verified {path} is not UTF-8\n  hint: a text with an address or a network a line")
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                found.append(Network.parse(text))
            except ValueError:
                problems.append(Problem(str(path), number, 1, f"{text!r} is not an address or a network"))
    if problems:
        fail(format_report(problems))
    return tuple(found)


@contextmanager
def _progress(files: list[LogFile], journal: Journal) -> Any:
    """A bar on a terminal, nothing elsewhere; yields what to call now and then."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - a fifth of a second that only a terminal needs
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - as above

    total = sum(file.size for file in files) or None
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[lines]} lines"), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("replaying", total=total, lines="0")
        yield lambda: bar.update(task, completed=sum(file.position() for file in files), lines=f"{journal.lines:,}")
