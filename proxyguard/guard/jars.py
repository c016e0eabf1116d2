"""The jar: a signed cookie of the firewall's own by which a browser is known to keep cookies, and since when.

The cookie holds a version, the time of issue, whether an asset was fetched, nine random bytes and a signature; nothing of the
client. It is valid for one host. Keys come of the instance's secret and change every week of issue, so that instances with the
same secret read each other's and none keeps a list. Two small tables are kept for the minutes between a page and what follows
it: who was sent to fetch a jar, and which fresh jars fetched an asset; both are bounded, and a client network has a share of the
first.
"""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from proxyguard.core.address import Prefixes
from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.jar import ASKED_JAR, FOLLOWED_JAR, FRESH, NO_JAR, OLD, PROVEN, Jar
from proxyguard.core.jar_settings import JarCookie
from proxyguard.core.latest import SHARDS
from proxyguard.core.number64 import Number64
from proxyguard.core.request import Headers, Request
from proxyguard.core.shares import Shares
from proxyguard.guard.signed_cookie import cookie_attributes, named_cookies, read_cookie, set_cookie
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.recent import Recent
from proxyguard.limits.sightings import Sightings, Subject

if TYPE_CHECKING:
    from mypy_extensions import i64  # compiled, a machine's integer, as hashes are

GIVE_TAG: Final = "jar:give"
ASSET_TAG: Final = "jar:asset"
"""The tags that the action `jar` attaches; no rule can name them, as names have no colon."""

VERSION: Final = 1
_VERSION: Final = bytes((VERSION,))
_UNPROVEN: Final = b"\0"
_PROVEN: Final = b"\1"
_FLAG_AT: Final = 5
_NONCE_AT: Final = 6
_SIGNED_BYTES: Final = 15
_MAC_BYTES: Final = 15
_NONCE_BYTES: Final = 9
NONCES: Final = 256
_KEY_SECONDS: Final = 7 * 86_400
_DAY_SECONDS: Final = 86_400.0
_CLOCK_SKEW_SECONDS: Final = 120.0
"""How far ahead the clock of the instance may be that issued a jar."""

ASKED_SECONDS: Final = 600.0
"""How long a client without a jar is remembered as one that was sent to fetch it."""

FOLLOW_SECONDS: Final = 3.0
"""Within so long a client that follows redirects is back, on a slow line too; one that tries again later is not taken for one."""

MOST_ASKED: Final = 3
"""Pages for which one client is sent meanwhile; then it is taken for one that keeps no cookies, whatever it asks for."""

SHARES_OF_PART: Final = 4
"""Networks that it takes to fill a part of the table, and to make room by the clients of others."""

ASSET_SECONDS: Final = 900.0
"""How long an asset counts that a fresh jar fetched, and up to a third more, until the cookie comes back that says so."""

_MASK_64: Final = (1 << 64) - 1

_ASSET: Final = int(Subject.ASSET)

_TARGET_BITS: Final = 16
_TARGET_MASK: Final = (1 << _TARGET_BITS) - 1
_NO_TARGETS: Final = 1
_LEAST_FULL: Final = 1 << MOST_ASKED * _TARGET_BITS

_MAX_COPIES: Final = 2
"""Cookies of the name that are looked at: a person has one, or one more that a page set on a narrower path."""


class JarBounds(NamedTuple):
    """How much is remembered."""

    asked: int = 16_384
    """Clients that were sent to fetch a jar."""
    asked_share: int = 1_024
    """Of these, those of one client network."""
    assets: int = 32_768
    """Fresh jars that fetched an asset in a third of `ASSET_SECONDS`."""
    kept: int = 4_096
    """Cookies whose signature need not be looked at again."""


BOUNDS: Final = JarBounds()


class _Asked:
    """A client that was sent to fetch a jar, when, and for which pages: two bytes of a hash of each, the last in the lowest bits,
    behind a first one that has the value 1."""

    __slots__ = ("at", "followed", "network", "targets")

    def __init__(self, network: str) -> None:
        self.network = network
        self.at = -ASKED_SECONDS
        self.targets = _NO_TARGETS
        self.followed = False
        """Whether it ever came back at once."""


class _AskedShard:
    """Those of a part of all client networks, in the order in which they were sent: see `core.latest` for why there are parts."""

    __slots__ = ("by_network", "clients", "over_at")

    def __init__(self) -> None:
        self.over_at = -math.inf
        """Until then nobody's time is over."""
        self.clients: OrderedDict[int, _Asked] = OrderedDict()
        self.by_network = Shares()

    def forget_over(self, now: float) -> None:
        """Forget those whose time is over; the one that was asked the longest ago stands first."""
        self.make_room(now, len(self.clients) + 1)

    def make_room(self, now: float, capacity: int) -> None:
        """Forget those whose time is over, and the first when there is no room for one more."""
        clients = self.clients
        if now < self.over_at and len(clients) < capacity:
            return
        self.over_at = now + ASKED_SECONDS
        while clients:
            first = next(iter(clients))
            self.over_at = clients[first].at + ASKED_SECONDS
            if self.over_at > now and len(clients) < capacity:
                break
            self.by_network.take(clients.pop(first).network)


