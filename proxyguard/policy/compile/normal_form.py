"""Conditions in negation normal form: only tests are negated. What the engine's closures, its index and the lints work on.

`Absent` is the negation of `Present`, and the user agent is a header: equal tests look alike. Knows nothing of rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, assert_never

from proxyguard.policy.compile.facts import FactNumbers
from proxyguard.policy.fields.field_type import ArisingValues
from proxyguard.policy.fields.registry import field_type
from proxyguard.policy.model import Absent, AllOf, AnyOf, Condition, Not, Present, Test

ARISING: Final = -1


@dataclass(frozen=True, slots=True)
class Leaf:
    """A test or its negation."""

    test: Test
    negated: bool = False
    number: int = ARISING
    """The number of the fact; ARISING: it is about the score, tags or the class, which rules give on the way."""

    @property
    def is_fact(self) -> bool:
        """Whether it is about the request itself."""
        return self.number != ARISING


@dataclass(frozen=True, slots=True)
class Every:
    """Holds when all parts hold; with none, always."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """Holds when any part holds; with none, never."""

    parts: tuple[Node, ...]


Node = Leaf | Every | Some


def normal_form(condition: Condition, numbers: FactNumbers, *, negated: bool = False) -> Node:
    """Push negations down to the tests and number the tests."""
    match condition:
        case Test():
            return _leaf(condition, numbers, negated=negated)
        case Not(inner):
            return normal_form(inner, numbers, negated=not negated)
        case AllOf(conditions) | AnyOf(conditions):
            parts = tuple(normal_form(part, numbers, negated=negated) for part in conditions)
            return Every(parts) if isinstance(condition, AllOf) is not negated else Some(parts)
        case _:
            assert_never(condition)


def _leaf(test: Test, numbers: FactNumbers, *, negated: bool) -> Leaf:
    if isinstance(field_type(test.field.kind).source, ArisingValues):
        return Leaf(test, negated)
    if isinstance(test.matcher, Absent):
        test, negated = Test(test.field, Present()), not negated
    number = numbers.of(test)
    return Leaf(numbers.tests[number], negated, number)


def leaves(node: Node) -> Iterator[Leaf]:
    """All tests of a condition."""
    if isinstance(node, Leaf):
        yield node
    else:
        for part in node.parts:
            yield from leaves(part)


def holds_with(node: Node, answer: Callable[[Leaf], bool]) -> bool:
    """Whether the condition holds when its tests are answered so."""
    match node:
        case Leaf():
            return answer(node)
        case Every(parts):
            return all(holds_with(part, answer) for part in parts)
        case Some(parts):
            return any(holds_with(part, answer) for part in parts)
        case _:
            assert_never(node)


def reads(node: Node, kind: str) -> bool:
    """Whether the condition asks about a field of this kind."""
    return any(leaf.test.field.kind == kind for leaf in leaves(node))
