"""Pictures of a replay as SVG: requests over time, and small lines per rule. Colours are the page's (CSS variables).

Knows numbers and labels, but no rules. Every picture has a title for screen readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from proxyguard.core.units import counted

WIDTH: Final = 960
HEIGHT: Final = 200
LEFT: Final = 56
BOTTOM: Final = 22
TOP: Final = 8
GAP: Final = 1.0

TICKS: Final = 5
SPARK_WIDTH: Final = 120
SPARK_HEIGHT: Final = 22

DAY_SECONDS: Final = 86_400


ENVIRONMENT: Final = Environment(
    loader=PackageLoader("proxyguard.tools.replay"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
"""The templates of the HTML report, of which a picture is one."""

ENVIRONMENT.filters |= {"number": "{:,}".format, "point": "{:.1f}".format, "counted": counted}


class Row(NamedTuple):
    """One layer of a stack: its name, its CSS class, a number per column."""

    name: str
    css: str
    values: Sequence[int]


class Bar(NamedTuple):
    """The part of a column that is one row's."""

    css: str
    y: float
    height: float


class Column(NamedTuple):
    """A column of bars with its figures as a caption."""

    x: float
    caption: str
    bars: Sequence[Bar]


def stacked(title: str, rows: Sequence[Row], start: int, width_seconds: int) -> str:
    """Columns over time, rows on top of one another, the first at the bottom. Empty without columns."""
    count = max((len(row.values) for row in rows), default=0)
    if not count:
        return ""
    top = _round_up(max(sum(row.values[at] for row in rows) for at in range(count)) or 1)
    step = (WIDTH - LEFT) / count
    floor = HEIGHT - BOTTOM
    scale = (floor - TOP) / top
    labels = [_format_moment(start + at * width_seconds, width_seconds) for at in range(count)]
    places = [LEFT + at * step for at in range(count)]
    return ENVIRONMENT.get_template("chart.svg").render(
        title=title, width=WIDTH, height=HEIGHT, left=LEFT, top=TOP, floor=floor, step=step, bar_width=max(step - GAP, 0.8),
        grid=[(floor - value * scale, short(value)) for value in ((0, top // 2, top) if top > 1 else (0, top))],
        columns=[_column(rows, at, places[at], labels[at], scale) for at in range(count)],
        times=[(places[at], labels[at]) for at in range(0, count, max(1, count // TICKS)) if places[at] <= WIDTH - 60],
        narrow_end=WIDTH - 170,
    )  # fmt: skip


def _column(rows: Sequence[Row], at: int, x: float, label: str, scale: float) -> Column:
    bars: list[Bar] = []
    y = float(HEIGHT - BOTTOM)
    there = [(row, row.values[at]) for row in rows if row.values[at]]
    for row, count in there:
        height = max(count * scale, 0.6)  # a single request among millions is still visible
        y -= height
        bars.append(Bar(row.css, y, height))
    return Column(x, "\n".join([label, *(f"{row.name}: {count:,}" for row, count in there)]), bars)


def spark_points(values: Sequence[int]) -> str:
    """The points of a small line of one rule's requests over time, '' for fewer than two."""
    if len(values) < 2:
        return ""
    top = max(values) or 1
    step = SPARK_WIDTH / (len(values) - 1)
    return " ".join(
        f"{at * step:.1f},{SPARK_HEIGHT - 2 - value / top * (SPARK_HEIGHT - 4):.1f}" for at, value in enumerate(values)
    )


def short(value: int) -> str:
    """1,200 as 1.2k."""
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if value >= size:
            return f"{value / size:.1f}".removesuffix(".0") + unit
    return str(value)


def _round_up(value: int) -> int:
    """The smallest of 1, 2, 4, 6, 8, 10, 20, 40, … that is not below the value."""
    unit = 1
    while True:
        for lead in (1, 2, 4, 6, 8):
            if lead * unit >= value:
                return lead * unit
        unit *= 10


def _format_moment(seconds: int, width_seconds: int) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    if width_seconds >= DAY_SECONDS:
        return moment.strftime("%Y-%m-%d")
    return moment.strftime("%m-%d %H:%M:%S" if width_seconds < 60 else "%m-%d %H:%M")
