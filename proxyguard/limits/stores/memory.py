"""The store in this process: counters and sketches in bounded tables, bans in others.

Answers at once, from the event loop's thread only. Decides what happens when a table is full; the arithmetic of each kind
of limit is elsewhere, and what a key stands for is nobody's business here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from proxyguard.core.settings import OnFull
from proxyguard.limits import concurrent, sketch, sliding_log
from proxyguard.limits.calendar_window import charge as charge_calendar
from proxyguard.limits.calendar_window import span_of
from proxyguard.limits.charge import ITEM_MARK, Charge, Usage
from proxyguard.limits.gcra import UNSEEN, State
from proxyguard.limits.gcra import charge as charge_gcra
from proxyguard.limits.limit import CountKind, Limit, Window
from proxyguard.limits.stores.bans import BanTable
from proxyguard.limits.stores.notes import NoteTable, StoreNote
from proxyguard.limits.stores.store import BanRecord, BanTerms, Outcome
from proxyguard.limits.stores.table import SHARDS, Table, shard_of
from proxyguard.limits.stores.table_stats import GAUGES, StoreStats

if TYPE_CHECKING:
    from mypy_extensions import i64

KEYS_PER_SKETCH: Final = 16
"""There is room for one sketch (up to 1.2 KB with its key) per so many counters: the tables together stay below 250 bytes
a counter."""

KEYS_PER_LOG: Final = 8
LONG_LOG: Final = 64
KEYS_PER_LONG_LOG: Final = 64
"""There is room for one sliding log of a limit up to LONG_LOG (up to 450 bytes with its key) per 8 counters, and for one of a
larger limit (up to 4.3 KB) per 64: together 125 bytes a counter at most, and only where rules have such limits."""

OVERFLOWS_A_NEW_KEY: Final = 4
"""A charge that finds no place hastens the next sweep less than a new key: a full table is mostly not forgotten yet."""

TIDY_SECONDS: Final = 0.05
"""Between steps of tidying; a full table that is over is empty after a minute or two."""

LASTING_SECONDS: Final = 10.0
"""A counter that would be forgotten sooner is not worth a write to disk."""

_SLIDING: Final = Window.SLIDING
_SLIDING_LOG: Final = Window.SLIDING_LOG
_CALENDAR: Final = Window.CALENDAR
_DISTINCT: Final = CountKind.DISTINCT
_CONCURRENT: Final = CountKind.CONCURRENT

type Written = tuple[dict[Any, Any], object, Any, Table[Any] | None]
"""A change to a shard, to be undone if the batch stops: shard, key, the state before, the table if the key is new in it. Of a
counter that has its place, as nearly all, only the state before is kept."""

ELSEWHERE: Final = -1j
"""Stands for the state before of a charge that is not counted in the table of counters."""


class MemoryStore:
    """Implements `store.Store` with at most `keys` counters (about 140 bytes each) and `bans` bans.

    Keys that have a counter keep it. Once half of `keys` are in use, new ones of a client network that took its share of a rule's
    have none, and once all are, no new ones: then requests are counted by their client, each network's in one of 1,024 places
    with 256 counters (`protect`), or not counted (`permit`). So a flood of keys uses up what its own senders have, and nobody
    else's. Where sketches are full, `protect` counts every value of a newcomer as a new one.

    Times are those of the line (`clock`); `wall` tells the calendar's.
    """

    def __init__(
        self,
        keys: int = 1_000_000,
        bans: int = 100_000,
        on_full: OnFull = OnFull.PROTECT,
        wall: Callable[[float], float] = float,
        *,
        bans_per_network: int = 128,
    ) -> None:
        self.on_full = on_full
        self.overflows = 0
        self.ban_table = BanTable(bans, bans_per_network)
        self.note_table = NoteTable()
        self.dirty: list[set[str]] | None = None
        """By shard, the keys whose counter changed and will last, and maybe others; None: nobody asks."""
        self._counters: Table[State] = Table(keys, attrgetter("real"), wall)
        self._counters.open()
        self._sketches: Table[bytes] = Table(max(1, keys // KEYS_PER_SKETCH), sketch.end_of, wall)
        self._logs: Table[bytes] = Table(max(1, keys // KEYS_PER_LOG), sliding_log.end_of, wall)
        self._long_logs: Table[bytes] = Table(max(1, keys // KEYS_PER_LONG_LOG), sliding_log.end_of, wall)
        self._under_way: Table[concurrent.Holders] = Table(max(1, keys // KEYS_PER_SKETCH), concurrent.end_of, wall)
        self._wall = wall
        self._tidied = self._tidy_at = 0.0
        self._latest = 0.0  # the last `now` seen, for the one method that is not told

    def charge(self, charges: Sequence[Charge], ban_keys: Sequence[str], now: float) -> Outcome:
        """As `store.Store.charge`."""
        self._latest = now
        if len(self.ban_table):
            for key in ban_keys:
                ban = self.ban_table.find(key, now)
                if ban is not None:
                    return Outcome(ban, ())
        usages: list[Usage] = []
        befores: list[State | None] = []
        written: list[Written] = []
        stopped = False
        windows, moment, end = "", now, 0.0
        batch = tuple(charges)
        for charge in batch:
            limit = charge.limit
            if limit.is_plain:
                usage = self._charge_counter(charge, now, now, 0.0, befores, written)
            elif limit.is_calendar:
                if limit.windows != windows:
                    moment = moment if windows else self._wall(now)
                    windows, end = limit.windows, -span_of(limit, moment).end
                usage = self._charge_counter(charge, now, moment, end, befores, written)
            else:
                befores.append(ELSEWHERE)
                usage = self._charge_other(charge, now, written)
            usages.append(usage)
            if charge.stops and usage.exceeded:
                stopped = True
        if stopped and self._undo(batch, befores, written):
            usages = [self._uncounted(one, usage, now) for one, usage in zip(batch, usages, strict=True)]
        counters = self._counters
        if counters.new_until_sweep <= 0 or counters.forgotten:
            counters.step(now)
        if not self._tidied <= now < self._tidy_at:
            self.tidy(now)
        return Outcome(None, tuple(usages))

    def ban(self, key: str, rule: str, reason: str, terms: BanTerms, now: float) -> BanRecord:
        """As `store.Store.ban`. A full table makes room by the ban that is soonest to end."""
        self._latest = now
        return self.ban_table.ban(key, rule, reason, terms, now)

    def unban(self, key: str) -> bool:
        """As `store.Store.unban`; the key's strikes are forgotten too."""
        return self.ban_table.lift(key, self._latest)

    def banned(self, key: str, now: float) -> BanRecord | None:
        """As `store.Store.banned`."""
        return self.ban_table.find(key, now)

    def bans(self, now: float) -> Iterable[BanRecord]:
        """As `store.Store.bans`; the last to end first."""
        return self.ban_table.in_force(now)

    def put_note(self, name: str, text: str, until: float, now: float) -> bool:
        """As `store.Store.put_note`."""
        return self.note_table.put(name, text, until, now) is not None

    def note(self, name: str, now: float) -> StoreNote | None:
        """As `store.Store.note`."""
        return self.note_table.get(name, now)

    def notes(self, now: float) -> Sequence[StoreNote]:
        """As `store.Store.notes`."""
        return self.note_table.in_force(now)

    def stats(self) -> StoreStats:
        """The fill of the tables. Forgotten keys count until a sweep passes them."""
        bans, counters, sketches = self.ban_table, self._counters, self._sketches
        return StoreStats(
            counters.used, counters.capacity, len(bans), bans.capacity, self.overflows, bans.evictions,
            sketches.used, sketches.capacity, self._under_way.used,
            self._logs.used, self._logs.capacity, self._long_logs.used, self._long_logs.capacity,
        )  # fmt: skip

    def gauges(self) -> list[tuple[str, str, Callable[[], float]]]:
        """Metrics of the tables: name, what it says, how to read it."""
        return [(name, text, partial(self._gauge, name)) for name, text in GAUGES.items()]

    def tidy(self, now: float) -> None:
        """Remove a little of what ended or is forgotten, at most 0.6 ms, and 0.2 for each table of logs in use.

        Charges do it by themselves now and then; a timer may, so that a time without any empties the tables too.
        """
        self._latest = self._tidied = now
        self._tidy_at = now + TIDY_SECONDS
        self.ban_table.expire(now)
        self._counters.tidy(now)
        self._sketches.tidy(now)
        self._under_way.tidy(now)
        self._logs.tidy(now)
        self._long_logs.tidy(now)

    @property
    def shard_count(self) -> int:
        """How many steps `lasting` and `take_changed` take for the whole store."""
        return SHARDS

    def lasting(self, shard: int, now: float) -> dict[str, State | bytes]:
        """All counters, sketches and logs of one shard that will last, by key."""
        until = now + LASTING_SECONDS
        short, long = self._logs.lasting(shard, until), self._long_logs.lasting(shard, until)
        return self._counters.lasting(shard, until) | self._sketches.lasting(shard, until) | short | long

    def take_changed(self, shard: int) -> dict[str, State | bytes]:
        """What changed of one shard since it was last taken and will last, and maybe more."""
        if self.dirty is None or not self.dirty[shard]:
            return {}
        keys = self.dirty[shard]
        tables: tuple[Table[Any], ...] = (self._counters, self._sketches, self._logs, self._long_logs)
        found = ((key, next(filter(None, (table.get(key) for table in tables)), None)) for key in keys)
        taken = {key: state for key, state in found if state is not None}
        keys.clear()
        return taken

    def mark_changed(self, keys: Iterable[str]) -> None:
        """Have counters taken again."""
        if self.dirty is not None:
            for key in keys:
                self.dirty[shard_of(key)].add(key)

    def restore(self, states: Iterable[tuple[str, State | bytes]], now: float) -> None:
        """Take over counters, sketches and logs that were kept elsewhere, while there is room; those that are here stay."""
        for key, state in states:
            if isinstance(state, bytes) and sliding_log.is_log(state):
                self._log_table(sliding_log.amount_of(state)).restore(key, state, now)
            elif isinstance(state, bytes):
                self._sketches.restore(key, state, now)
            else:
                self._counters.restore(key, state, now)

    def _charge_counter(
        self, charge: Charge, now: float, moment: float, end: float, befores: list[State | None], written: list[Written]
    ) -> Usage:
        """A limit that adds up, and slides or goes by the calendar: nearly all. `moment` is `now` by the clock that it uses, and
        `end` that of its window, as in `_window`."""
        counters, key, limit = self._counters, charge.key, charge.limit
        at = shard_of(key)
        shard = counters.shards[at]
        old = shard.get(key)
        if old is None and counters.used >= counters.crowded and not counters.has_room(charge, now):
            befores.append(ELSEWHERE)
            return self._charge_shared(charge, now, written)
        befores.append(old)
        before = UNSEEN if old is None else old
        if limit.is_plain:
            new, usage = charge_gcra(before, moment, limit, charge.cost, charge.owed)
        else:
            new, usage = charge_calendar(before, moment, end, limit, charge.cost, charge.owed)
        if new is not before:
            shard[key] = new
            if old is None or self.dirty is not None:
                self._note(counters, at, key, old, new, now)
        return usage

    def _charge_other(self, charge: Charge, now: float, written: list[Written]) -> Usage:
        """A limit on distinct values, on requests under way, or that keeps a log."""
        limit = charge.limit
        if limit.count.kind is _CONCURRENT:
            return self._charge_under_way(charge, now, written)
        is_distinct = limit.count.kind is _DISTINCT
        table = self._sketches if is_distinct else self._log_table(limit.amount)
        place, item = _cut(charge.key) if is_distinct else (charge.key, b"")
        at = shard_of(place)
        shard = table.open()[at]
        old = shard.get(place)
        if old is None and table.used >= table.crowded and not table.has_room(charge, now):
            return self._charge_shared(charge, now, written)
        if is_distinct:
            before = sketch.UNSEEN if old is None else old
            moment, end = self._window(limit, now)
            new, usage = sketch.charge(before, moment, end, limit, item, charge.cost, charge.owed)
        else:
            before = sliding_log.UNSEEN if old is None else old
            new, usage = sliding_log.charge(before, now, limit, charge.cost, charge.owed)
        if new is not before:
            shard[place] = new
            written.append((shard, place, old, table if old is None else None))
            self._note(table, at, place, old, new, now)
            table.step(now)
        return usage

    def _note(self, table: Table[Any], shard: i64, place: str, old: Any, new: Any, now: float) -> None:
        """Note that a state took the place of the old one, None where the key is new."""
        if old is None:
            table.used += 1
            table.new_until_sweep -= 1
        if self.dirty is not None:
            until = now + LASTING_SECONDS
            if table.lasts(new, until) or (old is not None and table.lasts(old, until)):
                self.dirty[shard].add(place)

    def _undo(self, charges: tuple[Charge, ...], befores: list[State | None], written: list[Written]) -> bool:
        """Put everything back, the last change first; it was all of one client network. Whether there was anything."""
        network = charges[0].owner[1]
        counters, changed = self._counters, bool(written)
        for charge, before in zip(reversed(charges), reversed(befores), strict=True):
            if before is ELSEWHERE:
                continue
            counter = counters.shards[shard_of(charge.key)]
            if before is not None:
                changed = changed or counter[charge.key] is not before
                counter[charge.key] = before
            elif counter.pop(charge.key, None) is not None:
                changed = True
                counters.take_back(charge.key, network)
        for shard, place, old, table in reversed(written):
            if old is not None:
                shard[place] = old
            else:
                del shard[place]
                if table is not None:
                    table.take_back(str(place), network)
        return changed

    def _charge_shared(self, charge: Charge, now: float, written: list[Written]) -> Usage:
        """A key that found its table full."""
        self.overflows += 1
        if self.overflows % OVERFLOWS_A_NEW_KEY == 0:
            tables: tuple[Table[Any], ...] = (self._counters, self._sketches, self._logs, self._long_logs)
            for table in tables:
                table.new_until_sweep -= 1
        if self.on_full is OnFull.PERMIT:
            return charge_gcra(UNSEEN, now, charge.limit, charge.cost, charge.owed)[1]
        shard, place = self._counters.own_place(charge.key, *charge.owner)
        old = shard.get(place)
        before = UNSEEN if old is None else old
        new, usage = charge_gcra(before, now, charge.limit, charge.cost, charge.owed)
        if new is not before:
            shard[place] = new
            written.append((shard, place, old, None))
        return usage

    def _charge_under_way(self, charge: Charge, now: float, written: list[Written]) -> Usage:
        """A limit on requests under way. A full table refuses keys that it does not have: they are as many as requests."""
        cost, limit = charge.cost, charge.limit
        table = self._under_way
        place, _, holder = charge.key.partition(ITEM_MARK)
        shard = table.open()[shard_of(place)]
        old = shard.get(place)
        if old is None and table.used >= table.capacity and cost > 0:
            self.overflows += 1
            permits = self.on_full is OnFull.PERMIT
            return Usage(not permits, 0, 0.0 if permits else concurrent.RETRY_SECONDS)
        new, usage = concurrent.charge(old or concurrent.UNSEEN, now, limit, holder, cost, charge.owed)
        if new:
            shard[place] = new
            if old is None:
                table.used += 1
            written.append((shard, place, old, table if old is None else None))
        elif old is not None:
            del shard[place]
            table.used -= 1
        return usage

    def _log_table(self, amount: int) -> Table[bytes]:
        return self._logs if amount <= LONG_LOG else self._long_logs

    def _window(self, limit: Limit, now: float) -> tuple[float, float]:
        """This moment, and when a window that it lies in, or begins with, ends; by the calendar on the wall, the end negative."""
        if limit.window is not _CALENDAR:
            return now, now + limit.period_seconds
        moment = self._wall(now)
        return moment, -span_of(limit, moment).end

    def _uncounted(self, charge: Charge, usage: Usage, now: float) -> Usage:
        """The usage of a charge whose batch was not counted: what did fit is left as it was."""
        if usage.exceeded:
            return usage
        limit = charge.limit
        if limit.count.kind is _CONCURRENT:
            place, _, holder = charge.key.partition(ITEM_MARK)
            look = concurrent.charge(self._under_way.get(place) or concurrent.UNSEEN, now, limit, holder, 0.0)[1]
        elif limit.count.kind is _DISTINCT:
            place, item = _cut(charge.key)
            state = self._sketches.get(place) or sketch.UNSEEN
            look = sketch.charge(state, *self._window(limit, now), limit, item, 0.0)[1]
        elif limit.window is _SLIDING_LOG:
            log = self._log_table(limit.amount).get(charge.key) or sliding_log.UNSEEN
            look = sliding_log.charge(log, now, limit, 0.0)[1]
        elif limit.window is _SLIDING:
            look = charge_gcra(self._counters.get(charge.key) or UNSEEN, now, limit, 0.0)[1]
        else:
            counter = self._counters.get(charge.key) or UNSEEN
            look = charge_calendar(counter, *self._window(limit, now), limit, 0.0)[1]
        return Usage(exceeded=False, remaining=look.remaining, retry_after_seconds=0.0)

    def _gauge(self, name: str) -> float:
        return float(getattr(self.stats(), name.removeprefix("store_")))


def _cut(key: str) -> tuple[str, bytes]:
    """The counter's key and the value's hash; see `store.distinct_key`. Raises ValueError."""
    place, _, item = key.partition(ITEM_MARK)
    return place, bytes.fromhex(item)
