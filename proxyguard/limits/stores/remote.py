"""A store outside this process: waiting, never for long; being down, as declared; coming back.

Calls of one turn of the event loop travel in one write and are answered in order. A call that is not answered within the
time-out is answered by the fallback, and so are all after it until a new connection has proved itself. Bans and notes are
mirrored here, so that refusing the banned needs no answer. What the bytes look like is the business of the `Transport`:

    guard ──charge──▶ RemoteStore ──send_calls, send_changes──▶ Transport ──▶ the store
    guard ◀──Outcome── RemoteStore ◀──on_outcome, on_failure── Transport ◀── answers
                       Mirror ◀──on_ban, on_note, start_over── Transport ◀── what holds, whoever made it
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import batched
from time import monotonic
from typing import Final

from proxyguard.core.settings import Counting, OnStoreDown
from proxyguard.limits.charge import Charge
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.sightings import TELL_SECONDS, Sightings
from proxyguard.limits.stores.bans import BanNews
from proxyguard.limits.stores.fallback import Fallback, OnState, log_state
from proxyguard.limits.stores.held import PAGE, RENEW_SECONDS, Held, is_held
from proxyguard.limits.stores.mirror import Mirror, StoreChange
from proxyguard.limits.stores.notes import StoreNote
from proxyguard.limits.stores.store import BanRecord, BanTerms, Outcome, StoreUnavailable

TIMEOUT_SECONDS: Final = 0.05
"""A hundred times what a healthy store on the same network needs; a person does not notice it."""

GRACE_SECONDS: Final = 0.002
"""Time enough for the event loop to read once. uvloop runs timers before it reads, so that after a stall of our own the
answer is often there already when the time-out fires."""

MAX_WAITING: Final = 10_000
"""Calls in flight; more are answered by the fallback at once."""

RETRY_SECONDS: Final[tuple[float, ...]] = (0.05, 0.1, 0.2, 0.5)
"""Waits before connecting again; the last one repeats. A store that is back is used within half a second and a bit."""

CONNECT_SECONDS: Final = 2.0
"""For connecting with TLS and log-in; nobody waits for it."""

TIDY_SECONDS: Final = 0.05
"""Between steps of tidying."""


def _ignore(future: asyncio.Future[Outcome]) -> None:
    """Take the answer to what nobody waits for."""
    if not future.cancelled():
        future.exception()


class Call:
    """One charge on its way. `deadline` is on the event loop's clock."""

    __slots__ = ("ban_keys", "charges", "deadline", "future", "held", "now", "was_told")

    def __init__(
        self, deadline: float, future: asyncio.Future[Outcome], charges: Sequence[Charge], ban_keys: Sequence[str], now: float
    ) -> None:
        self.deadline = deadline
        self.future = future
        self.charges = charges
        self.ban_keys = ban_keys
        self.now = now
        self.held = False
        """Whether some of the charges are about requests under way."""
        self.was_told = False
        """Whether what it holds was told to the store again behind it, before the answer."""


class Transport(ABC):
    """The way to one kind of store, at one place. One connection at a time.

    What arrives it gives to `store` (which sets itself): `on_outcome` for each call in the order in which they were sent,
    `on_failure` when the connection is of no more use; and to the store's `mirror`.
    """

    store: RemoteStore
    connect_seconds: float = CONNECT_SECONDS

    @abstractmethod
    async def connect(self) -> str:
        """Connect, prove that the store answers within the time-out, bring the mirror up to date; where it is, for the log.

        Any exception means that the store is down.
        """

    @abstractmethod
    async def disconnect(self) -> None:
        """Close what is open; nothing may be received after."""

    @abstractmethod
    def send_calls(self, calls: Sequence[Call]) -> None:
        """Write calls to the connection."""

    @abstractmethod
    def send_changes(self, changes: Sequence[StoreChange]) -> None:
        """Write changes made here to the connection; the store answers each by what holds then."""

    @abstractmethod
    def send_sightings(self, message: bytes) -> None:
        """Write a message of `limits.sightings` to the connection; there is no answer."""


