"""Which clients were here on an earlier day: daily Bloom filters (Bloom 1970) of addresses, in memory that does not grow.

A day holds 1 MiB and is good for 500,000 clients (one in 200 strangers is then taken for one of them), of a client network no
more than its share. Who finds no room is unknown tomorrow, and that is all. A client is remembered for what it was let through
to, but not for rarely read items without a cookie: a swarm that takes only those stays unknown. Days begin as those of
`limits.daily`. Processes on one store tell each other whom they served, by a number from which no client can be read.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

from proxyguard.core.address import Prefixes
from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.item import COLD
from proxyguard.core.jar import NONE
from proxyguard.core.number64 import Number64
from proxyguard.core.request import Request
from proxyguard.limits.bloom import has, places, put
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.packed import packed, unpacked
from proxyguard.limits.sightings import Sightings, Subject

_VISITOR: Final = int(Subject.VISITOR)

KNOWN: Final = b"known"
NEW: Final = b"new"

EARLIER_DAYS: Final = 7
PLACE_BITS: Final = 23
BITS: Final = 1 << PLACE_BITS
MASK: Final = BITS - 1
PROBES: Final = 5
MOST_A_DAY: Final = 500_000

NETWORKS: Final = 65_536
"""Places for what client networks took of a day, found by hash."""
NETWORK_SHARE: Final = 1_024

MAX_PLACES: Final = 2_048
"""Clients whose places are kept at hand, at most a megabyte: those who are here ask again and again."""

DAY_SECONDS: Final = 86_400.0
LOOK_SECONDS: Final = 1.0
"""How soon days follow a clock that is set."""
LEAST_DAY_SECONDS: Final = 12 * 3600.0


class _Places:
    """The first place of a client or a network in a day's filter, the step to the next, and what was found of it since a turn."""

    __slots__ = ("first", "observed", "step", "visitor", "visitor_since")

    def __init__(self, first: int, step: int) -> None:
        self.first = first
        self.step = step
        self.observed = -1
        """The turn of days in which it was remembered, or found no room."""
        self.visitor = b""
        self.visitor_since = -1
        """The turn of days since which that is the answer."""


class Acquaintances:
    """The clients of the last days. One per process."""

    __slots__ = (
        "_began", "_day", "_earlier", "_key", "_known", "_look_at", "_networks", "_prefixes", "_sightings", "_today", "_turns",
        "_wall", "served", "today",
    )  # fmt: skip

    def __init__(
        self, secret: bytes, prefixes: Prefixes, wall: Callable[[float], float], sightings: Sightings | None = None,
        clock: Callable[[], float] = CLOCK,
    ) -> None:  # fmt: skip
        """Without `sightings` nobody else is told, nor listened to."""
        self._key = blake2b(secret, digest_size=32, person=b"acquaintances").digest()
        self._prefixes = prefixes
        self._wall = wall
        self._known: dict[str, _Places] = {}
        self._earlier: list[bytearray] = []
        self._today = bytearray()
        self._networks = array("H")
        self.today = 0
        """Clients remembered today."""
        self.served = 0
        """Of these, those that this process served first."""
        self._turns = 0
        """How often the filters became others."""
        self._look_at = -math.inf
        """When the day may be over."""
        self._day = -1
        self._began = 0.0
        self._sightings = sightings
        if sightings is not None:
            sightings.listen(Subject.VISITOR, lambda number, _: self._learn(number, clock()))

    def of(self, request: Request, now: float) -> bytes:
        """Whether a client was here on an earlier day; no word before there is one."""
        self._turn(now)
        if not self._earlier:
            return b""
        places = self._places(request.client.client_key(self._prefixes))
        if places.visitor_since != self._turns:
            places.visitor, places.visitor_since = self._visitor(places.first, places.step), self._turns
        return places.visitor

    def observe(self, request: Request, now: float) -> None:
        """Remember a client that was let through."""
        self._turn(now)
        item = request.item
        if item is not None and item.heat == COLD and NONE in request.jar.states:
            return
        places = self._places(request.client.client_key(self._prefixes))
        if places.observed == self._turns:
            return
        places.observed = self._turns
        first, step = places.first, places.step
        if self.today >= MOST_A_DAY or has(self._today, first, step, MASK, PROBES):
            return
        network = self._places(request.client.network_key(self._prefixes)).first & (NETWORKS - 1)
        if not self._remember(first, step, network):
            return
        self.served += 1
        if self._sightings is not None:
            self._sightings.tell(_VISITOR, (network << PLACE_BITS | step) << PLACE_BITS | first)

    def _visitor(self, first: int, step: int) -> bytes:
        for day in self._earlier:
            if has(day, first, step, MASK, PROBES):
                return KNOWN
        return NEW

    def _learn(self, number: int, now: float) -> None:
        """Remember a client of another process."""
        self._turn(now)
        first, step = number & MASK, number >> PLACE_BITS & MASK
        if self.today < MOST_A_DAY and not has(self._today, first, step, MASK, PROBES):
            self._remember(first, step, number >> 2 * PLACE_BITS & (NETWORKS - 1))

    def _remember(self, first: int, step: int, network: int) -> bool:
        """Whether the network had room for one more."""
        if self._networks[network] >= NETWORK_SHARE:
            return False
        self._networks[network] += 1
        self.today += 1
        put(self._today, first, step, MASK, PROBES)
        return True

    def as_data(self) -> dict[str, Any]:
        """The days, as JSON can hold them."""
        days = [packed(bytes(day)) for day in (self._today, *self._earlier) if day]
        return {"day": self._day, "began": self._began, "today": self.today, "days": days}

    def restore(self, data: dict[str, Any], now: float) -> None:
        """Take over what `as_data` gave, with the same secret. Raises KeyError, TypeError and ValueError for what is none."""
        day, began, today = int(data["day"]), float(data["began"]), int(data["today"])
        days = [bytearray(unpacked(each, BITS // 8)) for each in data["days"][: EARLIER_DAYS + 1]]
        if days and day >= 0 and today >= 0 and began <= now:
            self._day, self._began, self.today = day, began, today
            self._today, self._earlier = days[0], days[1:]
            self._networks = array("H", bytes(2 * NETWORKS))
            self._turns += 1
            self._look_at = -math.inf
            self._turn(now)
            missed = int((now - began) // DAY_SECONDS) - 1  # days on which nothing ran
            if missed > 0:
                self._earlier = [*(bytearray(BITS // 8) for _ in range(min(missed, EARLIER_DAYS))), *self._earlier][:EARLIER_DAYS]

    def _turn(self, now: float) -> None:
        if now < self._look_at:
            return
        wall = self._wall(now)
        day = int(wall // DAY_SECONDS)
        if day == self._day:
            self._look_at = now + min(LOOK_SECONDS, (day + 1) * DAY_SECONDS - wall)
            return
        if self._day >= 0 and now - self._began < LEAST_DAY_SECONDS:
            return
        if self._day >= 0:
            self._earlier = [self._today, *self._earlier][:EARLIER_DAYS]
        self._turns += 1
        self._day, self._began = day, now
        self._today = bytearray(BITS // 8)
        self._networks = array("H", bytes(2 * NETWORKS))
        self.today = self.served = 0

    def _places(self, key: str) -> _Places:
        """Those of a client or a network."""
        known = self._known.get(key)
        if known is not None:
            return known
        number = Number64.read(blake2b(key.encode(), key=self._key, digest_size=8).digest())
        return keep_at_hand(self._known, MAX_PLACES, key, _Places(*places(number, MASK)))
