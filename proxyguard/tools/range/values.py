"""What the parts of the range hand each other: a fetch, its answer, sessions and the cohorts that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Final, NamedTuple

from proxyguard.core.request import Headers
from proxyguard.tools.range.networks import RangeSource

DAY_SECONDS: Final = 86_400.0
HOUR_SECONDS: Final = 3_600.0

HOST: Final = b"range.example"
SCHEME: Final = b"https"


class CohortKind(StrEnum):
    """Whether a cohort is to be served or to be stopped."""

    LEGITIMATE = "legitimate"
    ADVERSARY = "adversary"


class Fetch(NamedTuple):
    """One request that a session makes `wait_seconds` after its last answer. `dollars` is what it costs besides traffic."""

    wait_seconds: float
    source: RangeSource
    target: bytes
    headers: Headers
    method: bytes = b"GET"
    body: bytes = b""
    dollars: float = 0.0
    patience_seconds: float = 30.0
    """How long the client waits for an answer before it gives up."""
    drip_seconds: float = 0.0
    """How long it takes to send the request; on the virtual clock it has sent it by then."""


class Received(NamedTuple):
    """What a session sees of an answer. Status 0: the connection was closed without one, or the client gave up."""

    status: int
    headers: Headers = ()
    items: int = 0
    """What it disclosed. Sessions may look at it as a reader looks at a page."""
    retry_after_seconds: float = 0.0
    at: float = 0.0
    """When the client had it, seconds since the scenario began."""


type Session = Generator[Fetch, Received, None]


class Arrival(NamedTuple):
    """A session that begins at a moment, in seconds since the scenario began."""

    at: float
    session: Session


@dataclass(frozen=True, slots=True)
class Presence:
    """The part of a run in which a cohort is there: `begin` and `end` in seconds, and how many times its usual size it has."""

    begin: float = 0.0
    end: float = DAY_SECONDS
    size: float = 1.0

    def count(self, number: int) -> int:
        """So many sessions of a cohort that usually has `number` a day; at least one."""
        return max(1, round(number * self.size))


type Arrivals = Callable[[Presence, Draw], Iterator[Arrival]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """A group of clients that behave alike. `source` says where its parameters are from."""

    name: str
    kind: CohortKind
    about: str
    source: str
    arrivals: Arrivals = field(repr=False)


class Draw:
    """Chance for one cohort of one run: the same seed and name give the same numbers, whatever other cohorts there are."""

    __slots__ = ("_name", "_seed")

    def __init__(self, seed: int, name: str) -> None:
        self._seed = seed
        self._name = name

    def stream(self, part: object = "") -> Random:
        """Numbers of one part of the cohort, such as a session by its index."""
        return Random(f"{self._seed}/{self._name}/{part}")  # noqa: S311 - a simulation must be repeatable
