"""Runs a scenario twice, with the firewall and without it, and scores what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from proxyguard.tools.range.firewall import Firewall, OpenGate
from proxyguard.tools.range.scenarios import CALM_DAY, Scenario
from proxyguard.tools.range.score import RunScore, score
from proxyguard.tools.range.tally import CohortTally
from proxyguard.tools.range.values import DAY_SECONDS, Arrival, Cohort, Draw, Presence
from proxyguard.tools.range.virtual import Progress, VirtualRun

MAX_DAYS: Final = 31

type Begun = Callable[[str, float], Progress | None]

type Free = dict[str, CohortTally]
"""What cohorts did without the firewall, by name: the same for all rules, for a scenario and a seed."""


def lengthened(scenario: Scenario, days: float) -> Scenario:
    """The calm day over so many days, or a part of one; other scenarios have their own length. Raises ValueError."""
    if days == 1:
        return scenario
    if scenario.name != CALM_DAY:
        raise ValueError(f"{scenario.name} has its own length; --days is for {CALM_DAY}")
    if not 0.0 < days <= MAX_DAYS:
        raise ValueError(f"{days:g} days: more than 0, at most {MAX_DAYS}")
    span = Presence(0.0, days * DAY_SECONDS, days)
    return replace(scenario, members=tuple((cohort, span) for cohort, _ in scenario.members), seconds=span.end)


def only(scenario: Scenario, names: Sequence[str]) -> Scenario:
    """The scenario with these cohorts alone. They do exactly what they do beside the others. Raises ValueError."""
    there = {cohort.name for cohort, _ in scenario.members}
    missing = [name for name in names if name not in there]
    if missing:
        raise ValueError(f"{scenario.name} has no cohort {missing[0]!r}; it has {', '.join(sorted(there))}")
    return replace(scenario, members=tuple(member for member in scenario.members if member[0].name in names))


def coming(scenario: Scenario, seed: int, begin: float = 0.0) -> list[tuple[Cohort, Iterator[Arrival]]]:
    """The cohorts of a scenario, each with its arrivals from `begin` on."""
    return [
        (cohort, (each for each in cohort.arrivals(span, Draw(seed, cohort.name)) if each.at >= begin))
        for cohort, span in scenario.members
    ]


def perform(scenario: Scenario, seed: int, firewall: Firewall) -> VirtualRun:
    """The run of a scenario, not begun yet."""
    return VirtualRun(coming(scenario, seed), firewall, scenario.orders, scenario.seconds, scenario.site)


def run_scenario(
    scenario: Scenario, seed: int, firewall: Firewall, preset: str = "", begun: Begun | None = None, free: Free | None = None
) -> RunScore:
    """Run it with the firewall, and then without it those cohorts that met it at all: the others would do the same again.

    Cohorts that are in `free` are not run without it once more, and those that are run come in.
    """
    guarded = perform(scenario, seed, firewall)
    guarded.run(begun("with the firewall", scenario.seconds) if begun else None)
    free = {} if free is None else free
    met = [tally.cohort.name for tally in guarded.tallies if tally.touched and tally.cohort.name not in free]
    if met:
        open_ = perform(only(scenario, met), seed, OpenGate())
        open_.run(begun("without it", scenario.seconds) if begun else None)
        free.update({tally.cohort.name: tally for tally in open_.tallies})
    return score(scenario, preset, seed, guarded.tallies, [free.get(each.cohort.name, each) for each in guarded.tallies])
