"""Conditions with a form of their own: a part of the day, a sample of the clients, how often a client was refused.

From a node to its matcher. Knows nothing of how they are evaluated.
"""

from __future__ import annotations

import re
from typing import Any, Final

from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.yaml.kinds import KEBAB, Key, KeyTable, Kind, Schema, duration, one_or_more, plain, whole
from proxyguard.core.yaml.nodes import Mapping, Node
from proxyguard.core.yaml.values import percent_hint, read_scalar
from proxyguard.limits.sliding_log import MAX_AMOUNT
from proxyguard.policy.matchers import During, Refused, Sampled
from proxyguard.policy.meant import meant
from proxyguard.policy.model import FieldKind, Matcher
from proxyguard.policy.parse.counted_rules import read_counted_rules
from proxyguard.policy.parse.limits import MAX_PERIOD_SECONDS, TIME_ZONE

_TIME: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|(24:00)", re.ASCII)
_TIME_HINT: Final = "hours and minutes, from 00:00 to 24:00"
_PERCENT: Final = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s?%", re.ASCII)
_EXAMPLES: Final = {
    FieldKind.TIME_OF_DAY: "time_of_day: {from: 22:00, until: 06:00, time_zone: Europe/Berlin}",
    FieldKind.SAMPLE: "sample: 10%",
    FieldKind.REFUSED: "refused: {at_least: 20, within: 10m}",
}


def read_minute(node: Node, subject: str) -> int:
    """A time of the day in minutes from midnight; 24:00 is 0."""
    text = read_scalar(node, subject, "a time of the day", _TIME_HINT)
    match = _TIME.fullmatch(text)
    if match is None:
        raise Fault(f"{subject} cannot be {quoted(text)}", _TIME_HINT)
    return 0 if match[3] else int(match[1]) * 60 + int(match[2])


def read_share(node: Node, subject: str) -> float:
    """A share of the clients, 0 to 1."""
    text = read_scalar(node, subject, "a share", "such as 10%")
    match = _PERCENT.fullmatch(text)
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share < 1:
        otherwise = "100% is everybody, 0% nobody: leave the condition, or the rule, out" if match else "such as 10%"
        raise Fault(f"{subject} must be between 0% and 100%, not {quoted(text)}", percent_hint(text, otherwise, below=100.0))
    return share


TIME_OF_DAY: Final = KeyTable(
    subject="time_of_day",
    example=_EXAMPLES[FieldKind.TIME_OF_DAY],
    meant=meant("time-of-day"),
    is_quiet=True,
    keys={
        "from": Key(Kind(plain(read_minute), "time", {"type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2}$"}),
            "When it begins: 22:00.",
            ("time_of_day does not say from when", _EXAMPLES[FieldKind.TIME_OF_DAY]), ("22:00",), "start"),
        "until": Key(Kind(plain(read_minute), "time", {"type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2}$"}),
            "When it is over: 06:00, on the next day when that is earlier.",
            ("time_of_day does not say until when", _EXAMPLES[FieldKind.TIME_OF_DAY]), ("06:00",), "end"),
        "time_zone": Key(TIME_ZONE, "Whose clock it is; UTC unless given.", examples=("Europe/Berlin",)),
    },
)  # fmt: skip

REFUSED: Final = KeyTable(
    subject="refused",
    example=_EXAMPLES[FieldKind.REFUSED],
    meant=meant("refused"),
    is_quiet=True,
    keys={
        "at_least": Key(whole(1, MAX_AMOUNT), "So many refusals.",
            ("refused does not say how many", _EXAMPLES[FieldKind.REFUSED]), (20,)),
        "within": Key(duration(1, MAX_PERIOD_SECONDS), "Within so long before the request.",
            ("refused does not say within what time", _EXAMPLES[FieldKind.REFUSED]), ("10m",), "within_seconds"),
        "rules": Key(Kind(read_counted_rules, "names of rules", one_or_more(KEBAB.schema, minItems=1)),
            "Whose refusals count; unless given those of limits by client or account.", examples=(["search-quota"],)),
    },
)  # fmt: skip


def _time_of_day(node: Node, report: Report, subject: str, _around: Any) -> During:
    during = TIME_OF_DAY.read(node, report).fill(During)
    if during.start == during.end:
        raise Fault(f"{subject} begins and ends at the same time", "for the whole day leave the condition out")
    return during


def _sample(node: Node, report: Report, subject: str, _around: Any) -> Sampled:
    del report
    if isinstance(node, Mapping):
        raise Fault("sample takes a share, not a mapping", _EXAMPLES[FieldKind.SAMPLE])
    return Sampled(read_share(node, subject))


def _refused(node: Node, report: Report, _subject: str, around: Any) -> Refused:
    return REFUSED.read(node, report, around).fill(Refused)


_SHARE_SCHEMA: Final[Schema] = {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,6})?\s?%$", "examples": ["10%"]}

OWN_FORMS: Final[dict[str, Kind]] = {
    FieldKind.TIME_OF_DAY: Kind(_time_of_day, "a part of the day", TIME_OF_DAY.schema()),
    FieldKind.SAMPLE: Kind(_sample, "a share", _SHARE_SCHEMA),
    FieldKind.REFUSED: Kind(_refused, "refusals", REFUSED.schema()),
}
"""By field; each reads a `Matcher`, with the list that collects the rules that it names."""


def read_own_form(kind: str, node: Node, report: Report, counted: list[tuple[str, int, int]]) -> Matcher:
    """The matcher of a field that has a form of its own. Raises Fault."""
    matcher: Matcher = OWN_FORMS[kind].reader(node, report, kind, counted)
    return matcher
