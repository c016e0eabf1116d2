"""Rules that act on real browsers: PG022. Tries each rule on the user agents and header sets that come as package data.

A rule is tried on what its condition says about headers; what it says about paths, clients and the like is taken to hold where
an ordinary page view can hold it. A finding says so when something like that narrows the rule. A rule that says nothing about
headers is tried on what the first visit of every browser is alike in: no cookie, no proven identity, no declared bot.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from proxyguard.core.address import Address
from proxyguard.core.decision import ACTION_NAMES, Delay, Prove, Score
from proxyguard.core.problems import quoted
from proxyguard.core.request import Headers, Request
from proxyguard.policy.compile.facts import FactNumbers, FactTable
from proxyguard.policy.compile.normal_form import Every, Leaf, Node, Some, holds_with, leaves
from proxyguard.policy.compile.numbers import number_of
from proxyguard.policy.model import AtLeast, AtMost, FieldKind, Matcher, Place, Text
from proxyguard.tools.data import browser_lines, user_agents
from proxyguard.tools.lint.findings import Finding, Severity
from proxyguard.tools.lint.texts import matches
from proxyguard.tools.lint.view import PolicyView, RuleView
from proxyguard.tools.lint.words import text_of

HEADER_SETS_FILE: Final = "header-sets.jsonl"

MAX_AGENT_SHOWN: Final = 110

_PAGE: Final = b"/profiles/1"
_CLIENT: Final = Address.parse("192.0.2.1")


class Truth(IntEnum):
    """`MAYBE`: it depends on something other than headers."""

    NO = 0
    MAYBE = 1
    YES = 2


class Browser(NamedTuple):
    """A page view by a real browser. `is_whole`: all of its headers are known, not the user agent alone."""

    headers: Headers
    is_whole: bool

    @property
    def user_agent(self) -> bytes:
        return next(value for name, value in self.headers if name.lower() == b"user-agent")

    def request(self) -> Request:
        return Request(_CLIENT, b"GET", b"https", b"example.org", _PAGE, self.headers, b"2")


def browsers() -> tuple[Browser, ...]:
    found = [Browser(((b"User-Agent", agent),), is_whole=False) for agent in user_agents()]
    for line in browser_lines(HEADER_SETS_FILE):
        pairs = json.loads(line)["headers"]
        found.append(Browser(tuple((name.encode(), value.encode()) for name, value in pairs), is_whole=True))
    return tuple(found)


@dataclass(slots=True)
class _Hits:
    sure: list[Browser] = field(default_factory=list)
    maybe: list[Browser] = field(default_factory=list)


def hits_browsers(view: PolicyView) -> Iterator[Finding]:
    """PG022."""
    tried = [(item, is_tried) for item in view.live if _acts(item) and (is_tried := _tried_by(item)) is not None]
    numbers = FactNumbers()
    by_fact: dict[int, list[int]] = defaultdict(list)
    negated: set[int] = set()
    for at, (item, is_tried) in enumerate(tried):
        for leaf in filter(is_tried, leaves(item.when)):
            by_fact[numbers.of(leaf.test)].append(at)
            negated |= {at} if leaf.negated else set()
    if not by_fact:
        return
    judges = [(_judge if is_tried is _of_headers else _judge_first_visit)(item.when, numbers) for item, is_tried in tried]
    table = FactTable(numbers.tests)
    hits: dict[int, _Hits] = defaultdict(_Hits)
    every = browsers()
    bare = [judge(None, every[0]) for judge in judges]
    for browser in every:
        facts = table.of(browser.request())
        for at in {*negated, *(at for fact in facts for at in by_fact.get(fact, ()))}:
            truth = judges[at](facts, browser)
            if truth > bare[at]:
                (hits[at].sure if truth is Truth.YES else hits[at].maybe).append(browser)
    for at in sorted(hits):
        item, is_tried = tried[at]
        yield _finding(item, hits[at], len(every), _HINT if is_tried is _of_headers else _FIRST_VISIT_HINT)


_HINT: Final = "use word or a longer text, or add what browsers do not have: header.sec-fetch-mode: absent"
_FIRST_VISIT_HINT: Final = "add what only some clients have or ask for, such as a path, or a limit"


def _acts(item: RuleView) -> bool:
    action = item.rule.action
    worse = (
        (item.refuses and not isinstance(action, Prove))
        or isinstance(action, Delay)
        or (isinstance(action, Score) and action.points > 0)
    )
    return worse and item.rule.limit is None


def _of_headers(leaf: Leaf) -> bool:
    """Whether it is about what browsers send with a page view; none sends credentials, whatever the browser is."""
    return leaf.test.field.kind == FieldKind.HEADER and leaf.test.field.name != "authorization"


_FIRST_VISIT: Final = frozenset(
    {
        "bot", "claimed_kind", "contradiction", "identity", "claimed_identity", "verified", "jar",
        FieldKind.COOKIE, FieldKind.ACCOUNT, FieldKind.SCHEME, FieldKind.METHOD, FieldKind.HTTP_VERSION,
    }
)  # fmt: skip
"""Fields whose values on a browser's first visit are known: they follow from the user agent, or are the same for all."""

