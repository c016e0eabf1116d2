"""The tables, lists and rows that facts about origins are found in: read as one, replaced as one."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from proxyguard.core.origin_settings import OriginTables
from proxyguard.guard.origin.address_tables import AddressTables, TableUnusable
from proxyguard.guard.origin.bots import DATA, Claims, KnownBot, bundled_bots
from proxyguard.guard.origin.network_kinds import NetworkKinds, bundled_kinds
from proxyguard.guard.origin.range_lists import HOSTING, RangeIndex, newest, read_lists

logger = logging.getLogger(__name__)

BUNDLED_LISTS: Final = DATA / "ranges"
LISTS: Final = "ranges"
"""The folder of lists in the directory of the settings."""


class OriginData(NamedTuple):
    """Everything that facts are found in. Immutable once made."""

    claims: Claims
    by_directory: dict[str, KnownBot]
    """The bot of each host with a directory of keys."""
    ranges: RangeIndex
    tables: AddressTables
    kinds: NetworkKinds
    hosting: int | None
    """The number of the list of what anybody can rent."""
    faults: tuple[str, ...]
    """What could not be read, and why. Whatever depends on it is unknown."""


def table_paths(settings: OriginTables) -> tuple[Path | None, Path | None]:
    """The tables of countries and of autonomous systems; None: there is none."""
    found = []
    for path, name in ((settings.country, "country.mmdb"), (settings.asn, "asn.mmdb")):
        beside = None if settings.directory is None else settings.directory / name
        found.append(path if path is not None else beside if beside is not None and beside.exists() else None)
    return found[0], found[1]


def load_data(settings: OriginTables) -> OriginData:
    """Read everything; what cannot be read is left out and named."""
    faults: list[str] = []
    ranges, unread = _bundled_ranges()
    if settings.directory is not None and not settings.directory.is_dir():
        faults.append(f"{settings.directory} is no folder: only what comes with proxyguard is known")
    if settings.directory is not None:
        installed, unread = read_lists(settings.directory / LISTS)
        ranges = RangeIndex(newest(ranges.lists, installed.values())) if installed else ranges
    faults += [f"{path}: {why}" for path, why in unread.items()]
    country, asn = table_paths(settings)
    opened: list[Path | None] = []
    for path in (country, asn):
        try:
            AddressTables(path, None).close()
            opened.append(path)
        except TableUnusable as error:
            faults.append(str(error))
            opened.append(None)
    bots = bundled_bots()
    return OriginData(
        Claims(bots), {host: bot for bot in bots for host in bot.directories}, ranges, AddressTables(opened[0], opened[1]),
        bundled_kinds(), ranges.numbers.get(HOSTING), tuple(faults),
    )  # fmt: skip


@cache
def _bundled_ranges() -> tuple[RangeIndex, dict[str, str]]:
    """Those that come with proxyguard; they take a third of a second."""
    lists, unread = read_lists(BUNDLED_LISTS)
    return RangeIndex(lists), unread


def signature_of(settings: OriginTables) -> tuple[tuple[str, int, int], ...]:
    """Changes when a file of these does."""
    paths = [path for path in table_paths(settings) if path is not None]
    if settings.directory is not None:
        paths += sorted((settings.directory / LISTS).glob("*.txt"))
    found = []
    for path in paths:
        try:
            state = path.stat()
        except OSError:
            continue
        found.append((str(path), state.st_mtime_ns, state.st_ino))
    return tuple(found)