class _Known:
    """A cookie whose signature is right, and the jar that it is as long as it is not of an earlier day."""

    __slots__ = ("host", "is_proven", "issued", "jar", "number")

    def __init__(self, host: bytes, signed: bytes) -> None:
        name = signed[_NONCE_AT:].hex()
        self.host = host
        self.issued = int.from_bytes(signed[1:_FLAG_AT])
        self.is_proven = signed[_FLAG_AT] == 1
        self.jar = Jar(name, (PROVEN,), is_written=True) if self.is_proven else Jar(name, (FRESH,))
        self.number = _number(name)


class Jars:
    """Reads, gives and remembers jars. One per process."""

    __slots__ = (
        "_asked", "_assets", "_attributes", "_begun", "_bounds", "_head", "_head_second", "_is_nested", "_kept", "_keys", "_mark",
        "_nonces", "_prefixes", "_seconds", "_secret", "_secure", "_sightings", "_wall", "given",
    )  # fmt: skip

    def __init__(
        self, cookie: JarCookie, secret: bytes, prefixes: Prefixes, wall: Callable[[float], float], bounds: JarBounds = BOUNDS,
        sightings: Sightings | None = None, clock: Callable[[], float] = CLOCK,
    ) -> None:  # fmt: skip
        """Without `sightings` other processes are told of no asset, nor listened to."""
        self._bounds = bounds
        self._mark = cookie.name.encode() + b"="
        self._seconds = cookie.keep_seconds
        self._attributes = cookie_attributes(cookie.keep_seconds, False)  # noqa: FBT003 - as it is declared
        self._secure = cookie_attributes(cookie.keep_seconds, True)  # noqa: FBT003 - likewise
        self._secret = blake2b(secret, digest_size=32, person=b"jar").digest()
        self._prefixes = prefixes
        self._is_nested = prefixes.network_v4 <= prefixes.client_v4 and prefixes.network_v6 <= prefixes.client_v6
        """Whether a client is in one client network; settings may have it otherwise."""
        self._wall = wall
        self._keys: dict[int, blake2b] = {}
        self._head_second = -1
        self._head = b""
        """What cookies begin with that are given in that second."""
        self._begun = blake2b()
        """The keyed hash that they are signed with."""
        self._nonces: list[bytes] = []
        self._kept: dict[bytes, _Known] = {}
        """By value; the same value is valid for one host only."""
        count = min(SHARDS, bounds.asked // (SHARES_OF_PART * bounds.asked_share)) if self._is_nested else 1
        self._asked = [_AskedShard() for _ in range(max(1, count))]
        self._assets = Recent(ASSET_SECONDS, bounds.assets)
        self._sightings = sightings
        if sightings is not None:
            sightings.listen(Subject.ASSET, lambda number, _: self._assets.add(Number64.of(number), clock()))
        self.given = 0
        """Cookies written."""

    def __len__(self) -> int:
        """Clients that were sent for a jar, and jars that fetched an asset, as far as they are remembered."""
        return sum([len(each.clients) for each in self._asked]) + len(self._assets)

    def read(self, request: Request, now: float) -> Jar:
        """The jar of a request; `now` is the line's. One that whoever made the request put there stays."""
        if request.jar.name:
            return request.jar
        lines = request.header_index.get(b"cookie")
        if lines is not None:
            for value in named_cookies(lines, self._mark)[:_MAX_COPIES]:
                jar = self._read_value(value, request.host, now)
                if jar is not None:
                    return jar
        return self._asked_before(request, now)

    def ask(self, request: Request, now: float) -> bool:
        """Remember that a client is sent to fetch a jar. False when its network has its share: then it is to go on without."""
        network = request.client.network_key(self._prefixes)
        shard = self._shard(network)
        shard.make_room(now, self._bounds.asked // len(self._asked))
        mark = self._client_mark(request)
        known = shard.clients.get(mark)
        if known is None:
            if shard.by_network.of(network) >= self._bounds.asked_share:
                return False
            shard.by_network.add(network)
            known = shard.clients[mark] = _Asked(network)
        if known.at + ASKED_SECONDS <= now:
            known.targets, known.followed = _NO_TARGETS, False
        # Requests side by side are asked side by side.
        if known.targets >= _LEAST_FULL:
            known.targets >>= _TARGET_BITS
        known.targets = known.targets << _TARGET_BITS | _target_mark(request)
        known.at = now
        shard.clients.move_to_end(mark)
        return True

    def saw_asset(self, jar: Jar, now: float) -> None:
        """Remember that a fresh jar fetched an asset."""
        if FRESH in jar.states:
            number = _number(jar.name)
            self._assets.add(number, now)
            if self._sightings is not None:
                self._sightings.tell(_ASSET, number.whole)

    def cookie(self, request: Request, now: float) -> Headers:
        """A field that gives a client a jar, or writes into its jar what it has proven; none when it has one that says all."""
        jar = request.jar
        if not jar.name:
            return self._field(request, self._wall(now), _UNPROVEN, self._nonce())
        if PROVEN in jar.states and not jar.is_written and self._assets.has(_number(jar.name), now):
            return self._field(request, self._wall(now), _PROVEN, bytes.fromhex(jar.name))
        return ()

    def _field(self, request: Request, wall: float, flag: bytes, nonce: bytes) -> Headers:
        second = int(wall)
        if second != self._head_second:
            self._head, self._begun, self._head_second = _VERSION + second.to_bytes(4), self._key_of(second), second
        signed = self._head + flag + nonce
        self.given += 1
        attributes = self._secure if request.scheme == b"https" else self._attributes
        return set_cookie(self._mark, signed + _mac(self._begun, signed, request.host), attributes)

    def _read_value(self, value: bytes, host: bytes, now: float) -> Jar | None:
        known = self._kept.get(value)
        if known is None or known.host != host:
            signed = read_cookie(value, VERSION, _SIGNED_BYTES, _MAC_BYTES, partial(self._sign, host))
            if signed is None:
                return None
            known = keep_at_hand(self._kept, self._bounds.kept, value, _Known(host, signed))
        age = self._wall(now) - known.issued
        if age > self._seconds or age < -_CLOCK_SKEW_SECONDS:
            return None
        if age >= _DAY_SECONDS:
            return Jar(known.jar.name, (OLD,))
        if not known.is_proven and self._assets.has(known.number, now):
            return Jar(known.jar.name, (PROVEN,))
        return known.jar

    def _sign(self, host: bytes, signed: bytes) -> bytes:
        return _mac(self._key_of(int.from_bytes(signed[1:_FLAG_AT])), signed, host)

    def _key_of(self, issued: int) -> blake2b:
        """A keyed hash of the version, for cookies of one week."""
        week = issued // _KEY_SECONDS
        begun = self._keys.get(week)
        if begun is None:
            key = blake2b(week.to_bytes(4), key=self._secret, digest_size=32).digest()
            begun = blake2b(_VERSION, key=key, digest_size=_MAC_BYTES)  # so the key is already worked in
            if len(self._keys) >= 128:  # a client chooses the week that it claims
                self._keys.clear()
            self._keys[week] = begun
        return begun

    def _nonce(self) -> bytes:
        """Random bytes, of which the kernel is asked for many at once."""
        if not self._nonces:
            fresh = os.urandom(NONCES * _NONCE_BYTES)
            self._nonces = [fresh[at : at + _NONCE_BYTES] for at in range(0, len(fresh), _NONCE_BYTES)]
        return self._nonces.pop()

    def _client_mark(self, request: Request) -> int:
        """A hash that nobody outside of the process can compute: a twentieth of the cost of a keyed one."""
        return hash((request.client.client_key(self._prefixes), request.host, request.user_agent))

    def _asked_before(self, request: Request, now: float) -> Jar:
        network = request.client.network_key(self._prefixes)
        shard = self._shard(network)
        asked = shard.by_network.of(network)
        if asked >= self._bounds.asked_share:  # who is not sent for a jar makes no room by it
            shard.forget_over(now)
            asked = shard.by_network.of(network)
        if not asked and self._is_nested:  # most networks: none of their clients is among those that were asked
            return NO_JAR
        known = shard.clients.get(self._client_mark(request))
        if known is None or known.at + ASKED_SECONDS <= now:
            return ASKED_JAR if asked >= self._bounds.asked_share else NO_JAR
        targets, is_full = known.targets, known.targets >= _LEAST_FULL
        mark, is_back = _target_mark(request), False
        while targets > _NO_TARGETS:
            is_back = is_back or targets & _TARGET_MASK == mark
            targets >>= _TARGET_BITS
        if is_back and now - known.at <= FOLLOW_SECONDS:
            known.followed = True
        if not is_back and not is_full:
            return NO_JAR
        return FOLLOWED_JAR if known.followed else ASKED_JAR

    def _shard(self, network: str) -> _AskedShard:
        hashed: i64 = hash(network)
        return self._asked[hashed % len(self._asked)]


def _mac(begun: blake2b, signed: bytes, host: bytes) -> bytes:
    signing = begun.copy()  # a fifth less than to begin with the key each time
    signing.update(signed[1:] + host)
    return signing.digest()


def _target_mark(request: Request) -> int:
    hashed: i64 = hash(request.target)
    return hashed & _TARGET_MASK


def _number(name: str) -> Number64:
    """64 of the 72 random bits of a jar's name, by which processes tell each other of it; of a name of a test, a hash."""
    try:
        return Number64.of(int(name[:16], 16))
    except ValueError:
        return Number64.of(hash(name) & _MASK_64)
