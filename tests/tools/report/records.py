"""Audit records for tests, and a report made of them."""

from __future__ import annotations

import json
from typing import Any, Final

from proxyguard.core.address import Prefixes
from proxyguard.tools.report.audit_facts import AuditFacts
from proxyguard.tools.report.build import traffic_report
from proxyguard.tools.report.figures import TrafficReport
from proxyguard.tools.report.sources import InstanceAnswers, ReportSources

NOW: Final = 1_790_000_000.0
HOUR: Final = 3600.0

FIREFOX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

LISTS: Final = ("clients", "networks", "user_agents", "paths", "rules", "referers", "sites", "robots")


def record(**changes: Any) -> bytes:
    """A refusal a minute ago, but for the changes."""
    fields = {
        "time": NOW - 60, "reference": "8a0c4841", "client": "192.0.2.1", "port": 51724, "method": "GET",
        "host": "www.example.org", "path": "/profiles/1", "rule": "http-libraries", "action": "reject", "mode": "enforce",
        "score": 0.0, "status": 403, "milliseconds": 0.04, "reason": "", "class": "anonymous", "tags": [], "shadow": [],
        "fault": "",
    }  # fmt: skip
    return json.dumps({**fields, **changes}).encode() + b"\n"


def passed(**changes: Any) -> bytes:
    """A plain pass."""
    return record(**{"rule": "default", "action": "pass", "status": 200, "user_agent": FIREFOX, "bytes_sent": 100, **changes})


def facts_of(*lines: bytes) -> AuditFacts:
    """What the lines say of the last hour."""
    facts = AuditFacts(NOW, HOUR, Prefixes(), b"key")
    for line in lines:
        facts.add(line)
    return facts


def row(name: str, requests: int, refused: int = 0) -> dict[str, Any]:
    """A name of `top`."""
    return {
        "name": name, "requests": requests, "refused": refused, "bytes": 0, "upstream_seconds": 0.0, "requests_at_most": requests
    }  # fmt: skip


def instance(history: list[list[int]] | None = None, uptime: float = 2 * HOUR, **changes: Any) -> InstanceAnswers:
    """What an instance answers; `changes` of `top`."""
    whole = {"requests": 1000, "refused": 0, "bytes": 0, "seconds": HOUR, "window": "hour", "history": history or []}
    lists: dict[str, Any] = {name: [] for name in LISTS}
    status = {"ready": True, "mode": "enforce", "uptime_seconds": uptime, "upstreams": [], "internal_errors": {}}
    return InstanceAnswers(top={**whole, **lists, **changes}, status=status, looked_up=[], passes=1.0)


def report_of(*lines: bytes, answers: InstanceAnswers | None = None) -> TrafficReport:
    """The report of an instance, of these lines, or of both."""
    facts = facts_of(*lines) if lines else None
    return traffic_report(ReportSources(now=NOW, seconds=HOUR, instance=answers, audit=facts, files=("audit.jsonl",)), {})


def commands(report: TrafficReport) -> list[str]:
    """What to do next."""
    return [step.command for step in report.next]
