"""Pictures of a replay as SVG: requests over time, and small lines per rule. Colours are the page's (CSS variables).

Knows numbers and labels; nothing of rules. Every picture has a title for those who hear it read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final, NamedTuple

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


class Row(NamedTuple):
    """One layer of a stack: its name, its CSS class, a number per column."""

    name: str
    css: str
    values: Sequence[int]


def stacked(title: str, rows: Sequence[Row], start: int, width_seconds: int) -> str:
    """Columns over time, rows on top of one another, the first at the bottom. Empty without columns."""
    columns = max((len(row.values) for row in rows), default=0)
    if not columns:
        return ""
    highest = max(sum(row.values[at] for row in rows) for at in range(columns)) or 1
    top = _round_up(highest)
    step = (WIDTH - LEFT) / columns
    scale = (HEIGHT - BOTTOM - TOP) / top
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{escape(title)}</title>']
    parts += _grid(top, scale)
    for at in range(columns):
        parts.append(_column(rows, at, step, scale, start, width_seconds))
    parts += _times(columns, step, start, width_seconds)
    return "".join(parts) + "</svg>"


def _column(rows: Sequence[Row], at: int, step: float, scale: float, start: int, width_seconds: int) -> str:
    bars = []
    floor = float(HEIGHT - BOTTOM)
    said = [_moment(start + at * width_seconds, width_seconds)]
    for row in rows:
        count = row.values[at]
        if not count:
            continue
        height = max(count * scale, 0.6)  # what is there is seen
        floor -= height
        width = max(step - GAP, 0.8)
        bars.append(
            f'<rect class="{row.css}" x="{LEFT + at * step:.1f}" y="{floor:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
        )
        said.append(f"{row.name}: {count:,}")
    hover = f'<rect class="hover" x="{LEFT + at * step:.1f}" y="{TOP}" width="{step:.1f}" height="{HEIGHT - BOTTOM - TOP}"/>'
    return f"<g><title>{escape(chr(10).join(said))}</title>{hover}{''.join(bars)}</g>"


def _grid(top: int, scale: float) -> list[str]:
    parts = []
    for value in (0, top // 2, top) if top > 1 else (0, top):
        y = HEIGHT - BOTTOM - value * scale
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>')
    return parts


def _times(columns: int, step: float, start: int, width_seconds: int) -> list[str]:
    parts = []
    every = max(1, columns // TICKS)
    for at in range(0, columns, every):
        x = LEFT + at * step
        if x > WIDTH - 60:
            break
        said = escape(_moment(start + at * width_seconds, width_seconds))
        parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 6}">{said}</text>')
    return parts


def spark(values: Sequence[int]) -> str:
    """A small line of one rule's requests over time."""
    if len(values) < 2:
        return ""
    top = max(values) or 1
    step = SPARK_WIDTH / (len(values) - 1)
    points = " ".join(
        f"{at * step:.1f},{SPARK_HEIGHT - 2 - value / top * (SPARK_HEIGHT - 4):.1f}" for at, value in enumerate(values)
    )
    return f'<svg class="spark" viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" aria-hidden="true"><polyline points="{points}"/></svg>'


def short(value: int) -> str:
    """1,200 as 1.2k."""
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if value >= size:
            return f"{value / size:.1f}".removesuffix(".0") + unit
    return str(value)


def _round_up(value: int) -> int:
    """The next number that begins with 1, 2 or 5 and goes on with noughts, or four tenths of one."""
    unit = 1
    while True:
        for lead in (1, 2, 4, 6, 8):
            if lead * unit >= value:
                return lead * unit
        unit *= 10


def _moment(seconds: int, width_seconds: int) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    if width_seconds >= DAY_SECONDS:
        return moment.strftime("%Y-%m-%d")
    return moment.strftime("%m-%d %H:%M:%S" if width_seconds < 60 else "%m-%d %H:%M")
