"""Keeps a memory store across restarts: bans and notes as they are made, counters that last every few seconds.

A thread writes; the event loop only hands over small pieces and never waits for the disk. No trouble with the file is fatal:
it is reported, the store goes on in memory, and everything is written anew when the file works again.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from proxyguard.limits import sketch
from proxyguard.limits.clock import CLOCK, ClockStamp, LineClock
from proxyguard.limits.gcra import State
from proxyguard.limits.stores.bans import Strike
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.mirror import StoreChange
from proxyguard.limits.stores.snapshot_file import (
    CounterRow,
    Restored,
    SnapshotDamaged,
    SnapshotFile,
    is_damage,
    read_once,
    set_aside,
)
from proxyguard.limits.stores.snapshot_seal import KeySeal

logger = logging.getLogger(__name__)

COUNTERS_SECONDS: Final = 3.0
"""Between writes of counters: what a kill -9 can lose of them."""

STEP: Final = 500
"""Counters copied, or bans listed, before the event loop has its turn: half a millisecond."""

MAX_JOBS: Final = 1000
"""Writes waiting for the disk; beyond it counters stay marked, bans are written anew later."""

COUNTERS_A_JOB: Final = 10_000
"""When all are written anew: few enough jobs for the queue."""

RETRY_SECONDS: Final = 5.0
"""Between attempts to use a file that made trouble."""

SAVED_SECONDS: Final = 5.0
"""How long `saved` waits for the disk."""


@dataclass(slots=True)
class Job:
    """Something to write; `done` is called with whether it is on disk. `anew`: all of them follow, the file's go first."""

    news: list[StoreChange] = field(default_factory=list)
    counters: dict[str, State | bytes] = field(default_factory=dict)
    """Dictionaries of numbers and bytes are all that the garbage collector does not walk, row by row, while they wait."""
    anew: bool = False
    done: Callable[[bool], None] | None = None


