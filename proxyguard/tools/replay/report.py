"""Turns the findings of a replay into the plain values of a report, for text, JSON and HTML.

Sums findings up and puts them in order; does not draw them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Final

from proxyguard.core.address import Address
from proxyguard.core.units import counted
from proxyguard.policy.model import Policy
from proxyguard.tools.replay.judgeable import MAYBE, Unjudged
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.log_files import Journal, LogFile
from proxyguard.tools.replay.report_values import (
    ChangeLine,
    Counted,
    Difference,
    LogPart,
    NetworkLine,
    ReplayReport,
    RuleLine,
    Share,
    SuspectLine,
    TimePart,
    UnjudgedLine,
)
from proxyguard.tools.replay.run import PASSED, SHADOWED, STOPPED, Findings
from proxyguard.tools.replay.suspects import top_suspects
from proxyguard.tools.replay.tally import Change, RuleKey, RuleSum, Sum

TOP: Final = 5
TOP_NETWORKS: Final = 10
HEAVY_SHARE: Final = 0.9
"""An address with more than this share of the requests is probably a proxy and not a client."""

MIN_REQUESTS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A policy as it was replayed: its folder, and the rules that the log could not judge."""

    directory: str
    policy: Policy
    unjudged: Sequence[Unjudged]


def replay_report(
    judged: Judged, against: Judged | None, files: Sequence[LogFile], knowledge: Knowledge, journal: Journal,
    findings: Findings,
) -> ReplayReport:  # fmt: skip
    """The report of a replay; `against` is the policy to compare with, if there is one."""
    sets = {rule.name: rule_set.name for rule_set in judged.policy.rule_sets for rule in rule_set.rules}
    by_rule = tuple(
        _rule_line(key, found, sets, findings)
        for key, found in sorted(findings.rules.items(), key=lambda item: (-item[1].requests, item[0]))
    )
    difference = None
    if against is not None:
        difference = Difference(
            against.directory,
            share_of(findings.newly),
            share_of(findings.freed),
            tuple(_change_lines(findings.changes)),
            tuple(_unjudged_lines(against.unjudged, {})),
        )
    return ReplayReport(
        rules_directory=judged.directory,
        policy=judged.policy.digest,
        rule_sets=len(judged.policy.rule_sets),
        rules=sum(len(rule_set.rules) for rule_set in judged.policy.rule_sets),
        log=_log_part(files, knowledge, journal, findings),
        all=_all_share(findings),
        stopped=share_of(findings.stopped),
        shadowed=share_of(findings.shadowed),
        by_rule=by_rule,
        unjudged=tuple(_unjudged_lines(judged.unjudged, findings.maybe)),
        suspects=tuple(_suspect_lines(findings, compared=against is not None)),
        networks=tuple(_network_lines(findings)),
        clients_folded=findings.clients.others.rows,
        difference=difference,
        over_time=_time_part(findings),
        notes=tuple(_notes(findings)),
    )


def share_of(found: Sum) -> Share:
    exact = found.clients.exact and found.networks.exact
    return Share(found.requests, found.clients.count(), found.networks.count(), found.logged_in, found.verified, exact)


def _all_share(findings: Findings) -> Share:
    clients = findings.clients
    exact = clients.seen.exact and clients.seen_networks.exact
    counts = clients.seen.count(), clients.seen_networks.count()
    return Share(findings.requests, *counts, findings.logged_in, findings.verified, exact)


def _rule_line(key: RuleKey, found: RuleSum, sets: dict[str, str], findings: Findings) -> RuleLine:
    return RuleLine(
        key.rule,
        sets.get(key.rule, ""),
        key.action,
        "shadow" if key.shadow else "enforce",
        share_of(found),
        _top(found.paths.top(TOP)),
        _top(found.agents.top(TOP)),
        () if key.shadow else tuple(findings.timeline.row(f"{STOPPED} {key.rule}")),
    )


def _top(counted: Iterable[tuple[bytes, int]]) -> tuple[Counted, ...]:
    return tuple(Counted(shown(text), requests) for text, requests in counted)


