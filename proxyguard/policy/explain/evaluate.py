"""A condition asked plainly, with its reasons: what held, or which test failed on which value. For people, not for speed.

Says in words what the compiled form (conditions, facts) answers in numbers; a property test holds the two to the same answer.
Values that may be secrets (cookies, authorization, keys, tokens) are never repeated, only their length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple, assert_never

from cachetools import LRUCache, cached

from proxyguard.core.printable import printable
from proxyguard.core.reading import SiteReading
from proxyguard.core.request import Request, Values
from proxyguard.policy.compile.conditions import Tags, class_of
from proxyguard.policy.compile.facts import candidate_numbers
from proxyguard.policy.compile.network_table import NetworkTable
from proxyguard.policy.compile.outside import minute_at
from proxyguard.policy.compile.path_index import path_finder
from proxyguard.policy.compile.signatures import is_signed
from proxyguard.policy.compile.text_index import Find, TextIndex
from proxyguard.policy.fields.registry import field_type, read_name, reading_of
from proxyguard.policy.matchers import During, Refused, Sampled, Signed, minute_text
from proxyguard.policy.model import (
    Absent,
    AllOf,
    AnyOf,
    AtLeast,
    AtMost,
    Condition,
    Field,
    FieldKind,
    InNetworks,
    Not,
    Present,
    Test,
    Text,
    TextKind,
)

MAX_SHOWN: Final = 80
"""Characters of a value or text that a reason repeats."""

MAX_LISTED: Final = 4
"""Texts of a matcher, or reasons of an `any`, that a reason lists."""

MAX_INDEXES: Final = 20_000
"""Matchers whose index is kept; a policy has fewer."""

_SECRET_NAME: Final = re.compile(r"auth|cookie|token|key|secret|session|password|csrf|signature|credential", re.IGNORECASE)

_PHRASES: Final = {
    TextKind.EQUAL: ("equals", "does not equal", "equals none of"),
    TextKind.PREFIX: ("begins with", "does not begin with", "begins with none of"),
    TextKind.SUFFIX: ("ends with", "does not end with", "ends with none of"),
    TextKind.CONTAINS: ("contains", "does not contain", "contains none of"),
    TextKind.CONTAINS_ANY: ("contains, in any case,", "does not contain, in any case,", "contains, in any case, none of"),
    TextKind.WORD: ("has the word", "does not have the word", "has none of the words"),
    TextKind.GLOB: ("fits the glob", "does not fit the glob", "fits none of the globs"),
    TextKind.REGEX: ("fits the regex", "does not fit the regex", "fits none of the regexes"),
}
"""What is said of a field that compares, of one that does not with one text, and with several."""


_ARISING: Final = (FieldKind.TAG, FieldKind.CLASS)
"""Fields that are compared with texts only."""


class Evaluation(NamedTuple):
    """Whether a condition holds, and why: the tests that held, or those that it failed by."""

    holds: bool
    reasons: tuple[str, ...]


class Outside(NamedTuple):
    """What conditions ask that no request carries. None: it is not known here."""

    now: float | None = None
    """Unix seconds."""
    minute: int | None = None
    """The minute of the day in every time zone, where a test in a rule file says it; it takes the place of `now`."""
    position: float | None = None
    """Where the client stands among all, 0 to 1."""


UNKNOWN: Final = Outside()


def evaluate(condition: Condition, request: Request, score: float, tags: Tags, outside: Outside = UNKNOWN) -> Evaluation:
    """Ask a condition about a request, what rules gave it so far, and the world around it."""
    match condition:
        case Test():
            return _evaluate_test(condition, request, score, tags, outside)
        case AllOf(conditions):
            return _evaluate_all(conditions, request, score, tags, outside)
        case AnyOf(conditions):
            return _evaluate_any(conditions, request, score, tags, outside)
        case Not(inner):
            answer = evaluate(inner, request, score, tags, outside)
            return Evaluation(not answer.holds, answer.reasons)
        case _:
            assert_never(condition)


def _evaluate_all(conditions: tuple[Condition, ...], request: Request, score: float, tags: Tags, outside: Outside) -> Evaluation:
    reasons: tuple[str, ...] = ()
    for condition in conditions:
        answer = evaluate(condition, request, score, tags, outside)
        if not answer.holds:
            return answer
        reasons += answer.reasons
    return Evaluation(holds=True, reasons=reasons)


def _evaluate_any(conditions: tuple[Condition, ...], request: Request, score: float, tags: Tags, outside: Outside) -> Evaluation:
    reasons: tuple[str, ...] = ()
    for condition in conditions:
        answer = evaluate(condition, request, score, tags, outside)
        if answer.holds:
            return answer
        reasons += answer.reasons
    if len(reasons) > MAX_LISTED:
        reasons = (*reasons[:MAX_LISTED], f"and {len(reasons) - MAX_LISTED} more")
    return Evaluation(holds=False, reasons=reasons)


def _evaluate_test(test: Test, request: Request, score: float, tags: Tags, outside: Outside) -> Evaluation:
    if test.field.kind == FieldKind.SCORE:
        return _evaluate_score(test, score)
    match test.matcher:
        case During():
            return _evaluate_time(test.matcher, outside)
        case Sampled(share):
            if outside.position is None:
                return Evaluation(holds=False, reasons=(f"the sample of {test.matcher} is known to the running instance only",))
            is_in = outside.position < share
            return Evaluation(is_in, (f"the client is {'' if is_in else 'not '}in the sample of {test.matcher}",))
        case Refused():
            was = test.matcher.tag in tags
            return Evaluation(was, (f"the client was {'' if was else 'not '}refused {test.matcher}",))
        case _:
            pass
    values = values_of(test.field, request, tags)
    name, matcher = str(test.field), test.matcher
    if isinstance(matcher, Present | Absent):
        reason = f"{name} is {'present' if values else 'absent'}"
        return Evaluation(bool(values) is isinstance(matcher, Present), (reason,))
    if not values:
        return Evaluation(holds=False, reasons=(f"{name} is absent",))
    match matcher:
        case Text():
            return _evaluate_text(test.field, matcher, values, request)
        case InNetworks():
            return _evaluate_networks(test.field, matcher, request)
        case AtLeast() | AtMost():
            compared = () if test.field.kind in _ARISING else values
            lenient = field_type(test.field.kind).is_lenient
            numbers = [number for value in compared for number in candidate_numbers(value, lenient=lenient)]
            return _evaluate_bound(matcher, numbers, f"{name} is {_shown_values(test.field, values)}")
        case Signed():
            holds = test.field.kind not in _ARISING and any(is_signed(matcher, value) for value in values)
            reason = f"{name} is {'' if holds else 'not '}signed with {matcher.variable}"
            return Evaluation(holds, (reason,))
        case _:
            assert_never(matcher)


def _evaluate_time(during: During, outside: Outside) -> Evaluation:
    minute = outside.minute
    if minute is None and outside.now is not None:
        minute = minute_at(outside.now, during.time_zone)
    if minute is None:
        return Evaluation(holds=False, reasons=("the time of day is not known",))
    holds = during.has(minute)
    return Evaluation(holds, (f"it is {minute_text(minute)}, {'' if holds else 'not '}from {during}",))


def _evaluate_score(test: Test, score: float) -> Evaluation:
    match test.matcher:
        case AtLeast() | AtMost():
            return _evaluate_bound(test.matcher, (score,), f"score is {score:g}")
        case Present():
            return Evaluation(holds=True, reasons=(f"score is {score:g}",))
        case Absent() | Text() | InNetworks() | Signed() | During() | Sampled() | Refused():
            return Evaluation(holds=False, reasons=(f"score is {score:g}, a number",))
        case _:
            assert_never(test.matcher)


def _evaluate_bound(matcher: AtLeast | AtMost, numbers: Iterable[float], subject: str) -> Evaluation:
    """Whether any of the numbers is within the bound; `subject` says what they are."""
    bound, low = matcher.bound, isinstance(matcher, AtLeast)
    holds = any(number >= bound if low else number <= bound for number in numbers)
    side = "at least" if low else "at most"
    return Evaluation(holds, (f"{subject}, {'' if holds else 'not '}{side} {bound:g}",))


def _evaluate_text(field: Field, matcher: Text, values: Values, request: Request) -> Evaluation:
    index = _text_index(matcher, reading_of(field_type(field.kind), request.reading))
    found: set[int] = set()
    for value in values:
        found.update(index.find(value) or ())
    if found:
        does = _PHRASES[matcher.kind][0]
        return Evaluation(holds=True, reasons=(f"{field} {does} {_shown(matcher.texts[min(found)])}",))
    return Evaluation(holds=False, reasons=(f"{field} {_shown_values(field, values)} {index.failed}",))


def _evaluate_networks(field: Field, matcher: InNetworks, request: Request) -> Evaluation:
    row = field_type(field.kind)
    found = () if row.address is None else _networks(matcher)[1].find(row.address(request))
    subject = f"{field} {' '.join(value.decode() for value in row.values(request))}"
    if found:
        return Evaluation(holds=True, reasons=(f"{subject} is in {matcher.networks[found[0]].text}",))
    count = len(matcher.networks)
    where = f"not in {matcher.networks[0].text}" if count == 1 else f"in none of {count} networks"
    return Evaluation(holds=False, reasons=(f"{subject} is {where}",))


def values_of(field: Field, request: Request, tags: Tags) -> Values:
    """The values of a field other than the score."""
    if field.kind == FieldKind.TAG:
        return tuple(tag.encode() for tag in sorted(tags))
    if field.kind == FieldKind.CLASS:
        return (class_of(tags).encode(),)
    row = field_type(field.kind)
    return row.values(request, read_name(row, field.name.encode(), request.reading))


def _shown_values(field: Field, values: Values) -> str:
    if field_type(field.kind).is_secret or (field.name and _SECRET_NAME.search(field.name)):
        return " and ".join(f"<hidden, {len(value)} bytes>" for value in values[:MAX_LISTED])
    return " and ".join(_shown(value) for value in values[:MAX_LISTED])


def _shown(text: bytes) -> str:
    """A text in quotes, on one line, cut where it is long."""
    shown = printable(text[: MAX_SHOWN + 1].decode("utf-8", "backslashreplace"))
    return f"'{shown}'" if len(shown) <= MAX_SHOWN else f"'{shown[:MAX_SHOWN]}…'"


class _Texts(NamedTuple):
    """One matcher, ready to be asked: `find` answers the positions of its texts, `failed` says that none compared."""

    matcher: Text
    find: Find
    failed: str


@cached(LRUCache(MAX_INDEXES), key=lambda matcher, reading: (id(matcher), reading))
def _text_index(matcher: Text, reading: SiteReading | None) -> _Texts:
    """Made once for each matcher. Kept by identity: comparing long matchers takes long."""
    texts = [(matcher.kind, text, position) for position, text in enumerate(matcher.texts)]
    find: Find = TextIndex(texts).find if reading is None else path_finder(texts, reading)
    return _Texts(matcher, find, _describe_absence(matcher))


def _describe_absence(matcher: Text) -> str:
    _, does_not, with_none = _PHRASES[matcher.kind]
    listed = ", ".join(_shown(text) for text in matcher.texts[:MAX_LISTED])
    if len(matcher.texts) > MAX_LISTED:
        listed += f" and {len(matcher.texts) - MAX_LISTED} more"
    return f"{with_none if len(matcher.texts) > 1 else does_not} {listed}"


@cached(LRUCache(MAX_INDEXES), key=id)
def _networks(networks: InNetworks) -> tuple[InNetworks, NetworkTable]:
    return networks, NetworkTable((network, position) for position, network in enumerate(networks.networks))
