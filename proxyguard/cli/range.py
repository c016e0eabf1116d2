"""The command that lets people and scrapers loose on rules: range."""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from proxyguard.cli.echo import echo
from proxyguard.cli.options import fail
from proxyguard.cli.range_guard import GuardFirewall
from proxyguard.cli.range_learn import learn
from proxyguard.cli.range_options import refuse_before, refuse_idle
from proxyguard.cli.range_wire import PEERS, front_of, peers_of, run_on_wire, run_peer
from proxyguard.cli.rules import policy_or_exit, rules_option
from proxyguard.core.preset import DEFAULT_PRESET, RulesPreset
from proxyguard.core.problems import nearest
from proxyguard.core.units import DURATION_HINT, duration_text, parse_duration
from proxyguard.policy.error import PolicyError
from proxyguard.policy.model import Policy
from proxyguard.tools.range.enforced import ENFORCED, enforced
from proxyguard.tools.range.held_out import SCENARIO as HELD_OUT
from proxyguard.tools.range.held_out import is_held_out
from proxyguard.tools.range.learning.cohort import with_learned
from proxyguard.tools.range.learning.learned import LearnedError, LearnedTraffic, read_learned
from proxyguard.tools.range.peers.fronts import PeerUnavailable
from proxyguard.tools.range.run import Begun, Free, lengthened, only, perform, run_scenario, without_adversaries
from proxyguard.tools.range.scenarios import CALM_DAY, GATED, SCENARIOS, Scenario
from proxyguard.tools.range.score import RunScore, gate_failures
from proxyguard.tools.range.text_report import text_report
from proxyguard.tools.range.virtual import Progress
from proxyguard.tools.range.wire import MAX_SECONDS

INTERRUPTED: Final = 130
MAX_SEED: Final = 2**31

OTHER_DAY: Final = 1_000
"""From the seed of a run to that of the days before it."""

ALL: Final = "all"
GATED_WORD: Final = "gated"


