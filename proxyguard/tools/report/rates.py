"""How much comes now, compared with as long just before and with the same time a day before."""

from __future__ import annotations

from typing import Final

from proxyguard.core.units import duration_text
from proxyguard.telemetry.talkers import MINUTES
from proxyguard.tools.report.audit_facts import COLUMNS, DAY_SECONDS, AuditFacts
from proxyguard.tools.report.figures import PeriodRates, Rates
from proxyguard.tools.report.sources import ReportSources

NAMES: Final = ("now", "before", "day_before")
"""The time of the report, as long just before, as long a day before."""

MUCH_MORE: Final = 2.0
"""So many times the rate of before is unusual: a site's own rhythm moves less from one hour to the next."""

MIN_REQUESTS: Final = 100
"""Fewer requests, or refusals, are never called unusual."""

MIN_SEEN: Final = 0.5
"""Of an earlier period, to be compared with: the minutes after a start say little."""

MUCH_REFUSED: Final = 0.1
"""A share of requests refused that is unusual whatever was before."""


def rates_of(sources: ReportSources) -> Rates:
    """Requests by the instance's history, refusals by the audit log when no instance answers."""
    if sources.instance is not None:
        status = sources.instance.status
        history = sources.instance.top["history"]
        periods = _by_history(history, sources, float(status.get("uptime_seconds", DAY_SECONDS)))
        columns = _history_columns(history, sources)
    else:
        audit = sources.audit
        periods = _by_audit(audit) if audit is not None else []
        columns = audit.columns if audit is not None else []
    unusual, summary = _judged(periods, sources.seconds)
    begin = sources.now - sources.seconds
    return Rates(unusual, summary, periods, columns, begin, sources.seconds / COLUMNS)


def _by_history(history: list[list[int]], sources: ReportSources, uptime: float) -> list[PeriodRates]:
    """Whole minutes, so `now` is up to one longer; the one under way is its last."""
    now, span = sources.now, sources.seconds // 60 * 60
    first = (now - sources.seconds) // 60 * 60
    began = max(now - uptime, now // 60 * 60 - 60.0 * (MINUTES - 1))
    found = []
    for name, begin in zip(NAMES, (first, first - span, first - DAY_SECONDS), strict=True):
        end = now if begin == first else begin + span
        seen = max(0.0, end - max(begin, began)) if _compares(name, span) else 0.0
        rows = [row for row in history if begin <= row[0] < end and _compares(name, span)]
        requests = sum(row[1] for row in rows)
        if seen < 1 and not requests:
            found.append(PeriodRates(name, 0.0, None, None, None, None, None))
        else:
            found.append(_period(name, max(1.0, seen), requests, sum(row[2] for row in rows)))
    return found


def _by_audit(audit: AuditFacts) -> list[PeriodRates]:
    """Refusals only: of the others an audit log has a sample."""
    found = []
    for name, period in zip(NAMES, audit.periods, strict=True):
        seen = 0.0 if audit.first is None else max(0.0, period.end - max(period.begin, audit.first))
        if seen and _compares(name, period.end - period.begin):
            found.append(_period(name, max(1.0, seen), None, period.refused))
        else:
            found.append(PeriodRates(name, 0.0, None, None, None, None, None))
    return found


def _compares(name: str, seconds: float) -> bool:
    """Whether a period is another time: what is longer than a day overlaps with itself a day before."""
    return name != NAMES[2] or seconds <= DAY_SECONDS


def _period(name: str, seconds: float, requests: int | None, refused: int) -> PeriodRates:
    share = None if requests is None else round(refused / requests, 4) if requests else 0.0
    rate = None if requests is None else round(requests / seconds, 3)
    return PeriodRates(name, round(seconds, 1), requests, refused, rate, round(refused / seconds, 3), share)


def _judged(periods: list[PeriodRates], seconds: float) -> tuple[bool | None, str]:
    span = duration_text(seconds)
    if not periods or periods[0].refused is None:
        return None, f"nothing was recorded in the last {span}"
    now, *earlier = periods
    if now.refused_share is not None and now.refused_share >= MUCH_REFUSED and (now.refused or 0) >= MIN_REQUESTS:
        return True, f"{now.refused_share:.0%} of the requests of the last {span} were refused"
    compared = False
    for period, when in zip(earlier, (f"the {span} before", "the same time a day before"), strict=True):
        if period.seconds < MIN_SEEN * seconds:
            continue
        for what, shown in (("requests", "requests"), ("refused", "refusals")):
            count, before = getattr(now, what), getattr(period, what)
            if count is None or before is None:
                continue
            compared = True
            if count >= MIN_REQUESTS and count / now.seconds >= MUCH_MORE * before / period.seconds:
                times = f"{count / now.seconds / before * period.seconds:.1f} times those of" if before else "and none in"
                return True, f"{count:,} {shown} in the last {span}, {times} {when}"
    if not compared:
        return None, "there is nothing from before to compare with"
    return False, "nothing stands out: neither many refusals nor much more than before"


def _history_columns(history: list[list[int]], sources: ReportSources) -> list[list[int]]:
    """Minutes, in columns; none are made up for less than a minute."""
    width = sources.seconds / COLUMNS
    if width < 60:
        return []
    begin = sources.now - sources.seconds
    columns = [[0, 0] for _ in range(COLUMNS)]
    for minute, requests, refused, *_ in history:
        if begin - 60 < minute < sources.now:
            column = columns[min(COLUMNS - 1, int(max(0.0, minute - begin) // width))]
            column[0] += requests - refused
            column[1] += refused
    return columns
