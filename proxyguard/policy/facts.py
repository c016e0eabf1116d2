"""The facts of a request that a policy asks for: each distinct test of the policy has a number, and a request has the set of
the numbers whose tests hold.

Knows nothing of rules, limits or actions. Score and tags are not facts: they arise while rules are looked at. An absent field
is the negation of a present one, so that a request is asked only about what it has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from operator import attrgetter
from typing import Final

from proxyguard.client_address import Network
from proxyguard.policy.model import (
    Absent,
    AtLeast,
    AtMost,
    Field,
    FieldKind,
    InNetworks,
    Present,
    Test,
    Text,
    TextKind,
)
from proxyguard.policy.network_table import NetworkTable
from proxyguard.policy.steps import Breathe, no_breath
from proxyguard.policy.text_index import TextIndex
from proxyguard.request import Request, Values

USER_AGENT: Final = b"user-agent"

_NUMBER: Final = re.compile(rb"[ \t]*([+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?)[ \t]*")
"""What counts as a number in a value: decimal, without exponent; an octet count has at most 16 digits."""

MAX_HASHED_NETWORKS: Final = 1000
"""Longer lists are the same only when they are one object: comparing them would hold the interpreter."""

_DYNAMIC: Final = (FieldKind.SCORE, FieldKind.TAG)


def number_of(value: bytes) -> float | None:
    """A value as a number, or None."""
    match = _NUMBER.fullmatch(value)
    return float(match[1]) if match else None


def canonical(field: Field) -> Field:
    """One name for each fact: the user agent is a header."""
    return Field(FieldKind.HEADER, USER_AGENT.decode()) if field.kind is FieldKind.USER_AGENT else field


class FactNumbers:
    """Gives each distinct test a number. `Absent` has none: ask for `Present` and negate."""

    __slots__ = ("_known", "tests")

    def __init__(self) -> None:
        self.tests: list[Test] = []
        self._known: dict[object, int] = {}

    def of(self, test: Test) -> int:
        """The number of a test about a field of the request (not score or tag, not `Absent`)."""
        test = Test(canonical(test.field), test.matcher)
        key: object = test
        if isinstance(test.matcher, InNetworks) and len(test.matcher.networks) > MAX_HASHED_NETWORKS:
            key = id(test.matcher.networks)
        number = self._known.setdefault(key, len(self.tests))
        if number == len(self.tests):
            self.tests.append(test)
        return number


class FieldIndex:
    """All tests about one field, ready to be asked about its values."""

    __slots__ = ("_at_least", "_at_most", "_numbers", "_present", "_texts")

    def __init__(self, tests: Iterable[tuple[Test, int]], breathe: Breathe) -> None:
        texts: list[tuple[TextKind, bytes, int]] = []
        self._at_least: list[tuple[float, int]] = []
        self._at_most: list[tuple[float, int]] = []
        self._present: tuple[int, ...] = ()
        for test, number in tests:
            match test.matcher:
                case Text(kind, wanted):
                    texts += [(kind, text, number) for text in wanted]
                case AtLeast(bound):
                    self._at_least.append((bound, number))
                case AtMost(bound):
                    self._at_most.append((bound, number))
                case Present():
                    self._present += (number,)
                case InNetworks() | Absent():
                    pass  # networks are a table of their own; what is absent has no values
        self._texts = TextIndex(texts, breathe) if texts else None
        self._numbers = bool(self._at_least or self._at_most)

    def collect(self, values: Values, facts: set[int]) -> None:
        """Add the numbers of the tests that hold for a field with these values, at least one."""
        if self._present:
            facts.update(self._present)
        texts = self._texts
        if texts is not None:
            for value in values:
                facts.update(texts.find(value))
        if self._numbers:
            self._compare(values, facts)

    def finder(self) -> Callable[[bytes], Collection[int]]:
        """A function from a value to the tests that hold for it alone: the shortest way for a field that has one value."""
        if self._texts is not None and not (self._present or self._numbers):
            return self._texts.finder()

        def find(value: bytes) -> Collection[int]:
            facts: set[int] = set()
            self.collect((value,), facts)
            return facts

        return find

    def _compare(self, values: Values, facts: set[int]) -> None:
        for value in values:
            number = number_of(value)
            if number is not None:
                facts.update([fact for bound, fact in self._at_least if number >= bound])
                facts.update([fact for bound, fact in self._at_most if number <= bound])


Named = Mapping[bytes, FieldIndex]

_SINGLE: Final[Mapping[FieldKind, Callable[[Request], bytes]]] = {
    FieldKind.PATH: attrgetter("path"),
    FieldKind.METHOD: attrgetter("method"),
    FieldKind.HOST: attrgetter("host"),
    FieldKind.SCHEME: attrgetter("scheme"),
    FieldKind.HTTP_VERSION: attrgetter("http_version"),
    FieldKind.CLIENT: lambda request: request.client.text.encode(),
}
"""The fields that have one value, always."""


class FactTable:
    """Answers which tests of a policy hold for a request, in time that depends on what the request has."""

    __slots__ = ("_cookies", "_headers", "_networks", "_query", "_singles")

    def __init__(self, tests: Iterable[Test], breathe: Breathe = no_breath) -> None:
        """`tests` in order of their numbers. Raises PolicyError when a pattern cannot be compiled."""
        by_field: dict[Field, list[tuple[Test, int]]] = {}
        networks: list[tuple[Network, int]] = []
        for number, test in enumerate(tests):
            by_field.setdefault(test.field, []).append((test, number))
            if isinstance(test.matcher, InNetworks):
                networks += [(network, number) for network in test.matcher.networks]

        def single(kind: FieldKind) -> FieldIndex | None:
            tests = by_field.get(Field(kind), [])
            asked = any(not isinstance(test.matcher, InNetworks) for test, _ in tests)
            return FieldIndex(tests, breathe) if asked else None

        def named(kind: FieldKind) -> Named:
            return {
                field.name.encode(): FieldIndex(tests, breathe)
                for field, tests in by_field.items()
                if field.kind is kind
            }

        self._networks = NetworkTable(networks, breathe) if networks else None
        self._singles = tuple(
            (value_of, index.finder()) for kind, value_of in _SINGLE.items() if (index := single(kind)) is not None
        )
        self._headers = named(FieldKind.HEADER)
        self._query = named(FieldKind.QUERY)
        self._cookies = named(FieldKind.COOKIE)

    def of(self, request: Request) -> set[int]:
        """The numbers of the tests that hold."""
        facts: set[int] = set()
        if self._networks is not None:
            facts.update(self._networks.find(request.client.number))
        for value_of, find in self._singles:
            facts.update(find(value_of(request)))
        if self._headers:
            _collect_named(self._headers, request.header_index, facts)
        if self._query and b"?" in request.target:
            _collect_named(self._query, request.query, facts)
        if self._cookies and b"cookie" in request.header_index:
            _collect_named(self._cookies, request.cookies, facts)
        return facts


def _collect_named(fields: Named, present: Mapping[bytes, Values], facts: set[int]) -> None:
    """Ask about the fields that are present; goes through the shorter of the two."""
    if len(fields) <= len(present):
        for name, field in fields.items():
            values = present.get(name)
            if values is not None:
                field.collect(values, facts)
        return
    for name, values in present.items():
        asked = fields.get(name)
        if asked is not None:
            asked.collect(values, facts)


def is_dynamic(test: Test) -> bool:
    """Whether a test is about what arises while rules are looked at."""
    return test.field.kind in _DYNAMIC