_ALIKE: Final = frozenset({FieldKind.SCHEME, FieldKind.METHOD})
"""Those by which nobody means to tell browsers from others; PG031 is about rules that say nothing else."""


def _of_first_visit(leaf: Leaf) -> bool:
    return leaf.test.field.kind in _FIRST_VISIT


def _tried_by(item: RuleView) -> Callable[[Leaf], bool] | None:
    """Which of its tests a rule is tried on; None: on none, as nothing is known of what it asks for."""
    every = list(leaves(item.when))
    if any(_of_headers(leaf) for leaf in every):
        return _of_headers
    is_lasting = item.rule.expires is None and not item.rule.emergency and not isinstance(item.rule.action, Score)
    is_tried = is_lasting and holds_with(item.when, _of_first_visit) and any(_tells(leaf) for leaf in every)
    return _of_first_visit if is_tried else None


def _tells(leaf: Leaf) -> bool:
    return _of_first_visit(leaf) and leaf.test.field.kind not in _ALIKE


type _Judge = Callable[[Container[int] | None, Browser], Truth]
"""Whether a condition holds for a browser, by the facts that do; None: as if no test about headers did."""


def _judge(node: Node, numbers: FactNumbers) -> _Judge:
    match node:
        case Every(parts):
            every = [_judge(part, numbers) for part in parts]
            return lambda facts, browser: min((judge(facts, browser) for judge in every), default=Truth.YES)
        case Some(parts):
            some = [_judge(part, numbers) for part in parts]
            return lambda facts, browser: max((judge(facts, browser) for judge in some), default=Truth.NO)
        case Leaf(test, negated) if _of_headers(node):
            fact, is_agent = numbers.of(test), test.field.name == "user-agent"

            def of_headers(facts: Container[int] | None, browser: Browser) -> Truth:
                known = browser.is_whole or is_agent
                return Truth.YES if facts is not None and known and (fact in facts) is not negated else Truth.NO

            return of_headers
        case Leaf(test, negated):
            holds = any(_holds(test.matcher, value) for value in _ORDINARY.get(test.field.kind, ()))
            truth = Truth.YES if holds is not negated else Truth.MAYBE
            if test.field.kind == FieldKind.HTTP_VERSION and holds is negated:
                truth = Truth.NO
            return lambda _facts, _browser: truth


def _judge_first_visit(node: Node, numbers: FactNumbers) -> _Judge:
    """A judge that takes a test about anything else as one that does not hold."""
    known = {leaf: numbers.of(leaf.test) for leaf in leaves(node) if _of_first_visit(leaf)}

    def judge(facts: Container[int] | None, _browser: Browser) -> Truth:
        if facts is None:
            return Truth.NO
        return (
            Truth.YES if holds_with(node, lambda leaf: leaf in known and (known[leaf] in facts) is not leaf.negated) else Truth.NO
        )

    return judge


_ORDINARY: Final[Mapping[str, tuple[bytes, ...]]] = {
    FieldKind.PATH: (_PAGE,),
    FieldKind.METHOD: (b"GET",),
    FieldKind.SCHEME: (b"https",),
    FieldKind.HTTP_VERSION: (b"1.1", b"2", b"3"),
}
"""What page views have, as far as it is the same everywhere."""


def _holds(matcher: Matcher, value: bytes) -> bool:
    match matcher:
        case Text(kind, texts):
            return any(matches(kind, text, value) for text in texts)
        case AtLeast(bound):
            return (number := number_of(value)) is not None and number >= bound
        case AtMost(bound):
            return (number := number_of(value)) is not None and number <= bound
        case _:
            return False


def _finding(item: RuleView, hits: _Hits, count: int, hint: str) -> Finding:
    action = item.rule.action
    found = hits.sure or hits.maybe
    agent = found[0].user_agent
    verb = f"give {action.points:g} points to" if isinstance(action, Score) else f"{ACTION_NAMES[type(action)]}"
    where = "" if hits.sure else " where its other conditions hold"
    culprit, place = _culprit(item, found[0])
    message = (
        f"the rule '{item.rule.name}' would {verb} {len(found)} of {count} real browsers{where}: "
        f"{culprit} {quoted(text_of(agent), MAX_AGENT_SHOWN)}"
    )
    hint += "" if isinstance(action, Score) else "; or score instead of refusing"
    severity = None if hits.sure and not isinstance(action, Score) else Severity.INFO
    return item.finding("PG022", message, hint, place=place)._replace(severity=severity)


def _culprit(item: RuleView, browser: Browser) -> tuple[str, Place]:
    """The text that is in the user agent, and where it is written; else that the rule fits as a whole."""
    agent = browser.user_agent
    for leaf in leaves(item.when):
        matcher = leaf.test.matcher
        if leaf.negated or leaf.test.field.name != "user-agent" or not isinstance(matcher, Text):
            continue
        for text in matcher.texts:
            if matches(matcher.kind, text, agent):
                shown = text_of(text)
                return f"{quoted(shown)} is in", item.source.find_text(item.rule, [shown])
    return "it holds for", item.source.find_key(item.rule, "when")
