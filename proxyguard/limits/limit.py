"""A limit as a value: so many per period, how many at once, per which key.

Knows nothing of stores or YAML. The key of a limit is made of parts; each part names one fact of a request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, assert_never

from proxyguard.core.frozen import pickle_by_fields

TOLERANCE: Final = 1e-3
"""The part of a unit by which a charge may come early. It absorbs the rounding of Unix seconds (2.4e-7 s), so that a
client that waits for exactly `retry_after_seconds` passes; it never adds up, because a full unit is always charged."""


class KeyKind(StrEnum):
    """What one part of a key is taken from, as far as limits know it; other fields of a request may be one too."""

    CLIENT = "client"
    NETWORK = "network"
    HOST = "host"
    PATH = "path"
    QUERY = "query"
    USER_AGENT = "user_agent"
    HEADER = "header"
    COOKIE = "cookie"
    SITE = "site"
    ACCOUNT = "account"
    """The session, once the upstream has said whose account it is."""
    JAR = "jar"
    """The cookie jar that the firewall gave; the client where there is none."""
    ITEM = "item"
    """Which item is asked for."""


OWN_KINDS: Final = frozenset({KeyKind.CLIENT, KeyKind.ACCOUNT, KeyKind.JAR})
"""Parts of a key that belong to one client: nobody else uses up what is counted by them. All other parts are chosen by whoever
sends a request, or shared by many."""


@dataclass(frozen=True, slots=True)
class KeyPart:
    """One part of a key; `name` is the lower-case header, the cookie or the query parameter for the kinds that have one."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}.{self.name}" if self.name else str(self.kind)


class Missing(StrEnum):
    """What to do with a request that lacks a part of the key."""

    SHARED = "shared"
    """All such requests share one counter for that part (the default: leaving a header out is no way round a limit)."""
    SEPARATE = "separate"
    """Count by the client address instead."""
    SKIP = "skip"
    """The limit does not apply."""


class Ambiguous(StrEnum):
    """What to do with a request when sites may disagree about a part of its key, as about a cookie that stands twice."""

    CLIENT = "client"
    """Count by the client address instead: never by a counter that nobody had before, never not at all."""
    REJECT = "reject"
    """The rule applies at once."""


class CountKind(StrEnum):
    """What one unit of a limit is."""

    REQUESTS = "requests"
    BYTES = "bytes"
    """Bytes of response bodies sent to the client."""
    UPSTREAM_SECONDS = "upstream_seconds"
    """Time the upstream worked, so that an expensive page costs more."""
    STATUSES = "statuses"
    """Responses of the upstream with given statuses: 404 scans, failed log-ins."""
    DISTINCT = "distinct"
    """Different values of a part of a request."""
    CONCURRENT = "concurrent"
    """Requests under way: from the check to the end of the answer."""
    REFUSALS = "refusals"
    """Our own refusals of what a client used up alone. A request only looks; what is refused is charged when it is decided."""


@dataclass(frozen=True, slots=True)
class Count:
    """What is counted. `statuses` are inclusive ranges; `of` is what must differ; each for the kind that needs it."""

    kind: CountKind = CountKind.REQUESTS
    statuses: tuple[tuple[int, int], ...] = ()
    of: KeyPart | None = None
    rules: tuple[str, ...] = ()
    """The rules whose refusals are counted; none: every limit that counts by what belongs to one client."""

    @property
    def after_response(self) -> bool:
        """Whether the cost is known only when the exchange is over. A request reserves one unit, and the end puts it right."""
        return self.kind not in (CountKind.REQUESTS, CountKind.DISTINCT, CountKind.REFUSALS)

    @property
    def reserved(self) -> float:
        """What a request charges when it is looked at."""
        return 0.0 if self.kind is CountKind.REFUSALS else 1.0

    def cost(self, status: int, bytes_sent: int, upstream_seconds: float | None) -> float:
        """What an exchange cost, the reserved unit included. Only for kinds counted after the response."""
        match self.kind:
            case CountKind.BYTES:
                return float(bytes_sent)
            case CountKind.UPSTREAM_SECONDS:
                return upstream_seconds or 0.0
            case CountKind.STATUSES:
                for first, last in self.statuses:
                    if first <= status <= last:
                        return 1.0
                return 0.0
            case CountKind.REQUESTS | CountKind.DISTINCT | CountKind.CONCURRENT | CountKind.REFUSALS:
                return 0.0
            case _:
                assert_never(self.kind)