def shown(text: bytes) -> str:
    """Text from a client, safe to print: undecodable bytes and control characters are escaped."""
    decoded = text.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in decoded)


def _unjudged_lines(unjudged: Iterable[Unjudged], maybe: dict[str, Sum]) -> Iterable[UnjudgedLine]:
    for rule in unjudged:
        concerned = maybe.get(rule.rule + MAYBE)
        yield UnjudgedLine(
            rule.rule, rule.rule_set, rule.action, str(rule.mode), rule.fields, rule.in_part, rule.effect,
            None if concerned is None else share_of(concerned),
        )  # fmt: skip


def _suspect_lines(findings: Findings, *, compared: bool) -> Iterable[SuspectLine]:
    for found in top_suspects(findings.clients.rows.values(), compared=compared):
        row = found.row
        rules = dict(sorted(row.rules.items(), key=lambda item: (-item[1], item[0])))
        yield SuspectLine(
            row.key, found.weight, found.signs, row.requests, row.stopped, row.shadowed, row.newly, rules,
            shown(row.agent[:200]), row.agents, row.first, row.last,
        )  # fmt: skip


def _network_lines(findings: Findings) -> Iterable[NetworkLine]:
    rows = (row for row in findings.clients.networks.values() if row.stopped or row.shadowed)
    for row in nlargest(TOP_NETWORKS, rows, key=lambda row: (row.stopped, row.shadowed, row.key)):
        yield NetworkLine(row.key, row.clients, row.requests, row.stopped, row.shadowed)


def _change_lines(changes: dict[Change, RuleSum]) -> Iterable[ChangeLine]:
    ordered = sorted(changes.items(), key=lambda item: (bool(item[0].before), bool(item[0].after), -item[1].requests, item[0]))
    for change, found in ordered:
        yield ChangeLine(
            change.before or None, change.after or None, share_of(found), _top(found.paths.top(TOP)),
            _top(found.agents.top(TOP)),
        )  # fmt: skip


def _log_part(files: Sequence[LogFile], knowledge: Knowledge, journal: Journal, findings: Findings) -> LogPart:
    known, unknown = knowledge.described()
    clock = findings.clock
    return LogPart(
        files=tuple(file.name for file in files),
        formats=tuple(dict.fromkeys(file.format_name for file in files)),
        lines=journal.lines,
        requests=findings.requests,
        malformed=journal.malformed + findings.not_addresses,
        malformed_shown=tuple(journal.shown),
        no_request=journal.no_request,
        first=clock.first or 0.0,
        last=clock.last,
        backwards=clock.backwards,
        restarts=clock.restarts,
        known=known,
        unknown=unknown,
        notes=(*journal.notes, *(note for file in files for note in file.notes())),
    )


def _time_part(findings: Findings) -> TimePart:
    timeline = findings.timeline
    rows = (tuple(timeline.row(name)) for name in (PASSED, SHADOWED, STOPPED))
    return TimePart(timeline.start_seconds, timeline.width_seconds, *rows)


def _notes(findings: Findings) -> Iterable[str]:
    yield from findings.notes
    total = findings.requests
    heaviest = max(findings.clients.rows.values(), key=lambda row: row.requests, default=None)
    if heaviest is not None and total >= MIN_REQUESTS and heaviest.requests > HEAVY_SHARE * total:
        yield (
            f"{heaviest.requests * 100 // total} % of the requests came from {heaviest.key}: if that is a proxy or a CDN, limits "
            "saw one client. If the log has X-Forwarded-For, add --forwarded-for."
        )
    if findings.not_addresses:
        yield (
            f"{counted(findings.not_addresses, 'line')} with a client that is not an address, counted as malformed; "
            "Apache writes host names when HostnameLookups is on."
        )
    if findings.clock.restarts:
        yield (
            f"time ran far backwards {counted(findings.clock.restarts, 'time')}: counters began anew each time. "
            "Give several logs as several files, and they are merged by time."
        )


def masked(client: str) -> str:
    """The /24 or /48 of a client, for reports that are passed on."""
    return Address.parse(client.partition("/")[0]).network_key()
