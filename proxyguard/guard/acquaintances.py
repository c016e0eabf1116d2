"""Which clients were here on an earlier day: daily Bloom filters (Bloom 1970) of addresses, in memory that does not grow.

A day holds 1 MiB and is good for 500,000 clients (one in 200 strangers is then taken for one of them), of a client network no
more than its share. Who finds no room is unknown tomorrow, and that is all. A client is remembered for what it was let through
to, but not for rarely read items without a cookie: a swarm that takes only those stays unknown. Days begin as those of
`limits.daily`. Each worker knows whom it served itself.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from proxyguard.core.address import Prefixes
from proxyguard.core.item import COLD
from proxyguard.core.jar import NONE
from proxyguard.core.request import Request

KNOWN: Final = b"known"
NEW: Final = b"new"

EARLIER_DAYS: Final = 7
BITS: Final = 1 << 23
PROBES: Final = 5
MOST_A_DAY: Final = 500_000

NETWORKS: Final = 65_536
"""Places for what client networks took of a day, found by hash."""
NETWORK_SHARE: Final = 1_024

MAX_PLACES: Final = 2_048
"""Clients whose places are kept at hand, at most a megabyte: those who are here ask again and again."""

DAY_SECONDS: Final = 86_400.0
LEAST_DAY_SECONDS: Final = 12 * 3600.0


class Acquaintances:
    """The clients of the last days. One per process."""

    __slots__ = ("_began", "_day", "_earlier", "_key", "_known", "_networks", "_prefixes", "_today", "_wall", "today")

    def __init__(self, secret: bytes, prefixes: Prefixes, wall: Callable[[float], float]) -> None:
        self._key = blake2b(secret, digest_size=32, person=b"acquaintances").digest()
        self._prefixes = prefixes
        self._wall = wall
        self._known: dict[str, tuple[int, ...]] = {}
        self._earlier: list[bytearray] = []
        self._today = bytearray()
        self._networks = array("H")
        self.today = 0
        """Clients remembered today."""
        self._day = -1
        self._began = 0.0

    def of(self, request: Request, now: float) -> bytes:
        """Whether a client was here on an earlier day; no word before there is one."""
        self._turn(now)
        if not self._earlier:
            return b""
        places = self._places(request.client.client_key(self._prefixes))
        for day in self._earlier:
            if _has(day, places):
                return KNOWN
        return NEW

    def observe(self, request: Request, now: float) -> None:
        """Remember a client that was let through."""
        self._turn(now)
        item = request.item
        if item is not None and item.heat == COLD and NONE in request.jar.states:
            return
        places = self._places(request.client.client_key(self._prefixes))
        today = self._today
        if self.today >= MOST_A_DAY or _has(today, places):
            return
        network = self._places(request.client.network_key(self._prefixes))[0] & (NETWORKS - 1)
        if self._networks[network] >= NETWORK_SHARE:
            return
        self._networks[network] += 1
        self.today += 1
        for place in places:
            today[place >> 3] |= 1 << (place & 7)

    def _turn(self, now: float) -> None:
        day = int(self._wall(now) // DAY_SECONDS)
        if day == self._day or (self._day >= 0 and now - self._began < LEAST_DAY_SECONDS):
            return
        if self._day >= 0:
            self._earlier = [self._today, *self._earlier][:EARLIER_DAYS]
        self._day, self._began = day, now
        self._today = bytearray(BITS // 8)
        self._networks = array("H", bytes(2 * NETWORKS))
        self.today = 0

    def _places(self, key: str) -> tuple[int, ...]:
        """Two independent numbers make all (Kirsch and Mitzenmacher 2006)."""
        known = self._known.get(key)
        if known is not None:
            return known
        digest = int.from_bytes(blake2b(key.encode(), key=self._key, digest_size=8).digest())
        first, second = digest & (BITS - 1), digest >> 32 | 1
        if len(self._known) >= MAX_PLACES:
            self._known.clear()
        found = self._known[key] = tuple([(first + at * second) & (BITS - 1) for at in range(PROBES)])
        return found


def _has(day: bytearray, places: tuple[int, ...]) -> bool:
    return all(day[place >> 3] >> (place & 7) & 1 for place in places)
