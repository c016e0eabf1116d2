"""The tables about addresses: a folder that is not there, and files that are none. What they say is unknown then."""

from __future__ import annotations

from collections.abc import Iterator

from proxyguard.core.decision import Mode
from proxyguard.core.origin_settings import OriginTables
from proxyguard.core.problems import Problem, quoted
from proxyguard.core.settings import Settings
from proxyguard.guard.origin.address_tables import AddressTables, TableUnusable
from proxyguard.guard.origin.origin_data import table_paths
from proxyguard.instance.preflight.concern import Concern, Weight
from proxyguard.policy.bundled import bundled_rule_sets
from proxyguard.policy.compile.compile import asks_any
from proxyguard.policy.model import Policy


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


def unanswered(origin: OriginTables, policy: Policy) -> Iterator[Problem]:
    """An operator's rules about countries and networks' owners that no table knows. Bundled rules do without."""
    country, asn = table_paths(origin)
    missing = {kind for kind, path in (("country", country), ("asn", asn)) if path is None}
    bundled = bundled_rule_sets() if missing else frozenset()
    for rule_set in policy.rule_sets:
        for rule in rule_set.rules if missing and rule_set.name not in bundled else ():
            for kind in sorted(asks_any(rule, missing)) if rule_set.mode_of(rule, Mode.ENFORCE) is not Mode.OFF else ():
                hint = f"origin: {{{kind}_file: {kind}.mmdb}}, or {kind}.mmdb in origin.directory"
                yield Problem(*rule.place, f"{quoted(rule.name)} asks for {kind}, and no table knows it: it is absent", hint)
