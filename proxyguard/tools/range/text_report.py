"""A run as text for a terminal: one line a cohort, and what does not fit into a line below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proxyguard.core.units import duration_text
from proxyguard.tools.range.latency import Latencies
from proxyguard.tools.range.score import CohortScore, RunScore, faults
from proxyguard.tools.range.tally import CohortTally
from proxyguard.tools.range.values import CohortKind

LEGITIMATE_HEAD = (
    "people and programs",
    "sessions",
    "requests",
    "refused",
    "sessions refused",
    "at most (95 %)",
    "delayed",
    "waited",
)
ADVERSARY_HEAD = (
    "adversaries", "requests", "refused", "items", "without", "leaked", "first action", "addresses/1000", "without",
    "$/1000", "without",
)  # fmt: skip


def text_report(run: RunScore) -> Iterator[str]:
    """The lines of the report."""
    rules = f", preset {run.preset}" if run.preset else ""
    yield f"scenario {run.scenario.name} (seed {run.seed}{rules}): {run.scenario.about}"
    people = [(row, tally) for row, tally in zip(run.cohorts, run.tallies, strict=True) if row.kind == CohortKind.LEGITIMATE]
    yield ""
    if people:
        yield from table(LEGITIMATE_HEAD, [_legitimate(*each) for each in people])
        hurt = sum(row.refused_sessions for row, _ in people)
        sessions = sum(row.sessions for row, _ in people)
        yield f"  {hurt:,} of {sessions:,} legitimate sessions in {len(people)} cohorts were refused something"
        yield ""
    scrapers = [row for row in run.cohorts if row.kind != CohortKind.LEGITIMATE]
    if scrapers:
        yield from table(ADVERSARY_HEAD, [_adversary(row) for row in scrapers])
        yield from (f"  {line}" for line in besides(run))
        yield ""
    found = faults(run)
    if found:
        yield "Found"
        yield from (f"  {fault}" for fault in found)
        yield ""


def besides(run: RunScore) -> Iterator[str]:
    """What the tables do not hold: the site's CPU that scrapers took, and how soon a shared address recovered."""
    people = sum(tally.site_seconds for tally in run.tallies if tally.cohort.kind is CohortKind.LEGITIMATE)
    with_it = sum(tally.site_seconds for tally in run.tallies if tally.cohort.kind is CohortKind.ADVERSARY)
    without = sum(tally.site_seconds for tally in run.unprotected if tally.cohort.kind is CohortKind.ADVERSARY)
    if people or with_it:  # a site behind a socket does not say
        yield f"site CPU: scrapers {with_it:,.0f} s ({without:,.0f} s without the firewall), people {people:,.0f} s"
    yield from waits(run)
    if run.scenario.recovers:
        yield recovery(run)


def waits(run: RunScore) -> Iterator[str]:
    """How long people waited for the site, beside what they would have waited had the adversaries not been there."""
    busy, calm = Latencies(), Latencies()
    for tally in run.tallies:
        if tally.cohort.kind is CohortKind.LEGITIMATE:
            busy.merge(tally.latencies)
            calm.merge(tally.calm_latencies)
    here, without = busy.below(0.95), calm.below(0.95)
    if here is None:
        return
    if without is None:
        yield f"people's answers: 95 % within {here * 1000:,.0f} ms"
    else:
        yield f"people's answers: 95 % within {here * 1000:,.0f} ms, {here / without:.2f} times as long as without adversaries"


def recovery(run: RunScore) -> str:
    """How long people behind the attacker's address went on being refused when the attack was over."""
    name = run.scenario.recovers
    end = max((tally.last_request for tally in run.tallies if tally.cohort.kind is CohortKind.ADVERSARY), default=0.0)
    shared = next((tally for tally in run.tallies if tally.cohort.name == name), None)
    if shared is None or shared.last_refusal is None:
        return f"recovery: nobody of {name} was refused"
    after = max(0.0, shared.last_refusal - end)
    return (
        f"recovery: the last refusal of {name} came {duration_text(round(after))} after the attack's end"
        if after
        else (f"recovery: {name} was refused nothing after the attack's end")
    )


def _legitimate(row: CohortScore, tally: CohortTally) -> Sequence[str]:
    return (
        row.name, f"{row.sessions:,}", f"{row.requests:,}", f"{row.refused_requests:,}", f"{row.refused_sessions:,}",
        percent(row.refused_share_bound) if row.sessions else "-", f"{row.delayed_requests:,}", f"{tally.wait_seconds:,.0f} s",
    )  # fmt: skip


def _adversary(row: CohortScore) -> Sequence[str]:
    return (
        row.name, f"{row.requests:,}", f"{row.refused_requests:,}", f"{row.items:,}", f"{row.items_unprotected:,}",
        "-" if row.leak is None else percent(row.leak),
        "never" if row.first_action_seconds is None else f"{row.first_action_seconds:,.1f} s",
        _number(row.addresses_per_1000_items), _number(row.addresses_per_1000_items_unprotected),
        _number(row.cost_per_1000_items, 3), _number(row.cost_per_1000_items_unprotected, 3),
    )  # fmt: skip


def percent(share: float) -> str:
    """A share with as many digits as say something."""
    value = share * 100
    if not value:
        return "0 %"
    digits = 1 if value >= 10 else 2 if value >= 0.1 else 3
    return f"{value:.{digits}f} %"


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns of text, the first to the left and the others to the right."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    for row in (head, *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield "  " + "  ".join(cells)
