"""What to do next, as commands to copy, chosen by plain thresholds that each line states.

A command looks or tries wherever one can: what acts on people (a ban, a demotion) has an end or can be taken back. Whatever
clients chose stands in a command only when it is harmless there, and quoted for a shell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Final

from proxyguard.core.decision import DEFAULT_RULE, FAILURE_RULE, STORE_RULE, SWITCH_RULE
from proxyguard.core.pseudonym import PATTERN
from proxyguard.core.units import counted
from proxyguard.tools.replay.traits import is_asset
from proxyguard.tools.report.agent_kind import LIBRARY, NONE, ROBOT, agent_kind
from proxyguard.tools.report.audit_facts import OTHER_RULES
from proxyguard.tools.report.figures import RuleFigures, Step, TalkerRow, TrafficReport
from proxyguard.tools.report.people import LOOKED_UP
from proxyguard.tools.report.sources import ReportSources

MIN_REQUESTS: Final = 100
"""Of a time: who made fewer is never named."""

CLIENT_SHARE: Final = 0.1
"""Of the forwarded requests: no person makes a tenth of a site's traffic."""

REFUSED_SHARE: Final = 0.1
"""Of the refusals: such a client may as well be refused at accept."""

REFUSED_OF_CLIENT: Final = 0.9
"""Of a client's requests, so that a ban stops little else."""

PATH_SHARE: Final = 0.25
"""Of the forwarded requests, for one family of paths."""

AGENT_SHARE: Final = 0.02
"""Of the forwarded requests, for user agents that are no browser's."""

SHADOW_REQUESTS: Final = 20
"""What a shadow rule must have met before it is worth trying to promote."""

MIXED_CLIENTS: Final = 3
MIXED_SHARE: Final = 0.05
"""Clients of a rule that more often got through with a browser's user agent: at least so many, and such a share."""

PROTECTED_REFUSALS: Final = 1

PROTECTED_SHARE: Final = 0.01
"""Of a rule's refusals: as much as `promote` lets a rule stop of the protected clients."""

LOOK_UPS: Final = 3
"""Of references of one rule: so many people have asked."""

NOT_RULES: Final = frozenset({DEFAULT_RULE, FAILURE_RULE, STORE_RULE, SWITCH_RULE, OTHER_RULES, "operator", "other", ""})
"""Names of decisions that are no rule's in a file: they cannot be put into shadow."""

MAX_STEPS: Final = 12

_RULE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,99}", re.ASCII)
_REFERENCE: Final = re.compile(r"[0-9A-Za-z]{1,64}", re.ASCII)
_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+/?", re.ASCII)
_AGENT: Final = re.compile(r"[ -~]{1,160}", re.ASCII)

ANONYMOUS: Final = "--class anonymous=60/hour"


def steps_of(report: TrafficReport, sources: ReportSources) -> list[Step]:
    """The first MAX_STEPS: what hurts people before what lets scrapers through, and both before what saves work."""
    has_instance = sources.instance is not None
    steps = [*_hurting(report), *_health(report)]
    if has_instance:
        steps += [*_busiest_clients(report), *_paths(report), *_refused_clients(report), *_shadow(sources)]
    steps += _agents(report)
    if not steps:
        steps.append(Step("nothing is beyond a threshold: watch", "proxyguard top" if has_instance else "proxyguard report"))
    return steps[:MAX_STEPS]


def _hurting(report: TrafficReport) -> Iterable[Step]:
    asked = next(figure.detail for figure in report.people if figure.name == LOOKED_UP)
    for rule in report.stopped.rules:
        reasons = [*_reasons(rule, asked.get(rule.rule, 0))]
        if not reasons:
            continue
        why = f"{rule.rule} may hurt people: {', '.join(text for text, _ in reasons)}"
        if _REFERENCE.fullmatch(rule.reference):
            yield Step(f"{why}; look at one", f"proxyguard explain --reference {rule.reference}")
        is_much = any(enough for _, enough in reasons)
        if is_much and _RULE.fullmatch(rule.rule) and rule.rule not in NOT_RULES:
            yield Step(f"{why}; if so, have it only record", f"proxyguard demote {rule.rule}")


