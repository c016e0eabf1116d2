"""Tables and lists of addresses that cannot be read, and the folder of them that is not there."""

from __future__ import annotations

from collections.abc import Iterator

from proxyguard.core.settings import Settings
from proxyguard.guard.origin.address_tables import AddressTables, TableUnusable
from proxyguard.guard.origin.origin_data import LISTS, table_paths
from proxyguard.guard.origin.range_lists import read_lists
from proxyguard.instance.preflight.concern import Concern, Weight

_LOSS_HINT = "what it has of addresses is unknown to rules meanwhile"


def folder(settings: Settings) -> Iterator[Concern]:
    """The folder of tables and lists, when it is not there: `lists update` makes it."""
    directory = settings.origin.directory
    if directory is None or directory.is_dir():
        return
    why, weight = "there is no such folder", Weight.DOUBT
    if directory.exists():
        why, weight = "it is not a folder", Weight.LOSS
    hint = "name another place" if weight is Weight.LOSS else "proxyguard lists update makes and fills it"
    yield Concern("origin.directory", f"origin.directory {directory}: {why}", hint, weight)


def tables(settings: Settings) -> Iterator[Concern]:
    """Files that are no tables or lists. An instance whose rules ask for them says so in its log when it starts."""
    origin = settings.origin
    country, asn = table_paths(origin)
    for path, given, key in ((country, origin.country, "origin.country_file"), (asn, origin.asn, "origin.asn_file")):
        try:
            AddressTables(path, None).close()
        except TableUnusable as error:
            hint = f"a file in MaxMind's format (MMDB); {_LOSS_HINT}"
            yield Concern(key if given is not None else "origin.directory", str(error), hint, Weight.LOSS)
    if origin.directory is not None:
        for file, why in read_lists(origin.directory / LISTS)[1].items():
            yield Concern("origin.directory", f"{file}: {why}", f"proxyguard lists update; {_LOSS_HINT}", Weight.LOSS)
