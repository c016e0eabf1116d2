"""One row of the registry: what parser, index, limit keys, schema, lints, explain and replay know of a field.

Knows nothing of rules, YAML or indexes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from proxyguard.core.reading import SiteReading
from proxyguard.core.request import Request, Values
from proxyguard.policy.model import Field, TextKind

TEXT_MATCHERS: Final[Mapping[str, TextKind]] = {"in": TextKind.EQUAL} | {
    str(kind): kind for kind in TextKind if kind is not TextKind.EQUAL
}
"""The matchers that compare texts, by their word."""

NUMBERS: Final = ("at_least", "at_most")
EXACT: Final = ("in", "not")
DEFAULT_SHARE: Final = 0.1
ANY_TEXT: Final = (*TEXT_MATCHERS, "not")
MATCHERS: Final = (*TEXT_MATCHERS, *NUMBERS, "signed", "not")
"""Every matcher, in the order in which messages list them."""


@dataclass(frozen=True, slots=True)
class SingleValue:
    """Every request has exactly one value."""

    value: Callable[[Request], bytes]


@dataclass(frozen=True, slots=True)
class AnyValues:
    """A request has no value, one or several."""

    values: Callable[[Request], Values]


@dataclass(frozen=True, slots=True)
class NamedValues:
    """A family of fields, told apart by a name: `header.referer`. A request has values for some of the names."""

    by_name: Callable[[Request], Mapping[bytes, Values]]
    noun: str
    """What a name is called in messages: `query parameter`."""
    example: str
    """A name for hints."""
    read_name: Callable[[str], str]
    """The name as `by_name` has it. Raises Fault."""
    for_key: tuple[Callable[[bytes], bytes], Callable[[Request, bytes], Values]] | None = None
    """The canonical form of a name, and the different values that sites may read by it (`core.key_values`): what keys are made
    of. None: the values as they are."""
    whole: Callable[[Request], Values] | None = None
    """The values of the field without a name, which stands for all of them in one text; None: a name must be given."""


@dataclass(frozen=True, slots=True)
class ArisingValues:
    """Values that rules give while they are looked at: score, tags, class. `single`: there is exactly one at any time."""

    single: bool


@dataclass(frozen=True, slots=True)
class OutsideValue:
    """One value that no request carries: the time, the place of its client among all. `compile.outside` knows it."""


Source = SingleValue | AnyValues | NamedValues | ArisingValues | OutsideValue


class KeyForm(Enum):
    """How a value stands in the key of a limit."""

    PLAIN = "plain"
    """As it is when it is short and plain, else as a keyed hash."""
    HASHED = "hashed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldType:
    """A field of a condition."""

    kind: str
    """Its word in rule files: lower-case letters, digits and underscores."""
    description: str
    """What editors show."""
    source: Source
    example: str = ""
    """A value for editors, where tests in rule files may state one."""
    matchers: tuple[str, ...] = ANY_TEXT
    """Those it takes besides a plain value; without `in` it takes no plain value either. None at all: its condition has a form of
    its own, which `parse.own_forms` reads."""
    check: Callable[[TextKind, str], str] | None = None
    """A text of a rule, normalised as the field's values are. Raises Fault for one that no value can equal."""
    has_stars: bool = True
    """Whether values can hold a `*`; where they cannot, one in a plain text is refused as a glob without its name."""
    canonical: Field | None = None
    """The field that this is another name of."""
    reading: Callable[[SiteReading], SiteReading] | None = None
    """For a field that holds a path: how it is read, given how the site reads paths."""
    has_sizes: bool = False
    """Whether its bounds may be written as sizes: 10MiB."""
    is_lenient: bool = False
    """Whether a bound holds when any number holds that some server reads from a value; else a value is one number or none."""
    key_value: Callable[[Request], bytes] | None = None
    """The value as limits count by it, where that is not the field's own."""
    all_values: Callable[[Request], Values] | None = None
    """The value and what else some sites that drop endings take it for; for a field that holds a path."""
    address: Callable[[Request], int] | None = None
    """The number of an address, for a field that is compared with networks."""
    of_client: bool = False
    """Whether values depend on the client address, the header fields and the connection alone; they are then derived once for all
    requests on a connection that have the very same fields."""
    ignores_referer: bool = False
    """Of such a field, whether the value of a Referer changes nothing: it is then derived once for requests that differ in it."""
    of_path: bool = False
    """Whether values depend on the path as it was sent, and on how the site reads it, alone; facts about paths that come again
    are remembered."""
    key: KeyForm | None = None
    """How limits count by it; None: they cannot."""
    share: float = DEFAULT_SHARE
    """A guess at how many requests an average test about it holds for; it steers the index, never a decision. Of a field that is
    compared with texts of any kind it is that of a loose one, of others that of any."""
    is_secret: bool = False
    """Whether explanations hide its values."""
    of_origin: bool = False
    """Whether its values are facts of `Request.origin`, which is looked up only for policies that ask about it."""
    of_robots: bool = False
    """Whether its values are facts of `Request.robots`; the same."""
    derived_from: tuple[str, ...] | None = None
    """The fields that a log must have for replay to know this one (`header`: all headers); None: it must have this one."""

    @property
    def is_exact(self) -> bool:
        """Whether it is compared as a whole or as a number only, as fields of few values are."""
        return all(each in EXACT or each in NUMBERS for each in self.matchers)

    @property
    def is_always_there(self) -> bool:
        """Whether `present` and `absent` make no sense."""
        return isinstance(self.source, SingleValue | ArisingValues | OutsideValue)

    @property
    def has_one_value(self) -> bool:
        """Whether every request has exactly one value, so that two different ones exclude each other."""
        return isinstance(self.source, SingleValue | OutsideValue) or (
            isinstance(self.source, ArisingValues) and self.source.single
        )

    def values(self, request: Request, name: bytes = b"") -> Values:
        """The values in a request; none for what arises or stands outside of it."""
        match self.source:
            case SingleValue(value):
                return (value(request),)
            case AnyValues(values):
                return values(request)
            case NamedValues(by_name=by_name, whole=whole):
                return by_name(request).get(name, ()) if name or whole is None else whole(request)
            case ArisingValues() | OutsideValue():
                return ()
