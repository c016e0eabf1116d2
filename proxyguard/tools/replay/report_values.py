"""The values of a replay's report, ready for text, JSON and HTML.

Knows nothing of how figures are found or drawn.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxyguard.core.decision import STOPPING
from proxyguard.tools.replay.log_files import MalformedLine


class Share(msgspec.Struct, frozen=True):
    """Requests and who made them. `exact` is False when clients or networks are estimates (within a few per cent)."""

    requests: int
    clients: int
    networks: int
    logged_in: int
    verified: int
    exact: bool


class Counted(msgspec.Struct, frozen=True):
    """A path or user agent and how often it came, at least."""

    text: str
    requests: int


class RuleLine(msgspec.Struct, frozen=True):
    """The requests that one rule decided (`enforce`) or would have decided (`shadow`)."""

    rule: str
    rule_set: str
    action: str
    mode: str
    share: Share
    paths: tuple[Counted, ...]
    user_agents: tuple[Counted, ...]
    over_time: tuple[int, ...]

    @property
    def stops(self) -> bool:
        return self.action in STOPPING


class UnjudgedLine(msgspec.Struct, frozen=True):
    """A rule that the log cannot judge. `concerns`: stopped requests that it might have let through."""

    rule: str
    rule_set: str
    action: str
    mode: str
    lacks: tuple[str, ...]
    in_part: bool
    effect: str
    concerns: Share | None


class SuspectLine(msgspec.Struct, frozen=True):
    """A client that may be stopped wrongly."""

    client: str
    weight: int
    signs: tuple[str, ...]
    requests: int
    stopped: int
    shadowed: int
    newly_stopped: int
    rules: dict[str, int]
    user_agent: str
    user_agents: int
    first: float
    last: float


class NetworkLine(msgspec.Struct, frozen=True):
    network: str
    clients: int
    requests: int
    stopped: int
    shadowed: int


class ChangeLine(msgspec.Struct, frozen=True):
    """Requests that the two policies treat differently; a rule is None where the policy lets them through."""

    before: str | None
    after: str | None
    share: Share
    paths: tuple[Counted, ...]
    user_agents: tuple[Counted, ...]


class Difference(msgspec.Struct, frozen=True):
    """The changes from the policy `against` to the one that was replayed."""

    against: str
    newly_stopped: Share
    no_longer_stopped: Share
    changes: tuple[ChangeLine, ...]
    unjudged: tuple[UnjudgedLine, ...]


class LogPart(msgspec.Struct, frozen=True):
    """The logs that were read. Times are Unix seconds."""

    files: tuple[str, ...]
    formats: tuple[str, ...]
    lines: int
    requests: int
    malformed: int
    malformed_shown: tuple[MalformedLine, ...]
    no_request: int
    first: float
    last: float
    backwards: int
    restarts: int
    known: str
    unknown: str
    notes: tuple[str, ...]


class TimePart(msgspec.Struct, frozen=True):
    """Requests over time, in columns of `width_seconds` from the Unix second `start` on."""

    start: int
    width_seconds: int
    passed: tuple[int, ...]
    shadowed: tuple[int, ...]
    stopped: tuple[int, ...]


class ReplayReport(msgspec.Struct, frozen=True):
    rules_directory: str
    policy: str
    rule_sets: int
    rules: int
    log: LogPart
    all: Share
    stopped: Share
    shadowed: Share
    by_rule: tuple[RuleLine, ...]
    unjudged: tuple[UnjudgedLine, ...]
    suspects: tuple[SuspectLine, ...]
    networks: tuple[NetworkLine, ...]
    clients_folded: int
    difference: Difference | None
    over_time: TimePart
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain
