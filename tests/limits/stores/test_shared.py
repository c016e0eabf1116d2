"""The shared store when things go wrong: its server gone, stopped, slow, new, talking nonsense; and what all workers see."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import time
from typing import cast

import pytest

from proxyguard.core.decision import Reject
from proxyguard.limits.charge import Charge
from proxyguard.limits.sightings import Sightings, Subject
from proxyguard.limits.stores.frames import LENGTH_BYTES, MessageReader, Sighted, Welcome, frame
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.shared import MOST_UNHEARD, SharedTransport
from proxyguard.limits.stores.shared_server import CHUNK, REMEMBERED_NEWS, SharedStoreServer
from proxyguard.limits.stores.store import BanTerms, Outcome
from tests.contracts.remote_rig import HOUR, started
from tests.scenes import HUNDRED_AN_HOUR, WAIT_SECONDS, charged, run, until


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[SharedStoreServer]:
    server = SharedStoreServer(path, MemoryStore(keys=10_000, bans=5000))
    await server.start()
    yield server
    await server.stop()


def test_only_this_user_can_open_the_socket(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(tmp_path / "s"):
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
        assert not (tmp_path / "s").exists()

    run(scene())


def test_a_ban_by_one_worker_or_by_the_server_is_in_force_in_all_within_a_second(tmp_path: Path) -> None:
    async def scene() -> None:
        async with (
            serving(tmp_path / "s") as server,
            started(SharedTransport(tmp_path / "s")) as (one, _),
            started(SharedTransport(tmp_path / "s")) as (two, _),
        ):
            record = one.ban("client:a", "rule", "", HOUR, time())
            await until(lambda: two.ban_table.find("client:a", time()) == record)
            by_hand = server.store.ban("client:b", "operator", "", HOUR, time())
            await until(lambda: one.ban_table.find("client:b", time()) == by_hand)
            assert two.charge([Charge("rule|b", HUNDRED_AN_HOUR)], ["client:b"], time()) == Outcome(by_hand, ())
            server.store.unban("client:a")
            await until(lambda: not list(two.bans(time())) or two.ban_table.find("client:a", time()) is None)

    run(scene())


def test_a_worker_that_was_away_hears_what_it_missed(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        async with serving(path) as server, started(SharedTransport(path)) as (worker, said):
            for name in ("kept", "lifted"):
                server.store.ban(f"client:{name}", "rule", "", HOUR, time())
            await until(lambda: len(worker.ban_table) == 2)
            next(iter(server._members)).close()
            await until(lambda: not worker.fallback.up)
            worker.ban("client:mine", "rule", "", HOUR, time())
            server.store.unban("client:lifted")
            server.store.ban("client:new", "rule", "", HOUR, time())
            wanted = {"client:kept", "client:mine", "client:new"}
            await until(lambda: {record.key for record in worker.bans(time())} == wanted)
            await until(lambda: {record.key for record in server.store.bans(time())} == wanted)
            assert len(said) == 2

    run(scene())


def test_a_worker_that_missed_too_much_hears_everything(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        async with serving(path) as server, started(SharedTransport(path)) as (worker, _):
            server.store.ban("client:lifted", "rule", "", HOUR, time())
            await until(lambda: len(worker.ban_table) == 1)
            next(iter(server._members)).close()
            await until(lambda: not worker.fallback.up)
            server.store.unban("client:lifted")
            now = time()
            for number in range(REMEMBERED_NEWS):
                server.store.ban(f"client:{number % 1000}", "rule", "", HOUR, now)
                server.store.unban(f"client:{number % 1000}")
            for number in range(CHUNK * 2 + 1):
                server.store.ban(f"client:{number}", "rule", "", HOUR, now)
            wanted = {f"client:{number}" for number in range(CHUNK * 2 + 1)}
            await until(lambda: {record.key for record in worker.bans(time())} == wanted)

    run(scene())


def test_a_newcomer_learns_all_bans_in_chunks(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        async with serving(path) as server:
            now = time()
            for number in range(1234):
                server.store.ban(f"client:{number}", "rule", "", BanTerms(3600.0 + number, Reject()), now)
            async with started(SharedTransport(path)) as (worker, _):
                await until(lambda: len(worker.ban_table) == 1234)
                assert list(worker.bans(now)) == list(server.store.bans(now))

    run(scene())


class Nonsense(asyncio.Protocol):
    """A server that welcomes, and answers whatever it is asked with the given bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.welcomed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.welcomed:
            self.transport.write(self.answer)
        else:
            self.welcomed = True
            self.transport.write(frame(Welcome("generation", whole=True)))


