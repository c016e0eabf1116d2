"""`proxyguard top`: who talks most to the running instance, live in the terminal."""

from __future__ import annotations

import sys
from time import sleep, time
from typing import Any, Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from proxyguard.cli.echo import echo
from proxyguard.cli.running_instance import RunningInstance, instance_options
from proxyguard.core.printable import printable
from proxyguard.core.units import DURATION_HINT, format_size, parse_duration
from proxyguard.telemetry.talkers import LISTS, WINDOWS

HEADINGS: Final = {
    "clients": "clients (pseudonyms)", "networks": "networks", "user_agents": "user agents", "paths": "paths", "rules": "rules",
    "referers": "referring hosts", "sites": "sites", "robots": "bots that break robots.txt",
}  # fmt: skip

BARS: Final = " ▁▂▃▄▅▆▇█"

BAR_MINUTES: Final = 60

MIN_EVERY: Final = 0.5
"""Seconds between looks: each is a question to every worker."""

LIST_OPTION: Final = click.Choice(LISTS)


@click.command()
@click.option("--window", type=click.Choice(list(WINDOWS)), default="minute", show_default=True, help="How far to look back.")
@click.option("--list", "names", type=LIST_OPTION, multiple=True, help="Only this list; may be repeated. Default: all.")
@click.option("--rows", type=click.IntRange(1, 50), default=8, show_default=True, help="Names of each list.")
@click.option("--every", default="2s", show_default=True, help="Time between looks.")
@click.option("--once", is_flag=True, help="Print one look and end. So it does when the output is no terminal.")
@instance_options
def top(instance: RunningInstance, *, window: str, names: tuple[str, ...], rows: int, every: str, once: bool) -> None:
    """Show who talks most: clients, networks, user agents, paths, rules, referring hosts, sites, and bots that ask for
    what robots.txt forbids them, by class.

    Requests count when they are over, connections that a ban refuses at once. Clients are pseudonyms that change every day;
    `bans add` takes them. `+N` beside a count: it may be so many more, from before the name was among the busiest.

    \b
    Examples:
      proxyguard top
      proxyguard top --window hour --list networks --rows 30
      proxyguard top --once --json | jq '.user_agents[:3]'
    """
    question = {"window": window}
    if instance.as_json:
        instance.ask("top", question)
    seconds = pause(every)
    shown = names or LISTS
    if once or not sys.stdout.isatty():
        echo(plain(instance.ask("top", question), shown, rows), nl=False)
        return
    console = Console()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(screen(instance.ask("top", question), shown, rows, console.width), refresh=True)
                sleep(seconds)
    except KeyboardInterrupt:
        return


def pause(text: str) -> float:
    """The time between two looks, in seconds. Raises BadParameter when it is none, or too short."""
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not {DURATION_HINT}", param_hint="--every") from None
    if seconds < MIN_EVERY:
        raise click.BadParameter(f"{text} is less than {MIN_EVERY:g}s", param_hint="--every")
    return seconds


def headline(answer: dict[str, Any]) -> str:
    """The totals of a window on one line."""
    return (
        f"last {answer['window']}: {answer['requests_per_second']:,.1f} requests/s, {answer['refused_share']:.1%} refused, "
        f"{format_size(answer['bytes'])} sent, upstream busy for {answer['upstream_seconds']:,.1f} s"
    )


def bars(history: list[list[int]], now: float) -> str:
    """The requests of each of the last BAR_MINUTES as a line of bars, the highest as tall as a line is."""
    by_minute = {minute: requests for minute, requests, *_ in history}
    this = int(now // 60) * 60
    counts = [by_minute.get(this - 60 * ago, 0) for ago in range(BAR_MINUTES - 1, -1, -1)]
    highest = max(counts)
    if not highest:
        return ""
    return "".join(BARS[-(-count * (len(BARS) - 1) // highest)] for count in counts)


def plain(answer: dict[str, Any], names: tuple[str, ...], rows: int) -> str:
    """One look as text: a block for each list, a line for each name."""
    lines = [headline(answer)]
    for name in names:
        if answer[name]:
            lines += ["", f"{'requests':>12} {'refused':>8} {'bytes':>9}  {HEADINGS[name]}"]
            lines += [
                f"{counted(row):>12} {refused_share(row):>8} {format_size(row['bytes']):>9}  {row['name']}"
                for row in answer[name][:rows]
            ]
    return "\n".join(lines) + "\n"


def screen(answer: dict[str, Any], names: tuple[str, ...], rows: int, width: int) -> Group:
    """One look as a screen: lists side by side where there is room."""
    columns = 2 if width >= 120 and len(names) > 1 else 1
    grid = Table.grid(padding=(1, 3))
    tables = [list_table(name, answer[name][:rows], width // columns - 4) for name in names if answer[name]]
    for at in range(0, len(tables), columns):
        grid.add_row(*tables[at : at + columns])
    history = bars(answer["history"], time())
    return Group(
        Text(headline(answer), style="bold"),
        Text(f"requests a minute, last hour: {history}" if history else "no request within the last hour"),
        grid,
        Text("Ctrl-C ends", style="dim"),
    )


def list_table(name: str, rows: list[dict[str, Any]], width: int) -> Table:
    table = Table(box=None, pad_edge=False, width=width)
    table.add_column(HEADINGS[name], no_wrap=True, overflow="ellipsis", ratio=1)
    for heading in ("requests", "refused", "bytes"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        style = "red" if row["refused"] * 2 > row["requests"] else ""
        cells = (counted(row), refused_share(row), format_size(row["bytes"]))
        table.add_row(Text(printable(row["name"])), *cells, style=style)
    return table


def counted(row: dict[str, Any]) -> str:
    """A name's requests, and how many more it may have made before it was among the busiest."""
    more = row["requests_at_most"] - row["requests"]
    return f"{row['requests']:,}" + (f" +{more:,}" if more else "")


def refused_share(row: dict[str, Any]) -> str:
    return f"{row['refused'] / row['requests']:.0%}" if row["requests"] else "-"
