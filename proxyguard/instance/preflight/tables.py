"""The tables about addresses: a folder that is not there, and files that are none. What they say is unknown then."""

from __future__ import annotations

from collections.abc import Iterator

from proxyguard.core.settings import Settings
from proxyguard.guard.origin.address_tables import AddressTables, TableUnusable
from proxyguard.guard.origin.origin_data import table_paths
from proxyguard.instance.preflight.concern import Concern, Weight


def tables(settings: Settings) -> Iterator[Concern]:
    """An instance goes on without them, and says so in its log when rules ask where a client is."""
    origin = settings.origin
    if origin.directory is not None and not origin.directory.is_dir():
        hint = "proxyguard lists update fills it; until then only what comes with proxyguard is known"
        yield Concern("origin.directory", f"origin.directory: there is no folder {origin.directory}", hint, Weight.DOUBT)
    keys = ("origin.country_file", "origin.asn_file")
    for key, named, path in zip(keys, (origin.country, origin.asn), table_paths(origin), strict=True):
        try:
            AddressTables(path, None).close()
        except TableUnusable as error:
            place = key if named is not None else "origin.directory"
            yield Concern(place, f"{place}: {error}", "a table in MaxMind's format, .mmdb", Weight.LOSS)
