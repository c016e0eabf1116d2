"""The policy as immutable values: what the YAML said, parsed into types that cannot be wrong.

Made by `parse`, used by `compile`, `explain` and the tools. Knows nothing of YAML or of how rules are evaluated.
Text values are UTF-8 bytes where they are compared with what a client sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from proxyguard.core.address import Network
from proxyguard.core.decision import Action, Mode, weakest
from proxyguard.core.form import GuardedForm
from proxyguard.core.origin import Origin
from proxyguard.core.robots import RobotsVerdict
from proxyguard.limits.limit import Limit
from proxyguard.policy.items import ItemFamily
from proxyguard.policy.matchers import During, Refused, Sampled, Signed
from proxyguard.policy.sample_response import SampleResponse


class Place(NamedTuple):
    """Where something stands in a file: 1-based line and column."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Place("", 0, 0)  # the place of what no file holds


class FieldKind:
    """The fields that the program itself asks about by name; `policy.fields.registry` has these and all others."""

    CLIENT: Final = "client"
    HOST: Final = "host"
    SCHEME: Final = "scheme"
    METHOD: Final = "method"
    PATH: Final = "path"
    LOOSE_PATH: Final = "loose_path"
    QUERY: Final = "query"
    QUERY_STRING: Final = "query_string"
    HEADER: Final = "header"
    COOKIE: Final = "cookie"
    USER_AGENT: Final = "user_agent"
    HTTP_VERSION: Final = "http_version"
    SCORE: Final = "score"
    TAG: Final = "tag"
    CLASS: Final = "class"
    ACCOUNT: Final = "account"
    VISITOR: Final = "visitor"
    TIME_OF_DAY: Final = "time_of_day"
    SAMPLE: Final = "sample"
    REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its word, and the name of the header (lower case), cookie or query parameter for the kinds that have one."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}.{self.name}" if self.name else self.kind


class TextKind(StrEnum):
    """How a text is compared; any of the texts of a matcher, with any of the values of the field, is enough."""

    EQUAL = "equal"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    CONTAINS = "contains"
    CONTAINS_ANY = "contains_any"
    """As `contains`, ASCII case ignored: the text is in lower case."""
    WORD = "word"
    """The text as a whole token: not preceded or followed by an ASCII letter or digit; ASCII case ignored."""
    GLOB = "glob"
    """`*` any run of bytes, `?` one byte, the whole value; no brackets."""
    REGEX = "regex"
    """RE2 syntax, unanchored, bytes."""


@dataclass(frozen=True, slots=True)
class Text:
    """Holds when any value of the field compares with any of the texts. An absent field never does."""

    kind: TextKind
    texts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class InNetworks:
    """Holds when the client address lies in one of the networks."""

    networks: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class Present:
    """Holds when the field is in the request, even if empty."""


@dataclass(frozen=True, slots=True)
class Absent:
    """Holds when the field is not in the request."""


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Holds when a value of the field is a number of at least `bound`."""

    bound: float


@dataclass(frozen=True, slots=True)
class AtMost:
    """Holds when a value of the field is a number of at most `bound`."""

    bound: float


Matcher = Text | InNetworks | Present | Absent | AtLeast | AtMost | Signed | During | Sampled | Refused


@dataclass(frozen=True, slots=True)
class Test:
    """One field compared with one matcher."""

    __test__ = False  # pytest: not a test class
    field: Field
    matcher: Matcher


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds when all hold; with none, always."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when any holds; with none, never."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Holds when the other does not."""

    condition: Condition


Condition = Test | AllOf | AnyOf | Not

ALWAYS = AllOf(())


def tests_of(condition: Condition) -> Iterator[Test]:
    """Every test of a condition, in order."""
    match condition:
        case Test():
            yield condition
        case Not(inner):
            yield from tests_of(inner)
        case AllOf(parts) | AnyOf(parts):
            yield from (test for part in parts for test in tests_of(part))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `expires` is Unix seconds; a rule is not looked at from then on."""

    name: str
    action: Action
    when: Condition = ALWAYS
    limit: Limit | None = None
    mode: Mode = Mode.ENFORCE
    why: str = ""
    expires: float | None = None
    place: Place = NOWHERE
    restriction: str = ""  # the name of the temporary restriction that it is part of, if any
    emergency: bool = False  # whether it only records until emergency mode is on


@dataclass(frozen=True, slots=True)
class AccountSource:
    """Where the upstream says whose account a session is: a response header, remembered for the value of a cookie or header."""

    session: Field
    header: str
    """Lower case. Neither the client's own nor the upstream's passes."""
    remember_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class ClientClass:
    """A class of clients. A request belongs to the first class whose condition holds, else to `anonymous`."""

    name: str
    when: Condition
    place: Place = NOWHERE


ANONYMOUS = "anonymous"  # the class of requests that belong to no other
CLASS_MARK = "class:"
"""Tags that begin so say the class. No rule can attach one: names have no colon."""


class SampleRequest(NamedTuple):
    """A request as a test in a rule file describes it; what it leaves out gets plain defaults. `account`: the upstream's word."""

    client: str = "192.0.2.1"
    method: str = "GET"
    scheme: str = "https"
    host: str = "example.org"
    path: str = "/"
    http_version: str = "1.1"
    headers: tuple[tuple[str, str], ...] = ()
    account: str = ""  # what the upstream said of it
    jar: str = "none"
    heat: str = "cold"
    visitor: str = "new"
    form: str = "none"
    connection: tuple[tuple[str, str], ...] = ()  # `tls.ja4`, `client_kind`, …, and what they are
    origin: Origin | None = None
    robots: RobotsVerdict | None = None


