"""A report as one HTML page that loads nothing: styles and a picture inside, no scripts. Jinja escapes every value."""

from __future__ import annotations

from typing import Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from proxyguard.core.printable import printable
from proxyguard.core.units import counted, format_time
from proxyguard.tools.replay.charts import Row, stacked
from proxyguard.tools.report import text
from proxyguard.tools.report.figures import TrafficReport

_ENVIRONMENT: Final = Environment(
    loader=ChoiceLoader([PackageLoader("proxyguard.tools.report"), PackageLoader("proxyguard.tools.replay")]),
    autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
_ENVIRONMENT.filters |= {
    "number": text.number,
    "share": text.share,
    "size": text.size,
    "busy": text.busy,
    "percent": text.whole_percent,
    "printable": printable,
    "counted": counted,
}


def html_page(report: TrafficReport) -> str:
    """The page; its look is that of the report of a replay."""
    columns = report.rates.columns
    rows = [
        Row("forwarded", "passed", [forwarded for forwarded, _ in columns]),
        Row("refused", "stopped", [refused for _, refused in columns]),
    ]
    title = "Requests over time"
    begin, width = int(report.rates.columns_begin), max(1, round(report.rates.column_seconds))
    chart = stacked(title, rows, begin, width) if any(map(any, columns)) else ""
    return _ENVIRONMENT.get_template("traffic.html").render(
        report=report, rows=rows, chart=chart, chart_title=title, verdict=text.verdict(report), lists=text.LISTS,
        period_cells=text.period_cells, format_time=format_time,
    )  # fmt: skip
