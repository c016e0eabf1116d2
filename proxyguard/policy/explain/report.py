"""What a trace says: each rule looked at with its verdict and reasons, and the decision; as text or for JSON.

Plain values and their rendering. Knows nothing of how a trace is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, assert_never

from proxyguard.core.decision import Decision, Mode, Quota
from proxyguard.core.printable import printable
from proxyguard.core.reading import STRICT
from proxyguard.core.request import Request
from proxyguard.http.responses import refusal_status
from proxyguard.limits.charge import Charge, Usage
from proxyguard.limits.limit import Count, CountKind, Limit, Window
from proxyguard.policy.fields.connection import shown
from proxyguard.policy.model import Place

MAX_TARGET_SHOWN: Final = 200


class RuleVerdict(StrEnum):
    """What came of one rule."""

    APPLIES = "applies"
    WOULD_APPLY = "would apply"
    """It is in shadow."""
    WITHIN_LIMIT = "within limit"
    """The condition holds, the limit is not exceeded."""
    NOT_COUNTED = "not counted"
    """The condition holds, but the request lacks a part of the key and the limit says to skip such requests."""
    NO = "no"
    EXPIRED = "expired"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One rule looked at. `reasons` are the tests that held, or those that the condition failed by."""

    rule: str
    rule_set: str
    place: Place
    action: str
    mode: Mode
    verdict: RuleVerdict
    reasons: tuple[str, ...] = ()
    charge: Charge | None = None
    usage: Usage | None = None
    score: float = 0.0
    """After this rule."""

    def as_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "rule": self.rule,
            "rule_set": self.rule_set,
            "place": str(self.place),
            "action": self.action,
            "mode": str(self.mode),
            "verdict": str(self.verdict),
            "reasons": list(self.reasons),
            "score": self.score,
        }
        if self.charge is not None and self.usage is not None:
            fields["charge"] = {
                "key": self.charge.key,
                "cost": self.charge.cost,
                "limit": format_limit(self.charge.limit),
                "exceeded": self.usage.exceeded,
                "remaining": self.usage.remaining,
                "retry_after_seconds": self.usage.retry_after_seconds,
            }
        return fields

    def as_text(self) -> str:
        """One line."""
        shadow = f" ({self.mode})" if self.mode is not Mode.ENFORCE else ""
        line = f"{self.verdict:<13}{self.rule}{shadow}: {self.action}"
        if self.reasons:
            line += f" -- {'; '.join(self.reasons)}"
        if self.charge is not None and self.usage is not None:
            state = "exceeded" if self.usage.exceeded else f"{self.usage.remaining} left"
            line += f" -- limit {format_limit(self.charge.limit)}: {state} [{self.charge.key}]"
        return line


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Everything that led to one decision."""

    request: Request
    looked: tuple[Looked, ...]
    decision: Decision
    not_looked_at: int
    """Rules after the one that ended it."""

    @property
    def matched(self) -> tuple[str, ...]:
        """The tests by which the deciding rule held."""
        for looked in self.looked:
            if looked.rule == self.decision.rule and looked.verdict is RuleVerdict.APPLIES:
                return looked.reasons
        return ()

    def of(self, rule: str) -> Looked | None:
        """What was said about a rule; None when it was not looked at."""
        return next((looked for looked in self.looked if looked.rule == rule), None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the decision, and `rules` with each rule looked at."""
        decision = self.decision
        return {
            "action": decision.name,
            "rule": decision.rule,
            "reason": decision.reason,
            "score": decision.score,
            "matched": list(self.matched),
            "status": refusal_status(decision) if not decision.forwards else None,
            "banned": decision.banned,
            "tags": sorted(decision.tags),
            "shadow": [{"rule": hit.rule, "action": hit.action} for hit in decision.shadow],
            "quota": _quota_fields(decision.quota),
            "path": _printable(self.request.path),
            "connection": dict(shown(self.request)) if self.request.connection is not None else None,
            "rules": [looked.as_dict() for looked in self.looked],
            "not_looked_at": self.not_looked_at,
        }

    def as_text(self) -> str:
        """For people: the request, a line for each rule looked at, the decision."""
        request, decision = self.request, self.decision
        target = _printable(request.target)
        url = f"{_printable(request.scheme)}://{_printable(request.host)}{target}"
        lines = [f"{_printable(request.method)} {url} from {request.client.text}"]
        if request.reading is not STRICT:
            lines.append(f"  the site ({request.reading}) reads the path as {_printable(request.path)}")
        if request.connection is not None:
            lines.append("  connection: " + ", ".join(f"{name} {value}" for name, value in shown(request)))
        lines += [f"  {looked.as_text()}" for looked in self.looked]
        if self.not_looked_at:
            lines.append(f"  {self.not_looked_at} later rules were not looked at")
        verdict = f"{decision.name} by {decision.rule}"
        if status := (0 if decision.forwards else refusal_status(decision)):
            verdict += f" (status {status})"
        if decision.score:
            verdict += f", score {decision.score:g}"
        if decision.tags:
            verdict += f", tags {', '.join(sorted(decision.tags))}"
        lines.append(f"decision: {verdict}")
        if decision.reason:
            lines.append(f"why: {decision.reason}")
        lines += [f"shadow: {hit.action} by {hit.rule}" for hit in decision.shadow]
        return "\n".join(lines)


def format_limit(limit: Limit) -> str:
    """A limit in short: `10 per 60 s, burst 5, per client and path`; what is counted, unless requests are."""
    per = " and ".join(str(part) for part in limit.per)
    calendar = limit.window is Window.CALENDAR
    period = f"calendar {limit.period_seconds:g} s of {limit.time_zone}" if calendar else f"{limit.period_seconds:g} s"
    if limit.window is Window.SLIDING_LOG:
        period = f"any {period}"
    has_burst = limit.window is Window.SLIDING and limit.count.kind is not CountKind.DISTINCT
    burst = f", burst {limit.burst}" if has_burst else ""
    if limit.count.kind is CountKind.CONCURRENT:
        return f"{limit.amount} under way, per {per}"
    learned = limit.learned
    follows = f", or {learned.times:g} times what is usual, at most {learned.at_most}" if learned is not None else ""
    return f"{limit.amount}{_format_count(limit.count)} per {period}{burst}{follows}, per {per}"


def _format_count(count: Count) -> str:
    match count.kind:
        case CountKind.REQUESTS:
            return ""
        case CountKind.BYTES:
            return " bytes"
        case CountKind.UPSTREAM_SECONDS:
            return " upstream seconds"
        case CountKind.STATUSES:
            return f" responses with {', '.join(_format_status(each) for each in count.statuses)}"
        case CountKind.CONCURRENT:
            return " under way"
        case CountKind.REFUSALS:
            return f" refusals by {' or '.join(count.rules)}" if count.rules else " refusals"
        case CountKind.DISTINCT:
            return f" distinct {count.of}"
        case _:
            assert_never(count.kind)


def _format_status(statuses: tuple[int, int]) -> str:
    first, last = statuses
    return str(first) if first == last else f"{first // 100}xx"


def _quota_fields(quota: Quota | None) -> dict[str, float] | None:
    if quota is None:
        return None
    return {
        "limit": quota.limit,
        "period_seconds": quota.period_seconds,
        "remaining": quota.remaining,
        "retry_after_seconds": quota.retry_after_seconds,
    }


def _printable(text: bytes) -> str:
    return printable(text[:MAX_TARGET_SHOWN].decode("utf-8", "backslashreplace"))
