"""Installs newer lists and tables, from files or from hosts that the operator allows, beside those that come with proxyguard.

What cannot be read as what it should be, or has shrunk to less than half, is refused, and the last one stays. A file is replaced
in one step; running instances take it over within a minute.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from proxyguard.guard.origin.address_tables import AddressTables, TableUnusable
from proxyguard.guard.origin.https_fetch import FetchFailed, fetch
from proxyguard.guard.origin.origin_data import LISTS
from proxyguard.guard.origin.range_lists import MAX_LIST_BYTES, ListUnusable, RangeList, format_list, parse_list, parse_networks

TABLES: Final = ("country", "asn")
"""Names of tables, which are installed as lists are."""

MAX_TABLE_BYTES: Final = 1024 * 1024 * 1024
TIMEOUT_SECONDS: Final = 120.0
LEAST_SHARE: Final = 2
"""A list may shrink to one such part of what it was."""


class NotInstalled(Exception):
    """Something was not installed; the text says why."""


class UpdateSources(NamedTuple):
    """Where lists may come from."""

    hosts: frozenset[str]
    """Hosts that may be asked; `*`: those of the lists' own sources."""
    fetch: Callable[[str, int], bytes] = lambda url, most: fetch(url, max_bytes=most, timeout_seconds=TIMEOUT_SECONDS)

    def allows(self, url: str, own: str) -> bool:
        """Whether an address may be asked. `own` is where the list's publisher has it."""
        host = host_of(url)
        return bool(host) and (host in self.hosts or ("*" in self.hosts and host == host_of(own)))

    def read(self, source: str, own: str, most: int) -> bytes:
        """The bytes of a file or an address. Raises NotInstalled."""
        if "://" not in source:
            try:
                with Path(source).open("rb") as file:
                    content = file.read(most + 1)
            except OSError as error:
                raise NotInstalled(f"{source} cannot be read: {error.strerror or error}") from error
            if len(content) > most:
                raise NotInstalled(f"{source} has more than {most:,} bytes")
            return content
        if not self.allows(source, own):
            host = host_of(source)
            if not host:
                raise NotInstalled(f"{source} is not the address of a file, such as https://example.org/list.json")
            raise NotInstalled(
                f"{host} is not one of identity.update_hosts; name it there, or get the file yourself: --from FILE"
            )
        try:
            return self.fetch(source, most)
        except FetchFailed as error:
            raise NotInstalled(str(error)) from error


def host_of(url: str) -> str:
    """The host of an address, with its port, in lower case; empty when it is none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def update_list(
    known: RangeList, source: str, directory: Path, sources: UpdateSources, now: float, *, force: bool = False
) -> RangeList:
    """Install a newer version of a list. `now` is Unix seconds. Raises NotInstalled."""
    text = sources.read(source, known.update, MAX_LIST_BYTES).decode("utf-8", "replace")
    try:
        newer = _dated(known, text, source, now)
    except ListUnusable as error:
        raise NotInstalled(f"{source}: {error}") from error
    before = len(known.networks)
    if len(newer.networks) * LEAST_SHARE < before and not force:
        raise NotInstalled(
            f"{source} has {len(newer.networks)} networks, and the list had {before}; --force takes it all the same"
        )
    _replace(directory / LISTS / f"{known.name}.txt", format_list(newer).encode())
    return newer


def _dated(known: RangeList, text: str, source: str, now: float) -> RangeList:
    """The list with its day: that of its head, where it has one, else today's. Raises ListUnusable."""
    today = datetime.fromtimestamp(now, UTC).date()
    if "\n# date:" in f"\n{text[:2000]}":
        found = parse_list(known.name, text)
        if found.published > today:
            raise ListUnusable(f"it is of {found.published}, which is in the future")
        if "://" in source:  # what was fetched does not say where to fetch from next
            return found._replace(update=known.update)
        return found._replace(update=found.update or known.update)
    networks = parse_networks(text)
    where = source if "://" in source else Path(source).name
    return known._replace(networks=networks, published=today, source=where, licence=known.licence)


def update_table(name: str, source: str, directory: Path, sources: UpdateSources) -> AddressTables:
    """Install a table; returns it open. Raises NotInstalled."""
    content = sources.read(source, "", MAX_TABLE_BYTES)
    target = directory / f"{name}.mmdb"

    def check(path: Path) -> None:
        try:
            with AddressTables(path if name == "country" else None, path if name == "asn" else None) as table:
                found = [table.find(address) for address in ("8.8.8.8", "1.1.1.1", "193.0.6.139")]
        except TableUnusable as error:
            raise NotInstalled(f"{source} is no table in MaxMind's format") from error
        if not any(each.country if name == "country" else each.asn for each in found):
            raise NotInstalled(
                f"{source} is a table, but not one of {'countries' if name == 'country' else 'autonomous systems'}"
            )

    _replace(target, content, check)
    return AddressTables(target if name == "country" else None, target if name == "asn" else None)


def _replace(path: Path, content: bytes, check: Callable[[Path], None] = lambda _path: None) -> None:
    """Write a file beside its place, look at it, and move it there. Raises NotInstalled."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        written = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            check(written)
            written.chmod(0o644)
            written.replace(path)
        finally:
            written.unlink(missing_ok=True)
    except OSError as error:
        raise NotInstalled(f"{path} cannot be written: {error.strerror or error}") from error