class RemoteStore:
    """An AsyncStore at the end of a transport. Used from one event loop. `clock` gives the line's seconds."""

    def __init__(
        self,
        transport: Transport,
        counting: Counting,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        on_down: OnStoreDown = OnStoreDown.LOCAL,
        on_state: OnState = log_state,
        clock: Callable[[], float] = CLOCK,
    ) -> None:
        self.mirror = Mirror(counting.bans, clock, counting.bans_per_network)
        self.ban_table = self.mirror.bans
        self.fallback = Fallback(on_down, counting, on_state)
        self.timeouts = 0
        self.timeout_seconds = timeout_seconds
        self.clock = clock
        self._transport = transport
        self._banned = self.ban_table.keys
        self._outgoing: list[Call] = []
        self._waiting: deque[Call] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._graced = False
        self._lost = asyncio.Event()
        self._latest = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self.held = Held()
        self.sightings = Sightings(b"")  # until somebody listens
        self._renewed_at = monotonic()
        transport.store = self

    async def start(self) -> None:
        """Connect, once; when that fails go on as if the store were down, and keep trying."""
        self.fallback.up = True  # so that a store that is down from the start is reported
        with contextlib.suppress(StoreUnavailable):
            await self._try_connect()
        self._tasks = [asyncio.create_task(each) for each in (self._keep(), self._tidy(), self._tell())]

    async def stop(self) -> None:
        """Close the connection. Calls still waiting are answered by the fallback."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.fallback.up = False  # without a word: this is no outage
        self._abandon("stopped")
        await self._transport.disconnect()

    def charge(self, charges: Sequence[Charge], ban_keys: Sequence[str], now: float) -> Outcome | Awaitable[Outcome]:
        """As `store.AsyncStore.charge`."""
        self._latest = now
        for key in ban_keys:
            if key in self._banned:
                ban = self.ban_table.find(key, now)
                if ban is not None:
                    return Outcome(ban, ())
        if not charges:
            return Outcome(None, ())
        held = any(map(is_held, charges))
        if held and charges[0].owed:
            return self._release(charges, now)
        if not self.fallback.up or len(self._waiting) + len(self._outgoing) >= MAX_WAITING:
            return self.fallback.charge(charges, now)
        if held:
            self.held.sent(charges)
        return self._call(charges, ban_keys, now, held=held)

    def _release(self, charges: Sequence[Charge], now: float) -> Outcome | Awaitable[Outcome]:
        """Give back what requests held that are over, where they were counted."""
        here, elsewhere = self.held.release(charges)
        if elsewhere:
            with contextlib.suppress(StoreUnavailable):
                self.fallback.charge(elsewhere, now)
        if not here:
            return Outcome(None, ())
        if not self.fallback.up or len(self._waiting) + len(self._outgoing) >= MAX_WAITING:
            others = [charge for charge in here if not is_held(charge)]
            return self.fallback.charge(others, now) if others else Outcome(None, ())
        return self._call(here, (), now, held=False)

    def _call(self, charges: Sequence[Charge], ban_keys: Sequence[str], now: float, *, held: bool) -> asyncio.Future[Outcome]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        if not self._outgoing:
            loop.call_soon(self._flush)
        call = Call(loop.time() + self.timeout_seconds, future, charges, ban_keys, now)
        call.held = held
        self._outgoing.append(call)
        return future

    def ban(self, key: str, rule: str, reason: str, terms: BanTerms, now: float) -> BanRecord:
        """As `store.AsyncStore.ban`."""
        self._latest = now
        present = self.ban_table.find(key, now)
        if present is not None:
            return present
        record = self.ban_table.ban(key, rule, reason, terms, now)
        self._send_change(BanNews(record.key, record, record.until + terms.forget_seconds))
        return record

    def unban(self, key: str) -> bool:
        """As `store.AsyncStore.unban`."""
        lifted = self.ban_table.lift(key, self._latest)
        self._send_change(BanNews(key, None, self._latest))
        return lifted

    def banned(self, key: str, now: float) -> BanRecord | None:
        """As `store.Store.banned`."""
        return self.ban_table.find(key, now)

    def bans(self, now: float) -> Iterable[BanRecord]:
        """As `store.Store.bans`; the last to end first."""
        return self.ban_table.in_force(now)

    def put_note(self, name: str, text: str, until: float, now: float) -> bool:
        """As `store.AsyncStore.put_note`."""
        note = self.mirror.notes.put(name, text, until, now)
        if note is not None:
            self._send_change(note)
        return note is not None

    def note(self, name: str, now: float) -> StoreNote | None:
        """As `store.Store.note`."""
        return self.mirror.notes.get(name, now)

    def notes(self, now: float) -> Sequence[StoreNote]:
        """As `store.Store.notes`."""
        return self.mirror.notes.in_force(now)

    async def saved(self) -> bool:
        """Wait until the store has all bans and notes of this instance so far; False when it does not take them in time."""
        return await self.mirror.saved()

    def gauges(self) -> list[tuple[str, str, Callable[[], float]]]:
        """Metrics of the connection: name, what it says, how to read it."""
        return [
            ("store_up", "1 while the store outside this process answers.", lambda: float(self.fallback.up)),
            ("store_changed_timestamp_seconds", "When it went down or came back, Unix seconds.", lambda: self.fallback.changed),
            ("store_outages", "Times the store went down.", lambda: float(self.fallback.outages)),
            ("store_timeouts", "Charges that the store did not answer in time.", lambda: float(self.timeouts)),
            ("store_fallbacks", "Charges answered as store.on_down says.", lambda: float(self.fallback.answers)),
            ("store_bans", "Bans remembered.", lambda: float(len(self.ban_table))),
            ("store_under_way", "Keys of limits on requests under way here.", lambda: float(len(self.held))),
        ]

    def on_outcome(self, outcome: Outcome) -> None:
        """The oldest call in flight has its answer."""
        call = self._waiting.popleft()
        self._graced = False
        if call.held:
            dropped = self.held.answered(call.charges, outcome)
            if dropped and call.was_told:
                self._call(dropped, (), call.now, held=False).add_done_callback(_ignore)
        if not call.future.done():
            call.future.set_result(outcome)

    def retry_oldest(self) -> Call:
        """The oldest call in flight was not carried out. Its transport sends it again, behind all others, within its deadline."""
        call = self._waiting.popleft()
        self._waiting.append(call)
        asyncio.get_running_loop().call_at(call.deadline, self._end_retry, call)
        return call

    def _end_retry(self, call: Call) -> None:
        if not call.future.done():
            self.timeouts += 1
            self.on_failure(f"no answer within {self.timeout_seconds * 1000:.0f} ms")

    def on_failure(self, why: str) -> None:
        """The connection is of no more use."""
        if self.fallback.up or self._waiting or self._outgoing:
            self._abandon(why)
        self._lost.set()

    def _send_change(self, change: StoreChange) -> None:
        self.mirror.record(change)
        if self.fallback.up:
            self._transport.send_changes((change,))

    def _flush(self) -> None:
        calls, self._outgoing = self._outgoing, []
        if not calls:
            return
        self._waiting.extend(calls)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(calls[0].deadline - GRACE_SECONDS, self._look_at_clock)
        self._transport.send_calls(calls)

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
            self.on_failure(f"no answer within {self.timeout_seconds * 1000:.0f} ms")

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
            if call.held:
                self.held.answered(call.charges, None)
            if call.future.done():
                continue
            charges = call.charges
            if not call.held:  # what the store was told of requests under way is not counted here
                charges = [charge for charge in charges if not is_held(charge)]
            try:
                call.future.set_result(self.fallback.charge(charges, call.now) if charges else Outcome(None, ()))
            except StoreUnavailable as error:
                call.future.set_exception(error)

    async def _try_connect(self) -> None:
        """Raises StoreUnavailable; the fallback knows either way."""
        self._lost.clear()
        try:
            where = await asyncio.wait_for(self._transport.connect(), self._transport.connect_seconds)
        except Exception as error:
            await self._transport.disconnect()
            self._lost.set()
            why = str(error) or type(error).__name__
            self.fallback.went_down(why)
            raise StoreUnavailable(why) from error
        self.fallback.came_back(where)
        self._renew()
        self._transport.send_changes(tuple(self.mirror.unconfirmed.values()))

    async def _keep(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        while True:
            await self._lost.wait()
            await self._transport.disconnect()
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
            try:
                await self._try_connect()
            except StoreUnavailable:
                failures += 1
            else:
                failures = 0

    def _renew(self) -> None:
        """Tell the store what is under way here."""
        self._renewed_at = monotonic()
        now = self.clock()
        for call in (*self._waiting, *self._outgoing):
            call.was_told = call.held
        for page in batched(self.held.all(), PAGE):
            if self.fallback.up:
                self._call(page, (), now, held=False).add_done_callback(_ignore)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            message = self.sightings.message()
            if message and self.fallback.up:
                self._transport.send_sightings(message)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            now = self.clock()
            if self.held and monotonic() - self._renewed_at >= RENEW_SECONDS:
                self._renew()
            self.ban_table.expire(now)
            self.fallback.tidy(now)
