"""What can be proved about conditions without a request: that one implies another, or that one can never hold.

Sound and incomplete: *proved* is always true, *not proved* says nothing. The work is bounded. Knows nothing of rules.

A header, cookie or query parameter may come several times, and a test holds when any of the values compares; so two different
values exclude each other only for fields that every request has exactly once. The path of a request is taken to begin with /;
only `OPTIONS *` has another one.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import itemgetter
from typing import Final, assert_never

from cachetools import LRUCache, cached

from proxyguard.core.address import MAX_NUMBER, Network
from proxyguard.policy.compile.facts import FactNumbers
from proxyguard.policy.compile.network_table import own_family
from proxyguard.policy.compile.normal_form import Every, Leaf, Node, Some, holds_with, normal_form
from proxyguard.policy.fields.registry import field_type
from proxyguard.policy.matchers import Refused, Sampled
from proxyguard.policy.model import AtLeast, AtMost, Condition, FieldKind, InNetworks, Matcher, Present, Test, Text, TextKind
from proxyguard.tools.lint.texts import covers, excludes

MAX_STEPS: Final = 20_000
"""Comparisons of two tests in one proof."""


def normal(condition: Condition) -> Node:
    """The condition in normal form, with tests that always hold left out."""
    return _simplified(normal_form(condition, FactNumbers()))


def _simplified(node: Node) -> Node:
    match node:
        case Leaf(test, negated):
            return (Some(()) if negated else Every(())) if _always(test) else node
        case Every(parts):
            return Every(tuple(map(_simplified, parts)))
        case Some(parts):
            return Some(tuple(map(_simplified, parts)))
        case _:
            assert_never(node)


def _always(test: Test) -> bool:
    """Whether a test holds for every request."""
    match test.matcher:
        case Text(TextKind.PREFIX, texts) if test.field.kind == FieldKind.PATH:
            return b"/" in texts
        case Text(TextKind.EQUAL, texts) if test.field.kind == FieldKind.SCHEME:
            return {b"http", b"https"} <= set(texts)
        case InNetworks(networks):
            merged = _merged(networks)
            return len(merged) == 1 and merged[0] == (0, MAX_NUMBER)
        case _:
            return False


def always_holds(node: Node) -> bool:
    """Whether a condition is proved to hold for every request."""
    return holds_with(node, lambda _leaf: False)


class _Exhausted(Exception):
    """The proof needs more steps than it may take."""


class _Proof:
    """One proof, with the steps that it may still take."""

    def __init__(self) -> None:
        self._left = MAX_STEPS

    def implies(self, narrow: Node, wide: Node) -> bool:
        self._left -= 1
        if self._left < 0:
            raise _Exhausted
        if isinstance(wide, Every):
            return all(self.implies(narrow, part) for part in wide.parts)
        if isinstance(narrow, Some):
            return all(self.implies(part, wide) for part in narrow.parts)
        if isinstance(wide, Some) and any(self.implies(narrow, part) for part in wide.parts):
            return True
        if isinstance(narrow, Every):
            return any(self.implies(part, wide) for part in narrow.parts)
        return isinstance(wide, Leaf) and _leaf_implies(narrow, wide)

    def conflict(self, node: Node) -> tuple[Leaf, ...] | None:
        """Tests that exclude each other in every way the condition could hold; None when it may hold."""
        found: list[Leaf] = []
        choices: list[Some] = []
        _flatten(node, found, choices)
        clash = self._clash(found)
        if clash is not None:
            return clash
        for choice in choices:
            self._left -= len(choice.parts) + 1
            if self._left < 0:
                raise _Exhausted
            clashes = [self.conflict(Every((*found, part))) for part in choice.parts]
            if all(one is not None for one in clashes):
                return next((one for one in clashes if one), ())
        return None

    def _clash(self, found: list[Leaf]) -> tuple[Leaf, ...] | None:
        for leaf in found:
            against: list[Leaf] = []
            for text_leaf in _one_text_each(leaf):
                self._left -= len(found)
                if self._left < 0:
                    raise _Exhausted
                other = next((other for other in found if other is not leaf and _exclude(text_leaf, other)), None)
                if other is None:
                    break
                against.append(other)
            else:
                return (leaf, *dict.fromkeys(against))
        return None


def implies(narrow: Node, wide: Node) -> bool:
    """Whether `wide` is proved to hold whenever `narrow` does."""
    try:
        return _Proof().implies(narrow, wide)
    except _Exhausted:
        return False


def contradiction(node: Node) -> tuple[Leaf, ...] | None:
    """Tests by which the condition is proved never to hold (none: it is empty by itself); None when nothing is proved."""
    try:
        return _Proof().conflict(node)
    except _Exhausted:
        return None


def _flatten(node: Node, found: list[Leaf], choices: list[Some]) -> None:
    match node:
        case Leaf():
            found.append(node)
        case Every(parts):
            for part in parts:
                _flatten(part, found, choices)
        case Some():
            choices.append(node)
        case _:
            assert_never(node)


def _one_text_each(leaf: Leaf) -> list[Leaf]:
    """A positive test with several texts, of which any is enough, as one test for each."""
    matcher = leaf.test.matcher
    if leaf.negated or not isinstance(matcher, Text):
        return [leaf]
    return [Leaf(Test(leaf.test.field, Text(matcher.kind, (text,)))) for text in matcher.texts]


def _exclude(one: Leaf, other: Leaf) -> bool:
    """Whether two tests are proved never to hold both."""
    if one.test.field != other.test.field:
        return False
    match one.negated, other.negated:
        case False, False:
            return field_type(one.test.field.kind).has_one_value and _disjoint(one.test.matcher, other.test.matcher)
        case False, True:
            return _matcher_implies(one.test.matcher, other.test.matcher)
        case True, False:
            return _matcher_implies(other.test.matcher, one.test.matcher)
        case _:
            return False


def _leaf_implies(narrow: Leaf, wide: Leaf) -> bool:
    if narrow.test.field != wide.test.field:
        return False
    match narrow.negated, wide.negated:
        case False, False:
            return _matcher_implies(narrow.test.matcher, wide.test.matcher)
        case True, True:
            return _matcher_implies(wide.test.matcher, narrow.test.matcher)
        case False, True:
            return field_type(narrow.test.field.kind).has_one_value and _disjoint(narrow.test.matcher, wide.test.matcher)
        case _:
            return False


def _matcher_implies(narrow: Matcher, wide: Matcher) -> bool:
    match narrow, wide:
        case ((Text() | InNetworks() | AtLeast() | AtMost() | Present()), Present()):
            return True
        case Text(), Text():
            return covers(wide, narrow)
        case InNetworks(inner), InNetworks(outer):
            return inner == outer or _inside(_merged(inner), _merged(outer))
        case AtLeast(low), AtLeast(lower):
            return low >= lower
        case AtMost(high), AtMost(higher):
            return high <= higher
        case Sampled(small), Sampled(large):
            return small <= large
        case Refused(often, short, rules), Refused(rarely, long, same):
            return often >= rarely and short <= long and rules == same
        case _:
            return False


def _disjoint(one: Matcher, other: Matcher) -> bool:
    match one, other:
        case Text(), Text():
            return excludes(one, other)
        case InNetworks(first), InNetworks(second):
            return not _overlap(_merged(first), _merged(second))
        case (AtLeast(low), AtMost(high)) | (AtMost(high), AtLeast(low)):
            return low > high
        case _:
            return False


type Ranges = tuple[tuple[int, int], ...]


@cached(LRUCache(50_000), key=id)
def _with_ranges(networks: tuple[Network, ...]) -> tuple[tuple[Network, ...], Ranges]:
    """Networks and their ranges. Kept by identity: hashing a list of a hundred thousand each time would take a second."""
    ranges: list[tuple[int, int]] = []
    for first, last in sorted(part for network in networks for part in own_family(network)):
        if ranges and first <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return networks, tuple(ranges)


def _merged(networks: tuple[Network, ...]) -> Ranges:
    """Ranges of addresses, sorted, none touching the next."""
    return _with_ranges(networks)[1]


_LAST: Final = itemgetter(1)


def _inside(inner: Ranges, outer: Ranges) -> bool:
    at = 0
    for first, last in inner:
        at = bisect_left(outer, first, lo=at, key=_LAST)
        if at == len(outer) or not (outer[at][0] <= first and last <= outer[at][1]):
            return False
    return True


def _overlap(one: Ranges, other: Ranges) -> bool:
    at = 0
    for first, last in one:
        at = bisect_left(other, first, lo=at, key=_LAST)
        if at < len(other) and other[at][0] <= last:
            return True
    return False
