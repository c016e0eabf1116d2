"""`proxyguard emergency`: rules that act for a while against a swarm from many homes, and whom they would touch."""

from __future__ import annotations

from typing import Any, Final

import click

from proxyguard.cli.echo import echo
from proxyguard.cli.pause import pause_arguments, warn_unkept
from proxyguard.cli.running_instance import RunningInstance, instance_options
from proxyguard.core.printable import printable
from proxyguard.core.units import duration_text, format_time
from proxyguard.restrictions.pauses import EMERGENCY_SECONDS, MAX_SECONDS

CELLS_SHOWN: Final = 12

SPARED: Final = ("signed-in", "verified-bot", "known", "proven")
"""Whom no rule for emergencies touches."""


@click.group()
def emergency() -> None:
    """Have rules for emergencies act for a while, and see before whom they would touch.

    They refuse what is far more than usual from an owner of networks, of a kind of client, and of both. Who is signed in, was
    here on an earlier day or has a proven cookie jar, and verified bots, are never touched; others can be: look at the preview.

    \b
    Examples:
      proxyguard emergency preview
      proxyguard emergency on --for 2h --why "a swarm reads all profiles"
      proxyguard emergency off
    """


@emergency.command()
@instance_options
def preview(instance: RunningInstance) -> None:
    """Show whom emergency mode would touch: by rule within 24 hours, by owner and kind in this hour.

    \b
    Example:
      proxyguard emergency preview
    """
    for line in preview_lines(instance.ask("emergency-preview")):
        echo(line)


@emergency.command("on")
@click.option("--why", default="", help="The reason, for status and log.")
@click.option(
    "--for", "span", metavar="DURATION", default=duration_text(EMERGENCY_SECONDS), show_default=True,
    help=f"When it ends by itself; at most {duration_text(MAX_SECONDS)}.",
)  # fmt: skip
@instance_options
def on(instance: RunningInstance, span: str, why: str) -> None:
    """Have the rules for emergencies act, on all workers and on all instances that share a store. It ends by itself.

    Limits learn nothing meanwhile. Refused while nothing is known of what is usual: that takes three days.

    \b
    Example:
      proxyguard emergency on --for 2h --why "a swarm reads all profiles"
    """
    answer = instance.ask("emergency-on", pause_arguments(span, why))
    echo(f"emergency mode is on until {format_time(answer['until'])} UTC")
    for line in preview_lines(answer):
        echo(f"  {line}")
    warn_unkept(answer)


@emergency.command()
@instance_options
def off(instance: RunningInstance) -> None:
    """Have the rules for emergencies only record again, now.

    \b
    Example:
      proxyguard emergency off
    """
    answer = instance.ask("emergency-off")
    echo("emergency mode is off" if answer["was_on"] else "emergency mode was not on")
    warn_unkept(answer, ended=True)


@emergency.command()
@instance_options
def status(instance: RunningInstance) -> None:
    """Show whether emergency mode is on, until when, by whom and why.

    \b
    Example:
      proxyguard emergency status
    """
    answer = instance.ask("emergency-status")
    echo(emergency_text(answer["emergency"]) if answer["emergency"] else "off")


def emergency_text(order: dict[str, Any]) -> str:
    """An order in words."""
    why = f"by {printable(order['by'] or 'an unknown user')}; {printable(order['why'] or 'no reason given')}"
    return f"ON since {format_time(order['since'])} UTC, until {format_time(order['until'])} UTC: {why}"


def preview_lines(answer: dict[str, Any]) -> list[str]:
    """Whom emergency mode touches, or would, in words."""
    lines: list[str] = []
    if not answer["known"]:
        lines.append("nothing is known yet of what is usual in this hour: it would touch nobody, and cannot be switched on")
    lines.append("reads of items in this hour, by what clients have to show:")
    for standing, counts in answer["standings"].items():
        spared = "never touched" if standing in SPARED else "may be touched"
        lines.append(f"  {standing:<14} {counts['reads']:>9,} reads by about {counts['clients']:,} clients; {spared}")
    lines.append("would have been refused within 24 hours, while it was off:")
    for each in answer["rules"]:
        whom = f"{each['clients']:,} clients of {each['networks']:,} networks"
        of_them = f"; {each['protected_clients']:,} of them of protected classes" if each["protected_clients"] else ""
        lines.append(f"  {each['rule']:<28} {each['requests']:>9,} requests by {whom}{of_them}")
    refused = [cell for cell in answer["cells"] if cell["refused"]]
    lines.append("cells above their bound in this hour:" if refused else "no cell is above its bound in this hour; most reads:")
    for cell in (refused or answer["cells"])[:CELLS_SHOWN]:
        name = " ".join(printable(part) for part in cell["cell"])
        figures = f"{cell['reads']:,.0f} let through, {cell['refused']:,} more, usual {cell['usual']:,.0f}"
        lines.append(f"  {cell['rule']:<28} {name:<24} {figures}")
    return lines
