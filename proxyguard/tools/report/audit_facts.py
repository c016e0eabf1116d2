"""What an audit log says about a time, in one pass and bounded memory: totals of three periods, rules, talkers, clients.

Lines may come in any order, from any number of files. Knows the records (docs/reference/audit.md) and nothing of files.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec

from proxyguard.core.address import Address, Prefixes
from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.busiest import Busiest
from proxyguard.core.decision import ACTION_NAMES, DEFAULT_RULE, STOPPING, Prove
from proxyguard.core.path_family import path_family
from proxyguard.core.pseudonym import PATTERN
from proxyguard.policy.bots.classes import classes_of
from proxyguard.telemetry.audit_records import ABOUT_RECORDS
from proxyguard.tools.report.agent_kind import BROWSER, agent_kind
from proxyguard.tools.report.client_sample import ClientSample

LISTS: Final = ("clients", "networks", "user_agents", "paths")

KEPT: Final = 512
"""Names that each list keeps."""

MAX_RULES: Final = 1_000
"""Rules with figures of their own; the others are counted as OTHER_RULES."""

OTHER_RULES: Final = "other rules"

MAX_FAULTS: Final = 100

UNCLASSED: Final = "other bots"

MAX_TEXT: Final = 160
"""Characters of a user agent that are kept."""

MAX_REMEMBERED: Final = 20_000
"""Addresses whose names, and paths whose families are remembered."""

COLUMNS: Final = 60
"""Of the picture of the time."""

DAY_SECONDS: Final = 86_400.0

PROTECTED_NOT: Final = frozenset({"", "anonymous"})
"""Classes that are not protected: none, and strangers."""

MIN_TIME: Final = 1.5e9
"""Unix seconds of 2017: a record from before says that a clock was wrong, not that the log reaches so far back."""

_TIME: Final = b'{"time":'


type BoundedText = Annotated[str, msgspec.Meta(max_length=8192)]
type RecordTime = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
type BoundedCount = Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]
type Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class AuditLine(msgspec.Struct):
    """What is read of a record. Newer fields may be missing. What is out of bounds was not written by an instance."""

    time: RecordTime
    client: BoundedText = ""
    network: BoundedText = ""
    path: BoundedText = ""
    rule: BoundedText = ""
    action: BoundedText = ""
    reference: BoundedText = ""
    class_: BoundedText = msgspec.field(name="class", default="")
    shadow: list[BoundedText] = []
    fault: BoundedText = ""
    user_agent: BoundedText | None = None
    bytes_sent: BoundedCount | None = None
    upstream_milliseconds: Milliseconds | None = None
    robots: BoundedText = ""
    kind: BoundedText = ""
    count: BoundedCount = 0


_decode = msgspec.json.Decoder(AuditLine).decode


@dataclass(slots=True)
class PeriodCounts:
    """Records of a period, and the refusals that they stand for."""

    begin: float
    end: float
    forwarded: int = 0
    refused: int = 0


@dataclass(slots=True)
class RuleCounts:
    """The refusals of a rule. `protected` of them were of protected classes; `reference` is of one of these, if there are any."""

    actions: Counter[str] = field(default_factory=Counter)
    bytes_sent: int = 0
    protected: int = 0
    reference: str = ""

    @property
    def refused(self) -> int:
        return self.actions.total()


class AuditFacts:
    """Takes lines, and keeps what a report needs."""

    def __init__(self, now: float, seconds: float, prefixes: Prefixes, key: bytes) -> None:
        """The report is about the `seconds` before `now` (Unix seconds). `key`: secret bytes of this run."""
        self.periods = tuple(
            PeriodCounts(end - seconds, end) for end in (now, now - seconds, now - DAY_SECONDS)
        )  # fmt: skip
        self._window = self.periods[0]
        self._oldest = min(period.begin for period in self.periods)
        self._prefixes = prefixes
        self.lines = 0
        self.unreadable = 0
        self.first: float | None = None
        """The time of the oldest record of all that was read."""
        self.last: float | None = None
        self.summed = 0
        self.sampled_passes = 0
        self.rules: dict[str, RuleCounts] = {}
        self.shadow: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.protected: Counter[str] = Counter()
        self.robots: Counter[str] = Counter()
        """Requests for what robots.txt forbids, by the classes of the bots."""
        self.all = {name: Busiest(KEPT) for name in LISTS}
        self.forwarded = {name: Busiest(KEPT) for name in LISTS}
        self.clients = ClientSample(key)
        self.knows_agents = self.knows_bytes = self.knows_upstream = False
        self.columns = [[0, 0] for _ in range(COLUMNS)]
        """Of the time: forwarded records and refusals."""
        self._column = seconds / COLUMNS
        self._names: dict[str, tuple[str, str]] = {}
        self._families: dict[str, str] = {}

    def add(self, line: bytes) -> None:
        """BoundedCount one line. What is no record is counted as unreadable."""
        self.lines += 1
        if line.startswith(_TIME) and self._is_too_old(line):
            return
        try:
            found = _decode(line)
        except (ValueError, RecursionError):
            self.unreadable += 1
            return
        if found.kind == "summed":
            self._add_sum(found)
        elif found.kind in ABOUT_RECORDS:
            self._see(found.time)
        elif found.kind or not found.action:
            self.unreadable += 1
        else:
            self._add_record(found)

    def _is_too_old(self, line: bytes) -> bool:
        """Whether a record is from before all periods; told without reading the rest of it."""
        try:
            time = float(line[len(_TIME) : line.index(b",")])
        except ValueError:
            return False
        if not 0 <= time < self._oldest:
            return False
        self._see(time)
        return True

    def _see(self, time: float) -> None:
        if time < MIN_TIME:
            return
        if self.first is None or time < self.first:
            self.first = time
        if self.last is None or time > self.last:
            self.last = time

    def _add_sum(self, found: AuditLine) -> None:
        count = found.count
        self._see(found.time)
        refused = found.action in STOPPING
        self._count_in_periods(found.time, count, refused=refused)
        if self._window.begin <= found.time < self._window.end:
            self.summed += count
            self._column_of(found.time)[refused] += count
            self._add_fault(found.fault, count)
            if refused:
                self._rule(found).actions[found.action] += count

    def _add_record(self, found: AuditLine) -> None:
        time = found.time
        refused = found.action in STOPPING
        self._see(time)
        self._count_in_periods(time, 1, refused=refused)
        if not self._window.begin <= time < self._window.end:
            return
        self._column_of(time)[refused] += 1
        self._add_fault(found.fault, 1)
        if not refused and found.rule == DEFAULT_RULE and not found.shadow and not found.fault:
            self.sampled_passes += 1
        for hit in found.shadow:
            if hit in self.shadow or len(self.shadow) < MAX_RULES:
                self.shadow[hit] += 1
        if found.robots:
            self.robots.update(_bot_classes(found))
        self._count_talkers(found, refused=refused)

    def _count_talkers(self, found: AuditLine, *, refused: bool) -> None:
        try:
            client, network = self._named(found.client)
            network = network or found.network
        except ValueError:
            client = network = ""
        agent, sent = found.user_agent, found.bytes_sent or 0
        microseconds = int((found.upstream_milliseconds or 0.0) * 1000)
        self.knows_bytes |= found.bytes_sent is not None
        self.knows_upstream |= found.upstream_milliseconds is not None
        self.knows_agents |= agent is not None
        shown = None if agent is None else agent[:MAX_TEXT] or "(none)"
        keys = (client, network, shown, self._family(found.path))
        forwarded = not refused and found.action != ACTION_NAMES[Prove]
        for name, key in zip(LISTS, keys, strict=True):
            if key:
                self.all[name].add(key, int(refused), sent, microseconds)
                if forwarded:
                    self.forwarded[name].add(key, 0, sent, microseconds)
        kept = self.clients.of(client) if client else None
        if refused:
            rule = self._rule(found)
            rule.actions[found.action] += 1
            rule.bytes_sent += sent
            if not rule.protected:
                rule.reference = found.reference
            if found.class_ not in PROTECTED_NOT:
                rule.reference = found.reference
                rule.protected += 1
                if found.class_ in self.protected or len(self.protected) < MAX_FAULTS:
                    self.protected[found.class_] += 1
            if kept is not None:
                kept.refuse(_rule_name(found), found.reference)
        elif kept is not None and forwarded:
            kept.forwarded += 1
            kept.as_browser += agent is not None and agent_kind(agent[:MAX_TEXT]) == BROWSER

    def _count_in_periods(self, time: float, count: int, *, refused: bool) -> None:
        for period in self.periods:
            if period.begin <= time < period.end:
                if refused:
                    period.refused += count
                else:
                    period.forwarded += count

    def _add_fault(self, fault: str, count: int) -> None:
        name = fault[:MAX_TEXT]
        if name and (name in self.faults or len(self.faults) < MAX_FAULTS):
            self.faults[name] += count

    def _rule(self, found: AuditLine) -> RuleCounts:
        name = _rule_name(found)
        if name not in self.rules and len(self.rules) >= MAX_RULES:
            name = OTHER_RULES
        return self.rules.setdefault(name, RuleCounts())

    def _column_of(self, time: float) -> list[int]:
        return self.columns[min(COLUMNS - 1, int((time - self._window.begin) / self._column))]

    def _named(self, client: str) -> tuple[str, str]:
        """The client and the network that an address counts as. Raises ValueError."""
        names = self._names.get(client)
        if names is None:
            if len(self._names) >= MAX_REMEMBERED:
                self._names.clear()
            if PATTERN.fullmatch(client):
                names = client, ""
            else:
                address = Address.parse(client)
                names = address.client_key(self._prefixes), address.network_key(self._prefixes)
            self._names[client] = names
        return names

    def _family(self, path: str) -> str:
        family = self._families.get(path)
        if family is None:
            family = keep_at_hand(
                self._families, MAX_REMEMBERED, path, path_family(path.encode("utf-8", "surrogatepass")) if path else ""
            )
        return family


def _bot_classes(found: AuditLine) -> list[str]:
    """The classes of a declared bot: by its user agent, else by the group that robots.txt has for it."""
    names = (found.user_agent or "", found.robots)
    classes = next((found for found in (classes_of(name[:MAX_TEXT].encode("utf-8", "replace")) for name in names) if found), ())
    return [name.decode() for name in classes] or [UNCLASSED]


def _rule_name(found: AuditLine) -> str:
    """The rule that refused; where none was asked, as a request was malformed, the fault."""
    return found.rule or f"fault: {found.fault or 'none'}"
