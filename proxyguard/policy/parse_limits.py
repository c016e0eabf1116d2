"""Limits: the `limit` of a rule, from nodes to the value. Knows nothing of how limits are counted."""

from __future__ import annotations

import re
from typing import Final

from proxyguard.durations import duration_text, parse_duration
from proxyguard.limits.limit import KeyKind, KeyPart, Limit, Missing
from proxyguard.policy.model import FieldKind
from proxyguard.policy.parse_texts import read_field_name
from proxyguard.problems import Fault, Report, folded, name_hint, quoted
from proxyguard.yaml_nodes import Node, Scalar, Sequence
from proxyguard.yaml_values import complain, read_choice, read_integer, read_keys, read_mapping, read_scalar, read_truth

MAX_AMOUNT: Final = 1_000_000_000
MAX_PERIOD_SECONDS: Final = 31 * 86_400
"""A month; counters are kept in memory for about that long."""
MIN_PERIOD_SECONDS: Final = 0.1
MAX_PARTS: Final = 5

LIMIT_KEYS: Final = ("rate", "burst", "per", "missing", "announce")

RATE_HINT: Final = "a number and a period: 10/minute, 300/hour or 20/90s"

PERIODS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}

_RATE: Final = re.compile(r"(\d{1,12})/([a-z0-9.]{1,20})", re.ASCII)

_MEANT: Final = {
    **dict.fromkeys(("key", "by", "keys", "group_by", "for_each"), "did you mean 'per'?"),
    **dict.fromkeys(("requests", "max", "amount", "limit", "threshold"), f"did you mean 'rate'? {RATE_HINT}"),
    **dict.fromkeys(("period", "window", "interval", "within"), f"the period is part of the rate: {RATE_HINT}"),
    "count": "leave it out: requests are what is counted",
}

_MEANT_PART: Final = {
    **dict.fromkeys(("ip", "address", "addr", "remote_addr", "client_ip"), "did you mean 'client'?"),
    **dict.fromkeys(("subnet", "prefix", "net"), "did you mean 'network'?"),
    **dict.fromkeys(("global", "all", "total", "everyone"), "did you mean 'site'?"),
    **dict.fromkeys(("url", "uri"), "did you mean 'path'?"),
    **dict.fromkeys(("ua", "agent", "useragent"), "did you mean 'user_agent'?"),
}

_DEFAULT_PER: Final = (KeyPart(KeyKind.CLIENT),)


def read_limit(node: Node, report: Report) -> Limit | None:
    """A mapping with `rate` and perhaps `burst`, `per` and `missing`. None when a problem was reported."""
    example = "limit: {rate: 10/minute, burst: 5, per: [client]}"
    if isinstance(node, Scalar) and _RATE.fullmatch(node.text):
        example = f"did you mean limit: {{rate: {node.text}}}?"
    mapping = read_mapping(node, report, "limit", example)
    if mapping is None:
        return None
    values = read_keys(mapping, LIMIT_KEYS, report, "limit", _MEANT)
    rate = None
    if "rate" in values:
        rate = _rate(values["rate"], report)
    else:
        complain(report, node, "the limit has no rate", example)
    burst = read_integer(values["burst"], report, "burst", 1, MAX_AMOUNT) if "burst" in values else 0
    per = _per(values["per"], report) if "per" in values else _DEFAULT_PER
    missing = Missing.SHARED
    if "missing" in values:
        word = read_choice(values["missing"], report, "missing", tuple(Missing))
        if word is None:
            return None
        missing = Missing(word)
    announce = read_truth(values["announce"], report, "announce") if "announce" in values else False
    if rate is None or burst is None or per is None or announce is None:
        return None
    return Limit(rate[0], rate[1], burst or rate[0], per, missing, announce=announce)


