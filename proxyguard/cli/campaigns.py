"""`proxyguard campaigns`: what looks like a campaign against the items of a site."""

from __future__ import annotations

from typing import Any, Final

import click
from rich.table import Table

from proxyguard.cli.echo import echo
from proxyguard.cli.running_instance import RunningInstance, instance_options
from proxyguard.cli.tables import print_table
from proxyguard.core.printable import printable
from proxyguard.core.units import format_time

SIGNS: Final = {
    "unproven": "reads of clients with neither account, cookie nor history",
    "sequence": "reads of the id after or before the client's last one",
    "neighbours": "reads of an id beside one that somebody else just read",
    "once": "items that nobody read again in the hour",
}
CELLS_SHOWN: Final = 12


@click.group()
def campaigns() -> None:
    """Show what looks like a campaign against the items of a site. Alarms only: nothing follows from them.

    \b
    Examples:
      proxyguard campaigns list
      proxyguard campaigns show people:unproven
    """


@campaigns.command("list")
@instance_options
def list_(instance: RunningInstance) -> None:
    """List the alarms of the last 24 hours, those that are on first.

    An alarm is on while there is more than twice of its sign than usual in this hour, and more of it among the reads. What is
    usual is known after three days.

    \b
    Example:
      proxyguard campaigns list --json
    """
    found = instance.ask("campaigns-list")["campaigns"]
    if not found:
        echo("no alarm within the last 24 hours")
        return
    table = Table("campaign", "", "since (UTC)", "last (UTC)", "reads", "of them", "usual", box=None, pad_edge=False)
    for column in table.columns[4:]:
        column.justify = "right"
    for each in found:
        table.add_row(
            each["name"], "on" if each["on"] else "over", format_time(each["began"]), format_time(each["last"]),
            f"{each['reads']:,.0f}", f"{each['count']:,.0f}", f"{each['usual']:,.0f}",
        )  # fmt: skip
    print_table(table)


@campaigns.command()
@click.argument("name")
@instance_options
def show(instance: RunningInstance, name: str) -> None:
    """Show the evidence of one alarm: who read, from where, and whom a restriction would touch.

    Figures are of the hour in which the alarm was last on.

    \b
    Example:
      proxyguard campaigns show people:unproven
    """
    for line in evidence_lines(instance.ask("campaigns-show", {"name": name})):
        echo(line)


def evidence_lines(each: dict[str, Any]) -> list[str]:
    """One alarm in words."""
    family, _, sign = each["name"].partition(":")
    state = "on" if each["on"] else f"over since {format_time(each['last'])} UTC"
    lines = [
        f"{each['name']}: {state}; began {format_time(each['began'])} UTC",
        f"  {each['count']:,.0f} of {each['reads']:,.0f} reads of {family}: {SIGNS[sign]}",
        f"  usual in this hour: {each['usual']:,.0f} of {each['usual_reads']:,.0f}",
        "who read, and whom a restriction of all of them would touch:",
    ]
    for standing, counts in each["standings"].items():
        lines.append(f"  {standing:<14} {counts['reads']:>9,} reads by about {counts['clients']:,} clients")
    lines.append("from where, by owner of the network and kind of client:")
    for cell in each["cells"][:CELLS_SHOWN]:
        owner = f"AS{cell['asn']} {printable(cell['owner'])}".rstrip() if cell["asn"] else "owner not known"
        lines.append(f"  {cell['reads']:>9,}  {owner}, {cell['kind']}")
    return [*lines, "nothing follows from an alarm; proxyguard emergency preview shows what emergency mode would refuse"]
