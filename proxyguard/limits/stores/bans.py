"""Bans and strikes: refusals remembered for a key until they end, longer each time, in bounded tables of their own.

Counters live elsewhere, so that no flood of keys pushes a ban out. Knows nothing of requests, clocks or disks.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterator, KeysView
from heapq import merge
from typing import Final, NamedTuple

from proxyguard.limits.charge import Owner
from proxyguard.limits.stores.store import BanRecord, BanTerms

CLIENT: Final = "client:"
"""The keys of bans by client address begin so."""

NETWORK_NOTE: Final = "too many addresses of this network are banned"
"""The note of a ban of a network instead of one more of its addresses."""

EXPIRE_STEP: Final = 64
"""Ended entries removed per call: a few dozen microseconds, so that a wave of bans that end together is no pause."""

SHARE_PART: Final = 100
"""Of the capacity: what one client network has at most."""

LEAST_SHARE: Final = 64
"""A share in a small table."""


class EndingTable[Value]:
    """A bounded map whose entries end, each of an owner (empty: nobody's) or for good.

    In a full table the entry soonest to end gives way, and of an owner that has its share its oldest; both are counted. Entries
    put for good give way to nothing, and are no part of the capacity. A write moves the tail of a sorted list: about 20 µs at
    100,000 entries. A read is one dictionary look-up.
    """

    __slots__ = ("_entries", "_for_good", "_order", "_owned", "capacity", "evictions", "share")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.share = max(LEAST_SHARE, capacity // SHARE_PART)
        self.evictions = 0
        self._entries: dict[str, tuple[float, Value, str | None]] = {}
        self._order: list[tuple[float, str]] = []  # (-end, key): the soonest to end is last, where removing is free
        self._for_good: list[tuple[float, str]] = []  # the same of those
        self._owned: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def keys(self) -> KeysView[str]:
        """The keys in the table, ended ones that were not removed yet among them. A live view."""
        return self._entries.keys()

    def get(self, key: str, now: float) -> Value | None:
        """The value of a key that has not ended."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and entry[0] > now else None

    def end(self, key: str) -> float | None:
        """When a key's entry ends or ended; None when there is none."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def owned(self, owner: str) -> Collection[str]:
        """The keys of an owner, the oldest first; ended ones that were not removed yet among them."""
        return self._owned.get(owner, {})

    def put(self, key: str, value: Value, end: float, now: float, owner: str | None = "") -> None:
        """Set a key until `end`, and make room first: ended entries go, then one that gives way. None owns what is for good."""
        self.expire(now)
        self.remove(key)
        if owner is not None:
            owned = self._owned.get(owner)
            if owner and owned is not None and len(owned) >= self.share:
                self.remove(next(iter(owned)))
                self.evictions += 1
            elif len(self._order) >= self.capacity:
                self.remove(self._order[-1][1])
                self.evictions += 1
            if owner:
                self._owned.setdefault(owner, {})[key] = None
        self._entries[key] = (end, value, owner)
        insort(self._order if owner is not None else self._for_good, (-end, key))

    def remove(self, key: str) -> Value | None:
        """Take a key out; its value, if it was there."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        end, value, owner = entry
        order = self._order if owner is not None else self._for_good
        del order[bisect_left(order, (-end, key))]
        if owner:
            owned = self._owned[owner]
            del owned[key]
            if not owned:
                del self._owned[owner]
        return value

    def expire(self, now: float, step: int = EXPIRE_STEP) -> int:
        """Remove up to `step` ended entries; how many."""
        removed = 0
        for order in (self._order, self._for_good):
            while removed < step and order and -order[-1][0] <= now:
                self.remove(order[-1][1])
                removed += 1
        return removed

    def items(self, now: float) -> Iterator[tuple[str, float, Value]]:
        """Key, end and value of each entry that has not ended, the last to end first."""
        for negative_end, key in merge(self._order, self._for_good):
            if -negative_end > now:
                yield key, -negative_end, self._entries[key][1]


class Strike(NamedTuple):
    """How often a key was banned in a row, remembered until `forget_at`."""

    key: str
    strikes: int
    forget_at: float


class BanNews(NamedTuple):
    """A ban made, or lifted when `record` is None. The strikes are remembered until `forget_at`."""

    key: str
    record: BanRecord | None
    forget_at: float


class BanTable:
    """Bans in force, and the strikes that make the next one longer. Both tables hold at most `capacity` entries.

    Those of an operator come on top. Once `per_network` addresses of a client network are banned (0: any number), the next one's
    ban is the network's. `watchers` are called with every ban made, accepted or lifted (not of those that end or were adopted)
    before the caller does.
    """

    __slots__ = ("_bans", "_per_network", "_strikes", "watchers")

    def __init__(self, capacity: int, per_network: int = 0) -> None:
        self._per_network = per_network
        self.watchers: list[Callable[[BanNews], None]] = []
        self._bans: EndingTable[BanRecord] = EndingTable(capacity)
        self._strikes: EndingTable[int] = EndingTable(capacity)

    def __len__(self) -> int:
        return len(self._bans)

    @property
    def keys(self) -> KeysView[str]:
        """The keys that may be banned: the cheap question before `find`. A live view."""
        return self._bans.keys

    @property
    def capacity(self) -> int:
        return self._bans.capacity

    @property
    def evictions(self) -> int:
        """Bans that gave way before their end because the table was full."""
        return self._bans.evictions

    def find(self, key: str, now: float) -> BanRecord | None:
        """The ban in force for a key."""
        return self._bans.get(key, now)

    def ban(self, key: str, rule: str, reason: str, terms: BanTerms, now: float) -> BanRecord:
        """Ban a key, or the client's network when that has too many; longer for each strike. The ban in force if there is one."""
        note = terms.note
        instead = self._key(key, terms.owner, now)
        if instead != key:
            key, note = instead, note or NETWORK_NOTE
        present = self._bans.get(key, now)
        if present is not None:
            return present
        strikes = (self._strikes.get(key, now) or 0) + 1
        until = now + ban_seconds(terms, strikes)
        record = BanRecord(key, now, until, rule, reason, terms.then, strikes, note, terms.owner[1])
        self.adopt(record, until + terms.forget_seconds, now)
        self._notify(BanNews(key, record, until + terms.forget_seconds))
        return record

    def adopt(self, record: BanRecord, forget_at: float, now: float) -> None:
        """Put a ban made elsewhere (another process, a snapshot) in force as it is, in place of any other of its key."""
        owner = record.network if record.gives_way else None
        self._bans.put(record.key, record, record.until, now, owner)
        self._strikes.put(record.key, record.strikes, forget_at, now, owner)

    def _key(self, key: str, owner: Owner, now: float) -> str:
        """The key to ban instead of a client's."""
        client, network = owner
        owned = self._bans.owned(network)
        most = min(self._per_network, self._bans.share)
        if not most or len(owned) < most or key != client or self.find(key, now) is not None:
            return key
        return network if sum(each.startswith(CLIENT) for each in owned) >= most else key

    def accept(self, news: BanNews, now: float) -> BanNews:
        """Take over what another process says of a ban, unless one is in force already; what holds now, to be passed on."""
        if news.record is None:
            if self.drop(news.key):
                self._notify(news)
            return news
        present = self.news_of(news.key, now)
        if present is not None:
            return present
        self.adopt(news.record, news.forget_at, now)
        self._notify(news)
        return news

    def adopt_strike(self, strike: Strike, now: float) -> None:
        """Remember a strike counted elsewhere."""
        self._strikes.put(strike.key, strike.strikes, strike.forget_at, now)

    def lift(self, key: str, now: float) -> bool:
        """End a ban and forget the key's strikes: whoever lifts a ban says it should not have been. False when there was none."""
        in_force = self._bans.get(key, now) is not None
        if self.drop(key):
            self._notify(BanNews(key, None, now))
        return in_force

    def drop(self, key: str) -> bool:
        """Forget a key's ban and strikes without calling the watchers; whether there was anything to forget."""
        ban, strikes = self._bans.remove(key), self._strikes.remove(key)
        return ban is not None or strikes is not None

    def news_of(self, key: str, now: float) -> BanNews | None:
        """The ban in force for a key, as news for a newcomer."""
        record = self._bans.get(key, now)
        return None if record is None else BanNews(key, record, self._strikes.end(key) or record.until)

    @property
    def remembered(self) -> KeysView[str]:
        """The keys that are banned, or whose strikes are not forgotten. A live view."""
        return self._strikes.keys

    def memory_of(self, key: str, now: float) -> BanNews | None:
        """What is remembered of a key: the ban in force, or a ban that is over and stands for its strikes."""
        strikes = self._strikes.get(key, now)
        if strikes is None:
            return self.news_of(key, now)
        record = self._bans.get(key, now) or BanRecord(key, now, now, "", strikes=strikes)
        return BanNews(key, record, self._strikes.end(key) or record.until)

    def in_force(self, now: float) -> list[BanRecord]:
        """The bans in force, the last to end first."""
        return [record for _, _, record in self._bans.items(now)]

    def strikes(self, now: float) -> list[Strike]:
        """The strikes not yet forgotten."""
        return [Strike(key, count, end) for key, end, count in self._strikes.items(now)]

    def expire(self, now: float) -> None:
        """Remove a few entries that have ended."""
        self._bans.expire(now)
        self._strikes.expire(now)

    def _notify(self, news: BanNews) -> None:
        for watcher in self.watchers:
            watcher(news)


def ban_seconds(terms: BanTerms, strikes: int) -> float:
    """How long the n-th ban in a row lasts: `for_seconds` times `escalation` per earlier strike, up to `max_seconds`.

    The cap is for the growth: it never shortens `for_seconds` itself.
    """
    longest = max(terms.max_seconds, terms.for_seconds)
    try:
        return min(terms.for_seconds * terms.escalation ** (strikes - 1), longest)
    except OverflowError:
        return longest