@click.group("range", invoke_without_command=True)
@click.pass_context
@rules_option
@click.option(
    "--scenario", "names", metavar="NAME", multiple=True, default=(CALM_DAY,), show_default=True,
    help=f"What happens; may be given several times. {ALL}: each of them; {GATED_WORD}: those with a gate. Names: "
    f"{', '.join(SCENARIOS)}.",
)  # fmt: skip
@click.option(
    "--cohort", "cohorts", metavar="NAME", multiple=True, help="Only this cohort of the scenario; may be given several times."
)
@click.option(
    "--learned", "learned_files", metavar="FILE", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
    help="The cohorts of this file come as well; `range learn` wrote it. May be given several times. What rules have learned: "
    "--with-history.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, MAX_SEED), default=1, show_default=True, help="The same seed, the same traffic.")
@click.option(
    "--days", type=float, default=1.0, show_default=True, help=f"How long {CALM_DAY} lasts; 0.25 is its first six hours."
)
@click.option(
    "--preset", "presets", type=click.Choice([*map(str, RulesPreset), ENFORCED]), multiple=True, default=(str(DEFAULT_PRESET),),
    show_default=True,
    help="How much the bundled rules do, as in the settings; enforced: everything that is in shadow acts. May be given several "
    "times.",
)  # fmt: skip
@click.option("--against", metavar="DIR", type=click.Path(path_type=Path), help="Run the rules of this folder too, and compare.")
@click.option(
    "--front", metavar="URL", help="Real sockets through this front on loopback, such as http://127.0.0.1:8080; no virtual clock."
)
@click.option(
    "--peer", "peers", metavar="NAME", multiple=True, type=click.Choice([ALL, *PEERS]),
    help=f"Another firewall under the same traffic, started for it; may be given several times: {', '.join(PEERS)}, {ALL}.",
)  # fmt: skip
@click.option(
    "--site-port", type=click.IntRange(1, 65_535), default=8079, show_default=True, help="Where the site behind --front listens."
)
@click.option(
    "--for", "duration", metavar="DURATION", default="60s", show_default=True, help="How long a run in real time lasts."
)
@click.option(
    "--with-history", is_flag=True,
    help="Begin as if there had been a week of days like this one, without adversaries: for limits that learn. Cohorts of your "
    "own: --learned.",
)  # fmt: skip
@click.option(
    "--emergency",
    is_flag=True,
    help="Switch emergency mode on when the scenario begins, with a history; see `proxyguard emergency`.",
)
@click.option("--for-tuning", is_flag=True, help="Refuse what rules are not tuned on: even seeds and the scenario held-out.")
@click.option("--gate", is_flag=True, help="Exit with 1 when a run does not hold what its scenario asks for.")
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write the figures; - is standard output.",
)
@click.option(
    "--html", "html_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write a report with pictures."
)
def range_(
    context: click.Context, directory: Path, names: tuple[str, ...], cohorts: tuple[str, ...],
    learned_files: tuple[Path, ...], seed: int, days: float, presets: tuple[str, ...], against: Path | None, front: str | None,
    peers: tuple[str, ...], site_port: int, duration: str, *, with_history: bool, emergency: bool, for_tuning: bool, gate: bool,
    json_file: Path | None, html_file: Path | None,
) -> None:  # fmt: skip
    """Let people and scrapers loose on the rules: who is hurt, and what leaks.

    A scenario is traffic whose truth is known: cohorts of people, of useful programs and of adversaries. It runs on a virtual
    clock against the guard that decides live, and without it, and every figure is by cohort. Nothing is sent anywhere, and
    nothing but the rules is read.

    Exit code 0: done. 1: the rules cannot be used, or with --gate, a gate failed. 2: the command line is wrong. 130: interrupted.

    \b
    Examples:
      proxyguard range
      proxyguard range --scenario residential-swarm --scenario quiet-harvest --html range.html
      proxyguard range --scenario july --rules rules.new --against rules
      proxyguard range --cohort office --seed 7 --json figures.json
    """
    if context.invoked_subcommand is not None:
        refuse_before(context, context.invoked_subcommand)
        return
    refuse_idle(context, front=front is not None, peers=peers_of(peers))
    if for_tuning:
        _refuse_held_out(names, seed)
    learned = _learned(learned_files)
    chosen = [_cut(scenario, cohorts, days, learned) for scenario in _chosen(names)]
    if front is not None:
        _write(_on_wire(chosen, seed, front_of(front), site_port, _seconds(duration)), json_file, html_file)
        return
    if peers:
        if len(presets) > 1:
            raise click.BadParameter("a peer is started with one preset", param_hint="--preset")
        _write(_by_peers(chosen, peers_of(peers), seed, _seconds(duration), directory, presets[0]), json_file, html_file)
        return
    policies = {preset: _prepared(directory, preset) for preset in presets}
    others = {preset: _prepared(against, preset) for preset in presets} if against is not None else {}
    logging.getLogger("proxyguard.telemetry.one_client").setLevel(logging.ERROR)  # all of loopback is one private network
    runs: list[RunScore] = []
    try:
        for scenario in chosen:
            free: Free = {}
            for preset, policy in policies.items():
                with _progress(f"{scenario.name} {preset}") as begun:
                    firewall = _firewall(policy, scenario, seed, with_history=with_history, emergency=emergency)
                    runs.append(run_scenario(scenario, seed, firewall, preset, begun, free))
                    beside = None
                    if preset in others:
                        against_it = _firewall(others[preset], scenario, seed, with_history=with_history, emergency=emergency)
                        beside = run_scenario(scenario, seed, against_it, preset, begun, free)
                if str(json_file) != "-":
                    _show(runs[-1], beside, against)
                echo(f"{scenario.name}: {_took(firewall, runs[-1])}", err=True)
    except KeyboardInterrupt:
        echo(f"interrupted: {len(runs)} of {len(chosen) * len(policies)} runs are whole; nothing was written", err=True)
        raise SystemExit(INTERRUPTED) from None
    except PolicyError as error:
        fail(str(error))
    _write(runs, json_file, html_file)
    failures = [f"{run.scenario.name}: {line}" for run in runs for line in gate_failures(run)] if gate else []
    if failures:
        fail("\n".join(["a gate failed:", *(f"  {line}" for line in failures)]))


def _took(firewall: GuardFirewall, run: RunScore) -> str:
    """What deciding took, and the whole run: not a part of the report, which is the same for the same seed."""
    requests = sum(row.requests for row in run.cohorts) or 1
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (
        f"{requests:,} decisions in {firewall.cpu_seconds:,.1f} s of CPU ({firewall.cpu_seconds / requests * 1e6:,.0f} µs each), "
        f"{firewall.store.stats().keys:,} counters; so far {usage.ru_utime + usage.ru_stime:,.0f} s of CPU and "
        f"{usage.ru_maxrss // 1024:,} MiB at most"
    )


def _firewall(policy: Policy, scenario: Scenario, seed: int, *, with_history: bool, emergency: bool) -> GuardFirewall:
    """The guard, with what it would know of the scenario's people and programs if they had been there before."""
    firewall = GuardFirewall(policy)
    if with_history or emergency:
        firewall.begin_learning()
        perform(without_adversaries(scenario), seed + OTHER_DAY, firewall).run()
        firewall.end_learning()
    if emergency:
        firewall.begin_emergency()
    return firewall


