"""Lists of the addresses that operators publish for their bots: read, written, aged, and looked up.

A list file has one network a line below a head of `# key: value` lines. A list that is old proves nothing, and one that may be
incomplete or is not fresh refutes nobody: what is stale becomes unknown. Knows nothing of bots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from proxyguard.core.address import Network
from proxyguard.core.problems import Fault
from proxyguard.policy.compile.network_table import NetworkTable
from proxyguard.policy.parse.list_formats import address_part, list_entries

HOSTING: Final = "hosting"
"""The list of what anybody can rent."""

DAY_SECONDS: Final = 86_400.0
MAX_NETWORKS: Final = 100_000
"""Of one list; the longest that is published has about 11,000."""

MAX_LIST_BYTES: Final = 16 * 1024 * 1024

LEAST_BITS: Final = {4: 8, 6: 19}
"""The widest networks that a list may have: nobody's crawler has more than a /8. A list with one is damaged or hostile."""

_HEAD: Final = ("source", "update", "date", "licence", "complete")


class ListUnusable(Exception):
    """A list cannot be used; the text says why."""


class RangeList(NamedTuple):
    """One published list."""

    name: str
    networks: tuple[str, ...]
    published: date
    source: str = ""
    update: str = ""
    """Where a newer one can be fetched; empty: nowhere."""
    licence: str = ""
    is_complete: bool = False
    """Whether the operator publishes all addresses, so that others are forged."""

    def age_seconds(self, now: float) -> float:
        """Since the day of the list; `now` is Unix seconds. Less than nothing for one of the future."""
        day = datetime(self.published.year, self.published.month, self.published.day, tzinfo=UTC)
        return now - day.timestamp()


def parse_list(name: str, text: str) -> RangeList:
    """A list file. Raises ListUnusable."""
    head: dict[str, str] = {}
    for line in text.split("\n", 20)[:20]:
        key, mark, value = line.removeprefix("#").partition(":")
        if line.startswith("#") and mark and key.strip() in _HEAD:
            head[key.strip()] = value.strip()
    try:
        published = date.fromisoformat(head.get("date", ""))
    except ValueError:
        raise ListUnusable(f"{name} has no line '# date: YYYY-MM-DD'") from None
    return RangeList(
        name, parse_networks(text), published, head.get("source", ""), head.get("update", ""), head.get("licence", ""),
        head.get("complete") == "yes",
    )  # fmt: skip


def parse_networks(text: str) -> tuple[str, ...]:
    """The networks of a list in any form in which lists are published. Raises ListUnusable: for one bad entry all is refused."""
    if len(text) > MAX_LIST_BYTES:
        raise ListUnusable(f"it has more than {MAX_LIST_BYTES >> 20} MiB")
    found: dict[str, None] = {}
    try:
        entries = [(line, address_part(entry)) for line, _, entry in list_entries(text)]
    except Fault as fault:
        raise ListUnusable(f"it {fault.message}") from fault
    for line, address in entries:
        if address:
            found[_network(address, line)] = None
    if len(found) > MAX_NETWORKS:
        raise ListUnusable(f"it has more than {MAX_NETWORKS:,} networks")
    if not found:
        raise ListUnusable("it has no networks")
    return tuple(found)


def _network(text: str, line: int) -> str:
    try:
        network: IPv4Network | IPv6Network = ip_network(text, strict=False)
    except ValueError:
        raise ListUnusable(f"line {line}: {text[:60]!r} is not a network") from None
    if network.prefixlen < LEAST_BITS[network.version]:
        raise ListUnusable(f"line {line}: {network} is wider than any operator's network")
    if not network.is_global:
        raise ListUnusable(f"line {line}: {network} is not an address of the internet")
    return str(network)


def format_list(each: RangeList) -> str:
    """A list as a file."""
    head = {
        "source": each.source, "update": each.update, "date": each.published.isoformat(), "licence": each.licence,
        "complete": "yes" if each.is_complete else "no",
    }  # fmt: skip
    return "\n".join([*(f"# {key}: {value}" for key, value in head.items() if value), *each.networks]) + "\n"


def read_lists(directory: Path) -> tuple[dict[str, RangeList], dict[str, str]]:
    """All lists of a directory by name; and why some files cannot be used, by path."""
    found: dict[str, RangeList] = {}
    faults: dict[str, str] = {}
    for path in sorted(directory.glob("*.txt")):
        try:
            found[path.stem] = parse_list(path.stem, path.read_text("utf-8"))
        except (OSError, UnicodeError, ListUnusable) as error:
            faults[str(path)] = str(error)
    return found, faults


def newest(*sources: Iterable[RangeList]) -> dict[str, RangeList]:
    """The newest list of each name; of two of a day the later."""
    found: dict[str, RangeList] = {}
    for each in chain.from_iterable(sources):
        if each.name not in found or each.published >= found[each.name].published:
            found[each.name] = each
    return found


class RangeIndex:
    """Says which lists an address is in."""

    __slots__ = ("_table", "days", "lists", "numbers")

    def __init__(self, lists: Mapping[str, RangeList]) -> None:
        self.lists: tuple[RangeList, ...] = tuple(lists.values())
        self.numbers = {each.name: number for number, each in enumerate(self.lists)}
        self.days = tuple(-each.age_seconds(0.0) for each in self.lists)
        """When each list was published, Unix seconds."""
        self._table = NetworkTable(_numbered(self.lists))

    def find(self, address: int) -> tuple[int, ...]:
        """The numbers of the lists around an address of the common line."""
        return self._table.find(address)


def _numbered(lists: Iterable[RangeList]) -> Iterable[tuple[Network, int]]:
    return [(Network.parse(text), number) for number, each in enumerate(lists) for text in each.networks]