@pytest.mark.parametrize(
    "answer",
    [b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1", frame(("outcomes", [(None, [])] * 5)), frame(("news", "no list", 1, False))],
)
def test_nonsense_from_the_server_is_an_outage_not_a_crash(tmp_path: Path, answer: bytes) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        server = await asyncio.get_running_loop().create_unix_server(lambda: Nonsense(answer), str(path))
        async with started(SharedTransport(path)) as (worker, said):
            await charged(worker)
            await charged(worker)
            assert said[0].startswith("down: the server said something that is no answer: ")
        server.close()

    run(scene())


def test_nonsense_from_a_worker_ends_only_its_connection(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        async with serving(path), started(SharedTransport(path)) as (worker, said):
            for nonsense in (
                b"\xff\xff\xff\xff",
                b"\x00\x00\x00\x01\xc1",
                frame(("calls", [], [(1.0, [], [("k", 7, 1.0, True, False)], ("", ""))])),
                frame(("calls", [(1, [0, 60.0, 1, "requests", "sliding", "UTC"])], [])),
            ):
                reader, writer = await asyncio.open_unix_connection(str(path))
                writer.write(nonsense)
                assert await asyncio.wait_for(reader.read(), WAIT_SECONDS) == b""
                writer.close()
            assert (await charged(worker)).usages[0].remaining == 99
            assert said == []

    run(scene())


def test_frames_survive_being_cut_at_every_byte() -> None:
    stream = frame(["a"]) + frame([]) + frame(["b" * 300])
    whole = list(MessageReader().feed(stream))
    assert [len(body) for body in whole] == [3, 1, 304]
    for cut in range(len(stream)):
        reader = MessageReader()
        assert [*reader.feed(stream[:cut]), *reader.feed(stream[cut:])] == whole
    reader = MessageReader()
    assert [body for byte in stream for body in reader.feed(bytes([byte]))] == whole
    assert sum(len(body) + LENGTH_BYTES for body in whole) == len(stream)


def test_what_many_workers_tell_at_once_is_heard_a_message_in_a_turn_behind_the_answers(tmp_path: Path) -> None:
    """A message of a busy worker takes 2 ms, and those of seven are read at once after a moment in which nothing was."""

    async def scene() -> None:
        transport = SharedTransport(tmp_path / "s")
        async with serving(tmp_path / "s"), started(transport) as (worker, _):
            worker.sightings = Sightings(b"secret")
            turn = 0
            heard: list[tuple[int, int]] = []
            worker.sightings.listen(Subject.READ, lambda number, _: heard.append((number, turn)))
            arrived = b""
            for number in range(8):
                other = Sightings(b"secret")
                other.tell(Subject.READ, number)
                arrived += frame(Sighted(other.message()))
            assert transport._connection is not None
            transport._connection.data_received(arrived)
            assert heard == []
            for turn in range(1, 20):  # noqa: B007 - heard by the listener
                await asyncio.sleep(0)
            assert [number for number, _ in heard] == [*range(8)]
            assert len({turn for _, turn in heard}) == 8

    run(scene())


def test_a_worker_that_cannot_keep_up_with_what_others_tell_leaves_the_oldest_out(tmp_path: Path) -> None:
    async def scene() -> None:
        transport = SharedTransport(tmp_path / "s")
        async with serving(tmp_path / "s"), started(transport) as (worker, _):
            worker.sightings = Sightings(b"secret")
            heard: list[int] = []
            worker.sightings.listen(Subject.READ, lambda number, _: heard.append(number))
            other = Sightings(b"secret")
            for number in range(2 * MOST_UNHEARD):
                other.tell(Subject.READ, number)
                transport.on_message(Sighted(other.message()))
            await until(lambda: heard == [*range(MOST_UNHEARD, 2 * MOST_UNHEARD)])

    run(scene())
