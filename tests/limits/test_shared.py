"""The shared store when things go wrong: its server gone, stopped, slow, new, talking nonsense; and what all workers see."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic, time
from typing import cast

import pytest

from proxyguard.decision import Reject
from proxyguard.limits.frames import LENGTH_BYTES, FrameReader, Welcome, frame
from proxyguard.limits.limit import Limit
from proxyguard.limits.memory import MemoryStore
from proxyguard.limits.remote import MAX_WAITING
from proxyguard.limits.shared import SharedStore
from proxyguard.limits.shared_server import CHUNK, REMEMBERED_NEWS, SharedStoreServer
from proxyguard.limits.store import BanTerms, Charge, Outcome, StoreUnavailable
from proxyguard.settings import Counting, OnStoreDown
from tests.scenes import CLIENT, HUNDRED_AN_HOUR, WAIT_SECONDS, charged, run, until

HOUR = BanTerms(3600.0, Reject())
COUNTING = Counting(keys=10_000, bans=5000)


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[SharedStoreServer]:
    server = SharedStoreServer(path, MemoryStore(keys=10_000, bans=5000))
    await server.start()
    yield server
    await server.stop()


@asynccontextmanager
async def working(
    path: Path, on_down: OnStoreDown = OnStoreDown.LOCAL, timeout_seconds: float = 2.0
) -> AsyncIterator[tuple[SharedStore, list[str]]]:
    said: list[str] = []
    worker = SharedStore(
        path,
        COUNTING,
        on_down=on_down,
        timeout_seconds=timeout_seconds,
        on_state=lambda up, why: said.append(f"{'up' if up else 'down'}: {why}"),
    )
    await worker.start()
    yield worker, said
    await worker.stop()


@contextmanager
def store_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.limits.store_process", str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_only_this_user_can_open_the_socket(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(tmp_path / "s"):
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
        assert not (tmp_path / "s").exists()

    run(scene())


def test_four_workers_under_concurrent_load_admit_exactly_the_limit(tmp_path: Path) -> None:
    async def scene() -> None:
        limit = Limit(777, 3600.0, 777, CLIENT)
        async with serving(tmp_path / "s"):
            workers = [SharedStore(tmp_path / "s", COUNTING, timeout_seconds=5.0) for _ in range(4)]
            for worker in workers:
                await worker.start()
            outcomes = await asyncio.gather(*(charged(worker, limit=limit) for _ in range(500) for worker in workers))
            assert sum(not outcome.usages[0].exceeded for outcome in outcomes) == 777
            assert [worker.fallback.answers for worker in workers] == [0, 0, 0, 0]
            for worker in workers:
                await worker.stop()

    run(scene())


def test_a_ban_by_one_worker_or_by_the_server_is_in_force_in_all_within_a_second(tmp_path: Path) -> None:
    async def scene() -> None:
        async with (
            serving(tmp_path / "s") as server,
            working(tmp_path / "s") as (one, _),
            working(tmp_path / "s") as (two, _),
        ):
            record = one.ban("client:a", "rule", "", HOUR, time())
            assert await until(lambda: two.ban_table.find("client:a", time()) == record) < 1.0
            by_hand = server.store.ban("client:b", "operator", "", HOUR, time())
            assert await until(lambda: one.ban_table.find("client:b", time()) == by_hand) < 1.0
            assert two.charge([Charge("rule|b", HUNDRED_AN_HOUR)], ["client:b"], time()) == Outcome(by_hand, ())
            server.store.unban("client:a")
            assert (
                await until(lambda: not list(two.bans(time())) or two.ban_table.find("client:a", time()) is None) < 1.0
            )

    run(scene())


def test_the_first_of_two_bans_at_the_same_time_holds_everywhere(tmp_path: Path) -> None:
    async def scene() -> None:
        async with (
            serving(tmp_path / "s") as server,
            working(tmp_path / "s") as (one, _),
            working(tmp_path / "s") as (two, _),
        ):
            one.ban("client:a", "first", "", HOUR, time())
            two.ban("client:a", "second", "", BanTerms(60.0, Reject()), time())
            await until(lambda: len(server.store.ban_table) == 1)
            holds = next(iter(server.store.bans(time())))
            await until(lambda: list(one.bans(time())) == list(two.bans(time())) == [holds])

    run(scene())


@pytest.mark.parametrize("on_down", list(OnStoreDown))
def test_a_server_that_goes_away_is_answered_for_as_declared_and_used_again_when_back(
    tmp_path: Path, on_down: OnStoreDown
) -> None:
    limit = Limit(3, 3600.0, 3, CLIENT)

    async def scene() -> None:
        path = tmp_path / "s"
        async with working(path, on_down) as (worker, said):
            assert said == ["down: [Errno 2] No such file or directory"]
            if on_down is OnStoreDown.CLOSED:
                with pytest.raises(StoreUnavailable):
                    worker.charge([Charge("rule|a", limit)], (), time())
            else:
                passed = [not (await charged(worker, limit=limit)).usages[0].exceeded for _ in range(5)]
                assert passed == ([True] * 3 + [False] * 2 if on_down is OnStoreDown.LOCAL else [True] * 5)
            async with serving(path):
                assert await until(lambda: worker.fallback.up) < 1.0
                assert (await charged(worker, limit=limit)).usages[0].remaining == 2
            await until(lambda: not worker.fallback.up)
            assert said[2:] == ["down: the connection ended (closed by the server)"]

    run(scene())


def test_a_stopped_server_keeps_nobody_waiting_longer_than_the_time_out(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        with store_process(path) as process:
            async with working(path, timeout_seconds=0.05) as (worker, said):
                assert (await charged(worker)).usages[0].remaining == 99
                os.kill(process.pid, signal.SIGSTOP)
                started = monotonic()
                outcomes = await asyncio.gather(*(charged(worker) for _ in range(20)))
                assert monotonic() - started < 0.3
                assert [outcome.usages[0].remaining for outcome in outcomes] == list(range(99, 79, -1))
                assert worker.timeouts == 20
                started = monotonic()
                await charged(worker)
                assert monotonic() - started < 0.04
                os.kill(process.pid, signal.SIGCONT)
                await until(lambda: worker.fallback.up)
                remaining = (await charged(worker)).usages[0].remaining
                assert remaining in range(78, 99)  # what was on its way may have been counted; what was counted is kept
                assert [line.partition(":")[0] for line in said] == ["down", "up"]

    run(scene())


def test_a_killed_and_restarted_server_gets_the_bans_back_from_the_workers(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        with store_process(path) as process:
            async with working(path) as (one, _), working(path) as (two, _):
                before = one.ban("client:before", "rule", "", HOUR, time())
                await until(lambda: len(two.ban_table) == 1)
                process.kill()
                await until(lambda: not (one.fallback.up or two.fallback.up))
                during = two.ban("client:during", "rule", "", HOUR, time())
                assert one.ban_table.find("client:during", time()) is None
                async with serving(path) as server:
                    await until(lambda: len(server.store.ban_table) == 2 and len(one.ban_table) == 2)
                    assert {record.key: record for record in server.store.bans(time())} == {
                        "client:before": before,
                        "client:during": during,
                    }

    run(scene())


def test_a_worker_that_was_away_hears_what_it_missed(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        async with serving(path) as server, working(path) as (worker, said):
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
        async with serving(path) as server, working(path) as (worker, _):
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
            async with working(path, timeout_seconds=1.0) as (worker, _):
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
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x01\xc1",
        frame(("outcomes", [(None, [])] * 5)),
        frame(("news", "no list", 1, False)),
    ],
)
def test_nonsense_from_the_server_is_an_outage_not_a_crash(tmp_path: Path, answer: bytes) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        server = await asyncio.get_running_loop().create_unix_server(lambda: Nonsense(answer), str(path))
        async with working(path) as (worker, said):
            await charged(worker)
            await charged(worker)
            assert said[0].startswith("down: the server said something that is no answer: ")
        server.close()

    run(scene())


def test_nonsense_from_a_worker_ends_only_its_connection(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        async with serving(path), working(path) as (worker, said):
            for nonsense in (
                b"\xff\xff\xff\xff",
                b"\x00\x00\x00\x01\xc1",
                frame(("calls", [], [(1.0, [], [("k", 7, 1.0, True, False)])])),
            ):
                reader, writer = await asyncio.open_unix_connection(str(path))
                writer.write(nonsense)
                assert await asyncio.wait_for(reader.read(), WAIT_SECONDS) == b""
                writer.close()
            assert (await charged(worker)).usages[0].remaining == 99
            assert said == []

    run(scene())


def test_calls_beyond_the_bound_are_answered_by_the_fallback_at_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(tmp_path / "s"), working(tmp_path / "s", OnStoreDown.OPEN, 5.0) as (worker, _):
            now = time()
            waiting = [worker.charge([Charge("rule|a", HUNDRED_AN_HOUR, 0.0)], (), now) for _ in range(MAX_WAITING)]
            assert isinstance(worker.charge([Charge("rule|a", HUNDRED_AN_HOUR)], (), now), Outcome)
            await asyncio.gather(*(one for one in waiting if not isinstance(one, Outcome)))
            assert (worker.fallback.answers, worker.fallback.up) == (1, True)

    run(scene())


def test_a_caller_that_gives_up_does_not_disturb_the_others(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(tmp_path / "s"), working(tmp_path / "s") as (worker, _):
            first = asyncio.ensure_future(charged(worker))
            second = asyncio.ensure_future(charged(worker))
            await asyncio.sleep(0)
            first.cancel()
            assert (await second).usages[0].remaining == 98

    run(scene())


def test_stopping_answers_those_who_wait(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(tmp_path / "s"), working(tmp_path / "s") as (worker, _):
            waiting = worker.charge([Charge("rule|a", HUNDRED_AN_HOUR)], (), time())
            assert not isinstance(waiting, Outcome)
            await worker.stop()
            assert (await waiting).usages[0].remaining == 99

    run(scene())


def test_frames_survive_being_cut_at_every_byte() -> None:
    stream = frame(["a"]) + frame([]) + frame(["b" * 300])
    whole = list(FrameReader().feed(stream))
    assert [len(body) for body in whole] == [3, 1, 304]
    for cut in range(len(stream)):
        reader = FrameReader()
        assert [*reader.feed(stream[:cut]), *reader.feed(stream[cut:])] == whole
    reader = FrameReader()
    assert [body for byte in stream for body in reader.feed(bytes([byte]))] == whole
    assert sum(len(body) + LENGTH_BYTES for body in whole) == len(stream)


def test_metrics_show_the_state_of_the_connection(tmp_path: Path) -> None:
    async def scene() -> None:
        async with working(tmp_path / "s") as (worker, _):
            await charged(worker)
            assert {name: read() for name, _, read in worker.gauges()} == {
                "store_up": 0.0,
                "store_outages": 1.0,
                "store_timeouts": 0.0,
                "store_fallbacks": 1.0,
                "store_bans": 0.0,
            }

    run(scene())
