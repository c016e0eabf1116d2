"""The way to the store that several instances share on Valkey or Redis: exact counts, bans and notes spread within a second.

One script call per request, those of one turn of the event loop in one write. The server's clock decides, so that clocks
of instances may differ. All keys carry one hash tag: on a cluster the whole store lies in one slot, so that a request's
charges stay one atomic call; instances with different names lie in different slots.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import batched
from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception's name
from typing import Any, Final

import msgspec

from proxyguard.limits.calendar_window import span_of
from proxyguard.limits.charge import ITEM_MARK, PackedUsage, usages_of
from proxyguard.limits.limit import CountKind, Limit, Window
from proxyguard.limits.stores.bans import BanNews
from proxyguard.limits.stores.codec import CodecError, decode_ban, encode_ban
from proxyguard.limits.stores.mirror import StoreChange
from proxyguard.limits.stores.nodes import NODE_SECONDS, StoreUrl, fault_of
from proxyguard.limits.stores.notes import MAX_NOTES, StoreNote
from proxyguard.limits.stores.remote import CONNECT_SECONDS, Call, Transport
from proxyguard.limits.stores.resp import Connection, Script, ValkeyUrl, is_unknown_script, pack, text_of
from proxyguard.limits.stores.sighting_stream import SightingStream
from proxyguard.limits.stores.store import BanRecord, Outcome, StoreUnavailable

POLL_SECONDS: Final = 0.4
"""Between questions for news; with the time-out that makes less than a second from one instance to another."""

PAGE: Final = 200
"""Bans, and notes, taken over at a time: about a millisecond of ours and of the server's."""

MASTER_SECONDS: Final = 2.0
"""Between questions to a Sentinel, where there is one, whether the master is still the same."""

SCRIPT_TRIES: Final = 2
"""How often a change is sent again because the server has forgotten the script."""

MAX_HOPS: Final = 4
"""Redirections of a cluster followed while connecting."""

PROBE: Final = Limit(1_000_000, 1.0, 1_000_000, ())
"""What a new connection charges to prove that the store can be written to."""

SLIDING: Final = 0
CALENDAR: Final = 1
DISTINCT: Final = 2
UNDER_WAY: Final = 3
LOG: Final = 4
"""The kinds of charge.lua."""

STAMP: Final = Struct("<dd")
"""Before the text of a note on the server: since and until, by its clock."""


