"""How the settings have rules applied, for commands that decide as the running instance does: by site, read as its server reads.

What is given on the command line comes before the settings. Where there are none, there is one site and the defaults hold.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click
from click.core import ParameterSource

from proxyguard.cli.echo import echo
from proxyguard.cli.options import fail
from proxyguard.core.decision import Mode
from proxyguard.core.preset import RulesPreset
from proxyguard.core.problems import format_report
from proxyguard.core.reading import PRESETS, SiteReading
from proxyguard.core.settings import Settings, Site
from proxyguard.policy.model import Policy
from proxyguard.policy.sites import HostTable


def as_configured(config: Path | None) -> Settings:
    """The settings, with the options `--rules`, `--preset` and `--paths` of the running command that were given.

    A file that was named and has problems ends the program; of one that was found here they are said, and the rest holds.
    """
    from proxyguard.settings.file import read_as_given  # noqa: PLC0415 - 0.1 s, which `explain --reference` need not take

    found = read_as_given(config, os.environ)
    if found.problems:
        report = format_report(found.problems)
        if config is not None:
            fail(report)
        echo(f"{report}the rest of the settings is gone by all the same", err=True)
    context = click.get_current_context()
    given = {
        name: value
        for name, value in context.params.items()
        if value is not None and context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    settings = replace(found.settings, mode=Mode.ENFORCE)
    if "directory" in given:
        settings = replace(settings, rules=given["directory"])
    if "preset" in given:
        settings = replace(settings, preset=RulesPreset(given["preset"]))
    if "paths" in given:
        sites = tuple(replace(site, paths=None) for site in settings.sites)
        settings = replace(settings, paths=PRESETS[given["paths"]], sites=sites)
    return settings


class SiteRules:
    """The rules of each site, and how it reads paths."""

    def __init__(self, policy: Policy, settings: Settings) -> None:
        self._default = policy, settings.paths
        entries: list[tuple[str, tuple[Policy, SiteReading]]] = []
        for site in fitting(settings, policy).sites:
            chosen = _chosen(policy, site), settings.reading_of(site)
            entries += [(host, chosen) for host in site.hosts]
        self._table = HostTable(entries)

    def of(self, host: bytes) -> tuple[Policy, SiteReading]:
        """Of the site that serves a lower-case host."""
        return self._table.find(host) or self._default


def fitting(settings: Settings, policy: Policy) -> Settings:
    """The settings for these rules: a site has all rule sets where they are other rules than those that its settings mean."""
    known = {rule_set.name for rule_set in policy.rule_sets}
    sites = tuple(site if known.issuperset(site.rule_sets or ()) else replace(site, rule_sets=None) for site in settings.sites)
    return replace(settings, sites=sites)


def _chosen(policy: Policy, site: Site) -> Policy:
    names = site.rule_sets
    if names is None:
        return policy
    return Policy(tuple(each for each in policy.rule_sets if each.common or each.name in names), policy.digest)
