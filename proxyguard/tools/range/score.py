"""What came of a run, by cohort, and never in one number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from proxyguard.tools.range.proportions import upper_bound
from proxyguard.tools.range.scenarios import Gate, Scenario
from proxyguard.tools.range.tally import CohortTally
from proxyguard.tools.range.values import CohortKind

LET_THROUGH_SHARE: Final = 0.1
"""Of an adversary's requests, let pass by one rule: that rule is a hole."""


@dataclass(frozen=True, slots=True)
class CohortScore:
    """The figures of one cohort, as they are written to JSON. None: the figure does not exist, such as a price of no items."""

    name: str
    kind: str
    requests: int
    sessions: int
    refused_requests: int
    refused_sessions: int
    delayed_requests: int
    items: int
    items_unprotected: int
    first_action_seconds: float | None
    addresses_per_1000_items: float | None
    addresses_per_1000_items_unprotected: float | None
    cost_per_1000_items: float | None
    cost_per_1000_items_unprotected: float | None

    @property
    def leak(self) -> float | None:
        """Items with the firewall divided by items without."""
        return self.items / self.items_unprotected if self.items_unprotected else None

    @property
    def refused_share_bound(self) -> float:
        """The upper bound of the share of its sessions that are refused."""
        return upper_bound(self.refused_sessions, self.sessions)


@dataclass(frozen=True, slots=True)
class RunScore:
    """The figures of one run of a scenario, with what tables do not hold."""

    scenario: Scenario
    preset: str
    seed: int
    cohorts: tuple[CohortScore, ...]
    tallies: tuple[CohortTally, ...]
    unprotected: tuple[CohortTally, ...]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`. The keys are held by a test: other programs read them."""
        rows = [{key: _rounded(value) for key, value in asdict(row).items()} for row in self.cohorts]
        return {"scenario": self.scenario.name, "preset": self.preset, "seed": self.seed, "cohorts": rows}


def score(
    scenario: Scenario, preset: str, seed: int, tallies: Sequence[CohortTally], unprotected: Sequence[CohortTally]
) -> RunScore:
    """Put the sums with the firewall beside those without it, cohort by cohort."""
    rows = tuple(_row(with_it, without) for with_it, without in zip(tallies, unprotected, strict=True))
    return RunScore(scenario, preset, seed, rows, tuple(tallies), tuple(unprotected))


def _row(tally: CohortTally, without: CohortTally) -> CohortScore:
    return CohortScore(
        name=tally.cohort.name,
        kind=str(tally.cohort.kind),
        requests=tally.requests,
        sessions=tally.sessions,
        refused_requests=tally.refused_requests,
        refused_sessions=tally.refused_sessions,
        delayed_requests=tally.delayed_requests,
        items=tally.items,
        items_unprotected=without.items,
        first_action_seconds=tally.first_action_seconds,
        addresses_per_1000_items=_per_thousand(len(tally.addresses), tally.items),
        addresses_per_1000_items_unprotected=_per_thousand(len(without.addresses), without.items),
        cost_per_1000_items=_per_thousand(tally.dollars, tally.items),
        cost_per_1000_items_unprotected=_per_thousand(without.dollars, without.items),
    )


def _per_thousand(amount: float, items: int) -> float | None:
    return amount * 1000 / items if items else None


def _rounded(value: object) -> object:
    return round(value, 6) if isinstance(value, float) else value


def faults(run: RunScore) -> list[str]:
    """What is wrong with the rules, each fault named by the cohort that it shows in."""
    found: list[str] = []
    for row, tally in zip(run.cohorts, run.tallies, strict=True):
        if row.kind == CohortKind.LEGITIMATE:
            found += _harm(row, tally)
        elif tally.let_through:
            rule, count = tally.let_through.most_common(1)[0]
            if row.items and count >= row.requests * LET_THROUGH_SHARE:
                found.append(f"{row.name}: {count:,} of {row.requests:,} requests were let through by {rule}")
    return found


def _harm(row: CohortScore, tally: CohortTally) -> list[str]:
    """That a legitimate cohort was refused something, if it was."""
    if not row.refused_requests:
        return []
    rules = ", ".join(f"{rule} ({count:,})" for rule, count in tally.rules.most_common(3))
    return [f"{row.name}: {row.refused_sessions:,} of {row.sessions:,} sessions were refused something, by {rules}"]


def gate_failures(run: RunScore) -> list[str]:
    """What the scenario's gate asks for and the run does not show; none without a gate. Cohorts left out are not asked for."""
    gate = run.scenario.gate
    if gate is None:
        return []
    by_name = {row.name: row for row in run.cohorts}
    failures: list[str] = []
    if not gate.legitimate_refusals:
        for row, tally in zip(run.cohorts, run.tallies, strict=True):
            if row.kind == CohortKind.LEGITIMATE:
                failures += _harm(row, tally)
    failures += _bounds(gate, by_name)
    failures += [
        f"{name}: nothing was refused, so the fault was not found"
        for name in gate.finds
        if name in by_name and not by_name[name].refused_requests
    ]
    return failures


def _bounds(gate: Gate, by_name: dict[str, CohortScore]) -> list[str]:
    failures = []
    for name, bound in gate.leak:
        leak = by_name[name].leak if name in by_name else None
        if leak is not None and leak > bound:
            failures.append(f"{name}: {leak:.2%} of its items leaked; at most {bound:.2%} may")
    for name, seconds in gate.first_action_seconds:
        if name not in by_name:
            continue
        first = by_name[name].first_action_seconds
        if first is None or first > seconds:
            failures.append(f"{name}: first acted on after {first} s; {seconds} s is the most")
    return failures
