"""What all stores outside this process have in common: waiting, never for long; being down, as declared; coming back.

Calls of one turn of the event loop travel in one write and are answered in order. A call that is not answered within the
time-out is answered by the fallback, and so are all after it until a new connection has proved itself. Bans are mirrored
here, so that refusing the banned needs no answer. Knows nothing of what the bytes look like: that is the subclass's.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from time import time
from typing import Final

from proxyguard.core.settings import Counting, OnStoreDown
from proxyguard.limits.charge import Charge
from proxyguard.limits.stores.bans import BanNews, BanTable
from proxyguard.limits.stores.fallback import Fallback, OnState, log_state
from proxyguard.limits.stores.store import BanRecord, BanTerms, Outcome, StoreUnavailable

TIMEOUT_SECONDS: Final = 0.05
"""A hundred times what a healthy store on the same network needs; a person does not notice it."""

GRACE_SECONDS: Final = 0.002
"""Time enough for the event loop to read once. uvloop runs timers before it reads, so that after a stall of our own the
answer is often there already when the time-out fires."""

MAX_WAITING: Final = 10_000
"""Calls in flight; more are answered by the fallback at once."""

MAX_UNACKNOWLEDGED: Final = 10_000
"""Bans and lifts kept until the store has them, through an outage; the oldest give way and are in force here only."""

RETRY_SECONDS: Final[tuple[float, ...]] = (0.05, 0.1, 0.2, 0.5)
"""Waits before connecting again; the last one repeats. A store that is back is used within half a second and a bit."""

CONNECT_SECONDS: Final = 2.0
"""For connecting with TLS and log-in; nobody waits for it."""

SAVED_SECONDS: Final = 2.0
"""How long `saved` waits: for an operator's command, not for a request."""

TIDY_SECONDS: Final = 0.05


class Call:
    """One charge on its way. `deadline` is on the event loop's clock."""

    __slots__ = ("ban_keys", "charges", "deadline", "future", "now")

    def __init__(
        self,
        deadline: float,
        future: asyncio.Future[Outcome],
        charges: Sequence[Charge],
        ban_keys: Sequence[str],
        now: float,
    ) -> None:
        self.deadline = deadline
        self.future = future
        self.charges = charges
        self.ban_keys = ban_keys
        self.now = now