def _chosen(names: Sequence[str]) -> list[Scenario]:
    if ALL in names:
        return list(SCENARIOS.values())
    names = [each for name in names for each in (GATED if name == GATED_WORD else (name,))]
    for name in names:
        if name not in SCENARIOS:
            near = nearest(name, SCENARIOS)
            hint = f" Did you mean '{near}'?" if near else f" There are: {', '.join(SCENARIOS)}."
            raise click.BadParameter(f"there is no scenario {name!r}.{hint}", param_hint="--scenario")
    return [SCENARIOS[name] for name in dict.fromkeys(names)]


def _by_peers(
    scenarios: Sequence[Scenario], peers: Sequence[str], seed: int, seconds: float, rules: Path, preset: str
) -> list[RunScore]:
    runs: list[RunScore] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a peer is ended however this ends
    try:
        for scenario in scenarios:
            for peer in peers:
                try:
                    run, took = run_peer(peer, scenario, seed, seconds, rules, preset)
                except PeerUnavailable as error:
                    echo(f"left out: {error}", err=True)
                    continue
                runs.append(run)
                _show(run, None, None)
                echo(took)
    except KeyboardInterrupt:
        echo("interrupted: nothing was written", err=True)
        raise SystemExit(INTERRUPTED) from None
    if not runs:
        fail("none of these peers could be run here")
    return runs


def _on_wire(
    scenarios: Sequence[Scenario], seed: int, front: tuple[str, int, bool], site_port: int, seconds: float
) -> list[RunScore]:
    runs: list[RunScore] = []
    try:
        for scenario in scenarios:
            runs.append(run_on_wire(scenario, seed, front, site_port, seconds))
            _show(runs[-1], None, None)
    except KeyboardInterrupt:
        echo("interrupted: nothing was written", err=True)
        raise SystemExit(INTERRUPTED) from None
    except OSError as error:
        fail(f"the site cannot listen on 127.0.0.1:{site_port}: {error.strerror}; choose another --site-port")
    return runs


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not {DURATION_HINT}", param_hint="--for") from None
    if seconds > MAX_SECONDS:
        raise click.BadParameter(f"{text} is more than {duration_text(MAX_SECONDS)}", param_hint="--for")
    return seconds


def _refuse_held_out(names: Sequence[str], seed: int) -> None:
    if is_held_out(seed):
        raise click.BadParameter(f"{seed} is kept out of tuning, as every even seed is", param_hint="--seed")
    if {HELD_OUT, ALL} & set(names):
        raise click.BadParameter(f"{HELD_OUT} is kept out of tuning", param_hint="--scenario")


def _learned(paths: Sequence[Path]) -> list[LearnedTraffic]:
    """What the files hold. Raises BadParameter with the faults of all of them."""
    found, faults = [], []
    for path in paths:
        try:
            found.append(read_learned(path))
        except LearnedError as error:
            faults.append(str(error))
    if faults:
        raise click.BadParameter("\n".join(faults), param_hint="--learned")
    return found


def _cut(scenario: Scenario, cohorts: Sequence[str], days: float, learned: Sequence[LearnedTraffic]) -> Scenario:
    try:
        longer = lengthened(scenario, days)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--days") from error
    try:
        longer = with_learned(longer, learned) if learned else longer
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--learned") from error
    try:
        return only(longer, cohorts) if cohorts else longer
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--cohort") from error


def _prepared(directory: Path, preset: str) -> Policy:
    if preset == ENFORCED:
        return enforced(policy_or_exit(directory))
    return policy_or_exit(directory, RulesPreset(preset))


def _show(run: RunScore, other: RunScore | None, against: Path | None) -> None:
    for line in text_report(run):
        echo(line)
    if other is not None:
        echo(f"the same with the rules of {against}:")
        for line in text_report(other):
            echo(line)


def _write(runs: Sequence[RunScore], json_file: Path | None, html_file: Path | None) -> None:
    if json_file is not None:
        values = [run.as_dict() for run in runs]
        text = json.dumps(values[0] if len(values) == 1 else values, indent=2) + "\n"
        if str(json_file) == "-":
            echo(text, nl=False)
        else:
            _put(json_file, text)
    if html_file is not None:
        from proxyguard.tools.range.html_report import html_report  # noqa: PLC0415 - loads a template engine

        _put(html_file, html_report(runs))


def _put(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    echo(f"written: {path}", err=True)


@contextmanager
def _progress(name: str) -> Iterator[Begun | None]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - a fifth of a second that only a terminal needs
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - as above
    from rich.progress import Progress as Bar  # noqa: PLC0415 - as above

    bar = Bar(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    with bar:

        def begun(part: str, seconds: float) -> Progress:
            task = bar.add_task(f"{name} {part}", total=seconds)
            return lambda now: bar.update(task, completed=now)

        yield begun


range_.add_command(learn)
