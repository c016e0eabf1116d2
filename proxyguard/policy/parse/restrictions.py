"""Temporary restrictions: the `restrictions` of a rule file, from nodes to the model. Each must end.

Knows nothing of how a restriction becomes rules (`expand`), or of when it is on (`proxyguard.restrictions.monitor`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from proxyguard.core.decision import Mode
from proxyguard.core.problems import Report, quoted
from proxyguard.core.yaml.nodes import Mapping, MappingEntry, Node, Scalar
from proxyguard.core.yaml.values import (
    NAME,
    complain,
    not_what,
    read_duration,
    read_integer,
    read_keys,
    read_mapping,
    read_name,
    read_number,
    read_prose,
    read_scalar,
    read_sequence,
    read_truth,
)
from proxyguard.limits.limit import KeyKind, KeyPart, Limit
from proxyguard.policy.model import (
    ALARM_SECONDS,
    ALWAYS,
    HOLD_SECONDS,
    Alarm,
    Condition,
    FieldKind,
    Place,
    Restriction,
    RollBack,
    Shed,
)
from proxyguard.policy.parse.actions import STATUSES
from proxyguard.policy.parse.classes import ReadCondition, looks_at
from proxyguard.policy.parse.counts import RATE_HINT
from proxyguard.policy.parse.limits import read_limit
from proxyguard.policy.parse.times import read_expiry
from proxyguard.policy.restriction import SUSPECTED

MAX_RESTRICTIONS: Final = 100
"""In one file. Each is looked at every second."""

MAX_WHY_CHARACTERS: Final = 500
MAX_HOLD_SECONDS: Final = 7 * 86_400
MAX_STEPS: Final = 21

RESTRICTION_KEYS: Final = (
    "name", "why", "when", "classes", "per", "from", "until", "status", "mode", "standby", "start_when", "hold", "roll_back",
    "shed",
)  # fmt: skip
ALARM_KEYS: Final = ("site_rate", "upstream_p95", "upstream_errors", "for")
ROLL_BACK_KEYS: Final = ("class", "share")
SHED_KEYS: Final = ("every", "suspected", "steps")

EXAMPLE: Final = "{name: slow-reading, why: …, classes: {anonymous: 300/day}, until: 2026-07-08}"

_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)\s?%", re.ASCII)

_MEANT: Final = {
    **dict.fromkeys(("expires", "end", "ends", "to", "till"), "did you mean 'until'?"),
    **dict.fromkeys(("start", "starts", "since", "begin"), "did you mean 'from'?"),
    **dict.fromkeys(("reason", "message", "description", "note"), "did you mean 'why'?"),
    **dict.fromkeys(("limits", "limit", "rate", "rates", "class", "tiers"), "did you mean 'classes'?"),
    **dict.fromkeys(("if", "match", "condition"), "did you mean 'when'?"),
    **dict.fromkeys(("trigger", "automatic", "alarm", "on"), "did you mean 'start_when'?"),
    **dict.fromkeys(("rollback", "collateral"), "did you mean 'roll_back'?"),
    **dict.fromkeys(("manual", "prepared"), "did you mean 'standby'?"),
    "action": "a restriction refuses: with 429, or the status that it says",
}


@dataclass(slots=True)
class Surroundings:
    """What reading a restriction needs of the file it stands in, and tells it."""

    read_condition: ReadCondition
    read_mode: Callable[[dict[str, Node]], Mode | None]
    class_uses: list[tuple[str, int, int]]
    account_uses: list[tuple[str, int, int]]
    names: list[tuple[str, int, int]]
    rule_names: list[tuple[str, int, int]]


def read_restrictions(node: Node, report: Report, around: Surroundings) -> tuple[Restriction, ...]:
    """The `restrictions` of a rule file; those with problems are left out."""
    sequence = read_sequence(node, report, "restrictions", f"[{EXAMPLE}]")
    if sequence is None:
        return ()
    if len(sequence.items) > MAX_RESTRICTIONS:
        complain(report, node, f"the file has {len(sequence.items)} restrictions", f"at most {MAX_RESTRICTIONS}")
        return ()
    found = (_Reader(report, around).read(item) for item in sequence.items)
    return tuple(restriction for restriction in found if restriction is not None)


class _Reader:
    """Reads one restriction."""

    def __init__(self, report: Report, around: Surroundings) -> None:
        self._report = report
        self._around = around

    def read(self, node: Node) -> Restriction | None:
        report, around = self._report, self._around
        mapping = read_mapping(node, report, "a restriction", EXAMPLE)
        if mapping is None:
            return None
        before = len(report.problems)
        values = read_keys(mapping, RESTRICTION_KEYS, report, "a restriction", _MEANT)
        name = self._name(mapping, values)
        why = self._why(mapping, values)
        until, start = self._times(mapping, values)
        when: Condition | None = ALWAYS
        if "when" in values:
            when = around.read_condition(values["when"], "when")
        mode = around.read_mode(values)
        status = read_integer(values["status"], report, "status", 100, 599) if "status" in values else 429
        if status is not None and status not in STATUSES:
            complain(report, values["status"], f"a restriction cannot answer with status {status}", "429, 503 or 403")
        standby = read_truth(values["standby"], report, "standby") if "standby" in values else False
        alarm = self._alarm(values["start_when"]) if "start_when" in values else None
        hold: float | None = HOLD_SECONDS
        if "hold" in values:
            hold = read_duration(values["hold"], report, "hold", 1, MAX_HOLD_SECONDS)
        roll_back = self._roll_back(values["roll_back"]) if "roll_back" in values else None
        shed = self._shed(values["shed"]) if "shed" in values else None
        limits = self._limits(values["classes"], name, values.get("per")) if "classes" in values else ()
        self._check_sense(mapping, values, when)
        if len(report.problems) > before or name is None or why is None or until is None or when is None:
            return None
        if mode is None or status is None or standby is None or hold is None:
            return None
        return Restriction(
            name=name,
            why=why,
            until=until,
            start=start,
            when=when,
            limits=limits,
            status=status if shed is None else 503,
            mode=mode,
            standby=standby,
            alarm=alarm,
            hold_seconds=hold,
            roll_back=roll_back,
            shed=shed,
            place=Place(report.file, mapping.line, mapping.column),
        )

    def _name(self, mapping: Mapping, values: dict[str, Node]) -> str | None:
        if "name" not in values:
            complain(self._report, mapping, "the restriction has no name", "name: slow-reading")
            return None
        node = values["name"]
        name = read_name(node, self._report, "the restriction")
        if name is not None:
            self._around.names.append((name, node.line, node.column))
        return name

    def _why(self, mapping: Mapping, values: dict[str, Node]) -> str | None:
        if "why" in values:
            return read_prose(values["why"], self._report, "why", MAX_WHY_CHARACTERS)
        hint = "why: what you would tell the people whom it stops; they read it on the page"
        complain(self._report, mapping, "the restriction does not say why", hint)
        return None

    def _times(self, mapping: Mapping, values: dict[str, Node]) -> tuple[float | None, float | None]:
        report = self._report
        start = read_expiry(values["from"], report, "from") if "from" in values else None
        until = read_expiry(values["until"], report, "until") if "until" in values else None
        if "until" not in values:
            hint = "until: 2026-07-08T18:00Z; what nobody ends stays for years, so each one must say when it ends"
            complain(report, mapping, "the restriction does not end", hint)
        elif until is not None and start is not None and until <= start:
            complain(report, values["until"], "the restriction ends before it begins", "until comes after from")
        return until, start

    def _limits(self, node: Node, name: str | None, per: Node | None) -> tuple[tuple[str, Limit], ...]:
        report, around = self._report, self._around
        mapping = read_mapping(node, report, "classes", "{anonymous: 300/day, signed-in: 6000/day}")
        limits: list[tuple[str, Limit]] = []
        for entry in mapping.entries if mapping else ():
            class_name = entry.key.text
            if not NAME.fullmatch(class_name):
                complain(report, entry.key, f"{quoted(class_name)} is not the name of a class", "such as anonymous")
                continue
            around.class_uses.append((class_name, entry.key.line, entry.key.column))
            limit = self._limit(entry, per)
            if limit is None:
                continue
            if name is not None:
                around.rule_names.append((f"{name}-{class_name}", entry.key.line, entry.key.column))
            limits.append((class_name, limit))
        return tuple(limits)

    def _limit(self, entry: MappingEntry, per: Node | None) -> Limit | None:
        node = entry.value
        if isinstance(node, Scalar) and not node.is_null:
            node = _with(Mapping(node.line, node.column, []), "rate", node)
        elif not isinstance(node, Mapping):
            hint = f"{RATE_HINT}; or {{rate: 300/day, burst: 50}}"
            complain(self._report, node, not_what(node, f"the limit of {entry.key.text}", "a rate"), hint)
            return None
        said = {each.key.text for each in node.entries}
        if per is not None and "per" not in said:
            node = _with(node, "per", per)
        limit = read_limit(node, self._report)
        if limit is None:
            return None
        if any(part.kind == KeyKind.ACCOUNT for part in limit.per):
            self._around.account_uses.append(("per: account", node.line, node.column))
        counted: tuple[KeyPart, ...] = limit.per if per is not None or "per" in said else ()
        return replace(limit, announce=True, per=counted)

    def _alarm(self, node: Node) -> Alarm | None:
        report = self._report
        mapping = read_mapping(node, report, "start_when", "{site_rate: 500/second, for: 30s}")
        if mapping is None:
            return None
        values = read_keys(mapping, ALARM_KEYS, report, "start_when")
        if not {"site_rate", "upstream_p95", "upstream_errors"} & values.keys():
            hint = "site_rate: 500/second, upstream_p95: 2s or upstream_errors: 20%"
            complain(report, node, "start_when has no threshold", hint)
            return None
        rate = p95 = errors = None
        seconds: float | None = ALARM_SECONDS
        if "site_rate" in values:
            counted = read_limit(_with(Mapping(node.line, node.column, []), "rate", values["site_rate"]), report)
            rate = None if counted is None else counted.amount / counted.period_seconds
        if "upstream_p95" in values:
            p95 = read_duration(values["upstream_p95"], report, "upstream_p95", 0.01, 600)
        if "upstream_errors" in values:
            errors = self._share(values["upstream_errors"], "upstream_errors")
        if "for" in values:
            seconds = read_duration(values["for"], report, "for", 0.5, 3600)
        if seconds is None:
            return None
        return Alarm(
            requests_per_second=rate, upstream_p95_seconds=p95, upstream_error_share=errors, for_seconds=seconds
        )

    def _roll_back(self, node: Node) -> RollBack | None:
        report = self._report
        mapping = read_mapping(node, report, "roll_back", "{class: signed-in, share: 5%}")
        if mapping is None:
            return None
        values = read_keys(mapping, ROLL_BACK_KEYS, report, "roll_back")
        for key in ROLL_BACK_KEYS:
            if key not in values:
                complain(report, node, f"roll_back has no {key}", "{class: signed-in, share: 5%}")
                return None
        class_name = read_name(values["class"], report, "the class")
        share = self._share(values["share"], "share")
        if class_name is None or share is None:
            return None
        self._around.class_uses.append((class_name, values["class"].line, values["class"].column))
        return RollBack(class_name, share)

    def _share(self, node: Node, subject: str) -> float | None:
        scalar = read_scalar(node, self._report, subject, "a share", "such as 5%")
        if scalar is None:
            return None
        match = _SHARE.fullmatch(scalar.text)
        share = float(match[1]) / 100 if match else 0.0
        if 0 < share <= 1:
            return share
        hint = (
            f"did you mean {scalar.text}%?" if scalar.text.isdecimal() and 0 < int(scalar.text) <= 100 else "such as 5%"
        )
        complain(
            self._report, node, f"{subject} must be more than 0% and at most 100%, not {quoted(scalar.text)}", hint
        )
        return None

    def _shed(self, node: Node) -> Shed | None:
        report = self._report
        if isinstance(node, Scalar) and not node.is_null:
            if node.text == "true":
                return Shed()
            complain(report, node, f"shed cannot be {quoted(node.text)}", "true, or {every: 30s, suspected: 50}")
            return None
        mapping = read_mapping(node, report, "shed", "shed: true, or {every: 30s, suspected: 50}")
        if mapping is None:
            return None
        before = len(report.problems)
        values = read_keys(mapping, SHED_KEYS, report, "shed")
        default = Shed()
        every: float | None = default.every_seconds
        if "every" in values:
            every = read_duration(values["every"], report, "every", 1, MAX_HOLD_SECONDS)
        score: float | None = default.suspected_score
        if "suspected" in values:
            score = read_number(values["suspected"], report, "suspected", 1, 1_000_000)
        steps = self._steps(values["steps"]) if "steps" in values else None
        if len(report.problems) > before or every is None or score is None:
            return None
        return Shed(every, score, steps)

    def _steps(self, node: Node) -> tuple[str, ...] | None:
        report = self._report
        sequence = read_sequence(node, report, "steps", "[suspected, anonymous, new]")
        if sequence is None:
            return None
        steps: list[str] = []
        for item in sequence.items[:MAX_STEPS]:
            name = read_name(item, report, "a step")
            if name is None:
                continue
            if name in steps:
                complain(report, item, f"steps names {quoted(name)} twice", "each class is shed once")
            if name != SUSPECTED:
                self._around.class_uses.append((name, item.line, item.column))
            steps.append(name)
        return tuple(steps)

    def _check_sense(self, mapping: Mapping, values: dict[str, Node], when: Condition | None) -> None:
        """Report what is well formed and yet cannot be meant."""
        report = self._report
        if "classes" in values and "shed" in values:
            hint = "classes limits, shed refuses step by step: write two restrictions"
            complain(report, values["shed"], "a restriction has either classes or shed", hint)
        elif "classes" not in values and "shed" not in values:
            complain(report, mapping, "the restriction restricts nothing", "classes: {anonymous: 300/day}")
        if "shed" in values and "start_when" not in values:
            hint = "start_when: {site_rate: 500/second, upstream_p95: 2s}"
            complain(report, values["shed"], "shed goes by an alarm, and there is none", hint)
        if "standby" in values and "start_when" in values:
            complain(
                report, values["standby"], "standby stands beside start_when", "it waits for a command, or for an alarm"
            )
        if "hold" in values and "start_when" not in values:
            hint = "hold is how long it stays on after an alarm; without one it is on until its end"
            complain(report, values["hold"], "hold stands without start_when", hint)
        if when is not None and "when" in values and looks_at(when, (FieldKind.CLASS,)):
            complain(
                report, values["when"], "when asks for the class, and classes does", "say the limit of each class there"
            )


def _with(mapping: Mapping, key: str, value: Node) -> Mapping:
    """The mapping with one entry more."""
    entry = MappingEntry(Scalar(value.line, value.column, key, plain=True), value)
    return Mapping(mapping.line, mapping.column, [*mapping.entries, entry])
