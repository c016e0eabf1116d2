"""What a limit counts and in which units: `count` and the amount in `rate`, from nodes to values. Knows nothing of windows."""

from __future__ import annotations

import re
from typing import Any, Final, assert_never

from proxyguard.core.problems import Fault, Report, folded, name_hint, quoted
from proxyguard.core.units import parse_duration, parse_size
from proxyguard.core.yaml.kinds import KEBAB, Key, KeyTable, Kind, Schema, items_of, one_or_more, plain
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar
from proxyguard.core.yaml.values import NodeFault, not_what, read_each, read_scalar
from proxyguard.limits.limit import REQUESTS, Count, CountKind, KeyKind
from proxyguard.policy.meant import meant
from proxyguard.policy.parse.counted_rules import read_counted_rules
from proxyguard.policy.parse.keys import PART_SCHEMA, read_part

COUNT_WORDS: Final = (str(CountKind.REQUESTS), str(CountKind.BYTES), str(CountKind.UPSTREAM_SECONDS), str(CountKind.REFUSALS))

MAX_STATUSES: Final = 50

COUNT_HINT: Final = "requests, bytes, upstream_seconds, refusals, {status: [404]} or {distinct: path}"

MAX_AMOUNTS: Final = {CountKind.BYTES: 10**15}
"""Petabytes; sums of bytes stay exact. Of all else a billion is enough."""
MAX_AMOUNT: Final = 1_000_000_000

NOUNS: Final = {
    CountKind.REQUESTS: "requests",
    CountKind.BYTES: "bytes",
    CountKind.UPSTREAM_SECONDS: "seconds",
    CountKind.STATUSES: "responses",
    CountKind.DISTINCT: "values",
    CountKind.REFUSALS: "refusals",
}

RATE_HINT: Final = "a number and a period: 10/minute, 300/hour or 20/90s"

RATE_HINTS: Final = {
    CountKind.BYTES: "a size and a period: 500MiB/hour or 10GiB/day",
    CountKind.UPSTREAM_SECONDS: "a time and a period: 30s/minute or 10m/hour",
}
"""For what has units."""

_STATUS_HINT: Final = "statuses of responses: 404, [401, 403] or 5xx"
_STATUS: Final = re.compile(r"([2-5])(\d\d|xx)", re.ASCII)

_MEANT: Final = meant("count")

_MEANT_KEY: Final = meant("count-key")


def _count(node: Node, report: Report, _subject: str, around: Any) -> Count | None:
    """A word, or a mapping with `status`, `distinct` or `refusals`."""
    if isinstance(node, Mapping):
        return _mapping(node, report, around)
    word = read_scalar(node, "count", "a word or a mapping", COUNT_HINT)
    if word in COUNT_WORDS:
        return Count(CountKind(word))
    hint = _MEANT.get(folded(word))
    if hint is None and word.isdecimal():
        is_status = _STATUS.fullmatch(word) is not None
        hint = f"did you mean {{status: {word}}}?" if is_status else f"the rate says how many, count of what: {COUNT_HINT}"
    raise Fault(f"count cannot be {quoted(word)}", hint or COUNT_HINT)


def _mapping(node: Mapping, report: Report, around: Any) -> Count | None:
    if len(node.entries) != 1:
        given = " and ".join(entry.key.text for entry in node.entries)
        raise Fault(f"count has {given}" if given else "count is empty", f"one of them: {COUNT_HINT}")
    [entry] = node.entries
    name = entry.key.text
    if name not in COUNT_BY.keys:
        hint = _MEANT_KEY.get(folded(name)) or name_hint(name, COUNT_BY.keys, "keys")
        raise NodeFault(entry.key, f"unknown key {quoted(name)} in count", hint)
    count: Count | None = COUNT_BY.keys[name].kind.read(entry.value, report, name, around)
    return count


def _distinct(node: Node, subject: str) -> Count:
    part = read_part(node, subject)
    if part.kind == KeyKind.SITE:
        raise Fault("there is only one site to count", "distinct: path counts different pages")
    return Count(CountKind.DISTINCT, of=part)


def _refusals(node: Node, report: Report, subject: str, around: Any) -> Count:
    rules = read_counted_rules(node, report, subject, None if around is None else around.parsed.counted_rules)
    return Count(CountKind.REFUSALS, rules=rules)


def _statuses(node: Node, report: Report, _subject: str, _around: Any) -> Count:
    items = items_of(node)
    if not 1 <= len(items) <= MAX_STATUSES:
        raise Fault(f"status has {len(items)} entries", f"{_STATUS_HINT}; at most {MAX_STATUSES}")
    return Count(CountKind.STATUSES, statuses=tuple(sorted(set(read_each(items, report, _status)))))


def _status(node: Node) -> tuple[int, int]:
    if not isinstance(node, Scalar) or node.is_null:
        raise NodeFault(node, not_what(node, "a status", "a number"), _STATUS_HINT)
    match = _STATUS.fullmatch(node.text)
    if match is None:
        raise NodeFault(node, f"status cannot be {quoted(node.text)}", _STATUS_HINT)
    first = int(match[1]) * 100
    return (first, first + 99) if match[2] == "xx" else (int(node.text), int(node.text))


def amount_of(text: str, count: Count) -> int:
    """The amount of a rate, in units of what is counted. Raises ValueError."""
    match count.kind:
        case CountKind.BYTES:
            return parse_size(text)
        case CountKind.UPSTREAM_SECONDS:
            seconds = float(text) if text.isdecimal() else parse_duration(text)
            if seconds != int(seconds):
                raise ValueError(text)
            return int(seconds)
        case CountKind.REQUESTS | CountKind.STATUSES | CountKind.DISTINCT | CountKind.CONCURRENT | CountKind.REFUSALS:
            return int(text)
        case _:
            assert_never(count.kind)


def unit_hint(text: str, count: Count) -> str:
    """What may be meant by an amount that is none; empty: no idea."""
    if count == REQUESTS:
        for kind in (CountKind.BYTES, CountKind.UPSTREAM_SECONDS):
            try:
                amount_of(text, Count(kind))
            except ValueError:
                continue
            return f"requests have no unit; to limit {NOUNS[kind]}, add count: {kind}"
    if count.kind is CountKind.BYTES and text[:-2].isdecimal() and text[-2:].upper() in {"KB", "MB", "GB"}:
        return f"did you mean {text[:-2]}{text[-2].upper()}iB?"
    return ""


_STATUS_PATTERN: Final = "^[2-5]([0-9][0-9]|xx)$"
_STATUS_SCHEMA: Final[Schema] = {"type": ["string", "integer"], "pattern": _STATUS_PATTERN, "minimum": 200, "maximum": 599}

COUNT_BY: Final = KeyTable(
    subject="count",
    keys={
        "status": Key(Kind(_statuses, "statuses", one_or_more(_STATUS_SCHEMA, minItems=1)),
            "Responses with one of these statuses: 404, [401, 403], 5xx."),
        "refusals": Key(Kind(_refusals, "names of rules", one_or_more(KEBAB.schema, minItems=1)),
            "Refusals by these rules, also by those that have no limit."),
        "distinct": Key(Kind(plain(_distinct), "part of a key", PART_SCHEMA),
            "Different values of a part of the request, such as `path`."),
    },
)  # fmt: skip
"""What is counted, when a word does not say it all."""

COUNT: Final = Kind(_count, "count", {"anyOf": [{"enum": list(COUNT_WORDS)}, COUNT_BY.schema(minProperties=1, maxProperties=1)]})
