"""Commands about shadow on a running instance: all rules at once, what shadow rules would have done, letting them act."""

from __future__ import annotations

import json
from time import time
from typing import Any, Final

import click
from rich.table import Table

from proxyguard.cli.completing import rule_names, shadow_rule_names
from proxyguard.cli.echo import echo
from proxyguard.cli.options import fail
from proxyguard.cli.pause import pause_arguments, pause_options, warn_unkept
from proxyguard.cli.running_instance import RunningInstance, instance_options
from proxyguard.cli.tables import print_table
from proxyguard.core.units import DURATION_HINT, format_time, parse_duration, span_text
from proxyguard.instance.control.client import ControlError

MAX_NAMES_SHOWN: Final = 12

NOTHING: Final = "nothing"
"""What a promotion of a rule that acts already does."""


@click.group()
def shadow() -> None:
    """Switch acting off and on for all rules, and report what shadow rules would have done.

    \b
    Examples:
      proxyguard shadow on --for 30m --why "people are refused"
      proxyguard shadow off
      proxyguard shadow report
    """


@shadow.command("on")
@pause_options
@instance_options
def switch_on(instance: RunningInstance, span: str, why: str) -> None:
    """The panic switch: from now on everything is decided and recorded, and nothing acts. It ends by itself.

    No rule, ban, tarpit, delay, restriction or failure mode stops a request meanwhile, in all workers and on all instances that
    share a store; limits go on counting, no new bans are made, and who is held in a tarpit is let go. Bounds on requests and
    connections stay. Giving it again replaces its end. It survives restarts with store.url, store.snapshot or restrictions.file.

    \b
    Example:
      proxyguard shadow on --for 2h --why "the new rules stop our app"
    """
    answer = instance.ask("shadow-on", pause_arguments(span, why))
    echo(f"nothing acts until {format_time(answer['until'])} UTC: everything is decided and recorded, and passes")
    if answer.get("replaced"):
        echo(f"  it was on already, until {format_time(answer['replaced'])} UTC: this takes its place")
    echo("  sooner: proxyguard shadow off; what would have been stopped: proxyguard shadow report")
    warn_unkept(answer)


@shadow.command("off")
@instance_options
def switch_off(instance: RunningInstance) -> None:
    """Have rules act again, on all instances that share a store. Rules that were paused by name stay paused.

    \b
    Example:
      proxyguard shadow off
    """
    answer = instance.ask("shadow-off")
    echo("rules act again" if answer["was_on"] else "it was not on: rules act")
    if answer["paused"]:
        echo(f"  still paused: {', '.join(answer['paused'])} (proxyguard resume --all)")
    warn_unkept(answer, ended=True)


@shadow.command()
@click.option("--full", is_flag=True, help="Show client addresses, not only their networks.")
@instance_options
def report(instance: RunningInstance, *, full: bool) -> None:
    """Show for each shadow rule what it would have stopped in the last 24 hours.

    Protected are clients of every class but anonymous. Only requests that no other rule stopped are counted. Networks are
    shown, not addresses, unless --full.

    \b
    Examples:
      proxyguard shadow report
      proxyguard shadow report --json | jq '.rules[] | select(.protected_clients > 0) | .rule'
    """
    answer = instance.ask("shadow-report", {"full": full})
    echo(f"since {format_time(answer['since'])} UTC ({span_text(time() - answer['since'])})", nl=False)
    echo(f", {answer['protected_clients_seen']} clients of protected classes seen")
    if answer["rules"]:
        print_table(table_of(answer["rules"], "busiest clients" if full else "busiest networks"))
    if answer["quiet"]:
        echo(f"would have stopped nobody: {some(answer['quiet'])}")
    if not (answer["rules"] or answer["quiet"]):
        echo("no rule is in shadow")
    if answer["left_out"]:
        echo(f"{answer['left_out']} hits of further rules are not in this report; metrics have their counts")


def some(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - MAX_NAMES_SHOWN} more (--json has all)" if len(names) > MAX_NAMES_SHOWN else ""
    return ", ".join(names[:MAX_NAMES_SHOWN]) + more


