"""`proxyguard restrict`: temporary restrictions on the running instance. Every one has an end."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time
from typing import Any, Final

import click
from rich.table import Table

from proxyguard.cli.completing import restriction_names, restrictions_on
from proxyguard.cli.echo import echo
from proxyguard.cli.running_instance import RunningInstance, instance_options
from proxyguard.cli.tables import print_table
from proxyguard.core.units import format_minute, format_time, parse_duration

DAY_SECONDS: Final = 86_400

class_option = click.option(
    "--class",
    "classes",
    multiple=True,
    metavar="CLASS=RATE",
    help="Limit a class: anonymous=300/day. May be given several times.",
)
path_option = click.option("--path-prefix", metavar="PATH", help="Only requests whose path begins so.")


@click.group()
def restrict() -> None:
    """List, try, start and end temporary restrictions. Each of them has an end.

    On a store that several instances share, one command is enough for all.

    \b
    Examples:
      proxyguard restrict list
      proxyguard restrict preview --class anonymous=100/hour
      proxyguard restrict start slow-reading
      proxyguard restrict start slow-search --class anonymous=60/hour --path-prefix /search/ --until 2h --why "Overloaded."
      proxyguard restrict end slow-search
    """


@restrict.command("list")
@instance_options
def list_restrictions(instance: RunningInstance) -> None:
    """Show all restrictions: which are on, why, until when, and whom they stopped.

    \b
    Example:
      proxyguard restrict list
    """
    answer = instance.ask("restrictions-list")
    if not answer["restrictions"]:
        echo("there are no restrictions")
        return
    table = Table("name", "state", "ends (UTC)", "refused", "what it does", box=None, pad_edge=False)
    for each in answer["restrictions"]:
        state = f"on, {each['reason']}" if each["on"] else f"off: {each['reason']}"
        ends = format_time(each["ends"]) if each["ends"] else "-"
        table.add_row(each["name"], state, ends, f"{each['refused']:,}" if each["on"] else "-", format_effect(each))
    print_table(table)


def format_effect(each: dict[str, Any]) -> str:
    """The limits, or who is refused by now."""
    if each["classes"]:
        return ", ".join(f"{name} {limit}" for name, limit in each["classes"].items())
    return f"refuses {', '.join(each['shedding'])}" if each["shedding"] else "sheds load"


@restrict.command()
@click.argument("name", required=False, shell_complete=restriction_names)
@class_option
@path_option
@instance_options
def preview(instance: RunningInstance, name: str | None, classes: tuple[str, ...], path_prefix: str | None) -> None:
    """Say whom a restriction would have touched within the last hour. Changes nothing.

    Of a condition only the paths are looked at; what else it asks is named, and then at most so many would have been touched.

    \b
    Examples:
      proxyguard restrict preview slow-reading
      proxyguard restrict preview --class anonymous=100/hour --class new=200/hour --path-prefix /posts/
    """
    if (name is None) is (not classes):
        raise click.UsageError("name a restriction, or say limits with --class; one of the two")
    arguments = {"name": name, "classes": limits_of(classes), "path_prefix": path_prefix}
    answer = instance.ask("restrictions-preview", arguments)
    table = Table("class", "limit", "clients seen", "would have touched", box=None, pad_edge=False)
    for each in answer["classes"]:
        table.add_row(each["class"], each["limit"], f"{each['seen']:,}", f"{each['touched']:,}")
    print_table(table)
    echo(f"in the last hour, as far as this instance ran; {answer['not_kept']:,} requests were not kept")
    if answer["left_out"]:
        echo(f"not looked at: {', '.join(answer['left_out'])}; so at most that many")
    elif not answer["exact"]:
        echo("counted by parts of the site, of which its paths are a part: so at most that many")


@restrict.command()
@click.argument("name", shell_complete=restriction_names)
@class_option
@path_option
@click.option("--until", metavar="WHEN", help="When it ends: 2h, 3d, or a time such as 2026-07-08T18:00Z. Needed with --class.")
@click.option("--why", default="", help="What those whom it stops read. Needed with --class.")
@instance_options
def start(
    instance: RunningInstance, name: str, classes: tuple[str, ...], path_prefix: str | None, until: str | None, why: str
) -> None:
    """Start a restriction that a rule file defines, or one given here.

    \b
    Examples:
      proxyguard restrict start sign-up-pause --until 30m
      proxyguard restrict start slow --class anonymous=300/day --class signed-in=6000/day --until 2h --why "Overloaded."
    """
    if classes and not why:
        raise click.UsageError("say --why: those whom it stops read it")
    if classes and not until:
        raise click.UsageError("say --until: what nobody ends stays for years")
    if path_prefix and not classes:
        raise click.UsageError("--path-prefix goes with --class; a restriction of a file has its own condition")
    arguments = {
        "name": name, "classes": limits_of(classes), "path_prefix": path_prefix, "why": why,
        "until": None if until is None else end_of(until),
    }  # fmt: skip
    answer = instance.ask("restrictions-start", arguments)
    echo(f"{name} is on until {format_time(answer['ends'])} UTC" if answer["on"] else f"{name} is off: {answer['reason']}")
    warn_unsaved(answer)


@restrict.command()
@click.argument("name", shell_complete=restrictions_on)
@instance_options
def end(instance: RunningInstance, name: str) -> None:
    """End a restriction now. One of a file stays off until it is started by command, or changed in its file.

    \b
    Example:
      proxyguard restrict end slow-search
    """
    answer = instance.ask("restrictions-end", {"name": name})
    echo(f"{name} has ended")
    warn_unsaved(answer)


def warn_unsaved(answer: dict[str, Any]) -> None:
    """Say so when a restart might forget it, or other instances not know."""
    if not answer["saved"]:
        echo("  not written to its file, or not known to the shared store yet: the log says which")


def limits_of(classes: tuple[str, ...]) -> dict[str, str]:
    """`anonymous=300/day` as a mapping."""
    limits: dict[str, str] = {}
    for text in classes:
        name, mark, rate = text.partition("=")
        if not (name and mark and rate):
            raise click.BadParameter(f"{text!r} is not CLASS=RATE, such as anonymous=300/day", param_hint="--class")
        if limits.setdefault(name, rate) != rate:
            raise click.BadParameter(f"{name!r} is limited twice: to {limits[name]}, and to {rate}", param_hint="--class")
    return limits


def end_of(text: str) -> float:
    """A duration from now, or a moment with its zone, as Unix seconds."""
    now = time()
    try:
        return now + parse_duration(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        example = f"{datetime.fromtimestamp(now + DAY_SECONDS, UTC):%Y-%m-%dT18:00Z}"
        raise click.BadParameter(f"{text!r} is neither a duration (2h) nor a time ({example})", param_hint="--until") from None
    as_utc = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    if as_utc <= now:
        raise click.BadParameter(f"{text!r} is past: it is {format_minute(now)}", param_hint="--until")
    if moment.tzinfo is None:
        hint = f"{moment.isoformat(timespec='auto' if moment.second else 'minutes')}Z"
        raise click.BadParameter(f"{text!r} has no time zone: {hint} is UTC", param_hint="--until")
    return as_utc
