"""Compiles a policy for the sites of an instance. Swapping it in is the worker's part; on any error the last good one stays."""

from __future__ import annotations

from proxyguard.core.problems import Problem
from proxyguard.core.reading import SiteReading
from proxyguard.core.settings import Settings
from proxyguard.instance.loaded_rules import RulesRejected
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.compile.cooperative import YieldControl, never_yield
from proxyguard.policy.error import PolicyError
from proxyguard.policy.given import GIVEN_NAME
from proxyguard.policy.model import Policy
from proxyguard.policy.sites import HostTable, Policies


def compile_sites(policy: Policy, settings: Settings, secret: bytes, yield_control: YieldControl = never_yield) -> Policies:
    """One compiled policy per distinct choice of rule sets and reading of paths. Raises RulesRejected when a site names a set
    that is not there.

    `yield_control` is called between short steps, for a thread beside a serving loop.
    """
    everywhere = {rule_set.name for rule_set in policy.rule_sets if rule_set.common or rule_set.name == GIVEN_NAME}
    known = {rule_set.name for rule_set in policy.rule_sets} - everywhere
    compiled: dict[tuple[tuple[str, ...] | None, SiteReading], CompiledPolicy] = {}

    def compiled_for(names: tuple[str, ...] | None, reading: SiteReading) -> CompiledPolicy:
        if (names, reading) not in compiled:
            chosen = tuple(r for r in policy.rule_sets if names is None or r.name in everywhere or r.name in names)
            try:
                compiled[names, reading] = compile_policy(
                    Policy(chosen, policy.digest),
                    mode=settings.mode,
                    secret=secret,
                    prefixes=settings.counting.prefixes,
                    reading=reading,
                    yield_control=yield_control,
                )
            except PolicyError as error:
                raise RulesRejected((Problem(str(settings.rules), 0, 0, str(error)),)) from error
        return compiled[names, reading]

    entries: list[tuple[str, CompiledPolicy]] = []
    for site in settings.sites:
        for name in site.rule_sets or ():
            if name not in known:
                hint = f"rule sets in {settings.rules}: {', '.join(sorted(known)) or 'none'}"
                message = f"site {site.hosts[0]}: there is no rule set {name!r}"
                raise RulesRejected((Problem("proxyguard.yaml", 0, 0, message, hint),))
        entries += [(host, compiled_for(site.rule_sets, settings.reading_of(site))) for host in site.hosts]
    default = compiled_for(None, settings.paths)
    every = compiled.values()
    return Policies(
        policy.digest, HostTable(entries), default,
        asks_origin=any(each.asks_origin for each in every), asks_robots=any(each.asks_robots for each in every),
    )  # fmt: skip