class Expectation(NamedTuple):
    """What a test expects; None means not looked at. `expect: reject by scripted-clients` is action and rule."""

    action: str | None = None
    rule: str | None = None
    status: int | None = None
    score: float | None = None


class TestStep(NamedTuple):
    """`repeat` equal requests spread evenly `within` so many seconds; `expect` is about the last, `first` about the first."""

    request: SampleRequest
    repeat: int
    within_seconds: float
    expect: Expectation
    place: Place
    response: SampleResponse = SampleResponse()
    under_way: int = 0
    """Equal requests that began before the step and end after it."""
    minute: int = 720
    """The minute of the day, in every time zone; 720 is noon."""
    share: float = 1.0
    """The smallest sample that the client is in; 1: it is in none."""
    refused: int = 0
    """How often the client was refused just before the step."""
    usual: int = 0
    """What was usual on earlier days, for limits that learn."""


@dataclass(frozen=True, slots=True)
class RuleTest:
    """A test in a rule file: steps on one virtual clock, each after the one before."""

    steps: tuple[TestStep, ...]
    place: Place
    name: str = ""
    during: tuple[str, ...] = ()  # the restrictions that are on meanwhile
    without: tuple[str, ...] = ()  # the rules that are left out


ALARM_SECONDS: Final = 30.0
HOLD_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What starts a restriction: any of the thresholds, exceeded for `for_seconds` on end. None: not looked at."""

    requests_per_second: float | None = None
    upstream_p95_seconds: float | None = None
    upstream_error_share: float | None = None
    """Of the upstream's answers, 0 to 1: statuses from 500, and no answer."""
    for_seconds: float = ALARM_SECONDS


@dataclass(frozen=True, slots=True)
class RollBack:
    """Ends a restriction that touches more than `share` (0 to 1) of the clients of a class that was to be spared."""

    class_name: str
    share: float


@dataclass(frozen=True, slots=True)
class Shed:
    """Refuse without counting, one step further every `every_seconds` while the alarm goes on, and back when it does not.

    `steps` are classes, and `suspected`: whoever has a score of at least `suspected_score`. None: suspected, anonymous, and
    then the classes from the last defined to the first.
    """

    every_seconds: float = 30.0
    suspected_score: float = 50.0
    steps: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restriction:
    """One temporary restriction; times are Unix seconds. It limits classes (`limits`) or sheds load (`shed`).

    It is on from `start` (None: as soon as it is loaded) to `until`, unless it waits for an alarm or a command (`standby`).
    """

    name: str
    why: str
    until: float
    start: float | None = None
    when: Condition = ALWAYS
    limits: tuple[tuple[str, Limit], ...] = ()
    """By class. A limit whose `per` is empty counts by account where accounts are known, else by client."""
    status: int = 429
    mode: Mode = Mode.ENFORCE
    standby: bool = False
    alarm: Alarm | None = None
    hold_seconds: float = HOLD_SECONDS  # how long it stays on after the alarm was last true
    roll_back: RollBack | None = None
    shed: Shed | None = None
    steps: int = 0  # how many steps of shedding load there are, once they are known
    place: Place = NOWHERE

    def is_on_by_time(self, now: float) -> bool:
        """Whether it is on when nobody started or ended it and no alarm is true."""
        return not (self.standby or self.alarm is not None) and (self.start is None or self.start <= now) and now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """One YAML file. `mode` is the weakest mode its rules may have: shadow here makes every rule shadow.

    A `common` one holds the rules that say the class of a request: it belongs to every site, comes first, and never acts.
    """

    name: str
    file: str
    description: str = ""
    mode: Mode = Mode.ENFORCE
    rules: tuple[Rule, ...] = ()
    tests: tuple[RuleTest, ...] = ()
    account: AccountSource | None = None
    classes: tuple[ClientClass, ...] = ()
    items: tuple[ItemFamily, ...] = ()
    forms: tuple[GuardedForm, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    common: bool = False

    def mode_of(self, rule: Rule, process_mode: Mode) -> Mode:
        """The mode that a rule really has: the weakest of its own, its rule set's and the process's."""
        resting = (Mode.SHADOW,) if rule.emergency else ()
        return rule.mode if self.common else weakest(rule.mode, self.mode, process_mode, *resting)


@dataclass(frozen=True, slots=True)
class Policy:
    """All rule sets of a directory, in path order, and a digest of every byte they were read from."""

    rule_sets: tuple[RuleSet, ...]
    digest: str = ""
    overrides: tuple[tuple[str, Place], ...] = ()  # the imported rules that a file overrides, and where

    @property
    def account(self) -> AccountSource | None:
        """How accounts are known, if at all."""
        return next((rule_set.account for rule_set in self.rule_sets if rule_set.account is not None), None)

    @property
    def restrictions(self) -> tuple[Restriction, ...]:
        """The temporary restrictions, in file order."""
        return tuple(each for rule_set in self.rule_sets for each in rule_set.restrictions)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes of clients, without `anonymous`."""
        return tuple(each.name for rule_set in self.rule_sets for each in rule_set.classes)


def rules_by_mode(policy: Policy, process_mode: Mode) -> Iterator[tuple[Rule, Mode]]:
    """Every rule that an operator wrote, with the mode that it really has."""
    for rule_set in policy.rule_sets:
        if not rule_set.common:
            yield from ((rule, rule_set.mode_of(rule, process_mode)) for rule in rule_set.rules)
