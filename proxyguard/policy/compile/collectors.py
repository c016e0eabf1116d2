"""Where the values of each kind of field are in a request, and which tests about them hold: as numbers, in a list.

Knows nothing of what is remembered of requests before; `compile.facts` decides that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import assert_never

from proxyguard.core.reading import SiteReading
from proxyguard.core.request import Request, Values
from proxyguard.policy.compile.network_table import NetworkTable
from proxyguard.policy.compile.text_index import Find
from proxyguard.policy.fields.field_type import AnyValues, ArisingValues, FieldType, NamedValues, OutsideValue, SingleValue


class FieldIndex:
    """All tests about one field, ready to be asked about its values. Immutable by convention."""

    __slots__ = ("find", "present")

    def __init__(self, present: tuple[int, ...], find: Find | None) -> None:
        self.present = present
        """Tests that hold when the field is there."""
        self.find = find
        """From a value to the tests that hold for it."""

    def collect(self, values: Values, found: list[int]) -> None:
        """Add what holds for a field that is there, and for its values."""
        if self.present:
            found += self.present
        find = self.find
        if find is not None:
            for value in values:
                marks = find(value)
                if marks:
                    found += marks


class Collector:
    """Adds the tests about one field that hold for a request."""

    __slots__ = ()

    def collect(self, request: Request, found: list[int]) -> None:
        """Add their numbers to `found`; some maybe more than once."""
        raise NotImplementedError


class One(Collector):
    """Of a field with one value."""

    __slots__ = ("_find", "_present", "_value_of")

    def __init__(self, value_of: Callable[[Request], bytes], index: FieldIndex) -> None:
        self._value_of = value_of
        self._present = index.present
        self._find = index.find

    def collect(self, request: Request, found: list[int]) -> None:
        if self._present:
            found += self._present
        if self._find is not None:
            marks = self._find(self._value_of(request))
            if marks:
                found += marks


class Several(Collector):
    """Of a field with any number of values."""

    __slots__ = ("_index", "_values_of")

    def __init__(self, values_of: Callable[[Request], Values], index: FieldIndex) -> None:
        self._values_of = values_of
        self._index = index

    def collect(self, request: Request, found: list[int]) -> None:
        values = self._values_of(request)
        if values:
            self._index.collect(values, found)


class ByName(Collector):
    """Of a field that has values by name."""

    __slots__ = ("_by_name", "_fields")

    def __init__(self, by_name: Callable[[Request], Mapping[bytes, Values]], fields: dict[bytes, FieldIndex]) -> None:
        self._by_name = by_name
        self._fields = fields

    def collect(self, request: Request, found: list[int]) -> None:
        present = self._by_name(request)
        if present:
            _collect_named(self._fields, present if isinstance(present, dict) else dict(present), found)


class AddressIn(Collector):
    """Of an address."""

    __slots__ = ("_address", "_networks")

    def __init__(self, address: Callable[[Request], int], networks: NetworkTable) -> None:
        self._address = address
        self._networks = networks

    def collect(self, request: Request, found: list[int]) -> None:
        found += self._networks.find(self._address(request))


def collectors(row: FieldType, indexes: Mapping[bytes, FieldIndex], reading: SiteReading) -> Iterator[Collector]:
    """Those of a field, whose tests are indexed by the names that it has values by; by the empty one where it has none."""
    match row.source:
        case SingleValue() if row.all_values is not None and reading.format_suffix:
            yield Several(row.all_values, indexes[b""])
        case SingleValue(value):
            yield One(value, indexes[b""])
        case AnyValues(values):
            yield Several(values, indexes[b""])
        case NamedValues(by_name=by_name, whole=whole):
            named = {name: index for name, index in indexes.items() if name or whole is None}
            if named:
                yield ByName(by_name, named)
            if whole is not None and b"" in indexes:
                yield Several(whole, indexes[b""])
        case ArisingValues() | OutsideValue():
            raise TypeError(f"{row.kind} is not a fact of a request")
        case _:
            assert_never(row.source)


def _collect_named(fields: dict[bytes, FieldIndex], present: dict[bytes, Values], found: list[int]) -> None:
    """Ask about the fields that are present; goes through the shorter of the two."""
    if len(fields) > len(present):
        for name, values in present.items():
            index = fields.get(name)
            if index is not None:
                index.collect(values, found)
    else:
        for name, index in fields.items():
            if name in present:
                index.collect(present[name], found)