def _reasons(rule: RuleFigures, asked: int) -> Iterable[tuple[str, bool]]:
    """Why a rule may hurt people, and whether that is enough to have it only record."""
    if asked >= LOOK_UPS:
        yield f"{asked} of its references were looked up (from {LOOK_UPS} on)", True
    if rule.protected is not None and rule.protected >= PROTECTED_REFUSALS:
        share = rule.protected / rule.requests
        threshold = f"from {PROTECTED_REFUSALS} on look, from {PROTECTED_SHARE:.0%} on act"
        text = f"{counted(rule.protected, 'refusal')} of protected classes, {share:.1%} of its own ({threshold})"
        yield text, share >= PROTECTED_SHARE
    mixed, clients = rule.also_forwarded, rule.clients
    if mixed is not None and clients and mixed >= MIXED_CLIENTS and mixed >= MIXED_SHARE * clients:
        threshold = f"from {MIXED_CLIENTS} and {MIXED_SHARE:.0%} on"
        yield f"{mixed:,} of its {clients:,} clients more often got through with a browser's user agent ({threshold})", True


def _health(report: TrafficReport) -> Iterable[Step]:
    if report.health.troubles:
        yield Step(f"health: {report.health.troubles[0]}", "proxyguard status")


def _busiest_clients(report: TrafficReport) -> Iterable[Step]:
    for row in report.through.busiest.clients:
        if _is_much(row, CLIENT_SHARE) and PATTERN.fullmatch(row.name):
            why = (
                f"one client made {row.share:.0%} of the forwarded requests (from {CLIENT_SHARE:.0%} on); "
                "not if it is a proxy or a search engine of yours"
            )
            yield Step(why, f"proxyguard bans add {row.name} --for 1h")


def _refused_clients(report: TrafficReport) -> Iterable[Step]:
    whole = report.stopped.requests
    for row in report.who.clients:
        is_mostly_refused = (row.refused or 0) >= MIN_REQUESTS and (row.refused_share or 0) >= REFUSED_OF_CLIENT
        if is_mostly_refused and (row.refused or 0) >= REFUSED_SHARE * whole and PATTERN.fullmatch(row.name):
            why = (
                f"one client made {row.refused:,} of the refused requests and nearly no other "
                f"(from {REFUSED_SHARE:.0%} of all and {REFUSED_OF_CLIENT:.0%} of its own on): refuse it at accept"
            )
            yield Step(why, f"proxyguard bans add {row.name} --for 1h --then drop")


def _paths(report: TrafficReport) -> Iterable[Step]:
    for row in report.through.busiest.paths:
        prefix = row.name.partition("*")[0].partition("…")[0]
        if not _is_much(row, PATH_SHARE) or not _PATH.fullmatch(prefix) or is_asset(row.name.encode()):
            continue
        why = f"{row.share:.0%} of the forwarded requests read {row.name} (from {PATH_SHARE:.0%} on): whom would a limit touch?"
        yield Step(why, f"proxyguard restrict preview {ANONYMOUS} --path-prefix {prefix}")


def _agents(report: TrafficReport) -> Iterable[Step]:
    for row in report.through.busiest.user_agents:
        kind = agent_kind(row.name)
        if kind not in (LIBRARY, ROBOT) or not _is_much(row, AGENT_SHARE) or not _AGENT.fullmatch(row.name):
            continue
        why = f"{row.share:.0%} of the forwarded requests are of {kind} (from {AGENT_SHARE:.0%} on): why does it pass?"
        yield Step(why, f"proxyguard explain --user-agent={shlex.quote(row.name)}")
    nameless = next((row for row in report.through.busiest.user_agents if agent_kind(row.name) == NONE), None)
    if nameless is not None and _is_much(nameless, AGENT_SHARE):
        why = f"{nameless.share:.0%} of the forwarded requests send no user agent (from {AGENT_SHARE:.0%} on)"
        yield Step(why, "proxyguard explain --user-agent=")


def _shadow(sources: ReportSources) -> Iterable[Step]:
    shadow = sources.instance.shadow if sources.instance is not None else {}
    for rule in shadow.get("rules", ()):
        if rule["requests"] >= SHADOW_REQUESTS and not rule["protected_clients"] and _RULE.fullmatch(rule["rule"]):
            why = (
                f"in shadow, {rule['rule']} met {rule['requests']:,} requests of {rule['clients']:,} clients, "
                f"none of a protected class (from {SHADOW_REQUESTS} on): may it act?"
            )
            yield Step(why, f"proxyguard promote {rule['rule']} --dry-run")


def _is_much(row: TalkerRow, share: float) -> bool:
    return row.requests >= MIN_REQUESTS and row.share >= share