def _rate(node: Node, report: Report) -> tuple[int, float] | None:
    scalar = read_scalar(node, report, "rate", "a number and a period", RATE_HINT)
    if scalar is None:
        return None
    match = _RATE.fullmatch(scalar.text)
    if match is None:
        complain(report, node, f"rate cannot be {quoted(scalar.text)}", _rate_hint(scalar.text))
        return None
    amount = int(match[1])
    seconds = _period(match[2])
    if seconds is None:
        complain(report, node, f"rate has the unknown period {quoted(match[2])}", _rate_hint(scalar.text))
        return None
    if not MIN_PERIOD_SECONDS <= seconds <= MAX_PERIOD_SECONDS:
        hint = f"from {duration_text(MIN_PERIOD_SECONDS)} to {duration_text(MAX_PERIOD_SECONDS)}"
        complain(report, node, f"rate has a period of {match[2]}", hint)
        return None
    if not 1 <= amount <= MAX_AMOUNT:
        hint = "to refuse every request, leave the limit out" if amount == 0 else f"at most {MAX_AMOUNT}"
        complain(report, node, f"rate allows {amount} requests", hint)
        return None
    return amount, seconds


def _period(text: str) -> float | None:
    if text in PERIODS:
        return PERIODS[text]
    try:
        return parse_duration(text)
    except ValueError:
        return None


_LOOSE_RATE: Final = re.compile(r"(\d+)\s*(?:/|per|every|r/|req/)?\s*([a-z]*)", re.ASCII | re.IGNORECASE)


def _rate_hint(text: str) -> str:
    loose = _LOOSE_RATE.fullmatch(text.strip())
    if loose and loose[2]:
        unit = loose[2].lower()
        period = next((name for name in PERIODS if name.startswith(unit) or unit == f"{name}s"), None)
        if period:
            return f"did you mean {loose[1]}/{period}?"
    return RATE_HINT


def _per(node: Node, report: Report) -> tuple[KeyPart, ...] | None:
    items = node.items if isinstance(node, Sequence) else [node]
    if not items:
        complain(report, node, "per is an empty list", "per: [site] counts all requests together")
        return None
    if len(items) > MAX_PARTS:
        complain(report, node, f"per has {len(items)} parts", f"at most {MAX_PARTS}")
        return None
    parts = [_part(item, report) for item in items]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return None
    for item, part in zip(items, found, strict=True):
        if found.count(part) > 1:
            complain(report, item, f"per names {quoted(str(part))} twice", "name each part once")
            return None
        if part.kind is KeyKind.SITE and len(found) > 1:
            hint = "site is one counter for all requests: write it alone, or leave it out"
            complain(report, item, "per has site beside other parts", hint)
            return None
    return tuple(found)


def _part(node: Node, report: Report) -> KeyPart | None:
    hint = f"parts: {', '.join(part_names())}"
    scalar = read_scalar(node, report, "a part of per", "a word", hint)
    if scalar is None:
        return None
    name, dot, rest = scalar.text.partition(".")
    kind = _KINDS.get(name)
    if kind is None:
        meant = _MEANT_PART.get(folded(name)) or name_hint(scalar.text, part_names(), "parts")
        complain(report, node, f"per cannot be {quoted(scalar.text)}", meant)
        return None
    if kind not in (KeyKind.HEADER, KeyKind.COOKIE):
        if dot:
            complain(report, node, f"per cannot be {quoted(scalar.text)}", f"write {name} alone")
            return None
        return KeyPart(kind)
    if not rest:
        example = "header.x-api-key" if kind is KeyKind.HEADER else "cookie.session"
        complain(report, node, f"per names no {name}", f"write its name after a dot: {example}")
        return None
    try:
        return KeyPart(kind, read_field_name(FieldKind(name), rest))
    except Fault as fault:
        complain(report, node, fault.message, fault.hint)
        return None


def part_names() -> tuple[str, ...]:
    """What `per` may name, with NAME for the kinds that take one."""
    return tuple(f"{kind}.NAME" if kind in (KeyKind.HEADER, KeyKind.COOKIE) else str(kind) for kind in KeyKind)


_KINDS: Final = {str(kind): kind for kind in KeyKind}
