"""`proxyguard lists`: the published address lists and tables that identities and origins are found in."""

from __future__ import annotations

import json
from pathlib import Path
from time import time

import click
from rich.table import Table

from proxyguard.cli.echo import echo
from proxyguard.cli.options import config_option, fail, json_option, settings_or_exit
from proxyguard.cli.tables import print_table
from proxyguard.core.printable import printable
from proxyguard.core.settings import Settings
from proxyguard.guard.origin.origin_data import BUNDLED_LISTS, LISTS, OriginData, load_data, table_paths
from proxyguard.guard.origin.range_lists import DAY_SECONDS, HOSTING, RangeList, newest, read_lists
from proxyguard.guard.origin.updating import TABLES, NotInstalled, UpdateSources, host_of, update_list, update_table


@click.group()
def lists() -> None:
    """Show and update the address lists that identities are proven with.

    \b
    Example:
      proxyguard lists show
    """


@lists.command("show")
@config_option
@json_option
def show_lists(config: Path | None, *, as_json: bool) -> None:
    """Show each list and table: how old it is, where it comes from, and what it still says.

    \b
    Example:
      proxyguard lists show
    """
    settings = settings_or_exit(config)
    data, now = load_data(settings.origin), time()
    rows = [_row(each, settings, now) for each in data.ranges.lists]
    if as_json:
        echo(json.dumps({"lists": rows, "tables": _tables(settings, data), "faults": data.faults}))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("list", "networks", "published", "says", "licence", "source"):
        table.add_column(heading, justify="right" if heading == "networks" else "left")
    for row in rows:
        table.add_row(*(printable(str(row[key])) for key in ("name", "networks", "published", "says", "licence", "source")))
    print_table(table)
    for name, path in _tables(settings, data).items():
        echo(f"{name}: {path or 'no table: origin.' + name + '_file, or proxyguard lists update ' + name + ' --from FILE'}")
    for fault in data.faults:
        echo(f"warning: {fault}", err=True)


def _row(each: RangeList, settings: Settings, now: float) -> dict[str, str | int]:
    age = each.age_seconds(now)
    if each.name == HOSTING:
        says = "kind of network"
    elif age > settings.identity.prove_seconds:
        says = "nothing: too old"
    elif each.is_complete and age <= settings.identity.refute_seconds:
        says = "who is and who is not"
    else:
        says = "who is"
    return {
        "name": each.name, "networks": len(each.networks), "published": each.published.isoformat(),
        "days": int(age / DAY_SECONDS),
        "says": says, "licence": each.licence, "source": each.source, "update": each.update,
    }  # fmt: skip


def _tables(settings: Settings, data: OriginData) -> dict[str, str]:
    paths = table_paths(settings.origin)
    return {
        name: str(path) if path is not None and name in data.tables.built else ""
        for name, path in zip(TABLES, paths, strict=True)
    }


@lists.command("update")
@click.argument("names", nargs=-1)
@click.option("--from", "source", metavar="FILE|URL", help="Where to get the list from; for one name.")
@click.option("--force", is_flag=True, help="Take a list that has shrunk to less than half.")
@config_option
def update_lists(names: tuple[str, ...], source: str | None, config: Path | None, *, force: bool) -> None:
    """Install newer lists, and tables of countries and networks.

    Without names: all lists whose publisher has an address, of the hosts in `identity.update_hosts`. Nothing is fetched from
    other hosts. Lists go to `origin.directory`; a running instance takes them over within a minute. What is damaged or has shrunk
    to less than half is refused, and the last one stays.

    \b
    Exit code 0: all installed. 1: some were not, or the settings allow none.

    \b
    Examples:
      proxyguard lists update
      proxyguard lists update googlebot --from googlebot.json
      proxyguard lists update country --from geo-whois-asn-country.mmdb
    """
    settings = settings_or_exit(config)
    directory = settings.origin.directory
    if directory is None:
        fail(
            "error: there is no folder to install lists in\n"
            "  hint: set origin.directory, such as /var/lib/proxyguard/origin, for this command and the instance alike"
        )
    if source is not None and len(names) != 1:
        raise click.UsageError("--from goes with the name of one list")
    installed, faults = read_lists(directory / LISTS)
    known = newest(read_lists(BUNDLED_LISTS)[0].values(), installed.values())
    for path, why in faults.items():
        echo(f"warning: {path}: {why}", err=True)
    unknown = [name for name in names if name not in known and name not in TABLES]
    if unknown:
        fail(f"error: there is no list '{unknown[0]}'\n  hint: proxyguard lists show names them; country and asn are tables")
    sources = UpdateSources(frozenset(settings.identity.update_hosts))
    chosen = names or tuple(each.name for each in known.values() if each.update and sources.allows(each.update, each.update))
    if not chosen:
        hosts = sorted({host_of(each.update) for each in known.values()} - {""})
        fail(
            "error: no host may be asked for lists\n"
            f"  hint: identity.update_hosts: ['*'] allows the publishers of the lists: {', '.join(hosts)}"
        )
    failed = [name for name in chosen if not _update(name, known.get(name), source, directory, sources, force=force)]
    if failed:
        fail(f"{len(failed)} of {len(chosen)} not installed; their last versions stay")


def _update(
    name: str, known: RangeList | None, source: str | None, directory: Path, sources: UpdateSources, *, force: bool
) -> bool:
    """Whether one list or table was installed."""
    try:
        if known is None:
            if source is None:
                raise NotInstalled("a table has no address of its own: --from FILE or URL")  # noqa: TRY301 - said as others are
            update_table(name, source, directory, sources).close()
            echo(f"{name}: installed")
            return True
        where = source or known.update
        if not where:
            raise NotInstalled("its publisher has no address to fetch it from: --from FILE or URL")  # noqa: TRY301 - as above
        newer = update_list(known, where, directory, sources, time(), force=force)
    except NotInstalled as error:
        echo(printable(f"{name}: not installed: {error}"), err=True)
        return False
    echo(f"{name}: {len(newer.networks)} networks of {newer.published} (before: {len(known.networks)} of {known.published})")
    return True