class Window(StrEnum):
    """How a limit forgets."""

    SLIDING = "sliding"
    """GCRA: each unit is given back after `period / amount`; no edges."""
    SLIDING_LOG = "sliding_log"
    """Each unit is given back one period after it was charged: never more than the amount within any period."""
    CALENDAR = "calendar"
    """All is given back at the edge of the minute, hour, day or week of a time zone: a quota that people can understand."""


REQUESTS: Final = Count()


@dataclass(frozen=True, slots=True)
class Learned:
    """A limit that follows what was usual on earlier days: `times` as much, at most `at_most`, and never less than its amount."""

    times: float
    at_most: int
    until_known: int = 0
    """The amount until three days are known; 0: `at_most`."""
    base: int = 0
    """Of a limit that was widened: the amount that it began with."""


LEASE_SECONDS: Final = 30.0
"""How long a request under way is believed in without a word of the process that serves it; it is the period of such a limit."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`amount` per `period_seconds`, counted per key; `burst` may come at once when the window slides."""

    amount: int
    period_seconds: float
    burst: int
    per: tuple[KeyPart, ...]
    missing: Missing = Missing.SHARED
    ambiguous: Ambiguous = Ambiguous.CLIENT
    count: Count = REQUESTS
    window: Window = Window.SLIDING
    """For distinct values a sliding window begins with the first value and lasts one period."""
    time_zone: str = "UTC"
    """An IANA name, for the calendar window."""
    learned: Learned | None = None
    """What earlier days do to the amount; None: nothing."""
    announce: bool = False
    """Whether clients are told: in RateLimit fields of every answer, and in words when they are refused."""
    is_plain: bool = field(init=False, repr=False, compare=False)
    """Whether it slides and adds up, as most do. This and what follows is kept because each charge asks."""
    is_calendar: bool = field(init=False, repr=False, compare=False)
    """Whether it adds up by the calendar."""
    of_site: bool = field(init=False, repr=False, compare=False)
    """Whether everybody is counted together."""
    interval_seconds: float = field(init=False, repr=False, compare=False)
    """The time that one unit takes to be given back."""
    fits_seconds: float = field(init=False, repr=False, compare=False)
    """The backlog up to which charges of a sliding window fit: the burst, and the tolerance."""
    windows: str = field(init=False, repr=False, compare=False)
    """Names the windows of the calendar that it has, alike for all limits that have the same."""

    @property
    def is_own(self) -> bool:
        """Whether what a client uses up is, as far as it can be told, used up by it alone."""
        return any(part.kind in OWN_KINDS for part in self.per)

    def __post_init__(self) -> None:
        adds_up = self.count.kind not in (CountKind.DISTINCT, CountKind.CONCURRENT)
        interval_seconds = self.period_seconds / self.amount
        object.__setattr__(self, "is_plain", adds_up and self.window is Window.SLIDING)
        object.__setattr__(self, "is_calendar", adds_up and self.window is Window.CALENDAR)
        object.__setattr__(self, "of_site", len(self.per) == 1 and self.per[0].kind == KeyKind.SITE)
        object.__setattr__(self, "interval_seconds", interval_seconds)
        object.__setattr__(self, "fits_seconds", self.burst * interval_seconds + TOLERANCE * interval_seconds)
        object.__setattr__(self, "windows", f"{self.period_seconds} {self.time_zone}")


pickle_by_fields(KeyPart, Count, Learned, Limit)
