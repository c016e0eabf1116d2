"""The facts of a request that a policy asks for: each distinct test of the policy has a number, and a request has the set of
the numbers whose tests hold.

Knows nothing of rules, limits or actions. Score and tags are not facts: they arise while rules are looked at. An absent field
is the negation of a present one, so that a request is asked only about what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, assert_never

from proxyguard.core.address import Network
from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.origin import Origin
from proxyguard.core.privacy import SECRET_FIELDS
from proxyguard.core.reading import STRICT, SiteReading
from proxyguard.core.request import MAX_NAME_BYTES, MAX_NAMES, Request
from proxyguard.core.request_paths import MAX_PATH_BYTES
from proxyguard.policy.compile.collectors import AddressIn, Collector, FieldIndex, collectors
from proxyguard.policy.compile.cooperative import YieldControl, never_yield
from proxyguard.policy.compile.network_table import NetworkTable
from proxyguard.policy.compile.numbers import number_of, numbers_of
from proxyguard.policy.compile.path_index import path_finder
from proxyguard.policy.compile.signatures import checker
from proxyguard.policy.compile.text_index import Find, TextIndex, joined, remembering
from proxyguard.policy.fields.field_type import FieldType, OutsideValue
from proxyguard.policy.fields.registry import canonical, field_type, read_name, reading_of
from proxyguard.policy.matchers import During, Refused, Sampled, Signed
from proxyguard.policy.model import Absent, AtLeast, AtMost, FieldKind, InNetworks, Present, Test, Text, TextKind

MAX_PATHS: Final = 512
"""Paths whose facts a policy remembers, at most 300 KiB; then it begins anew. Clients choose them, and gain nothing by it."""

MAX_ORIGINS: Final = 512
"""Origins whose facts a policy remembers, at most 400 KiB; then it begins anew. Few differ: of one network all are the same."""

MAX_VALUES: Final = 32
"""Values of a field of clients whose facts a policy remembers; then that field begins anew, and others keep theirs."""

MAX_VALUE_BYTES: Final = 256
"""Of a value that is remembered: user agents of browsers have about 120."""

MAX_LINES: Final = 1024
"""Header lines whose facts a policy remembers, at most 400 KiB; then it begins anew."""

MAX_CLIENTS: Final = 128
"""Sets of facts of clients that a policy has one object for, at most 600 KiB; then it begins anew. Most clients are alike."""

MAX_CLIENT_FACTS: Final = 64
"""Of a set that is kept so."""

MAX_HASHED_NETWORKS: Final = 1000
"""Longer lists are the same only when they are one object: comparing them would hold the interpreter."""


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


def field_index(
    tests: Iterable[tuple[Test, int]], yield_control: YieldControl, row: FieldType, reading: SiteReading, *, is_secret: bool
) -> FieldIndex:
    """Of a secret no value is kept. Raises PolicyError when a pattern cannot be compiled."""
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
            case InNetworks() | Absent() | During() | Sampled() | Refused():
                pass  # networks are a table of their own; what is absent, or outside of the request, has no values
            case _:
                assert_never(test.matcher)
    by_text: Find | None = None
    if texts:
        read = reading_of(row, reading)
        if read is None:
            index = TextIndex(texts, yield_control)
            by_text = index.finder(remembers=not row.of_path, is_secret=is_secret)  # facts of paths are remembered together
        else:
            by_text = path_finder(texts, read, yield_control)
    by_number = _number_finder(bounds, lenient=row.is_lenient) if bounds else None
    by_signature = _signature_finder(signed) if signed else None
    return FieldIndex(tuple(present), _both(_both(by_text, by_number), by_signature))


def _signature_finder(signed: Sequence[tuple[Callable[[bytes], bool], int]]) -> Find:
    return lambda value: [fact for is_signed, fact in signed if is_signed(value)]


def _number_finder(bounds: Sequence[tuple[AtLeast | AtMost, int]], *, lenient: bool) -> Find:
    lower = [(matcher.bound, fact) for matcher, fact in bounds if isinstance(matcher, AtLeast)]
    upper = [(matcher.bound, fact) for matcher, fact in bounds if isinstance(matcher, AtMost)]

    def find(value: bytes) -> Collection[int] | None:
        numbers = candidate_numbers(value, lenient=lenient)
        if not numbers:
            return None
        most, least = max(numbers), min(numbers)
        return [fact for bound, fact in lower if most >= bound] + [fact for bound, fact in upper if least <= bound]

    return find


def candidate_numbers(value: bytes, *, lenient: bool) -> tuple[float, ...]:
    """What a bound is compared with: every number that some server reads, or the only one."""
    if lenient:
        return numbers_of(value)
    number = number_of(value)
    return () if number is None else (number,)


class _Header:
    """What is asked about a header field, and what was answered for values that came before."""

    __slots__ = ("index", "known")

    def __init__(self, index: FieldIndex | None, *, is_secret: bool) -> None:
        self.index = index
        """None: no rule asks about it."""
        self.known: dict[bytes, tuple[int, ...]] | None = None if is_secret else {}
        """None: no value is kept."""


_UNASKED: Final = _Header(None, is_secret=True)


def _both(first: Find | None, second: Find | None) -> Find | None:
    if first is None or second is None:
        return first or second
    return lambda value: joined(first(value), second(value))


Parts = tuple[frozenset[int], tuple[int, ...], list[int]]
"""Numbers of tests that hold by the client and what it says of itself each time, by the path, and by all else; the second and the
third may have some more than once."""


class FactTable:
    """Answers which tests of a policy hold for a request, in time that depends on what the request has."""

    __slots__ = (
        "_clients", "_headers", "_lines", "_mark", "_networks", "_of_client", "_of_origin", "_of_path", "_of_request", "_origins",
        "_paths", "_reading", "_spelt",
    )  # fmt: skip

    def __init__(self, tests: Iterable[Test], yield_control: YieldControl = never_yield, reading: SiteReading = STRICT) -> None:
        """`tests` in order of their numbers. Raises PolicyError when a pattern cannot be compiled."""
        by_kind: dict[str, list[tuple[Test, int]]] = {}
        for number, test in enumerate(tests):
            by_kind.setdefault(test.field.kind, []).append((test, number))
        self._mark = object()  # not the table itself: a request that is kept must not keep a policy that is gone
        self._networks: NetworkTable | None = None
        self._clients: dict[tuple[int, ...], frozenset[int]] = {}
        self._headers: dict[bytes, _Header] = {}
        self._spelt: dict[bytes, _Header] = {}
        self._lines = 0
        self._of_client: list[Collector] = []
        self._of_origin: list[Collector] = []
        self._of_path: list[Collector] = []
        self._of_request: list[Collector] = []
        self._reading = reading
        self._origins: dict[Origin | None, tuple[int, ...]] = {}
        self._paths: dict[bytes, tuple[int, ...]] = {}
        for kind, about in by_kind.items():
            row = field_type(kind)
            if isinstance(row.source, OutsideValue):
                continue
            asked = self._of_origin if row.of_origin else self._of_path if row.of_path else self._of_request
            if row.of_client and row.ignores_referer:
                asked = self._of_client
            networks = _networks(about)
            if networks and kind == FieldKind.CLIENT:
                self._networks = NetworkTable(networks, yield_control)
            elif networks and row.address is not None:
                asked.append(AddressIn(row.address, NetworkTable(networks, yield_control)))
            indexes = _indexes(about, yield_control, row, reading)
            if kind == FieldKind.HEADER:
                self._headers = {name: _Header(each, is_secret=_is_secret(kind, name)) for name, each in indexes.items()}
                continue
            if row.of_client:
                indexes = {name: each if _is_secret(kind, name) else _remembered(each) for name, each in indexes.items()}
            if indexes:
                asked += collectors(row, indexes, reading)

    def of(self, request: Request) -> set[int]:
        """The numbers of the tests that hold."""
        client, path, rest = self.parts(request)
        return {*client, *path, *rest}

    def parts(self, request: Request) -> Parts:
        """The numbers of the tests that hold."""
        known = request.facts
        if known is not None and known[0] is self._mark:
            client = known[1]
        else:
            client = self._about_client(request)
            request.facts = (self._mark, client)
        rest: list[int] = []
        at = request.referer_at
        if at >= 0:
            name, value = request.headers[at]
            self._add_line(name, value, rest)
        if self._of_origin:
            rest += self._about_origin(request)
        for collector in self._of_request:
            collector.collect(request, rest)
        return client, self._about_path(request) if self._of_path else (), rest

    def _about_client(self, request: Request) -> frozenset[int]:
        """The tests that hold by the client and by its fields but for the Referer."""
        found: list[int] = []
        if self._networks is not None:  # these two without a call through their row: nearly every policy asks for them
            found += self._networks.find(request.client.number)
        if self._headers:
            for name, value in request.steady:
                self._add_line(name, value, found)
        for collector in self._of_client:
            collector.collect(request, found)
        marks = tuple(found)
        client = self._clients.get(marks)  # the same object needs no comparing, and has its hash
        if client is None:
            client = frozenset(marks)
            if len(marks) <= MAX_CLIENT_FACTS:
                keep_at_hand(self._clients, MAX_CLIENTS, marks, client)
        return client

    def _add_line(self, name: bytes, value: bytes, found: list[int]) -> None:
        """Add the tests about a header line that hold. Those of several lines of one name hold for the field."""
        header = self._spelt.get(name)
        if header is None:
            header = self._spell(name)
        known = header.known
        about = None if known is None else known.get(value)
        if about is None:
            about = self._about_line(header, value)
        if about:
            found += about

    def _spell(self, name: bytes) -> _Header:
        """What is asked about a field, by its name as it was received."""
        header = self._headers.get(name.lower(), _UNASKED)
        if len(name) <= MAX_NAME_BYTES:
            keep_at_hand(self._spelt, MAX_NAMES, name, header)
        return header

    def _about_line(self, header: _Header, value: bytes) -> tuple[int, ...]:
        index = header.index
        if index is None:
            return ()
        marks: list[int] = []
        index.collect((value,), marks)
        found = tuple(marks)
        known = header.known
        if known is not None and len(value) <= MAX_VALUE_BYTES:
            if self._lines >= MAX_LINES:
                self._forget_lines()
            known[value] = found
            self._lines += 1
        return found

    def _forget_lines(self) -> None:
        self._lines = 0
        for header in self._headers.values():
            if header.known is not None:
                header.known.clear()

    def _about_origin(self, request: Request) -> tuple[int, ...]:
        """The tests about where the request comes from that hold."""
        found = self._origins.get(request.origin)
        if found is None:
            marks: list[int] = []
            for collector in self._of_origin:
                collector.collect(request, marks)
            found = tuple(marks)
            keep_at_hand(self._origins, MAX_ORIGINS, request.origin, found)
        return found

    def _about_path(self, request: Request) -> tuple[int, ...]:
        """The tests about the path that hold."""
        path = request.sent_path
        is_usual = request.reading is self._reading and len(path) <= MAX_PATH_BYTES
        found = self._paths.get(path) if is_usual else None
        if found is None:
            marks: list[int] = []
            for collector in self._of_path:
                collector.collect(request, marks)
            found = tuple(marks)
            if is_usual:
                keep_at_hand(self._paths, MAX_PATHS, path, found)
        return found


def _remembered(index: FieldIndex) -> FieldIndex:
    """The same index, which knows the values that come again and again."""
    if index.find is None:
        return index
    return FieldIndex(index.present, remembering(index.find, MAX_VALUES, MAX_VALUE_BYTES))


def _networks(tests: list[tuple[Test, int]]) -> list[tuple[Network, int]]:
    return [(each, number) for test, number in tests if isinstance(test.matcher, InNetworks) for each in test.matcher.networks]


def _indexes(
    tests: list[tuple[Test, int]], yield_control: YieldControl, row: FieldType, reading: SiteReading
) -> dict[bytes, FieldIndex]:
    """What is asked about the values of a field, by name; networks are asked about elsewhere."""
    by_name: dict[bytes, list[tuple[Test, int]]] = {}
    for test, number in tests:
        if not isinstance(test.matcher, InNetworks):
            by_name.setdefault(read_name(row, test.field.name.encode(), reading), []).append((test, number))
    return {
        name: field_index(about, yield_control, row, reading, is_secret=_is_secret(row.kind, name))
        for name, about in by_name.items()
    }


def _is_secret(kind: str, name: bytes) -> bool:
    return kind == FieldKind.COOKIE or (kind == FieldKind.HEADER and name in SECRET_FIELDS)
