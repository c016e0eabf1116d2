"""The facts of a request that a policy asks for: each distinct test of the policy has a number, and a request has the set of
the numbers whose tests hold.

Knows nothing of rules, limits or actions. Score and tags are not facts: they arise while rules are looked at. An absent field
is the negation of a present one, so that a request is asked only about what it has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple, assert_never

from proxyguard.core.address import Network
from proxyguard.core.request import Request, Values
from proxyguard.policy.compile.cooperative import YieldControl, never_yield
from proxyguard.policy.compile.network_table import NetworkTable
from proxyguard.policy.compile.signatures import checker
from proxyguard.policy.compile.text_index import TextIndex
from proxyguard.policy.model import (
    Absent,
    AtLeast,
    AtMost,
    Field,
    FieldKind,
    InNetworks,
    Present,
    Signed,
    Test,
    Text,
    TextKind,
)

USER_AGENT: Final = b"user-agent"

_NUMBER: Final = re.compile(rb"[ \t]*([+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?)[ \t]*")
"""What counts as a number in a value: decimal, without exponent; an octet count has at most 16 digits."""

MAX_HASHED_NETWORKS: Final = 1000
"""Longer lists are the same only when they are one object: comparing them would hold the interpreter."""

_DYNAMIC: Final = (FieldKind.SCORE, FieldKind.TAG, FieldKind.CLASS)


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


Find = Callable[[bytes], Collection[int]]


class FieldIndex(NamedTuple):
    """All tests about one field, ready to be asked about its values."""

    present: tuple[int, ...]
    """Tests that hold when the field is there."""
    find: Find | None
    """From a value to the tests that hold for it."""


def field_index(tests: Iterable[tuple[Test, int]], yield_control: YieldControl) -> FieldIndex:
    """Raises PolicyError when a pattern cannot be compiled."""
    texts: list[tuple[TextKind, bytes, int]] = []
    bounds: list[tuple[AtLeast | AtMost, int]] = []
    present: list[int] = []
    signed: list[tuple[Callable[[bytes], bool], int]] = []
    for test, number in tests:
        match test.matcher:
            case Text(kind, wanted):
                texts += [(kind, text, number) for text in wanted]
            case AtLeast() | AtMost():
                bounds.append((test.matcher, number))
            case Present():
                present.append(number)
            case Signed():
                signed.append((checker(test.matcher), number))
            case InNetworks() | Absent():
                pass  # networks are a table of their own; what is absent has no values
            case _:
                assert_never(test.matcher)
    by_text = TextIndex(texts, yield_control).finder() if texts else None
    by_number = _number_finder(bounds) if bounds else None
    by_signature = _signature_finder(signed) if signed else None
    return FieldIndex(tuple(present), _both(_both(by_text, by_number), by_signature))


def _signature_finder(signed: Sequence[tuple[Callable[[bytes], bool], int]]) -> Find:
    return lambda value: [fact for is_signed, fact in signed if is_signed(value)]


def _number_finder(bounds: Sequence[tuple[AtLeast | AtMost, int]]) -> Find:
    lower = [(matcher.bound, fact) for matcher, fact in bounds if isinstance(matcher, AtLeast)]
    upper = [(matcher.bound, fact) for matcher, fact in bounds if isinstance(matcher, AtMost)]

    def find(value: bytes) -> Collection[int]:
        number = number_of(value)
        if number is None:
            return ()
        return [fact for bound, fact in lower if number >= bound] + [fact for bound, fact in upper if number <= bound]

    return find


def _both(first: Find | None, second: Find | None) -> Find | None:
    if first is None or second is None:
        return first or second
    return lambda value: (*first(value), *second(value))


def _always(value_of: Callable[[Request], bytes], index: FieldIndex) -> Callable[[Request], Collection[int]]:
    """The tests that hold for a field that is always there and has one value."""
    present, find = index
    if find is None:
        return lambda _request: present
    if not present:
        return lambda request: find(value_of(request))
    return lambda request: (*present, *find(value_of(request)))


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

    __slots__ = ("_account", "_cookies", "_headers", "_mark", "_networks", "_query", "_singles")

    def __init__(self, tests: Iterable[Test], yield_control: YieldControl = never_yield) -> None:
        """`tests` in order of their numbers. Raises PolicyError when a pattern cannot be compiled."""
        by_field: dict[Field, list[tuple[Test, int]]] = {}
        networks: list[tuple[Network, int]] = []
        for number, test in enumerate(tests):
            by_field.setdefault(test.field, []).append((test, number))
            if isinstance(test.matcher, InNetworks):
                networks += [(network, number) for network in test.matcher.networks]

        def named(kind: FieldKind) -> Named:
            return {
                field.name.encode(): field_index(tests, yield_control)
                for field, tests in by_field.items()
                if field.kind is kind
            }

        self._mark = object()  # not the table itself: a request that is kept must not keep a policy that is gone
        self._networks = NetworkTable(networks, yield_control) if networks else None
        singles = {
            kind: [
                (test, number)
                for test, number in by_field.get(Field(kind), ())
                if not isinstance(test.matcher, InNetworks)
            ]
            for kind in _SINGLE
        }
        self._singles = tuple(
            _always(_SINGLE[kind], field_index(tests, yield_control)) for kind, tests in singles.items() if tests
        )
        about_account = by_field.get(Field(FieldKind.ACCOUNT))
        self._account = field_index(about_account, yield_control) if about_account else None
        self._headers = named(FieldKind.HEADER)
        self._query = named(FieldKind.QUERY)
        self._cookies = named(FieldKind.COOKIE)

    def of(self, request: Request) -> set[int]:
        """The numbers of the tests that hold."""
        known = request.facts
        if known is not None and known[0] is self._mark:
            facts = known[1].copy()
        else:
            facts = self._of_sender(request)
            request.facts = (self._mark, facts.copy())
        for holding in self._singles:
            facts.update(holding(request))
        if self._query and request.target.find(b"?") >= 0:
            _collect_named(self._query, request.query, facts)
        if self._account is not None and request.account is not None:
            _collect_named({b"": self._account}, {b"": (request.account,)}, facts)
        return facts

    def _of_sender(self, request: Request) -> set[int]:
        """What holds for the client and its header fields, whatever is asked for."""
        facts: set[int] = set()
        if self._networks is not None:
            facts.update(self._networks.find(request.client.number))
        if self._headers:
            _collect_named(self._headers, request.header_index, facts)
        if self._cookies and b"cookie" in request.header_index:
            _collect_named(self._cookies, request.cookies, facts)
        return facts


def _collect_named(fields: Named, present: Mapping[bytes, Values], facts: set[int]) -> None:
    """Ask about the fields that are present; goes through the shorter of the two."""
    if len(fields) > len(present):
        fields = {name: fields[name] for name in present if name in fields}
    for name, (always, find) in fields.items():
        if name in present:
            if always:
                facts.update(always)
            if find is not None:
                for value in present[name]:
                    facts.update(find(value))


def is_dynamic(test: Test) -> bool:
    """Whether a test is about what arises while rules are looked at."""
    return test.field.kind in _DYNAMIC