class ValkeyTransport(Transport):
    """The way to a server at `url`; `name` sets apart deployments that share a server.

    `server_clock` False counts by the `now` of the caller instead: for tests, and where the clock of the server is bad.

    A worker asks for news from `sequence` on, the number of the last change that it knows, and of notes apart from
    `note_sequence` on; a new one from 0, page by page until both are complete. `generation` names a life of the server's data:
    when another one answers, numbers begin at 0 again and the server is told what is known here.
    """

    def __init__(self, url: StoreUrl, *, name: str = "proxyguard", server_clock: bool = True) -> None:
        self._places = url
        self.connect_seconds = CONNECT_SECONDS + url.connect_seconds
        self._server_clock = server_clock
        self._counter = f"{{{name}}}:c:"
        sequence, changes, bans, ends, generation, notes, note_changes, note_ends = (
            f"{{{name}}}:{part}"
            for part in ("sequence", "changes", "bans", "ends", "generation", "notes", "note_changes", "note_ends")
        )
        self._ban_keys = (sequence, changes, bans, ends)
        self._note_keys = (sequence, note_changes, notes, note_ends)
        self._news_keys = (*self._ban_keys, generation, *self._note_keys[1:])
        self._charge_script = Script("charge.lua")
        self._accept_script = Script("accept.lua")
        self._notes_script = Script("notes.lua")
        self._news_script = Script("news.lua")
        self._scripts = (self._charge_script, self._accept_script, self._notes_script, self._news_script)
        self._loading = 0
        """Scripts that are being loaded again."""
        self._connection: Connection | None = None
        self._holder = (secrets.randbits(32), secrets.randbits(32))
        self._generation = b""
        self._sequence = self._note_sequence = 0
        self._ahead_seconds = 0.0  # how far the server's clock is ahead of ours
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(list[PackedUsage]).decode
        self._sightings = SightingStream(f"{{{name}}}:sightings")
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> str:
        """Connect to the first node that takes a write: the primary."""
        faults: list[str] = []
        async for node in self._places.candidates(faults):
            try:
                url, connection = await self._writable(node)
            except (OSError, TimeoutError, StoreUnavailable) as error:
                if self._places.is_single:
                    raise
                faults.append(f"{node}: {fault_of(error)}")
                continue
            try:
                await self._catch_up(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            following = self._sightings.follow(connection, self.store)
            self._tasks = [asyncio.create_task(each) for each in (self._poll(connection), following)]
            if self._places.master:
                self._tasks.append(asyncio.create_task(self._watch_master(connection, url)))
            return f"shared at {url}"
        raise StoreUnavailable("; ".join(faults) or "there is no node to connect to")

    async def _writable(self, url: ValkeyUrl) -> tuple[ValkeyUrl, Connection]:
        """A connection to a node that has taken a write, or to where a cluster says that it must go."""
        self._loading = 0
        for _ in range(MAX_HOPS):
            connection = None
            try:
                async with asyncio.timeout(None if self._places.is_single else NODE_SECONDS):
                    connection = await Connection.open(url, self._on_end)
                    for script in self._scripts:
                        await connection.call("SCRIPT", "LOAD", script.text)
                    await self._prove(connection)
            except StoreUnavailable as error:
                if connection is None:
                    raise
                connection.close()
                moved = str(error).split(" ")
                if moved[0] != "MOVED" or len(moved) != 3:
                    raise
                host, _, port = moved[2].rpartition(":")
                url = replace(url, host=host or url.host, port=int(port), path="")
            except BaseException:
                if connection is not None:
                    connection.close()
                raise
            else:
                return url, connection
        raise StoreUnavailable(f"redirected {MAX_HOPS} times")

    async def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        if connection is not None:
            connection.close()

    async def _prove(self, connection: Connection) -> None:
        """Charge something, within the time-out."""
        try:
            async with asyncio.timeout(self.store.timeout_seconds):
                key = f"{self._counter}probe"
                charge = self._encode([(SLIDING, 1.0, 0, PROBE.interval_seconds, PROBE.burst)])
                now = self._now_text(self.store.clock())
                await self._call_script(connection, self._charge_script, 1, key, charge, now)
        except TimeoutError:
            raise StoreUnavailable(f"no answer within {self.store.timeout_seconds * 1000:.0f} ms") from None

    async def _call_script(self, connection: Connection, script: Script, *arguments: Any) -> Any:
        """Call a script; load all of them first when the server has forgotten it."""
        try:
            return await connection.call("EVALSHA", script.digest, *arguments)
        except StoreUnavailable as error:
            if not is_unknown_script(error.__cause__):
                raise
        self._load_scripts(connection)
        return await connection.call("EVALSHA", script.digest, *arguments)

    def _load_scripts(self, connection: Connection) -> None:
        """Load them all again, ahead of whatever is sent after this."""
        if self._loading == 0:
            self._loading = len(self._scripts)
            data = b"".join(pack(("SCRIPT", "LOAD", script.text)) for script in self._scripts)
            connection.send(data, *([self._on_loaded] * self._loading))

    def _on_loaded(self, answer: Any) -> None:
        self._loading -= 1
        if isinstance(answer, Exception):
            self._refuse(answer)

    def send_calls(self, calls: Sequence[Call]) -> None:
        connection = self._connection
        if connection is not None:
            connection.send(self._packed(calls), *([self._on_usages] * len(calls)))

    def _packed(self, calls: Sequence[Call]) -> bytes:
        counter = self._counter
        encode = self._encode
        commands = []
        for call in calls:
            command: list[Any] = [b"EVALSHA", self._charge_script.digest, len(call.charges)]
            numbers: list[tuple[Any, ...]] = []
            for each in call.charges:
                key, limit, cost, stops, owed = each.key, each.limit, each.cost, each.stops, each.owed
                if limit.is_plain:
                    command.append(counter + key)
                    numbers.append((SLIDING, cost, stops + 2 * owed, limit.interval_seconds, limit.burst))
                else:
                    key, more = self._other(key, limit, call.now)
                    command.append(counter + key)
                    numbers.append((more[0], cost, stops + 2 * owed, *more[1:]))
            command += (encode(numbers), "" if self._server_clock else repr(call.now))
            commands.append(pack(tuple(command)))
        return b"".join(commands)

    def _other(self, key: str, limit: Limit, now: float) -> tuple[str, tuple[Any, ...]]:
        """The counter's key, and kind and numbers of a limit that is not plain; see charge.lua."""
        if limit.count.kind is CountKind.CONCURRENT:
            return key, (UNDER_WAY, limit.amount, *self._holder, limit.period_seconds)
        if limit.window is Window.SLIDING_LOG:
            return key, (LOG, limit.amount, limit.period_seconds)
        edges: tuple[float, ...] = ()
        if limit.window is not Window.SLIDING:
            span = span_of(limit, now + self._ahead_seconds)
            edges = span.start, span.end, span.next_end
        if limit.count.kind is not CountKind.DISTINCT:
            return key, (CALENDAR, limit.amount, *edges)
        place, _, item = key.partition(ITEM_MARK)
        return place, (DISTINCT, limit.amount, int(item[:8], 16), int(item[8:], 16), limit.period_seconds, *edges)

    def _on_usages(self, answer: Any) -> None:
        if isinstance(answer, bytes):
            try:
                usages = self._decode(answer)
            except CodecError as error:
                self._refuse(error)
            else:
                self.store.on_outcome(Outcome(None, usages_of(usages)))
        elif is_unknown_script(answer) and self._connection is not None:
            self._load_scripts(self._connection)
            self._connection.send(self._packed((self.store.retry_oldest(),)), self._on_usages)
        else:
            self._refuse(answer)

    def send_changes(self, changes: Sequence[StoreChange]) -> None:
        connection = self._connection
        if connection is None:
            return
        bans = [change for change in changes if isinstance(change, BanNews)]
        notes = [change for change in changes if isinstance(change, StoreNote)]
        for bans_page in batched(bans, PAGE):
            self._send_bans(connection, bans_page)
        for notes_page in batched(notes, PAGE):
            self._send_notes(connection, notes_page)

    def send_sightings(self, message: bytes) -> None:
        if self._connection is not None:
            self._sightings.send(self._connection, message)

    def _send_bans(self, connection: Connection, bans: Sequence[BanNews]) -> None:
        arguments: list[str | bytes | float] = []
        for one in bans:
            record, forget_at = self._shifted(one.record, self._ahead_seconds), one.forget_at + self._ahead_seconds
            packed = b"" if record is None else encode_ban(record, forget_at)
            arguments += (one.key, packed, 0.0 if record is None else record.until, forget_at)
        now = self._now_text(self.store.clock())
        command = ("EVALSHA", self._accept_script.digest, 4, *self._ban_keys, now, *arguments)
        self._send_change(connection, pack(command), [one.key for one in bans], self._on_ban)

    def _send_notes(self, connection: Connection, notes: Sequence[StoreNote]) -> None:
        ahead = self._ahead_seconds
        arguments: list[str | bytes | float] = []
        for one in notes:
            until = one.until + ahead
            arguments += (one.name, STAMP.pack(one.since + ahead, until) + one.text.encode(), until)
        now = self._now_text(self.store.clock())
        command = ("EVALSHA", self._notes_script.digest, 4, *self._note_keys, now, MAX_NOTES, *arguments)
        self._send_change(connection, pack(command), [one.name for one in notes], self._on_note_answer)

    def _send_change(
        self,
        connection: Connection,
        data: bytes,
        keys: list[str],
        on_each: Callable[[str, bytes], None],
        tries: int = SCRIPT_TRIES,
    ) -> None:
        """Write a command whose answer says for each key what holds now; again, when the server has forgotten the script."""

        def on_answer(answer: Any) -> None:
            if is_unknown_script(answer) and tries:
                self._load_scripts(connection)
                self._send_change(connection, data, keys, on_each, tries - 1)
                return
            if not isinstance(answer, list) or len(answer) != len(keys):
                self._refuse(answer)
                return
            try:
                for key, packed in zip(keys, answer, strict=True):
                    on_each(key, packed)
            except (CodecError, UnicodeDecodeError, StructError) as error:
                self._refuse(error)

        connection.send(data, on_answer)

    async def _watch_master(self, connection: Connection, url: ValkeyUrl) -> None:
        """End the connection when Sentinels name another master, although this one still answers."""
        while not await self._places.has_left(url):  # noqa: ASYNC110 - Sentinels are asked, they do not call
            await asyncio.sleep(MASTER_SECONDS)
        connection.fail(f"Sentinel names another master than {url}")

    async def _poll(self, connection: Connection) -> None:
        """Ask for news until the connection ends."""
        with contextlib.suppress(StoreUnavailable):
            while True:
                await asyncio.sleep(POLL_SECONDS)
                try:
                    async with asyncio.timeout(self.store.timeout_seconds):
                        await self._catch_up(connection)
                except TimeoutError:
                    connection.fail(f"no answer within {self.store.timeout_seconds * 1000:.0f} ms")

    async def _catch_up(self, connection: Connection) -> None:
        """Take over all changes since the last time, a page at a time."""
        complete = False
        while not complete:
            asked_at = self.store.clock()
            answer = await self._call_script(
                connection, self._news_script, len(self._news_keys), *self._news_keys,
                self._now_text(asked_at), self._sequence, PAGE, secrets.token_hex(8), self._note_sequence,
            )  # fmt: skip
            complete = self._adopt_page(answer, (asked_at + self.store.clock()) / 2)

    def _adopt_page(self, answer: Any, now: float) -> bool:
        """Take over a page of changes; whether it was the last. Raises StoreUnavailable for what is no page."""
        try:
            generation, clock, last, sequence, bans, note_sequence, notes = answer
            self._ahead_seconds = float(clock) - now if self._server_clock else 0.0
            if generation != self._generation:
                known = self._generation != b""
                self._generation = generation
                self._sightings.start_over()
                self._sequence = self._note_sequence = 0
                if known:
                    self.store.mirror.start_over()
                    self.send_changes(tuple(self.store.mirror.unconfirmed.values()))
                    return False
            for key, packed in batched(bans, 2):
                self._on_ban(key.decode(), packed)
            for name, packed in batched(notes, 2):
                self.store.mirror.on_note(self._note(name.decode(), packed))
            self._sequence, self._note_sequence = sequence, note_sequence
        except (CodecError, StructError, ValueError, TypeError, AttributeError) as error:
            raise StoreUnavailable(f"the server said something that is no news: {type(error).__name__}") from error
        return bool(last)

    def _on_ban(self, key: str, packed: bytes) -> None:
        if not packed:
            self.store.mirror.on_ban(BanNews(key, None, 0.0))
            return
        record, forget_at = decode_ban(packed)
        ban = BanNews(key, self._shifted(record, -self._ahead_seconds), forget_at - self._ahead_seconds)
        self.store.mirror.on_ban(ban)

    def _on_note_answer(self, name: str, packed: bytes) -> None:
        self.store.mirror.on_note(self._note(name, packed), is_answer=True)

    def _note(self, name: str, packed: bytes) -> StoreNote:
        """A note as the server keeps it; one that is over for an empty record."""
        if not packed:
            return StoreNote(name, "", 0.0, 0.0)
        since, until = STAMP.unpack_from(packed)
        return StoreNote(name, packed[STAMP.size :].decode(), since - self._ahead_seconds, until - self._ahead_seconds)

    def _shifted[Record: BanRecord | None](self, record: Record, seconds: float) -> Record:
        """A record with its times on another clock."""
        if record is None or not seconds:
            return record
        return replace(record, since=record.since + seconds, until=record.until + seconds)

    def _now_text(self, now: float) -> str:
        return "" if self._server_clock else repr(now)

    def _refuse(self, answer: Any) -> None:
        if self._connection is not None:
            self._connection.fail(text_of(answer))

    def _on_end(self, connection: Connection, why: str) -> None:
        if connection is self._connection:
            self.store.on_failure(why)
