"""Runs as one HTML page that loads nothing else: tables, and pictures as SVG inside, without a script.

The page is `templates/range.html`; Jinja escapes every value. Every picture has a title for screen readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from proxyguard import __version__
from proxyguard.tools.range.score import CohortScore, RunScore, faults, gate_failures
from proxyguard.tools.range.tally import COLUMNS, CohortTally
from proxyguard.tools.range.text_report import besides, percent
from proxyguard.tools.range.values import CohortKind

WIDTH: Final = 480
HEIGHT: Final = 60
BAR_WIDTH: Final = 320

ENVIRONMENT: Final = Environment(
    loader=PackageLoader("proxyguard.tools.range"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters |= {"number": "{:,}".format, "percent": percent}


class Strip(NamedTuple):
    """A cohort over time: bars of what passed and what was refused. Heights are pixels from the bottom."""

    name: str
    about: str
    kind: str
    bars: Sequence[tuple[float, float, float]]
    """By column: x, the height of all requests, the height of those refused."""
    top: int


class Curve(NamedTuple):
    """Items of an adversary as they add up, with the firewall and without, as points of two lines."""

    name: str
    guarded: str
    free: str
    leak: str
    top: int


class Cost(NamedTuple):
    """The price of 1,000 items as two bars, or text where there is none."""

    name: str
    unit: str
    guarded: float | None
    free: float | None
    guarded_width: float
    free_width: float


def html_report(runs: Sequence[RunScore]) -> str:
    """The page for one or more runs."""
    pages = [
        {
            "run": run, "strips": [_strip(tally) for tally in run.tallies], "curves": _curves(run), "costs": _costs(run),
            "people": [row for row in run.cohorts if row.kind == CohortKind.LEGITIMATE],
            "adversaries": [row for row in run.cohorts if row.kind == CohortKind.ADVERSARY],
            "faults": faults(run), "failures": gate_failures(run), "besides": list(besides(run)),
        }
        for run in runs
    ]  # fmt: skip
    return ENVIRONMENT.get_template("range.html").render(
        pages=pages, version=__version__, width=WIDTH, height=HEIGHT, bar_width=BAR_WIDTH, column=WIDTH / COLUMNS
    )


def _strip(tally: CohortTally) -> Strip:
    top = max(tally.requests_by_time) or 1
    scale = HEIGHT / top
    bars = [
        (at * WIDTH / COLUMNS, round(requests * scale, 2), round(refused * scale, 2))
        for at, (requests, refused) in enumerate(zip(tally.requests_by_time, tally.refused_by_time, strict=True)) if requests
    ]  # fmt: skip
    return Strip(tally.cohort.name, tally.cohort.about, str(tally.cohort.kind), bars, top)


def _curves(run: RunScore) -> list[Curve]:
    found = []
    for row, tally, free in zip(run.cohorts, run.tallies, run.unprotected, strict=True):
        if row.kind == CohortKind.ADVERSARY and free.items:
            top = max(free.items, tally.items)
            leak = "-" if row.leak is None else percent(row.leak)
            found.append(Curve(row.name, _points(tally.items_by_time, top), _points(free.items_by_time, top), leak, top))
    return found


def _points(values: Sequence[int], top: int) -> str:
    total = 0
    points = []
    for at, value in enumerate(values):
        total += value
        points.append(f"{at * WIDTH / (COLUMNS - 1):.1f},{HEIGHT - total / top * (HEIGHT - 2):.1f}")
    return " ".join(points)


def _costs(run: RunScore) -> list[Cost]:
    rows = [row for row in run.cohorts if row.kind == CohortKind.ADVERSARY]
    return [*_bars(rows, "addresses"), *_bars(rows, "$")]


def _bars(rows: Sequence[CohortScore], unit: str) -> list[Cost]:
    pairs = [
        (row.name, row.addresses_per_1000_items, row.addresses_per_1000_items_unprotected) if unit == "addresses"
        else (row.name, row.cost_per_1000_items, row.cost_per_1000_items_unprotected)
        for row in rows
    ]  # fmt: skip
    top = max((value for _, *both in pairs for value in both if value), default=0.0) or 1.0
    return [
        Cost(name, unit, with_it, free, (with_it or 0) / top * BAR_WIDTH, (free or 0) / top * BAR_WIDTH)
        for name, with_it, free in pairs
    ]