def table_of(rules: list[dict[str, Any]], top: str) -> Table:
    table = Table("rule", "requests", "clients", "networks", "protected clients", top, box=None, pad_edge=False)
    for column in table.columns[1:5]:
        column.justify = "right"
    for rule in rules:
        share = rule["protected_requests"] / rule["requests"]
        protected = f"{rule['protected_clients']} ({share:.1%} of requests)"
        busiest = ", ".join(f"{each['name']} {each['requests']}" for each in rule["top"][:3])
        counts = (str(rule[name]) for name in ("requests", "clients", "networks"))
        table.add_row(rule["rule"], *counts, protected, busiest)
    return table


def share_of(text: str) -> float:
    """`1%` or `0.01` as a share. Raises ValueError."""
    value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= value <= 1:
        raise ValueError(text)
    return value


@click.command()
@click.argument("rule", shell_complete=shadow_rule_names)
@click.option("--max-share", default="1%", show_default=True, help="Share of the protected clients that it may stop.")
@click.option("--watch", default="1h", show_default=True, help="How long to watch it; 0s: not at all.")
@click.option("--force", is_flag=True, help="Promote it whatever it would stop. It is watched all the same.")
@click.option("--dry-run", is_flag=True, help="Only say whether it would be promoted, and why.")
@instance_options
def promote(instance: RunningInstance, rule: str, max_share: str, watch: str, *, force: bool, dry_run: bool) -> None:
    """Let a shadow rule act: writes `mode: enforce` into its file, keeping every other byte, and reloads.

    Refused when in the last 24 hours it would have stopped more than --max-share of the clients of protected classes (every
    class but anonymous), and when there is too little to judge it by: less than 15 minutes in shadow, or an hour in which it
    would have stopped nobody. For the time of --watch it goes back to shadow by itself when it really stops more than that.
    Exit code 0: the rule acts, be it already. 1: it stays as it is.

    \b
    Examples:
      proxyguard promote too-suspicious --dry-run
      proxyguard promote too-suspicious --max-share 0.5% --watch 4h
    """
    try:
        share = share_of(max_share)
    except ValueError:
        raise click.BadParameter(f"{max_share!r} is not a share such as 1% or 0.01", param_hint="--max-share") from None
    try:
        seconds = 0.0 if watch in {"0", "0s"} else parse_duration(watch)
    except ValueError:
        raise click.BadParameter(f"{watch!r} is not {DURATION_HINT}", param_hint="--watch") from None
    arguments = {"rule": rule, "max_share": share, "watch_seconds": seconds, "force": force, "dry_run": dry_run}
    answer = changed(instance, "promote", arguments)
    if instance.as_json:
        echo(json.dumps(answer))
    elif answer.get("would") == NOTHING:
        echo("\n".join((*answer["lines"], *([f"  {answer['watch']}"] if answer["watch"] else []))))
    elif dry_run:
        echo("\n".join((f"{rule}: would {answer['would']}", *(f"  {line}" for line in (*answer["lines"], answer["watch"])))))
    else:
        echo("\n".join((f"{rule} acts from now on ({answer['file']})", *(f"  {line}" for line in answer["lines"]))))
        echo(f"  {answer['watch']}")
    if dry_run and answer["would"] not in ("promote", NOTHING):
        raise SystemExit(1)


@click.command()
@click.argument("rule", shell_complete=rule_names)
@instance_options
def demote(instance: RunningInstance, rule: str) -> None:
    """Put a rule back into shadow: at once in the running instance, and as `mode: shadow` in its file.

    When the file cannot be written, the rule is held in shadow until the instance ends or the rule is promoted.

    \b
    Example:
      proxyguard demote too-suspicious
    """
    answer = changed(instance, "demote", {"rule": rule})
    if instance.as_json:
        echo(json.dumps(answer))
    elif answer["trouble"]:
        echo(f"{rule} is in shadow in memory only; its file still says otherwise:\n{answer['trouble']}")
    else:
        echo(f"{rule} is in shadow{' already' if answer.get('already') else ''} ({answer['file']})")


def changed(instance: RunningInstance, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Send a command that reloads; ends the program with the message when the instance refuses it."""
    try:
        return instance.reload(name, arguments)
    except ControlError as error:
        if instance.as_json:
            echo(json.dumps({"rule": arguments["rule"], "error": str(error)}))
            raise SystemExit(1) from None
        fail(str(error))