class RemoteStore(ABC):
    """The half of an AsyncStore that does not depend on where the store is. Used from one event loop."""

    def __init__(
        self,
        counting: Counting,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        on_down: OnStoreDown = OnStoreDown.LOCAL,
        on_state: OnState = log_state,
        clock: Callable[[], float] = time,
    ) -> None:
        self.ban_table = BanTable(counting.bans)
        self.fallback = Fallback(on_down, counting, on_state)
        self.timeouts = 0
        self._timeout = timeout_seconds
        self._banned = self.ban_table.keys
        self._clock = clock
        self._unacknowledged: dict[str, BanNews] = {}
        self._heard_some = asyncio.Event()
        self._outgoing: list[Call] = []
        self._waiting: deque[Call] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._graced = False
        self._lost = asyncio.Event()
        self._latest = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect, once; when that fails go on as if the store were down, and keep trying."""
        self.fallback.up = True  # so that a store that is down from the start is reported
        with contextlib.suppress(StoreUnavailable):
            await self._try_connect()
        self._tasks = [asyncio.create_task(self._keep()), asyncio.create_task(self._tidy())]

    async def stop(self) -> None:
        """Close the connection. Calls still waiting are answered by the fallback."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.fallback.up = False  # without a word: this is no outage
        self._abandon("stopped")
        await self._disconnect()

    def charge(self, charges: Sequence[Charge], ban_keys: Sequence[str], now: float) -> Outcome | Awaitable[Outcome]:
        """See `store.AsyncStore.charge`."""
        self._latest = now
        for key in ban_keys:
            if key in self._banned:
                ban = self.ban_table.find(key, now)
                if ban is not None:
                    return Outcome(ban, ())
        if not charges:
            return Outcome(None, ())
        if not self.fallback.up or len(self._waiting) + len(self._outgoing) >= MAX_WAITING:
            return self.fallback.charge(charges, now)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        if not self._outgoing:
            loop.call_soon(self._flush)
        self._outgoing.append(Call(loop.time() + self._timeout, future, charges, ban_keys, now))
        return future

    def ban(self, key: str, rule: str, reason: str, terms: BanTerms, now: float) -> BanRecord:
        """See `store.AsyncStore.ban`."""
        self._latest = now
        present = self.ban_table.find(key, now)
        if present is not None:
            return present
        record = self.ban_table.ban(key, rule, reason, terms, now)
        self._notify(BanNews(key, record, record.until + terms.forget_seconds))
        return record

    def unban(self, key: str) -> bool:
        """See `store.AsyncStore.unban`."""
        lifted = self.ban_table.lift(key, self._latest)
        self._notify(BanNews(key, None, self._latest))
        return lifted

    def banned(self, key: str, now: float) -> BanRecord | None:
        """See `store.Store.banned`."""
        return self.ban_table.find(key, now)

    def bans(self, now: float) -> Iterable[BanRecord]:
        """See `store.Store.bans`; the last to end first."""
        return self.ban_table.in_force(now)

    async def saved(self) -> bool:
        """Wait until the store has all bans made and lifted here so far; False when it does not take them in time."""
        waiting = set(self._unacknowledged)
        try:
            async with asyncio.timeout(SAVED_SECONDS):
                while waiting & self._unacknowledged.keys():
                    self._heard_some.clear()
                    await self._heard_some.wait()
        except TimeoutError:
            return False
        return True

    def gauges(self) -> list[tuple[str, str, Callable[[], float]]]:
        """Metrics of the connection: name, what it says, how to read it."""
        return [
            ("store_up", "1 while the store outside this process answers.", lambda: float(self.fallback.up)),
            ("store_outages", "Times the store went down.", lambda: float(self.fallback.outages)),
            ("store_timeouts", "Charges that the store did not answer in time.", lambda: float(self.timeouts)),
            ("store_fallbacks", "Charges answered as on_store_down says.", lambda: float(self.fallback.answers)),
            ("store_bans", "Bans remembered.", lambda: float(len(self.ban_table))),
        ]

    @abstractmethod
    async def _connect(self) -> str:
        """Connect, prove that the store answers within the time-out, bring the bans up to date; where it is, for the log.

        Any exception means that the store is down.
        """

    @abstractmethod
    async def _disconnect(self) -> None:
        """Close what is open; nothing may be received after."""

    @abstractmethod
    def _send(self, calls: Sequence[Call]) -> None:
        """Write calls to the connection."""

    @abstractmethod
    def _send_news(self, news: Sequence[BanNews]) -> None:
        """Write bans made or lifted here to the connection; the store answers each by what holds then."""

    def _answered(self, outcome: Outcome) -> None:
        """The oldest call in flight has its answer."""
        call = self._waiting.popleft()
        self._graced = False
        if not call.future.done():
            call.future.set_result(outcome)

    def _on_ban_news(self, news: BanNews) -> None:
        """The store says what holds for a key: the echo of what was done here, or done elsewhere."""
        if self._unacknowledged.pop(news.key, None) is not None:
            self._heard_some.set()
        if news.record is None:
            self.ban_table.drop(news.key)
        else:
            self.ban_table.adopt(news.record, news.forget_at, self._clock())

    def _connection_failed(self, why: str) -> None:
        """The connection is of no more use."""
        if self.fallback.up or self._waiting or self._outgoing:
            self._abandon(why)
        self._lost.set()

    def _notify(self, news: BanNews) -> None:
        self._unacknowledged.pop(news.key, None)
        if len(self._unacknowledged) >= MAX_UNACKNOWLEDGED:
            del self._unacknowledged[next(iter(self._unacknowledged))]
        self._unacknowledged[news.key] = news
        if self.fallback.up:
            self._send_news((news,))

    def _flush(self) -> None:
        calls, self._outgoing = self._outgoing, []
        if not calls:
            return
        self._waiting.extend(calls)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(calls[0].deadline - GRACE_SECONDS, self._look_at_clock)
        self._send(calls)

    def _look_at_clock(self) -> None:
        """Runs when the oldest call in flight may be late; one timer for all of them."""
        self._timer = None
        if not self._waiting:
            return
        loop = asyncio.get_running_loop()
        due = self._waiting[0].deadline - GRACE_SECONDS
        if due > loop.time():
            self._graced = False
            self._timer = loop.call_at(due, self._look_at_clock)
        elif not self._graced:
            self._graced = True
            self._timer = loop.call_later(GRACE_SECONDS, self._look_at_clock)
        else:
            self.timeouts += len(self._waiting)
            self._connection_failed(f"no answer within {self._timeout * 1000:.0f} ms")

    def _abandon(self, why: str) -> None:
        """Answer all calls in flight by the fallback, and go on with it."""
        self.fallback.went_down(why)
        calls = [*self._waiting, *self._outgoing]
        self._waiting.clear()
        self._outgoing = []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._graced = False
        for call in calls:
            if call.future.done():
                continue
            try:
                call.future.set_result(self.fallback.charge(call.charges, call.now))
            except StoreUnavailable as error:
                call.future.set_exception(error)

    async def _try_connect(self) -> None:
        """Raises StoreUnavailable; the fallback is told either way."""
        self._lost.clear()
        try:
            where = await asyncio.wait_for(self._connect(), CONNECT_SECONDS)
        except Exception as error:
            await self._disconnect()
            self._lost.set()
            why = str(error) or type(error).__name__
            self.fallback.went_down(why)
            raise StoreUnavailable(why) from error
        self.fallback.came_back(where)
        self._send_news(tuple(self._unacknowledged.values()))

    async def _keep(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        while True:
            await self._lost.wait()
            await self._disconnect()
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
            try:
                await self._try_connect()
            except StoreUnavailable:
                failures += 1
            else:
                failures = 0

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            now = self._clock()
            self.ban_table.expire(now)
            self.fallback.tidy(now)
