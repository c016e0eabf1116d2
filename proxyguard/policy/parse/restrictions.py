"""Temporary restrictions: the `restrictions` of a rule file, from nodes to the model. Each must end.

Knows nothing of how a restriction becomes rules (`expand`), or of when it is on (`proxyguard.restrictions.monitor`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.yaml.kinds import (
    KEBAB,
    NAME_PATTERN,
    RAW,
    TRUTH,
    Found,
    Key,
    KeyTable,
    Kind,
    Schema,
    duration,
    filled,
    listed_in,
    number,
    plain,
    prose,
)
from proxyguard.core.yaml.nodes import Mapping, MappingEntry, Node, Scalar
from proxyguard.core.yaml.values import (
    NAME,
    complain,
    not_what,
    percent_hint,
    read_each,
    read_integer,
    read_mapping,
    read_name,
    read_scalar,
    read_sequence,
    report_fault,
)
from proxyguard.limits.limit import KeyPart, Limit
from proxyguard.policy.actions.reject import STATUSES
from proxyguard.policy.meant import meant
from proxyguard.policy.model import ALWAYS, Alarm, FieldKind, Restriction, RollBack, Shed
from proxyguard.policy.parse.classes import looks_at
from proxyguard.policy.parse.counts import RATE_HINT
from proxyguard.policy.parse.limits import PER, RATE, read_limit
from proxyguard.policy.parse.modes import MODE
from proxyguard.policy.parse.parsed_file import CONDITION, noted_name, place_of
from proxyguard.policy.parse.rules import of_posts
from proxyguard.policy.parse.times import MOMENT
from proxyguard.policy.restriction import SUSPECTED

MAX_RESTRICTIONS: Final = 100
"""In one file. Each is looked at every second."""

MAX_WHY_CHARACTERS: Final = 500
MAX_HOLD_SECONDS: Final = 7 * 86_400
MAX_STEPS: Final = 21

_EXAMPLE: Final = "{name: slow-reading, why: …, classes: {anonymous: 300/day}, until: 2026-07-08}"

_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)\s?%", re.ASCII)


def _status(node: Node, subject: str) -> int:
    status = read_integer(node, subject, 100, 599)
    if status not in STATUSES:
        raise Fault(f"a restriction cannot answer with status {status}", "429, 503 or 403")
    return status


def _share(node: Node, subject: str) -> float:
    text = read_scalar(node, subject, "a share", "such as 5%")
    match = _SHARE.fullmatch(text)
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share <= 1:
        raise Fault(f"{subject} must be more than 0% and at most 100%, not {quoted(text)}", percent_hint(text, "such as 5%"))
    return share


def _site_rate(node: Node, report: Report, _subject: str, _around: Any) -> float:
    limit = read_limit(_with(Mapping(node.line, node.column, []), "rate", node), report)
    return limit.amount / limit.period_seconds


def _alarm(node: Node, report: Report, _subject: str, around: Any) -> Alarm:
    found = ALARM.read(node, report, around)
    if not found.nodes.keys() & {"site_rate", "upstream_p95", "upstream_errors"}:
        hint = "site_rate: 500/second, upstream_p95: 2s or upstream_errors: 20%"
        raise Fault("start_when has no threshold", hint)
    return found.fill(Alarm)


def _shed(node: Node, report: Report, _subject: str, around: Any) -> Shed:
    if isinstance(node, Scalar) and not node.is_null:
        if node.text == "true":
            return Shed()
        raise Fault(f"shed cannot be {quoted(node.text)}", "true, or {every: 30s, suspected: 50}")
    return SHED.read(node, report, around).fill(Shed)


def _steps(node: Node, report: Report, subject: str, around: Any) -> tuple[str, ...]:
    steps: list[str] = []

    def read(item: Node) -> str:
        name = read_name(item, "a step")
        if name in steps:
            complain(report, item, f"steps names {quoted(name)} twice", "each class is shed once")
        if name != SUSPECTED:
            around.parsed.class_uses.append((name, item.line, item.column))
        steps.append(name)
        return name

    return read_each(read_sequence(node, subject, "[suspected, anonymous, new]").items[:MAX_STEPS], report, read)


def _restriction(node: Node, report: Report, _subject: str, around: Any) -> Restriction:
    found = RESTRICTION.read(node, report, around)
    limits = found.read("classes", lambda classes: _limits(classes, found, around)) or ()
    _check_times(found)
    _check_effect(found)
    _check_start(found)
    made = found.sound().fill(Restriction, limits=limits, when=of_posts(found.get("when", ALWAYS)), place=place_of(found))
    return replace(made, status=503) if made.shed is not None else made


def _limits(node: Node, found: Found, around: Any) -> tuple[tuple[str, Limit], ...]:
    report, name, per = found.report, found.get("name"), found.nodes.get("per")
    limits: list[tuple[str, Limit]] = []
    for entry in read_mapping(node, "classes", "{anonymous: 300/day, signed-in: 6000/day}"):
        class_name, line, column = entry.key.text, entry.key.line, entry.key.column
        if not NAME.fullmatch(class_name):
            complain(report, entry.key, f"{quoted(class_name)} is not the name of a class", "such as anonymous")
            continue
        around.parsed.class_uses.append((class_name, line, column))
        try:
            limit = _limit(entry, per, report, around)
        except Fault as fault:
            report_fault(report, entry.value, fault)
            continue
        if name is not None:
            around.parsed.rule_names.append((f"{name}-{class_name}", line, column))
        limits.append((class_name, limit))
    return tuple(limits)


def _limit(entry: MappingEntry, per: Node | None, report: Report, around: Any) -> Limit:
    node = entry.value
    if isinstance(node, Scalar) and not node.is_null:
        node = _with(Mapping(node.line, node.column, []), "rate", node)
    elif not isinstance(node, Mapping):
        hint = f"{RATE_HINT}; or {{rate: 300/day, burst: 50}}"
        raise Fault(not_what(node, f"the limit of {entry.key.text}", "a rate"), hint)
    has_per = node.get("per") is not None
    if per is not None and not has_per:
        node = _with(node, "per", per)
    limit = read_limit(node, report, around=around)
    counted: tuple[KeyPart, ...] = limit.per if per is not None or has_per else ()
    return replace(limit, announce=True, per=counted)


def _check_times(found: Found) -> None:
    start, until = found.get("from"), found.get("until")
    if until is not None and start is not None and until <= start:
        found.complain("until", "the restriction ends before it begins", "until comes after from")


def _check_effect(found: Found) -> None:
    """Report a restriction that restricts nothing, or whose parts cannot stand together."""
    has_classes, has_shed = "classes" in found.nodes, "shed" in found.nodes
    if has_classes and has_shed:
        hint = "classes limits, shed refuses step by step: write two restrictions"
        found.complain("shed", "a restriction has either classes or shed", hint)
    elif not (has_classes or has_shed):
        found.complain("classes", "the restriction restricts nothing", "classes: {anonymous: 300/day}")
    when = found.get("when")
    if when is not None and looks_at(when, (FieldKind.CLASS,)):
        found.complain("when", "when asks for the class, and classes does", "say the limit of each class there")
    if when is not None and looks_at(when, (FieldKind.REFUSED,)):
        hint = "a rule may ask it, and give a tag or points: suspected in shed goes by the score"
        found.complain("when", "a restriction cannot ask how often a client was refused", hint)


def _check_start(found: Found) -> None:
    """Report what goes by an alarm that is not there, or stands beside one."""
    if "start_when" in found.nodes:
        if "standby" in found.nodes:
            found.complain("standby", "standby stands beside start_when", "it waits for a command, or for an alarm")
        return
    if "shed" in found.nodes:
        hint = "start_when: {site_rate: 500/second, upstream_p95: 2s}"
        found.complain("shed", "shed goes by an alarm, and there is none", hint)
    if "hold" in found.nodes:
        hint = "hold is how long it stays on after an alarm; without one it is on until its end"
        found.complain("hold", "hold stands without start_when", hint)


def _with(mapping: Mapping, key: str, value: Node) -> Mapping:
    """The mapping with one entry more."""
    entry = MappingEntry(Scalar(value.line, value.column, key, plain=True), value)
    return Mapping(mapping.line, mapping.column, [*mapping.entries, entry])


_RATE_TEXT: Final = {**RATE.schema, "examples": ["300/day"]}
_PERCENT: Final = Kind(plain(_share), "share", {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s?%$", "examples": ["5%"]})
_BY_CLASS: Final[Schema] = {
    "type": "object",
    "minProperties": 1,
    "propertyNames": {"pattern": NAME_PATTERN},
    "additionalProperties": {"anyOf": [_RATE_TEXT, {"$ref": "#/definitions/limit"}]},
}
_NO_END: Final = (
    "the restriction does not end",
    "until: 2026-07-08T18:00Z; what nobody ends stays for years, so each one must say when it ends",
)
_MOMENTS: Final = ("2026-07-08", "2026-07-08T18:00Z")
_CLASS_NAME: Final = noted_name(lambda parsed: parsed.class_uses)

ALARM: Final = KeyTable(
    subject="start_when",
    example="{site_rate: 500/second, for: 30s}",
    keys={
        "site_rate": Key(Kind(_site_rate, "rate", _RATE_TEXT), "Requests to the whole site: 500/second.",
            attribute="requests_per_second"),
        "upstream_p95": Key(duration(0.01, 600), "The time within which 95 of 100 responses of the site begin.",
            attribute="upstream_p95_seconds"),
        "upstream_errors": Key(_PERCENT, "The share of the site's responses that are errors (5xx, or none at all).",
            attribute="upstream_error_share"),
        "for": Key(duration(0.5, 3600), "How long on end; 30s unless given.", attribute="for_seconds"),
    },
)  # fmt: skip

_ROLL_BACK_EXAMPLE: Final = "{class: signed-in, share: 5%}"

ROLL_BACK: Final = KeyTable(
    subject="roll_back",
    example=_ROLL_BACK_EXAMPLE,
    keys={
        "class": Key(_CLASS_NAME, "The class that is to be spared.", ("roll_back has no class", _ROLL_BACK_EXAMPLE),
            attribute="class_name", subject="the class"),
        "share": Key(_PERCENT, "The share of its clients from which on the restriction ends: 5%.",
            ("roll_back has no share", _ROLL_BACK_EXAMPLE)),
    },
)  # fmt: skip

SHED: Final = KeyTable(
    subject="shed",
    example="shed: true, or {every: 30s, suspected: 50}",
    keys={
        "every": Key(duration(1, MAX_HOLD_SECONDS), "The time between two steps; 30s unless given.",
            attribute="every_seconds"),
        "suspected": Key(number(1, 1_000_000), "The score from which on a client is suspected; 50 unless given.",
            attribute="suspected_score"),
        "steps": Key(Kind(_steps, "list of classes", {"type": "array", "minItems": 1, "items": KEBAB.schema}),
            "Who is refused, one after the other; `suspected`, `anonymous`, then the classes from the last to the first."),
    },
)  # fmt: skip

RESTRICTION: Final = KeyTable(
    subject="a restriction",
    example=_EXAMPLE,
    meant=meant("restriction"),
    keys={
        "name": Key(noted_name(lambda parsed: parsed.restriction_names),
            "The name of the restriction; its rules are called NAME-CLASS.",
            ("the restriction has no name", "name: slow-reading"), subject="the restriction"),
        "why": Key(prose(MAX_WHY_CHARACTERS), "What those whom it stops read on the page.",
            ("the restriction does not say why", "why: what you would tell the people whom it stops; they read it on the page")),
        "when": Key(CONDITION, "Which requests it is about. Left out: all.",
            examples=({"path": {"prefix": "/posts/"}},)),
        "classes": Key(Kind(RAW.reader, "limits by class", _BY_CLASS),
            "The limit of each class: `anonymous: 300/day`. Classes that are not named are not limited.",
            examples=({"anonymous": "300/day", "signed-in": "6000/day"},), attribute=None),
        "per": Key(Kind(RAW.reader, PER.kind.takes, PER.kind.schema),
            "What is counted separately; by account where accounts are known, else by client, unless given.",
            examples=PER.examples, attribute=None),
        "from": Key(MOMENT, "The day (00:00 UTC) or time from which on it is in force; at once unless given.",
            examples=_MOMENTS, attribute="start"),
        "until": Key(MOMENT, "The day (00:00 UTC) or time at which it ends by itself. Required.", _NO_END,
            _MOMENTS),
        "status": Key(Kind(plain(_status), "status", {"enum": list(STATUSES)}),
            "The status of the answer; 429 unless given."),
        "mode": Key(MODE, "`enforce`, `shadow` (record, never act) or `off`."),
        "standby": Key(TRUTH, "`true`: off until `proxyguard restrict start NAME`."),
        "start_when": Key(Kind(_alarm, "thresholds", ALARM.schema()),
            "Off until one of these thresholds is exceeded for a time.", attribute="alarm"),
        "hold": Key(duration(1, MAX_HOLD_SECONDS), "How long it stays on after that; 10m unless given.",
            attribute="hold_seconds"),
        "roll_back": Key(
            Kind(filled(ROLL_BACK, RollBack), "class and share", ROLL_BACK.schema()),
            "End it when it touches more than a share of the clients of a class."),
        "shed": Key(Kind(_shed, "true or steps", {"anyOf": [{"enum": [True]}, SHED.schema()]}),
            "Refuse instead of limiting: the suspected first, then class after class while the alarm goes on."),
    },
)  # fmt: skip

RESTRICTIONS: Final = listed_in(
    "restrictions",
    Kind(_restriction, RESTRICTION.subject, {"$ref": "#/definitions/restriction"}),
    MAX_RESTRICTIONS,
    example=f"[{_EXAMPLE}]",
)
