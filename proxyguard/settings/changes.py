"""What of changed settings a running instance can take over, and what needs a restart.

Values in, values out. Which settings can be reloaded stands in `table`; what taking them over means is the instance's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, NamedTuple

from proxyguard.core.address import Prefixes
from proxyguard.core.settings import Settings, Site
from proxyguard.settings.table import SETTINGS

SITE_RELOADS: Final = ("rule_sets", "paths")
"""What of a site is taken over: what the rules are compiled with."""

_ONLY_SITE: Final = {"upstreams": "upstream"}
"""Attributes of a site that have another name in the settings."""


class Changes(NamedTuple):
    """The settings to go on with, and the names of those taken over and of those that need a restart, in the table's order."""

    settings: Settings
    applied: tuple[str, ...]
    restart: tuple[str, ...]


def changes(before: Settings, now: Settings) -> Changes:
    """What differs between the settings in force and those that were read now."""
    applied: list[str] = []
    restart: list[str] = []
    found = before
    for setting in SETTINGS:
        path = setting.attribute
        if not path or path == "sites" or part(before, path) == part(now, path):
            continue
        if not setting.reload:
            restart.append(setting.path)
        elif setting.path not in applied:
            applied.append(setting.path)
            found = with_part(found, path, part(now, path))
    sites, taken, left = _sites(before.sites, now.sites)
    return Changes(replace(found, sites=sites), (*applied, *taken), (*dict.fromkeys(restart), *left))


def part(value: Any, path: str) -> Any:
    """What stands at a dotted path."""
    for name in path.split("."):
        value = getattr(value, name)
    return value


def with_part(value: Any, path: str, new: Any) -> Any:
    """The value with something else at a dotted path."""
    name, _, rest = path.partition(".")
    changed = {name: with_part(getattr(value, name), rest, new) if rest else new}
    return value._replace(**changed) if isinstance(value, Prefixes) else replace(value, **changed)


def _sites(before: tuple[Site, ...], now: tuple[Site, ...]) -> tuple[tuple[Site, ...], list[str], list[str]]:
    """The sites to go on with; what was taken over of them, and what needs a restart."""
    if [site.hosts for site in before] != [site.hosts for site in now]:
        return before, [], ["sites"]
    kept: list[Site] = []
    taken: set[str] = set()
    left: set[str] = set()
    for old, new in zip(before, now, strict=True):
        differ = {name for name in Site.__dataclass_fields__ if getattr(old, name) != getattr(new, name)}
        taken |= differ & set(SITE_RELOADS)
        left |= differ - set(SITE_RELOADS)
        kept.append(replace(old, rule_sets=new.rule_sets, paths=new.paths))
    prefix = "" if len(now) == 1 and now[0].hosts == ("*",) else "sites: "
    return tuple(kept), _named(taken, prefix), _named(left, prefix)


def _named(attributes: set[str], prefix: str) -> list[str]:
    names = [name for name in Site.__dataclass_fields__ if name in attributes]
    return [prefix + _ONLY_SITE.get(name, name) for name in names]
