"""What a limit counts and in which units: `count` and the amount in `rate`, from nodes to values. Knows nothing of windows."""

from __future__ import annotations

import re
from typing import Final, assert_never

from proxyguard.core.problems import Report, folded, name_hint, quoted
from proxyguard.core.units import parse_duration, parse_size
from proxyguard.core.yaml.kinds import Key, KeyTable, Kind, Schema, items_of, one_or_more, plain
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar
from proxyguard.core.yaml.values import complain, not_what
from proxyguard.limits.limit import REQUESTS, Count, CountKind, KeyKind
from proxyguard.policy.parse.keys import PART_SCHEMA, read_part

COUNT_WORDS: Final = (str(CountKind.REQUESTS), str(CountKind.BYTES), str(CountKind.UPSTREAM_SECONDS))

MAX_STATUSES: Final = 50

COUNT_HINT: Final = "requests, bytes, upstream_seconds, {status: [404]} or {distinct: path}"

MAX_AMOUNTS: Final = {CountKind.BYTES: 10**15}
"""Petabytes; sums of bytes stay exact. Of all else a billion is enough."""
MAX_AMOUNT: Final = 1_000_000_000

NOUNS: Final = {
    CountKind.REQUESTS: "requests",
    CountKind.BYTES: "bytes",
    CountKind.UPSTREAM_SECONDS: "seconds",
    CountKind.STATUSES: "responses",
    CountKind.DISTINCT: "values",
}

RATE_HINT: Final = "a number and a period: 10/minute, 300/hour or 20/90s"

RATE_HINTS: Final = {
    CountKind.BYTES: "a size and a period: 500MiB/hour or 10GiB/day",
    CountKind.UPSTREAM_SECONDS: "a time and a period: 30s/minute or 10m/hour",
}
"""For what has units."""

_STATUS: Final = re.compile(r"([2-5])(\d\d|xx)", re.ASCII)

_MEANT: Final = {
    **dict.fromkeys(("request", "hits", "calls"), "did you mean 'requests'?"),
    **dict.fromkeys(("traffic", "bandwidth", "size", "body_bytes"), "did you mean 'bytes'?"),
    **dict.fromkeys(("time", "seconds", "cost", "upstream_time", "latency"), "did you mean 'upstream_seconds'?"),
    **dict.fromkeys(("status", "statuses", "errors", "responses"), "name the statuses: {status: [404, 5xx]}"),
    **dict.fromkeys(("distinct", "unique"), "say of what: {distinct: path}"),
}

_MEANT_KEY: Final = {
    **dict.fromkeys(("statuses", "code", "codes", "responses"), "did you mean 'status'?"),
    **dict.fromkeys(("unique", "different", "values"), "did you mean 'distinct'?"),
}


def _count(node: Node, report: Report, _subject: str) -> Count | None:
    """A word, or a mapping with `status` or `distinct`. None when a problem was reported."""
    if isinstance(node, Mapping):
        return _mapping(node, report)
    if not isinstance(node, Scalar) or node.is_null:
        complain(report, node, not_what(node, "count", "a word or a mapping"), COUNT_HINT)
        return None
    if node.text in COUNT_WORDS:
        return Count(CountKind(node.text))
    hint = _MEANT.get(folded(node.text))
    if hint is None and node.text.isdecimal():
        is_status = _STATUS.fullmatch(node.text) is not None
        hint = f"did you mean {{status: {node.text}}}?" if is_status else f"the rate says how many, count of what: {COUNT_HINT}"
    complain(report, node, f"count cannot be {quoted(node.text)}", hint or COUNT_HINT)
    return None


def _mapping(node: Mapping, report: Report) -> Count | None:
    if len(node.entries) != 1:
        given = " and ".join(entry.key.text for entry in node.entries)
        complain(report, node, f"count has {given}" if given else "count is empty", f"one of them: {COUNT_HINT}")
        return None
    entry = node.entries[0]
    name = entry.key.text
    if name in COUNT_BY.keys:
        count: Count | None = COUNT_BY.keys[name].kind.read(entry.value, report, name, None)
        return count
    hint = _MEANT_KEY.get(folded(name)) or name_hint(name, COUNT_BY.keys, "keys")
    complain(report, entry.key, f"unknown key {quoted(name)} in count", hint)
    return None


def _distinct(node: Node, report: Report, subject: str) -> Count | None:
    part = read_part(node, report, subject)
    if part is not None and part.kind == KeyKind.SITE:
        complain(report, node, "there is only one site to count", "distinct: path counts different pages")
        return None
    return None if part is None else Count(CountKind.DISTINCT, of=part)


def _statuses(node: Node, report: Report, _subject: str) -> Count | None:
    items = items_of(node)
    hint = "statuses of responses: 404, [401, 403] or 5xx"
    if not items or len(items) > MAX_STATUSES:
        complain(report, node, f"status has {len(items)} entries", f"{hint}; at most {MAX_STATUSES}")
        return None
    found: set[tuple[int, int]] = set()
    for item in items:
        text = item.text if isinstance(item, Scalar) and not item.is_null else None
        if text is None:
            complain(report, item, not_what(item, "a status", "a number"), hint)
            return None
        match = _STATUS.fullmatch(text)
        if match is None:
            complain(report, item, f"status cannot be {quoted(text)}", hint)
            return None
        first = int(match[1]) * 100
        found.add((first, first + 99) if match[2] == "xx" else (int(text), int(text)))
    return Count(CountKind.STATUSES, statuses=tuple(sorted(found)))


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
        case CountKind.REQUESTS | CountKind.STATUSES | CountKind.DISTINCT:
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


_STATUS_SCHEMA: Final[Schema] = {
    "type": ["string", "integer"],
    "pattern": "^[2-5]([0-9][0-9]|xx)$",
    "minimum": 200,
    "maximum": 599,
}

COUNT_BY: Final = KeyTable(
    subject="count",
    keys={
        "status": Key(Kind(plain(_statuses), "statuses", one_or_more(_STATUS_SCHEMA, minItems=1)),
            "Responses with one of these statuses: 404, [401, 403], 5xx."),
        "distinct": Key(Kind(plain(_distinct), "part of a key", PART_SCHEMA),
            "Different values of a part of the request, such as `path`."),
    },
)  # fmt: skip
"""What is counted, when a word does not say it all."""

COUNT: Final = Kind(
    plain(_count), "count", {"anyOf": [{"enum": list(COUNT_WORDS)}, COUNT_BY.schema(minProperties=1, maxProperties=1)]}
)
