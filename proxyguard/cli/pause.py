"""`proxyguard pause` and `resume`: single rules of the running instance, for a while."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from typing import Any

import click

from proxyguard.cli.completing import paused_rules, rule_names
from proxyguard.cli.echo import echo
from proxyguard.cli.running_instance import RunningInstance, instance_options
from proxyguard.core.units import duration_text, format_time, parse_duration
from proxyguard.restrictions.pauses import DEFAULT_SECONDS, MAX_SECONDS


def pause_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --for and --why."""
    most, default = duration_text(MAX_SECONDS), duration_text(DEFAULT_SECONDS)
    command = click.option("--why", default="", help="The reason, for status and log.")(command)
    return click.option(
        "--for", "span", metavar="DURATION", default=default, show_default=True, help=f"When it ends by itself; at most {most}."
    )(command)


def pause_arguments(span: str, why: str) -> dict[str, Any]:
    """The arguments of a pause: for how long, why, by whom as far as this process knows."""
    try:
        seconds = parse_duration(span)
    except ValueError:
        raise click.BadParameter(f"{span!r} is not a number and a unit, such as 90s, 30m or 1d", param_hint="--for") from None
    if not 0 < seconds <= MAX_SECONDS:
        raise click.BadParameter(f"{span!r} is not between 1s and {duration_text(MAX_SECONDS)}", param_hint="--for")
    return {"seconds": seconds, "why": why, "by": user()}


def user() -> str:
    """Who calls: whoever became root with sudo, rather than root."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"  # a container may run as a user that has no name


def warn_unkept(answer: dict[str, Any], *, ended: bool = False) -> None:
    """Say so when a restart would forget it, unless it has `ended`, or other instances may not know yet."""
    if not answer["survives"]:
        if ended:
            return
        echo("  it ends with this instance: one of the settings store.url, store.snapshot or restrictions.file would keep it")
    elif not answer["saved"]:
        echo("  in force here, but not on the disk or not known to the shared store yet: the log says which")


@click.command()
@click.argument("rules", nargs=-1, required=True, metavar="RULE...", shell_complete=rule_names)
@pause_options
@instance_options
def pause(instance: RunningInstance, rules: tuple[str, ...], span: str, why: str) -> None:
    """Have rules only record for a while, as if they were in shadow. They act again by themselves.

    On all workers, and on all instances that share a store; no file is changed. As in shadow, a paused allow rule lets nobody
    through, and a paused score rule gives no points. Bans that a rule made before stay: proxyguard bans remove.

    \b
    Example:
      proxyguard pause too-suspicious sign-up-flood --for 1h --why "our app is refused"
    """
    answer = instance.ask("pause", {"rules": list(rules), **pause_arguments(span, why)})
    echo(f"paused until {format_time(answer['until'])} UTC: {', '.join(answer['rules'])}")
    for name, ended in answer.get("replaced", {}).items():
        echo(f"  {name} was paused already, until {format_time(ended)} UTC: this takes its place")
    for name in answer["allowing"]:
        echo(f"  {name} is an allow rule: what it let through meets the other rules meanwhile")
    for name, mode in answer["quiet"].items():
        echo(f"  {name} did not act anyway: its mode is {mode}")
    warn_unkept(answer)


@click.command()
@click.argument("rules", nargs=-1, metavar="RULE...", shell_complete=paused_rules)
@click.option("--all", "everything", is_flag=True, help="All rules that are paused.")
@instance_options
def resume(instance: RunningInstance, rules: tuple[str, ...], *, everything: bool) -> None:
    """Have paused rules act again now.

    \b
    Examples:
      proxyguard resume too-suspicious
      proxyguard resume --all
    """
    if bool(rules) is everything:
        raise click.UsageError("name rules, or say --all; one of the two")
    answer = instance.ask("resume", {"rules": list(rules), "all": everything})
    echo(f"no longer paused: {', '.join(answer['rules'])}" if answer["rules"] else "no rule is paused")
    if answer["switched_off"]:
        echo("  nothing acts all the same: proxyguard shadow off")
    warn_unkept(answer, ended=True)
