"""A report as text: a block for each question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from proxyguard.core.printable import printable
from proxyguard.core.units import counted, format_size, format_time
from proxyguard.tools.report.figures import PeriodRates, RuleFigures, TalkerLists, TrafficReport

PERIODS: Final = {"now": "now", "before": "just before", "day_before": "a day before"}

LISTS: Final = (
    ("clients", "clients (pseudonyms)"), ("networks", "networks"), ("user_agents", "user agents"), ("paths", "what they read"),
)  # fmt: skip

ROWS: Final = 5
"""Names of each list; JSON and HTML have more."""

MAX_CELL: Final = 100

NOT_KNOWN: Final = "not known"


def text_report(report: TrafficReport) -> str:
    """The report, each line safe for a terminal."""
    return "".join(f"{printable(line)}\n" for line in _lines(report))


def _lines(report: TrafficReport) -> Iterator[str]:
    yield f"{format_time(report.since)} to {format_time(report.until)} UTC, from {' and '.join(report.sources) or 'nothing'}"
    yield from _heading("Is something going on?")
    yield f"  {verdict(report)}: {report.rates.summary}"
    yield from _table([("", "seen", "requests/s", "refused/s", "refused"), *map(period_cells, report.rates.periods)])
    yield from _heading(f"Who? ({report.who.source})")
    yield from _talkers(report.who, ROWS)
    stopped = report.stopped
    about = "" if stopped.exact else "about "
    clients = "" if stopped.clients is None else f" of {about}{counted(stopped.clients, 'client')}"
    yield from _heading(f"What was stopped? {counted(stopped.requests, 'request')}{clients} ({stopped.source})")
    if stopped.rules:
        head = ("rule", "requests", "share", "clients", "once only", "bytes", "how")
        yield from _table([head, *(rule_cells(rule) for rule in stopped.rules[: 2 * ROWS])], left=(0, 6))
    if stopped.shadow:
        yield f"  rules in shadow would have stopped:{_detail(stopped.shadow)}"
    if stopped.robots:
        yield f"  of what robots.txt forbids, bots asked for:{_detail(stopped.robots)}"
    through = report.through
    yield from _heading(f"Who gets through? ({through.busiest.source})")
    if through.requests is not None:
        yield f"  {counted(through.requests, 'request')} forwarded, {share(through.without_rule_share)} of them by no rule"
    if through.kinds:
        yield "  looks like: " + ", ".join(f"{kind.kind} {kind.share:.0%}" for kind in through.kinds)
    yield from _talkers(through.busiest, ROWS)
    yield from _heading("Are people hurt?")
    for figure in report.people:
        yield f"  {number(figure.value)}  {figure.name}{_detail(figure.detail)}"
        yield f"      tells: {figure.tells}"
        yield f"      does not tell: {figure.does_not_tell}"
    yield from _heading(f"Health ({report.health.source})")
    yield from (f"  {line}" for line in report.health.troubles or ["no trouble"])
    yield from _heading("What to do next")
    for step in report.next:
        yield f"  {step.command}"
        yield f"      {step.why}"
    if report.notes:
        yield from _heading("What this report could not see")
        yield from (f"  {note}" for note in report.notes)


def verdict(report: TrafficReport) -> str:
    """The answer to the first question in a word or two."""
    return {True: "yes", False: "no", None: NOT_KNOWN}[report.rates.unusual]


def period_cells(period: PeriodRates) -> tuple[str, ...]:
    """A row of the table of rates."""
    name = PERIODS[period.name]
    if not period.seconds:
        return name, "-", NOT_KNOWN, NOT_KNOWN, NOT_KNOWN
    return (
        name, span(period.seconds), rate(period.requests_per_second), rate(period.refused_per_second),
        share(period.refused_share),
    )  # fmt: skip


def rule_cells(rule: RuleFigures) -> tuple[str, ...]:
    """A row of the table of rules."""
    sent = "-" if rule.bytes is None else format_size(rule.bytes)
    return (
        rule.rule, f"{rule.requests:,}", f"{rule.share:.0%}", number(rule.clients), number(rule.once), sent,
        ", ".join(f"{action} {count:,}" for action, count in rule.actions.items()),
    )  # fmt: skip


def _talkers(lists: TalkerLists, rows: int) -> Iterator[str]:
    for name, heading in LISTS:
        found = getattr(lists, name)[:rows]
        if found:
            cells = [
                (
                    f"{row.requests:,}",
                    f"{row.share:.0%}",
                    whole_percent(row.refused_share),
                    size(row.bytes),
                    busy(row.upstream_seconds),
                    row.name,
                )
                for row in found
            ]
            yield from _table([("requests", "share", "refused", "bytes", "upstream", heading), *cells], left=(5,))


def whole_percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def size(sent: int | None) -> str:
    return "-" if sent is None else format_size(sent)


def span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"


def busy(seconds: float | None) -> str:
    """How long the upstream was busy."""
    return "-" if seconds is None else f"{seconds:,.1f} s"


def number(value: int | None) -> str:
    return NOT_KNOWN if value is None else f"{value:,}"


def rate(value: float | None) -> str:
    return NOT_KNOWN if value is None else f"{value:,.2f}"


def share(value: float | None) -> str:
    return NOT_KNOWN if value is None else f"{value:.1%}"


def _detail(detail: dict[str, int]) -> str:
    return f" ({', '.join(f'{name} {count:,}' for name, count in [*detail.items()][:ROWS])})" if detail else ""


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield text


def _table(rows: Iterable[Sequence[str]], left: tuple[int, ...] = (0,)) -> Iterator[str]:
    cells = [[cell if len(cell) <= MAX_CELL else f"{cell[: MAX_CELL - 1]}…" for cell in map(printable, row)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = (
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield ("  " + "  ".join(aligned)).rstrip()
