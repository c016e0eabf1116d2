"""Actions: what a rule does, from nodes to the closed union of `decision`.

One word for the actions that need nothing, `{ACTION: {…}}` for the rest. Knows nothing of how an action is carried out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxyguard.core.decision import (
    ALLOW,
    PASS,
    Action,
    Allow,
    Ban,
    Delay,
    Drop,
    Pass,
    Refusal,
    Reject,
    Score,
    Tag,
    Tarpit,
)  # fmt: skip
from proxyguard.core.problems import Report, folded, name_hint, quoted
from proxyguard.core.units import duration_text
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar
from proxyguard.core.yaml.values import (
    complain,
    not_what,
    read_duration,
    read_integer,
    read_keys,
    read_mapping,
    read_name,
    read_number,
    read_text,
)

STATUSES: Final = (400, 402, 403, 404, 406, 409, 410, 418, 422, 423, 429, 451, 500, 502, 503, 504)
"""Statuses that say no and need nothing else. Others need a header field (401, 405, 407, 426), are about the connection (408,
413, 414, 431), or are no refusal at all."""

MAX_MESSAGE_CHARACTERS: Final = 500
MAX_WAIT_SECONDS: Final = 366 * 86_400
MAX_HOLD_SECONDS: Final = 3600
MAX_DELAY_SECONDS: Final = 60
MAX_DRIP_BYTES: Final = 1024
MAX_POINTS: Final = 1000
MAX_ESCALATION: Final = 100

ACTIONS: Final = ("allow", "pass", "reject", "tarpit", "delay", "drop", "ban", "score", "tag")
REFUSALS: Final = ("reject", "tarpit", "drop")

REJECT_KEYS: Final = ("status", "message", "retry_after")
TARPIT_KEYS: Final = ("hold", "drip", "drip_bytes")
BAN_KEYS: Final = ("for", "escalation", "max", "forget", "then")

_EXAMPLES: Final = {
    "delay": "action: {delay: 2s}",
    "ban": "action: {ban: {for: 1h}}",
    "score": "action: {score: 40}",
    "tag": "action: {tag: suspicious}",
    "reject": "action: {reject: {status: 403}}",
    "tarpit": "action: {tarpit: {hold: 60s}}",
}

_MEANT: Final = {
    **dict.fromkeys(("deny", "block", "refuse", "forbid", "403", "return"), "did you mean 'reject'?"),
    **dict.fromkeys(("accept", "permit", "whitelist", "allowlist"), "did you mean 'allow'?"),
    **dict.fromkeys(("ok", "continue", "none", "skip"), "did you mean 'pass'?"),
    **dict.fromkeys(("close", "reset", "abort", "444"), "did you mean 'drop'?"),
    **dict.fromkeys(("slow", "throttle", "sleep", "wait"), "did you mean 'delay' or 'tarpit'?"),
    **dict.fromkeys(
        ("limit", "ratelimit", "rate_limit"), "write the limit beside the action: limit: {rate: 10/minute}"
    ),
    **dict.fromkeys(("challenge", "captcha"), "there are no challenges; score, delay or limit instead"),
    **dict.fromkeys(("log", "monitor", "count", "shadow"), "write mode: shadow beside the action that would be taken"),
}


def read_action(node: Node, report: Report) -> Action | None:
    """An action, short or long. None when a problem was reported."""
    if isinstance(node, Scalar):
        return _short(node, report)
    mapping = read_mapping(node, report, "action", "action: reject, or action: {reject: {status: 404}}")
    if mapping is None:
        return None
    if len(mapping.entries) > 1:
        second = mapping.entries[1].key
        first = mapping.entries[0].key.text
        hint = f"one action a rule; options go inside of it: {{{first}: {{…}}}}"
        complain(report, second, f"action has a second key {quoted(second.text)}", hint)
        return None
    entry = mapping.entries[0]
    reader = _READERS.get(entry.key.text)
    if reader is None:
        _unknown(entry.key, report)
        return None
    return reader(entry.value, report)


def _short(node: Scalar, report: Report) -> Action | None:
    word = node.text
    if word in _SHORT:
        return _SHORT[word]
    if word in ACTIONS:
        complain(report, node, f"the action {quoted(word)} needs a value", _EXAMPLES[word])
    elif node.is_null:
        complain(report, node, "action has no value", "action: reject")
    else:
        _unknown(node, report)
    return None


def _unknown(node: Scalar, report: Report) -> None:
    hint = _MEANT.get(folded(node.text)) or name_hint(node.text, ACTIONS, "actions")
    first = node.text.partition(" ")[0]
    if first in ACTIONS and first != node.text:
        hint = f"options go into a mapping: {_EXAMPLES.get(first, f'action: {first}')}"
    complain(report, node, f"unknown action {quoted(node.text)}", hint)


def _reject(node: Node, report: Report) -> Reject | None:
    values = _options(node, "reject", REJECT_KEYS, report)
    if values is None:
        return None
    before = len(report.problems)
    status = _status(values["status"], report) if "status" in values else None
    message = read_text(values["message"], report, "message", MAX_MESSAGE_CHARACTERS) if "message" in values else None
    wait = (
        read_duration(values["retry_after"], report, "retry_after", 1, MAX_WAIT_SECONDS)
        if "retry_after" in values
        else None
    )
    return Reject(status, message, wait) if len(report.problems) == before else None


def _status(node: Node, report: Report) -> int | None:
    status = read_integer(node, report, "status", 100, 599)
    if status is None or status in STATUSES:
        return status
    if status < 300:
        hint = "an answer that looks like success is cached and indexed as the page; 403, 404 or 429 say no"
    elif status < 400:
        hint = "a redirect is followed and remembered by browsers, caches and search engines; 403, 404 or 429 say no"
    else:
        hint = f"it needs more than a status; allowed: {', '.join(map(str, STATUSES))}"
    complain(report, node, f"reject cannot answer with status {status}", hint)
    return None


def _tarpit(node: Node, report: Report) -> Tarpit | None:
    values = _options(node, "tarpit", TARPIT_KEYS, report)
    if values is None:
        return None
    default = Tarpit()
    hold = (
        read_duration(values["hold"], report, "hold", 1, MAX_HOLD_SECONDS) if "hold" in values else default.hold_seconds
    )
    drip = read_duration(values["drip"], report, "drip", 0.1, 60) if "drip" in values else default.drip_seconds
    size = default.drip_bytes
    if "drip_bytes" in values:
        found = read_integer(values["drip_bytes"], report, "drip_bytes", 1, MAX_DRIP_BYTES)
        if found is None:
            return None
        size = found
    if hold is None or drip is None:
        return None
    if drip > hold:
        place = values.get("drip", node)
        message = f"drip ({duration_text(drip)}) is longer than hold ({duration_text(hold)})"
        complain(report, place, message, "drip is the time between two pieces of the answer; hold is the time in all")
        return None
    return Tarpit(hold, drip, size)


def _delay(node: Node, report: Report) -> Delay | None:
    if isinstance(node, Mapping):
        complain(report, node, not_what(node, "delay", "a duration"), _EXAMPLES["delay"])
        return None
    seconds = read_duration(node, report, "delay", 0.01, MAX_DELAY_SECONDS)
    return None if seconds is None else Delay(seconds)


def _ban(node: Node, report: Report) -> Ban | None:
    values = _options(node, "ban", BAN_KEYS, report)
    if values is None:
        return None
    if "for" not in values:
        complain(report, node, "the ban has no duration", _EXAMPLES["ban"])
    before = len(report.problems)
    seconds = {
        key: read_duration(values[key], report, key, 1, MAX_WAIT_SECONDS) if key in values else None
        for key in ("for", "max", "forget")
    }
    escalation: float | None = 1.0
    if "escalation" in values:
        escalation = read_number(values["escalation"], report, "escalation", 1, MAX_ESCALATION)
    then: Refusal | None = Reject()
    if "then" in values:
        then = _then(values["then"], report)
    for_seconds, most = seconds["for"], seconds["max"]
    if len(report.problems) > before or for_seconds is None or escalation is None or then is None:
        return None
    if most is not None and most < for_seconds:
        message = f"max ({duration_text(most)}) is shorter than for ({duration_text(for_seconds)})"
        complain(report, values["max"], message, "max is the longest that a repeated ban may last")
        return None
    default = Ban(for_seconds)
    return Ban(
        for_seconds,
        then,
        escalation,
        most if most is not None else max(for_seconds, default.max_seconds),
        seconds["forget"] if seconds["forget"] is not None else default.forget_seconds,
    )


def _then(node: Node, report: Report) -> Refusal | None:
    name = (
        node
        if isinstance(node, Scalar)
        else node.entries[0].key
        if isinstance(node, Mapping) and node.entries
        else None
    )
    if name is not None and name.text in ACTIONS and name.text not in REFUSALS:
        complain(report, name, f"the banned cannot get {quoted(name.text)}", f"allowed: {', '.join(REFUSALS)}")
        return None
    if isinstance(node, Scalar) and node.is_null:
        complain(report, node, "then has no value", f"allowed: {', '.join(REFUSALS)}")
        return None
    action = read_action(node, report)
    return action if isinstance(action, Reject | Tarpit | Drop) else None


def _score(node: Node, report: Report) -> Score | None:
    points = read_number(node, report, "score", -MAX_POINTS, MAX_POINTS)
    if points == 0:
        complain(report, node, "score is 0", "points to add, such as 40; negative ones speak for the client")
        return None
    return None if points is None else Score(points)


def _tag(node: Node, report: Report) -> Tag | None:
    name = read_name(node, report, "the tag")
    return None if name is None else Tag(name)


def _bare(action: Allow | Pass | Drop, word: str) -> Callable[[Node, Report], Action | None]:
    def read(node: Node, report: Report) -> Action | None:
        if isinstance(node, Mapping) and not node.entries:
            return action
        complain(report, node, f"{word} takes no options", f"action: {word}")
        return None

    return read


def _options(node: Node, word: str, keys: tuple[str, ...], report: Report) -> dict[str, Node] | None:
    if isinstance(node, Mapping):
        if not node.entries and word != "ban":
            return {}
        before = len(report.problems)
        values = read_keys(node, keys, report, word, _MEANT_OPTION | _MEANT_TIME.get(word, {}))
        if len(report.problems) > before and word == "ban" and "for" not in values:
            return None
        return values
    hint = _EXAMPLES[word]
    if isinstance(node, Scalar) and node.text:
        first = keys[0]
        hint = f"did you mean {{{word}: {{{first}: {node.text}}}}}?" if node.text[0].isdecimal() else hint
    complain(report, node, not_what(node, word, "a mapping"), hint)
    return None


_MEANT_OPTION: Final = {
    **dict.fromkeys(("code", "http_status", "status_code"), "did you mean 'status'?"),
    **dict.fromkeys(("body", "text", "reason"), "did you mean 'message'?"),
    **dict.fromkeys(("retry", "wait"), "did you mean 'retry_after'?"),
    **dict.fromkeys(("action", "with", "answer"), "did you mean 'then'?"),
    **dict.fromkeys(("multiplier", "factor"), "did you mean 'escalation'?"),
}

_MEANT_TIME: Final = {
    word: dict.fromkeys(("duration", "time", "seconds", "length", "until"), f"did you mean '{key}'?")
    for word, key in (("tarpit", "hold"), ("ban", "for"), ("reject", "retry_after"))
}

_SHORT: Final[dict[str, Action]] = {
    "allow": ALLOW,
    "pass": PASS,
    "reject": Reject(),
    "tarpit": Tarpit(),
    "drop": Drop(),
}

_READERS: Final[dict[str, Callable[[Node, Report], Action | None]]] = {
    "allow": _bare(ALLOW, "allow"),
    "pass": _bare(PASS, "pass"),
    "reject": _reject,
    "tarpit": _tarpit,
    "delay": _delay,
    "drop": _bare(Drop(), "drop"),
    "ban": _ban,
    "score": _score,
    "tag": _tag,
}
