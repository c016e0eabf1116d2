"""Where a report has its facts from: answers of a running instance, an audit log that was read, or both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from proxyguard.tools.report.audit_facts import AuditFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceAnswers:
    """What the control commands answered; an empty one was not answered."""

    top: dict[str, Any]
    status: dict[str, Any]
    shadow: dict[str, Any] = field(default_factory=dict)
    restrictions: dict[str, Any] = field(default_factory=dict)
    looked_up: list[dict[str, Any]] | None = None
    passes: float | None = None
    """The share of plain passes that it records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSources:
    """`files`: of the audit log, as they were read. `notes`: what went wrong meanwhile."""

    now: float
    seconds: float
    instance: InstanceAnswers | None
    audit: AuditFacts | None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
