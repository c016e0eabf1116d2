"""The report of a replay as one HTML page that loads nothing else: styles and pictures inside, no scripts.

The page is `templates/report.html`. Jinja escapes every value, for clients chose some of them, and the page forbids itself all
but its own style. Addresses are cut to their network unless whole ones are asked for, because reports are passed on.
"""

from __future__ import annotations

from typing import Final

from proxyguard import __version__
from proxyguard.core.units import format_time
from proxyguard.tools.replay.charts import ENVIRONMENT, SPARK_HEIGHT, SPARK_WIDTH, Row, spark_points, stacked
from proxyguard.tools.replay.report import masked
from proxyguard.tools.replay.report_values import ReplayReport, Share
from proxyguard.tools.replay.text_report import format_change, format_effect, percent

SERIES: Final = 5
"""Rules with a colour of their own; the others share one."""

MAX_ROWS: Final = 200


def html_report(report: ReplayReport, *, full_addresses: bool = False) -> str:
    log, time = report.log, report.over_time
    return ENVIRONMENT.get_template("report.html").render(
        report=report, log=log, version=__version__, full_addresses=full_addresses, max_rows=MAX_ROWS,
        files=", ".join(log.files) if len(log.files) <= 3 else f"{len(log.files)} files",
        tiles=_tiles(report),
        all_rows=[
            Row("forwarded", "passed", time.passed),
            Row("only by rules in shadow", "shadowed", time.shadowed),
            Row("stopped", "stopped", time.stopped),
        ],
        stopped_rows=_stopped_rows(report),
        scale=(time.start, time.width_seconds), spark_size=(SPARK_WIDTH, SPARK_HEIGHT),
        stacked=stacked, spark_points=spark_points, masked=masked, percent=percent,
        format_change=format_change, format_effect=format_effect, format_time=format_time,
    )  # fmt: skip


def _tiles(report: ReplayReport) -> list[tuple[str, Share, str]]:
    """The figures at the top: a name, the share, and the class of its colour."""
    tiles = [("would be stopped", report.stopped, "stopped"), ("only by rules in shadow", report.shadowed, "shadowed")]
    if report.difference is not None:
        tiles.append(("newly stopped", report.difference.newly_stopped, "stopped"))
        tiles.append(("no longer stopped", report.difference.no_longer_stopped, "passed"))
    return [*tiles, ("all requests", report.all, "passed")]


def _stopped_rows(report: ReplayReport) -> list[Row]:
    """Stopped requests over time: a row for each of the first rules, and one for all others."""
    stopping = [line for line in report.by_rule if line.mode == "enforce" and line.stops]
    rows = [Row(line.rule, f"s{at}", line.over_time) for at, line in enumerate(stopping[:SERIES])]
    rest = [line.over_time for line in stopping[SERIES:]]
    return [*rows, Row("other rules", "rest", [sum(column) for column in zip(*rest, strict=True)])] if rest else rows