class Snapshot:
    """The snapshot of one memory store in the file at `path`."""

    def __init__(
        self,
        path: Path,
        store: MemoryStore,
        *,
        clock: Callable[[], float] = CLOCK,
        seal: Callable[[], KeySeal | None] = lambda: None,
    ) -> None:
        """`seal` finds the seal of the file, see `SnapshotFile`. While it raises OSError nothing is read or written."""
        self.path = path
        self._seal = seal
        self.sound = True
        self.troubles = 0
        self.saved_at = 0.0
        self._store = store
        self._clock = clock
        self._line = clock if isinstance(clock, LineClock) else None
        self._jobs: queue.Queue[Job | None] = queue.Queue(MAX_JOBS)
        self._news: list[StoreChange] = []
        self._write_anew = False
        self._ended = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ticking: asyncio.Task[None] | None = None

    def load(self) -> Restored | None:
        """Fill the store from the file, before anything is counted; None when there is nothing to read or it is damaged."""
        if not self.path.exists():
            return None
        try:
            restored = read_once(self.path, self._go_on, self._seal())
        except SnapshotDamaged as error:
            self._trouble(f"is damaged ({error}) and is set aside as {self._set_aside()}; counting starts from nothing")
            return None
        except (sqlite3.Error, OSError) as error:
            self._trouble(f"cannot be read ({error}); counting starts from nothing")
            return None
        fill(self._store, restored, self._clock())
        if restored.unreadable:
            logger.warning("snapshot %s: %d rows were unreadable and are left out", self.path, restored.unreadable)
        return restored

    def _go_on(self, stamp: ClockStamp | None) -> tuple[float, float]:
        """Carry on the line of the file, so that its times mean what they meant; now, on it and on the wall."""
        if self._line is not None and stamp is not None:
            self._line.go_on(stamp)
        now = self._clock()
        return now, self._wall(now)

    async def start(self) -> None:
        """Begin to write what changes from now on."""
        self._loop = asyncio.get_running_loop()
        self._store.dirty = [set() for _ in range(self._store.shard_count)]
        self._store.ban_table.watchers.append(self._on_change)
        self._store.note_table.watchers.append(self._on_change)
        self._thread = threading.Thread(target=self._write_all, name="snapshot", daemon=True)
        self._thread.start()
        self._ticking = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Write what is not written yet, at most for SAVED_SECONDS, and close the file."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        self._store.ban_table.watchers.remove(self._on_change)
        self._store.note_table.watchers.remove(self._on_change)
        if self._write_anew:
            await self._hand_over_everything()
        await self._hand_over_counters()
        await self.saved()
        self._store.dirty = None
        thread = self._thread
        if thread is not None:
            with suppress(queue.Full):
                self._jobs.put_nowait(None)
            await asyncio.to_thread(thread.join, SAVED_SECONDS)

    async def saved(self) -> bool:
        """Wait until all bans and notes so far are on disk; False when the disk does not take them in time."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def settle(well: bool) -> None:  # noqa: FBT001 - the shape of Job.done
            if not done.done():
                done.set_result(well)

        if not self._put(Job(self._take_news(), done=lambda well: _notify(loop, settle, well))):
            return False
        try:
            return bool(await asyncio.wait_for(done, SAVED_SECONDS))
        except TimeoutError:
            return False

    def gauges(self) -> list[tuple[str, str, Callable[[], float]]]:
        """Metrics of the snapshot: name, what it says, how to read it."""
        return [
            ("snapshot_sound", "1 while the snapshot can be written.", lambda: float(self.sound)),
            ("snapshot_troubles", "Times the snapshot could not be read or written.", lambda: float(self.troubles)),
            ("snapshot_saved_at", "When it was last written, Unix seconds; 0: not yet.", lambda: self.saved_at),
        ]

    def _on_change(self, change: StoreChange) -> None:
        """A ban was made or lifted, or a note written; it goes to the thread in this turn of the event loop."""
        if not self._news and self._loop is not None:
            self._loop.call_soon(self._hand_over_news)
        self._news.append(change)

    def _take_news(self) -> list[StoreChange]:
        news, self._news = self._news, []
        return news

    def _hand_over_news(self) -> None:
        if self._news:
            self._put(Job(self._take_news()))

    def _put(self, job: Job) -> bool:
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self._write_anew = True
            return False
        return True

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(COUNTERS_SECONDS)
            if self._write_anew and await self.saved():
                try:
                    await self._hand_over_everything()
                except asyncio.CancelledError:
                    self._write_anew = True
                    raise
            await self._hand_over_counters()

    async def _hand_over_counters(self) -> None:
        """Give the thread all counters that changed, a small piece at a time; nothing while it lags behind."""
        store = self._store
        if self._jobs.qsize() > MAX_JOBS // 2:
            return
        part: dict[str, State | bytes] = {}
        for shard in range(store.shard_count):
            part |= store.take_changed(shard)
            if len(part) >= STEP or (part and shard == store.shard_count - 1):
                if not self._put(Job(counters=part)):
                    store.mark_changed(part)
                    return
                part = {}
                await asyncio.sleep(0)

    async def _hand_over_everything(self) -> None:
        """After trouble: all notes, bans and strikes in place of the file's, and all counters that last, in small pieces.

        Each ban is looked up when its piece is handed over, so that none is older than the news before it.
        """
        self._write_anew = False
        self._put(Job([*self._store.note_table.in_force(self._clock())], anew=True))
        table = self._store.ban_table
        keys = tuple(table.remembered)
        for start in range(0, len(keys), STEP):
            now = self._clock()
            news = (table.memory_of(key, now) for key in keys[start : start + STEP])
            self._put(Job([one for one in news if one is not None]))
            await asyncio.sleep(0)
        part: dict[str, State | bytes] = {}
        for shard in range(self._store.shard_count):
            part |= self._store.lasting(shard, self._clock())
            if len(part) > COUNTERS_A_JOB or shard == self._store.shard_count - 1:
                self._put(Job(counters=part))
                part = {}
            await asyncio.sleep(0)

    def _write_all(self) -> None:
        """The thread: writes jobs in the order they come, several in one transaction."""
        file: SnapshotFile | None = None
        retry_at = 0.0
        while (jobs := self._next_jobs()) is not None:
            well = False
            now = self._clock()
            if file is not None or now >= retry_at or now < retry_at - RETRY_SECONDS:
                try:
                    file = file or SnapshotFile(self.path, self._seal())
                    self._write(file, jobs, now)
                    well = True
                except Exception as error:  # noqa: BLE001 - what ends this thread ends the keeping, without a word
                    retry_at = now + RETRY_SECONDS
                    if file is not None:
                        file.close()
                        file = None
                    self._failed(error)
            if not well:
                self._write_anew = True
            for job in jobs:
                if job.done is not None:
                    job.done(well)
        if file is not None:
            file.close()

    def _next_jobs(self) -> list[Job] | None:
        """Wait for a job and take those behind it; None at the end."""
        jobs: list[Job] = []
        while not self._ended and len(jobs) < MAX_JOBS and (not jobs or not self._jobs.empty()):
            job = self._jobs.get()
            if job is None:
                self._ended = True
            else:
                jobs.append(job)
        return jobs or None

    def _write(self, file: SnapshotFile, jobs: list[Job], now: float) -> None:
        whole = max((at for at, job in enumerate(jobs) if job.anew), default=None)
        stamp = None if self._line is None else self._line.stamp()
        has_counters = any(job.counters for job in jobs)
        file.write([one for job in jobs[whole:] for one in job.news], _rows(jobs), stamp, anew=whole is not None)
        if has_counters:
            file.forget(now, self._wall(now))
        self.saved_at = self._wall(now)
        if not self.sound:
            self.sound = True
            logger.warning("snapshot %s is written again", self.path)

    def _wall(self, moment: float) -> float:
        return moment if self._line is None else self._line.wall(moment)

    def _failed(self, error: Exception) -> None:
        if is_damage(error):
            self._trouble(f"is damaged ({error}) and is set aside as {self._set_aside()}; a new one is made")
        else:
            self._trouble(f"cannot be written ({error}); bans and counters are in memory only until it can")

    def _set_aside(self) -> str:
        stamp = datetime.fromtimestamp(self._wall(self._clock()), UTC).strftime("%Y%m%dT%H%M%SZ")
        try:
            return set_aside(self.path, stamp).name
        except OSError as error:
            return f"nothing, because it cannot be renamed: {error}"

    def _trouble(self, what: str) -> None:
        """Report once until it is over; count each time."""
        self.troubles += 1
        if self.sound:
            logger.error("snapshot %s %s", self.path, what)
        self.sound = False


def _rows(jobs: list[Job]) -> Iterator[CounterRow]:
    """The counters of all jobs. Each job forgets its own when they are taken: half a million together, at the end, would hold
    all threads up for 30 ms."""
    for job in jobs:
        for key, state in job.counters.items():
            yield (key, sketch.end_of(state), state) if isinstance(state, bytes) else (key, state.real, state.imag)
        job.counters = {}


def fill(store: MemoryStore, restored: Restored, now: float) -> None:
    """Put what a snapshot held into a store, as far as it has room."""
    table = store.ban_table
    for record, forget_at in sorted(restored.bans, key=lambda one: -one[0].until):
        if record.until > now:
            table.adopt(record, forget_at, now)
        else:
            table.adopt_strike(Strike(record.key, record.strikes, forget_at), now)
    for note in restored.notes:
        store.note_table.adopt(note, now)
    states = ((key, rest if isinstance(rest, bytes) else complex(end, rest)) for key, end, rest in restored.counters)
    store.restore(states, now)


def _notify(loop: asyncio.AbstractEventLoop, settle: Callable[[bool], None], well: bool) -> None:  # noqa: FBT001 - passed on as it is
    with suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(partial(settle, well))
