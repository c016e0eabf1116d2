"""Makes the answers of a report from its sources: the audit log for what was recorded, else the tallies of the instance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from proxyguard import __version__
from proxyguard.core.busiest import Busiest, Counts
from proxyguard.core.pseudonym import PATTERN
from proxyguard.core.units import counted, duration_text
from proxyguard.tools.report.advice import steps_of
from proxyguard.tools.report.agent_kind import KINDS, agent_kind
from proxyguard.tools.report.audit_facts import LISTS, AuditFacts, RuleCounts
from proxyguard.tools.report.client_sample import SampledClient
from proxyguard.tools.report.figures import (
    KindRow,
    RuleFigures,
    Stopped,
    TalkerLists,
    TalkerRow,
    Through,
    TrafficReport,
)  # fmt: skip
from proxyguard.tools.report.health import health_of
from proxyguard.tools.report.people import is_mixed, people_of, share_recorded
from proxyguard.tools.report.rates import rates_of
from proxyguard.tools.report.sources import ReportSources

SHOWN: Final = 10
"""Names of each list."""

UNNAMED: Final = "(a client)"

NOISE: Final = 0.01
"""Names with a smaller part of what the first of the list has are left out: passers-by."""

MAX_RULES: Final = 50
"""Rules of a report."""

OTHERS_SHOWN: Final = 50

type Names = Mapping[str, str]
"""Pseudonyms of client keys."""


def shown_clients(sources: ReportSources) -> list[str]:
    """The client keys of the audit log that a report names: whoever makes it needs pseudonyms for them."""
    audit = sources.audit
    if audit is None:
        return []
    lists = (audit.all["clients"], audit.forwarded["clients"])
    return sorted({key for busiest in lists for key, _ in busiest.top(SHOWN)})


def traffic_report(sources: ReportSources, names: Names) -> TrafficReport:
    """The whole report. `names`: of `shown_clients`."""
    report = TrafficReport(
        __version__, sources.now - sources.seconds, sources.now, [*_named_sources(sources)], rates_of(sources),
        _who(sources, names), _stopped(sources), _through(sources, names), people_of(sources), health_of(sources), [],
        [*sources.notes, *_notes(sources)],
    )  # fmt: skip
    report.next = steps_of(report, sources)
    return report


def _named_sources(sources: ReportSources) -> Iterable[str]:
    if sources.instance is not None:
        yield "the running instance"
    if sources.audit is not None:
        yield f"the audit log ({counted(len(sources.files), 'file')}, {counted(sources.audit.lines, 'line')})"


def _who(sources: ReportSources, names: Names) -> TalkerLists:
    if sources.instance is not None:
        top = sources.instance.top
        whole = top["requests"]
        return _lists(
            _source_of(top), lambda name: _without_noise([_row(row, row["requests"], whole) for row in top[name][:SHOWN]])
        )
    audit = sources.audit
    if audit is None:
        return TalkerLists("nothing", [], [], [], [])
    return _of_audit(audit, audit.all, names, "all that the audit log recorded one by one")


def _source_of(top: dict[str, Any]) -> str:
    return f"all requests of the last {top['window']}, as far as the instance ran"


def _lists(source: str, rows: Callable[[str], list[TalkerRow]]) -> TalkerLists:
    return TalkerLists(source, *(rows(name) for name in LISTS))


def _row(row: dict[str, Any], requests: int, whole: int) -> TalkerRow:
    return TalkerRow(
        row["name"],
        requests,
        row["refused"],
        _share(row["refused"], row["requests"]),
        row["bytes"],
        row["upstream_seconds"],
        _share(requests, whole),
    )


def _of_audit(audit: AuditFacts, lists: Mapping[str, Busiest], names: Names, source: str) -> TalkerLists:
    period = audit.periods[0]
    whole = period.forwarded + period.refused - audit.summed if lists is audit.all else period.forwarded

    def refusals(counts: Counts) -> tuple[int | None, float | None]:
        """Among the forwarded there are none."""
        return (counts.refused, _share(counts.refused, counts.requests)) if lists is audit.all else (None, None)

    def rows(name: str) -> list[TalkerRow]:
        return [
            TalkerRow(
                _named(key, names) if name == "clients" else key, counts.requests, *refusals(counts),
                counts.sent if audit.knows_bytes else None,
                round(counts.microseconds / 1e6, 3) if audit.knows_upstream else None, _share(counts.requests, whole),
            )
            for key, counts in lists[name].top(SHOWN)
        ]  # fmt: skip

    return _lists(source, lambda name: _without_noise(rows(name)))


def _named(client: str, names: Names) -> str:
    """What a client is called in a report; never its address."""
    return client if PATTERN.fullmatch(client) else names.get(client, UNNAMED)


def _without_noise(rows: list[TalkerRow]) -> list[TalkerRow]:
    return [row for row in rows if row.requests >= NOISE * rows[0].requests]


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _stopped(sources: ReportSources) -> Stopped:
    if sources.audit is not None:
        return _stopped_by_audit(sources.audit, share_recorded(sources))
    if sources.instance is None:
        return Stopped("nothing", 0, None, exact=True, rules=[], shadow={})
    top = sources.instance.top
    rules = [
        RuleFigures(
            row["name"], row["refused"], _share(row["refused"], top["refused"]), {}, None, None, None, None, row["bytes"], ""
        )
        for row in sorted(top["rules"], key=lambda row: -row["refused"])
        if row["refused"]
    ]  # fmt: skip
    robots = {row["name"]: row["requests"] for row in top.get("robots", ())}
    return Stopped(_source_of(top), top["refused"], None, exact=True, rules=rules[:MAX_RULES], shadow={}, robots=robots)


def _stopped_by_audit(audit: AuditFacts, recorded: float) -> Stopped:
    whole = audit.periods[0].refused
    scale = audit.clients.scale
    clients: dict[str, list[SampledClient]] = {}
    refused = 0
    for client in audit.clients:
        refused += bool(client.rules)
        for rule in client.rules:
            clients.setdefault(rule, []).append(client)
    ranked = sorted(audit.rules.items(), key=lambda item: -item[1].refused)
    rules = [_rule(name, counts, clients.get(name, []), audit, recorded) for name, counts in ranked[:MAX_RULES] if counts.refused]
    shadow = dict(audit.shadow.most_common(SHOWN))
    robots = dict(audit.robots.most_common(SHOWN))
    return Stopped("the audit log", whole, refused * scale, exact=scale == 1, rules=rules, shadow=shadow, robots=robots)


def _rule(name: str, counts: RuleCounts, clients: list[SampledClient], audit: AuditFacts, recorded: float) -> RuleFigures:
    scale, whole = audit.clients.scale, audit.periods[0].refused
    mixed = [client for client in clients if is_mixed(client, recorded)]
    hurt = next((client.reference for client in mixed if len(client.rules) == 1), "") if not counts.protected else ""
    return RuleFigures(
        name, counts.refused, _share(counts.refused, whole), dict(counts.actions.most_common()), len(clients) * scale,
        scale * sum(client.rules[name] == 1 for client in clients),
        len(mixed) * scale if audit.knows_agents else None,
        counts.protected, counts.bytes_sent or None, hurt or counts.reference,
    )  # fmt: skip


def _through(sources: ReportSources, names: Names) -> Through:
    if sources.instance is None:
        audit = sources.audit
        if audit is None:
            return Through(None, None, [], TalkerLists("nothing", [], [], [], []))
        lists = _of_audit(audit, audit.forwarded, names, "forwarded requests that the audit log recorded: plain passes by sample")
        agents = ((key, counts.requests) for key, counts in audit.forwarded["user_agents"].top(OTHERS_SHOWN))
        return Through(None, None, _kinds(agents), lists)
    top = sources.instance.top
    forwarded = top["requests"] - top["refused"]
    decided = sum(row["requests"] - row["refused"] for row in top["rules"])
    lists = _lists(f"forwarded requests, of {_source_of(top)}", lambda name: _forwarded(top[name], forwarded))
    kinds = _kinds((row["name"], row["requests"] - row["refused"]) for row in top["user_agents"])
    return Through(forwarded, _share(max(0, forwarded - decided), forwarded), kinds, lists)


def _forwarded(rows: list[dict[str, Any]], whole: int) -> list[TalkerRow]:
    """The rows with forwarded requests, those with most of these first."""
    ranked = sorted(rows, key=lambda row: row["refused"] - row["requests"])
    forwarded = [_row(row, row["requests"] - row["refused"], whole) for row in ranked if row["requests"] > row["refused"]]
    return _without_noise(forwarded[:SHOWN])


def _kinds(agents: Iterable[tuple[str, int]]) -> list[KindRow]:
    counts: Counter[str] = Counter()
    for agent, requests in agents:
        counts[agent_kind(agent)] += requests
    whole = counts.total()
    return [KindRow(kind, counts[kind], _share(counts[kind], whole)) for kind in KINDS if counts[kind]]


def _notes(sources: ReportSources) -> Iterable[str]:
    """What could not be seen."""
    audit, instance = sources.audit, sources.instance
    if audit is None:
        yield "without an audit log: numbers of clients, single refusals and faults of the upstream are not known"
    else:
        yield from _audit_notes(audit, instance.passes if instance is not None else None)
    if instance is None:
        yield "without a running instance: how many requests came is not known, only what was recorded"
        yield "pseudonyms are of this report alone: `bans add` does not know them; with the instance it does"
        return
    begin = sources.now - float(instance.top["seconds"])
    if begin > sources.now - sources.seconds + 60:
        yield f"the instance saw only the last {duration_text(round(sources.now - begin))} of this time"
    if instance.top["window"] == "day" and sources.seconds > 86_400:
        yield "lists of the instance reach back one day"


def _audit_notes(audit: AuditFacts, passes: float | None) -> Iterable[str]:
    if audit.unreadable:
        yield f"{counted(audit.unreadable, 'line')} of the audit log could not be read"
    if audit.first is None:
        yield "the audit log has no record"
    elif audit.first > audit.periods[0].begin:
        yield "the audit log begins within this time: what was before its first record is not known"
    if audit.summed:
        yield f"{counted(audit.summed, 'record')} were summed in a flood: their rule is known, their clients are not"
    if passes is not None and passes < 1:
        share = f"a sample of {passes:.2%}" if passes else "not recorded (setting audit.passes)"
        yield f"plain passes in the audit log are {share}: clients that were let through are seen in part only"
    elif passes is None:
        shown = (
            counted(audit.sampled_passes, "plain pass") if audit.sampled_passes == 1 else f"{audit.sampled_passes:,} plain passes"
        )
        yield f"the audit log has {shown} of this time, which are a sample unless audit.passes is 1"
    if not audit.knows_agents and audit.lines > audit.unreadable:
        yield "the records have no user agents"
    if audit.clients.scale > 1:
        yield f"numbers of clients come from one of every {audit.clients.scale} clients"
