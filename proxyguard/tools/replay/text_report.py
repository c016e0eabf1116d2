"""The report of a replay as text for a terminal.

Every text that a client chose was made printable before. Colour is the caller's: headings come as (text, is_heading).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from proxyguard.core.problems import quoted
from proxyguard.core.units import counted, format_time
from proxyguard.tools.replay.report_values import ChangeLine, Difference, ReplayReport, RuleLine, Share, UnjudgedLine

MAX_CELL: Final = 60
MAX_LINES: Final = 40
"""Rows of a table; the JSON has them all."""


class Line(NamedTuple):
    text: str
    heading: bool = False


def text_report(report: ReplayReport) -> Iterator[Line]:
    yield from _opening(report)
    for mode, title in (("enforce", "Decided by rule"), ("shadow", "Rules in shadow: what they would have done")):
        rules = [line for line in report.by_rule if line.mode == mode]
        if rules:
            yield from _heading(title)
            yield from _rule_table(rules, report.all.requests)
    if report.difference is not None:
        yield from _difference(report.difference)
    yield from _unjudged(report.unjudged, report.log.unknown)
    yield from _suspects(report)
    yield from _reading(report)


def _opening(report: ReplayReport) -> Iterator[Line]:
    log = report.log
    files = counted(len(log.files), "file") if len(log.files) > 1 else log.files[0]
    yield Line(f"{report.rules_directory}: {counted(report.rule_sets, 'rule set')}, {counted(report.rules, 'rule')}")
    yield Line(
        f"{files} ({', '.join(log.formats)}): {counted(log.requests, 'request')}, "
        f"{format_time(log.first)} UTC to {format_time(log.last)} UTC"
    )
    yield Line("")
    rows: list[tuple[str, ...]] = [("", "requests", "share", "clients", "networks", "logged in", "verified")]
    for name, share in (("all", report.all), ("stopped", report.stopped), ("stopped if shadow were enforced", report.shadowed)):
        rows.append((name, *_share_cells(share, report.all.requests)))
    yield from _table(rows)
    for note in report.notes:
        yield Line(f"note: {note}")


def _rule_table(rules: Sequence[RuleLine], total: int) -> Iterator[Line]:
    rows: list[tuple[str, ...]] = [("rule", "action", "requests", "share", "clients", "networks", "logged in", "verified")]
    rows += [(line.rule, line.action, *_share_cells(line.share, total)) for line in rules[:MAX_LINES]]
    yield from _table(rows, left=2)
    if len(rules) > MAX_LINES:
        yield Line(f"  and {counted(len(rules) - MAX_LINES, 'more rule')}; --json has them all")


def _share_cells(share: Share, total: int) -> tuple[str, ...]:
    about = "" if share.exact else "~"
    part = percent(share.requests, total)
    return (
        f"{share.requests:,}", part, f"{about}{share.clients:,}", f"{about}{share.networks:,}", f"{share.logged_in:,}",
        f"{share.verified:,}",
    )  # fmt: skip


def percent(part: int, total: int) -> str:
    """A share with one digit after the point; what is there but tiny is never shown as nothing."""
    if not part or not total:
        return "0 %" if not part else "-"
    share = 100 * part / total
    return f"{share:.1f} %" if share >= 0.05 else "<0.1 %"


def _difference(found: Difference) -> Iterator[Line]:
    yield from _heading(f"Compared with {found.against}")
    rows: list[tuple[str, ...]] = [("", "requests", "clients", "networks", "logged in", "verified")]
    for name, share in (("newly stopped", found.newly_stopped), ("no longer stopped", found.no_longer_stopped)):
        cells = _share_cells(share, 0)
        rows.append((name, cells[0], *cells[2:]))
    yield from _table(rows)
    if not found.changes:
        yield Line("  Both stop the same requests.")
        return
    rows = [("change", "before", "now", "requests", "clients", "networks", "logged in", "verified")]
    for change in found.changes[:MAX_LINES]:
        cells = _share_cells(change.share, 0)
        rows.append((format_change(change), change.before or "-", change.after or "-", cells[0], *cells[2:]))
    yield Line("")
    yield from _table(rows, left=3)
    if len(found.changes) > MAX_LINES:
        yield Line(f"  and {counted(len(found.changes) - MAX_LINES, 'more change')}; --json has them all")


def format_change(change: ChangeLine) -> str:
    """The kind of change, in words."""
    if change.before is None:
        return "newly stopped"
    return "no longer stopped" if change.after is None else "stopped by another rule"


def _unjudged(rules: Sequence[UnjudgedLine], unknown: str) -> Iterator[Line]:
    if not rules:
        return
    yield from _heading("Cannot be judged from this log")
    yield Line(f"  The log does not have: {unknown}. Rules that look at these are left out.")
    rows: list[tuple[str, ...]] = [("rule", "action", "lacks", "so")]
    rows += [(rule.rule, rule.action, ", ".join(rule.lacks), format_effect(rule)) for rule in rules[:MAX_LINES]]
    yield from _table(rows, left=4)
    if len(rules) > MAX_LINES:
        yield Line(f"  and {counted(len(rules) - MAX_LINES, 'more rule')}; --json has them all")


def format_effect(rule: UnjudgedLine) -> str:
    """How leaving out the rule may change the figures."""
    if rule.concerns is not None:
        return f"of what is shown as stopped, up to {counted(rule.concerns.requests, 'request')} may be let through by it"
    return rule.effect + (" (judged in part)" if rule.in_part else "")


def _suspects(report: ReplayReport) -> Iterator[Line]:
    if not report.suspects:
        return
    yield from _heading("Who may be stopped wrongly (a weight to look by, not a verdict)")
    rows: list[tuple[str, ...]] = [("client", "weight", "stopped", "of", "rule", "signs")]
    for line in report.suspects:
        rule = next(iter(line.rules), "-")
        hurt = line.stopped + line.shadowed
        rows.append((line.client, f"{line.weight}", f"{hurt:,}", f"{line.requests:,}", rule, ", ".join(line.signs)))
    yield from _table(rows, left=1, text=(4, 5))


def _reading(report: ReplayReport) -> Iterator[Line]:
    log = report.log
    notes = []
    if log.malformed:
        notes.append(f"{log.malformed:,} of {counted(log.lines, 'line')} could not be read:")
        for bad in log.malformed_shown:
            notes += [f"  {bad.file}:{bad.line}: {bad.reason}", f"    {quoted(bad.excerpt, 100)}"]
        if log.malformed > len(log.malformed_shown):
            notes.append(f"  and {log.malformed - len(log.malformed_shown):,} more")
    if log.no_request:
        notes.append(
            f"{counted(log.no_request, 'line')} without a request that rules would see: the front refuses malformed requests by "
            "itself, and a replay does not show that."
        )
    if report.clients_folded:
        notes.append(
            f"{counted(report.clients_folded, 'client')} with few requests summed up; none of them is among the suspects."
        )
    notes += log.notes
    if notes:
        yield from _heading("Reading")
        yield from (Line(f"  {text}") for text in notes)


def _heading(text: str) -> Iterator[Line]:
    yield Line("")
    yield Line(text, heading=True)


def _table(rows: Sequence[tuple[str, ...]], *, left: int = 1, text: tuple[int, ...] = ()) -> Iterator[Line]:
    """Aligned columns: the first `left` ones and those in `text` to the left, numbers to the right."""
    cut = [(*(_shortened(cell) for cell in row[:-1]), row[-1]) for row in rows]
    widths = [max(len(row[at]) for row in cut) for at in range(len(cut[0]))]
    for row in cut:
        cells = (
            cell.ljust(width) if at < left or at in text else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield Line(("  " + "  ".join(cells)).rstrip())


def _shortened(cell: str) -> str:
    return cell if len(cell) <= MAX_CELL else f"{cell[: MAX_CELL - 1]}…"


def plain(lines: Iterable[Line]) -> str:
    """The report without colour."""
    return "\n".join(line.text for line in lines) + "\n"
