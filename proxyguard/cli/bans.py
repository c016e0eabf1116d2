"""`proxyguard bans`: who is banned on the running instance, by whom, until when. Adds, lifts and exports bans."""

from __future__ import annotations

import json
import re
from pathlib import Path
from time import time
from typing import Any, Final

import click
from rich.table import Table

from proxyguard.cli.completing import banned
from proxyguard.cli.echo import echo
from proxyguard.cli.mistaken_address import refuse_mistaken
from proxyguard.cli.options import config_option, control_option, fail
from proxyguard.cli.running_instance import RunningInstance, call_instance, instance_options
from proxyguard.cli.tables import print_table
from proxyguard.core.printable import printable
from proxyguard.core.units import DURATION_HINT, format_time, parse_duration

BY_ADDRESS: Final = re.compile(r"(?:client|network):([0-9a-f.:/]+)")
"""Keys that a firewall or nginx can use."""


@click.group()
def bans() -> None:
    """List, add, remove and export bans on the running instance.

    WHO is an address, a network, a value of a header, cookie or query parameter, or a key as `bans list` shows it. On a store
    that several instances share, one command is enough for all.

    \b
    Examples:
      proxyguard bans list
      proxyguard bans add 203.0.113.9 --for 2h --note "ticket 4711"
      proxyguard bans add 203.0.113.0/24 --for 30m --then drop
      proxyguard bans remove 203.0.113.9
      proxyguard bans export --format nginx > /etc/nginx/banned.conf
    """


@bans.command("list")
@instance_options
def list_bans(instance: RunningInstance) -> None:
    """Show the bans in force, the last to end first: how often each was made, and how many requests and connections it refused.

    Refusals are counted since the instance started; `last seen` is the time of the last one (UTC).

    \b
    Example:
      proxyguard bans list --json
    """
    answer = instance.ask("bans-list")
    if not answer["bans"]:
        echo("no bans are in force")
        return
    table = Table(box=None, pad_edge=False)
    longest = max(len(ban["key"]) for ban in answer["bans"])
    table.add_column("banned", no_wrap=True, min_width=longest)  # whole, because `remove` takes it
    for heading in ("until (UTC)", "by rule", "gets", "times", "refused", "last seen", "note"):
        table.add_column(heading)
    for ban in answer["bans"]:
        last = format_time(ban["last_seen"])[11:] if ban["last_seen"] else "-"
        made = ban["key"], format_time(ban["until"]), ban["rule"], ban["then"], str(ban["strikes"])
        table.add_row(*made, f"{ban['hits']:,}", last, printable(ban["note"]))
    print_table(table)


@bans.command()
@click.argument("who")
@click.option("--for", "duration", metavar="DURATION", help="How long: 30m, 2h, 7d.", required=True)
@click.option(
    "--then",
    type=click.Choice(["reject", "tarpit", "drop"]),
    default="reject",
    show_default=True,
    help="What the banned get. drop refuses connections at accept, before TLS.",
)
@click.option("--note", default="", help="Why; shown in the list.")
@instance_options
def add(instance: RunningInstance, who: str, duration: str, then: str, note: str) -> None:
    """Ban an address, a network, a value or a key. It takes the place of a ban in force.

    An IPv6 address stands for its /64. A network stands for the /24s (IPv6: /48s) in it, or for the single clients when it is
    smaller; at most 256 of them. A value is remembered as a hash; some rule has to ban by that header, cookie or parameter.

    \b
    Examples:
      proxyguard bans add 2001:db8:7::1 --for 2h --note "ticket 4711"
      proxyguard bans add 203.0.112.0/20 --for 30m --then tarpit
      proxyguard bans add header.x-api-key=3f7ab1c0 --for 7d
    """
    refuse_mistaken(who, "WHO", networks=True)
    try:
        seconds = parse_duration(duration)
    except ValueError:
        raise click.BadParameter(f"{duration!r} is not {DURATION_HINT}", param_hint="--for") from None
    answer = instance.ask("bans-add", {"key": who, "seconds": seconds, "then": then, "note": note})
    made = answer["bans"]
    echo(f"{format_banned(who, [ban['key'] for ban in made])} banned until {format_time(made[0]['until'])} UTC ({then})")
    if answer["replaced"]:
        echo(f"  in place of {answer['replaced']} in force")
    warn_unsaved(answer)


@bans.command()
@click.argument("who", shell_complete=banned)
@instance_options
def remove(instance: RunningInstance, who: str) -> None:
    """Lift a ban, and forget how often it was made. WHO is as in `bans add`.

    Exit code 1 when there was none.

    \b
    Examples:
      proxyguard bans remove 203.0.113.9
      proxyguard bans remove network:203.0.113.0/24
    """
    refuse_mistaken(who, "WHO", networks=True)
    answer = instance.ask("bans-remove", {"key": who}, needs="removed")
    if not answer["removed"]:
        fail(f"{answer['keys'][0]} was not banned" if len(answer["keys"]) == 1 else f"nothing of {printable(who)} was banned")
    echo(f"{format_banned(who, answer['removed'])} no longer banned")
    warn_unsaved(answer)


@bans.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "text", "nginx"]),
    default="json",
    show_default=True,
    help="json: one object a line, all of it. text: addresses, for a list file. nginx: deny lines.",
)
@config_option
@control_option
def export(form: str, config: Path | None, control: Path | None) -> None:
    """Write the bans in force to standard output, for another program.

    Text and nginx have only bans of addresses and networks; how many others were left out is said on standard error.

    \b
    Examples:
      proxyguard bans export > bans.jsonl
      proxyguard bans export --format text > rules/lists/banned.txt
    """
    found = call_instance(config, control, "bans-list", {"clear": True})["bans"]
    if form == "json":
        for ban in found:
            echo(json.dumps(ban))
        return
    left_out = 0
    for ban in found:
        by_address = BY_ADDRESS.fullmatch(ban["key"])
        if by_address is None:
            left_out += 1
            continue
        why = printable(f"until {format_time(ban['until'])} UTC, {ban['rule']} {ban['note']}").rstrip()
        echo(f"deny {by_address[1]};  # {why}" if form == "nginx" else f"{by_address[1]}  # {why}")
    echo(f"# {len(found) - left_out} bans at {format_time(time())} UTC")
    if left_out:
        echo(f"left out: {left_out} bans of something else than an address", err=True)


def format_banned(who: str, keys: list[str]) -> str:
    """`client:192.0.2.7 is`, `192.0.2.0/28 (16 bans) are`."""
    return f"{keys[0]} is" if len(keys) == 1 else f"{printable(who)} ({len(keys)} bans) are"


def warn_unsaved(answer: dict[str, Any]) -> None:
    """Say so when it would not outlive a crash."""
    if not answer["saved"]:
        echo(f"  {answer['unsaved_because']}")
