"""The metrics of several workers: they cross a socket as JSON, are added up, and no counter of the sum ever falls."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from proxyguard.core.instance_secrets import Secrets
from proxyguard.core.settings import FailureMode, Settings
from proxyguard.instance import worker_pool
from proxyguard.instance.assignment import Assignment
from proxyguard.instance.worker_pool import WorkerPool
from proxyguard.instance.worker_process import WorkerProcess, families, farewell_path
from proxyguard.telemetry.exposition import exposition
from proxyguard.telemetry.metric_families import Family, merge
from proxyguard.telemetry.metrics import Metrics

SECRETS = Secrets(b"x", b"y")


def test_metrics_that_crossed_a_socket_are_added_up_like_those_of_this_process() -> None:
    counts = Metrics()
    counts.rules.update(enforce=24, shadow=8, off=2)
    counts.decided("no-curl", "reject", "enforce")
    crossed = families(json.loads(json.dumps({"families": counts.snapshot()})))
    assert crossed == counts.snapshot()
    assert exposition(merge([crossed, crossed])) == exposition(merge([counts.snapshot(), counts.snapshot()]))


class FakeWorker:
    """A worker process with `requests` requests and one connection, that answers while `answers` holds."""

    def __init__(self, requests: int) -> None:
        self.requests = requests
        self.families: list[Family] = []
        self.status: dict[str, Any] = {}
        self.is_running = self.answers = True
        self.last_requests: int | None = None
        """What it leaves at its end."""

    def read_farewell(self) -> None:
        if self.last_requests is not None:
            self.requests, self.answers = self.last_requests, True
            asyncio.run(self.snapshot(1.0))

    async def snapshot(self, _seconds: float) -> dict[str, Any] | None:
        if not self.answers:
            return None
        counts = Metrics()
        counts.requests = self.requests
        counts.connection_opened()
        self.families = counts.snapshot()
        self.status = {"requests": self.requests, "tarpit_seconds": 1.5, "economy": {}, "internal_errors": {"check": 1}}
        return {"status": self.status}


def scrape(pool: WorkerPool) -> tuple[float, float, int]:
    """Requests and connections in the sum, and how many workers answered."""
    answered = asyncio.run(pool.snapshots())
    values = {name: samples[0][2] for name, _, _, samples in pool.families() if samples}
    return values["requests_total"], values["connections"], len(answered)


def test_no_counter_falls_when_a_worker_does_not_answer_crashes_or_is_replaced(tmp_path: Path) -> None:
    pool = WorkerPool(Settings(), SECRETS, tmp_path, [], Metrics())
    first, second, third = FakeWorker(100), FakeWorker(20), FakeWorker(3)
    for slot, worker in enumerate((first, second)):
        pool._fill(slot, worker)  # type: ignore[arg-type]  # a fake
    assert scrape(pool) == (120, 2, 2)
    first.answers, second.requests = False, 25
    assert scrape(pool) == (125, 2, 1)
    first.is_running = False
    assert scrape(pool) == (125, 1, 1)
    pool._fill(0, third)  # type: ignore[arg-type]  # a fake
    assert scrape(pool) == (128, 2, 2)
    third.is_running = False
    pool._fill(0, FakeWorker(7))  # type: ignore[arg-type]  # a fake
    assert scrape(pool) == (135, 2, 2)


def test_what_a_worker_counts_at_its_end_is_in_the_sum(tmp_path: Path) -> None:
    pool = WorkerPool(Settings(), SECRETS, tmp_path, [], Metrics())
    first = FakeWorker(100)
    pool._fill(0, first)  # type: ignore[arg-type]  # a fake
    assert scrape(pool) == (100, 1, 1)
    first.is_running, first.last_requests = False, 110
    pool._fill(0, FakeWorker(3))  # type: ignore[arg-type]  # a fake
    assert scrape(pool) == (113, 1, 1)
    assert pool.counts()["requests"] == 113


def test_a_worker_is_in_the_sum_while_it_drains_and_once_it_has_ended(tmp_path: Path) -> None:
    def requests(pool: WorkerPool) -> list[float]:
        return [samples[0][2] for name, _, _, samples in pool.families() if name == "requests_total"]

    async def run() -> None:
        pool = WorkerPool(Settings(), SECRETS, tmp_path, [], Metrics())
        old, new = DrainingWorker(), FakeWorker(3)
        counts = Metrics()
        counts.requests = 100
        old.families = counts.snapshot()
        pool._fill(0, old)  # type: ignore[arg-type]  # a fake
        pool._fill(0, new)  # type: ignore[arg-type]  # a fake
        await old.asked.wait()
        await pool.snapshots()
        assert requests(pool) == [103]
        counts.requests = 110
        old.farewell = counts.snapshot()
        old.ended.set_result(None)
        await asyncio.sleep(0.01)
        assert (requests(pool), pool._leaving) == ([113], {})

    asyncio.run(asyncio.wait_for(run(), 30))


def test_the_last_snapshot_of_a_worker_that_has_ended_is_read_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    counts = Metrics()
    counts.requests = 7

    async def run(ended: subprocess.Popen[bytes]) -> None:
        process = WorkerProcess(ended, tmp_path / "worker-1.sock")
        await process.ended
        process.read_farewell()
        assert process.families == []
        path = farewell_path(process.control)
        path.write_text(json.dumps({"families": counts.snapshot(), "exemplars": [], "status": {"requests": 7}}))
        process.read_farewell()
        assert (process.families, process.status, path.exists()) == (counts.snapshot(), {"requests": 7}, False)
        path.mkdir()
        process.read_farewell()
        assert (process.families, "Is a directory" in caplog.text) == (counts.snapshot(), True)

    asyncio.run(run(subprocess.Popen((sys.executable, "-c", ""))))


def test_status_goes_on_counting_when_a_worker_is_replaced(tmp_path: Path) -> None:
    pool = WorkerPool(Settings(), SECRETS, tmp_path, [], Metrics())
    first, second = FakeWorker(100), FakeWorker(20)
    for slot, worker in enumerate((first, second)):
        pool._fill(slot, worker)  # type: ignore[arg-type]  # a fake
    asyncio.run(pool.snapshots())
    first.is_running = False
    pool._fill(0, FakeWorker(3))  # type: ignore[arg-type]  # a fake
    asyncio.run(pool.snapshots())
    second.answers = False
    asyncio.run(pool.snapshots())
    assert pool.counts() == {"requests": 123, "tarpit_seconds": 4.5, "economy": {}, "internal_errors": {"check": 3}}


CLOSED = replace(Settings(), failure_mode=FailureMode.CLOSED)


class ListeningWorker:
    """A worker that has what it read when it started: settings and standing commands. It takes others while it `hears`."""

    pid = 1
    is_running = True
    families: tuple[Family, ...] = ()
    status: Mapping[str, Any] = {}

    def __init__(self, assignment: Path) -> None:
        found = self.read(assignment)
        self.standing: dict[str, Any] = json.loads(found.standing.read_text())
        self.hears = True
        self.ended = False

    def read(self, assignment: Path) -> Assignment:
        found: Assignment = pickle.loads(assignment.read_bytes())
        self.settings = found.settings
        return found

    async def command(self, name: str, arguments: dict[str, Any], _seconds: float = 0.0) -> dict[str, Any] | None:
        if not self.hears:
            return None
        if name == "settings":
            self.read(Path(arguments["file"]))
        else:
            self.standing[name] = arguments
        return {}

    try_command = command

    def terminate(self) -> None:
        self.ended = True

    async def stop(self, _seconds: float) -> None:
        self.ended = True


@pytest.mark.parametrize("hears", [True, False])
def test_a_worker_that_starts_while_settings_change_and_rules_act_again_has_both_or_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hears: bool
) -> None:
    pool = WorkerPool(Settings(), SECRETS, tmp_path, [], Metrics())
    pool._sockets = [()]
    monkeypatch.setattr(worker_pool, "spawn_module", lambda _module, assignment, *_args, **_options: Path(assignment))
    monkeypatch.setattr(worker_pool, "WorkerProcess", lambda assignment, _control: ListeningWorker(assignment))

    async def came_up(_ready: int, worker: ListeningWorker) -> bool:
        assert (worker.settings, worker.standing) == (Settings(), {"shadow": {"until": 5e9}})
        await pool.apply(CLOSED)
        await pool.broadcast("shadow", {"until": 0.0})
        worker.hears = hears
        return True

    async def run() -> None:
        await pool.broadcast("shadow", {"until": 5e9})
        await pool._spawn(0)

    monkeypatch.setattr(pool, "_came_up", came_up)
    asyncio.run(run())
    worker: Any = pool._processes[0]
    assert ((worker.settings, worker.standing) == (CLOSED, {"shadow": {"until": 0.0}}), worker.ended) == (hears, not hears)


@pytest.mark.parametrize("hears", [True, False])
def test_a_worker_that_does_not_take_new_settings_is_replaced(tmp_path: Path, hears: bool) -> None:
    pool = WorkerPool(Settings(), SECRETS, tmp_path, [], Metrics())
    worker = ListeningWorker(tmp_path / "assignment")
    worker.hears = hears
    pool._fill(0, worker)  # type: ignore[arg-type]  # a fake
    asyncio.run(pool.apply(CLOSED))
    assert (worker.settings == CLOSED, worker.ended) == (hears, not hears)


def test_running_workers_are_told_also_when_the_disk_takes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pool = WorkerPool(Settings(), SECRETS, tmp_path, [], Metrics())
    worker = ListeningWorker(tmp_path / "assignment")
    pool._fill(0, worker)  # type: ignore[arg-type]  # a fake
    (tmp_path / "standing.new").mkdir()
    for until in (5e9, 6e9):
        assert asyncio.run(pool.broadcast("shadow", {"until": until})) == [{}]
    assert worker.standing == {"shadow": {"until": 6e9}}
    assert caplog.text.count("cannot be written") == 1


def test_a_worker_that_cannot_be_replaced_is_tried_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However long the one lived that ended: a machine without memory would have no time for anything else."""
    pool = WorkerPool(Settings(), SECRETS, tmp_path, [], Metrics())
    waits: list[float] = []
    tries = iter(range(8))

    class Ended:
        pid, exit_code, is_running = 1, -9, False
        started = monotonic() - 3600.0
        families: tuple[Family, ...] = ()
        status: Mapping[str, Any] = {}

        def __init__(self) -> None:
            self.ended = asyncio.get_running_loop().create_future()
            self.ended.set_result(None)

    async def note(seconds: float) -> None:
        waits.append(seconds)

    async def spawn(_slot: int) -> None:
        if next(tries, None) is None:
            raise asyncio.CancelledError
        raise OSError("a worker did not come up")

    async def run() -> None:
        pool._fill(0, Ended())  # type: ignore[arg-type]  # a fake
        monkeypatch.setattr(asyncio, "sleep", note)
        monkeypatch.setattr(pool, "_spawn", spawn)
        with pytest.raises(asyncio.CancelledError):
            await pool._keep_running(0)

    asyncio.run(run())
    assert waits == [0.1, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0]
    assert pool.restarts == 1
    assert caplog.text.count("worker 1 ended with -9") == 1


def test_a_worker_that_ends_while_it_starts_is_not_said_to_be_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end of the pipe is closed a moment before anybody knows that it has ended."""

    def spawn(_module: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        program = "import os, sys, time; os.close(int(sys.argv[1])); time.sleep(60)"
        return subprocess.Popen((sys.executable, "-c", program, arguments[2]), **options)

    pool = WorkerPool(Settings(), SECRETS, tmp_path, [], Metrics())
    pool._sockets = [()]
    monkeypatch.setattr(worker_pool, "spawn_module", spawn)
    with pytest.raises(OSError, match=r"^a worker did not come up \(exit code -15\)$"):
        asyncio.run(pool._spawn(0))


def test_an_instance_is_not_ready_before_all_its_workers_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then the end of one ends the whole start: whoever is told that it is ready would send it traffic, and lose it."""
    pool = WorkerPool(replace(Settings(), workers=2), SECRETS, tmp_path, [], Metrics())
    seen: list[bool] = []

    async def spawn(slot: int) -> None:
        await asyncio.sleep(0.01 * slot)
        pool._fill(slot, FakeWorker(0))  # type: ignore[arg-type]  # a fake
        seen.append(pool.ready)

    async def keep(_slot: int) -> None:
        seen.append(pool.ready)

    async def run() -> None:
        await pool.start()
        await asyncio.gather(*pool._watches)

    monkeypatch.setattr(pool, "_spawn", spawn)
    monkeypatch.setattr(pool, "_keep_running", keep)
    asyncio.run(run())
    assert seen == [False, False, True, True]


class DrainingWorker:
    """A worker that comes up at once, and drains until it is let go."""

    pid, exit_code = 1, -9
    started = monotonic()

    def __init__(self) -> None:
        self.families: list[Family] = []
        self.farewell: list[Family] = []
        self.status: dict[str, Any] = {}
        self.ended = asyncio.get_running_loop().create_future()
        self.asked = asyncio.Event()
        self.commands: list[str] = []

    @property
    def is_running(self) -> bool:
        return not self.ended.done()

    async def snapshot(self) -> None:
        pass

    def read_farewell(self) -> None:
        self.families = self.farewell

    async def try_command(self, name: str, *_arguments: object, **_options: object) -> None:
        self.commands.append(name)

    async def stop(self, _seconds: float) -> None:
        self.asked.set()
        await asyncio.shield(self.ended)

    def kill(self) -> None:
        self.ended.set_result(None)


@pytest.fixture
def quick_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerPool:
    """A pool of one slot, whose new workers are up at once."""

    async def came_up(_ready: int, _worker: DrainingWorker) -> bool:
        return True

    pool = WorkerPool(Settings(), SECRETS, tmp_path, [], Metrics())
    pool._sockets = [()]
    monkeypatch.setattr(worker_pool, "spawn_module", lambda *_args, **_options: None)
    monkeypatch.setattr(worker_pool, "WorkerProcess", lambda *_args: DrainingWorker())
    monkeypatch.setattr(worker_pool, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(worker_pool, "HURRY_SECONDS", 0.01)
    monkeypatch.setattr(pool, "_came_up", came_up)
    return pool


def test_while_a_recycled_worker_drains_its_successor_is_replaced_too_and_a_stop_waits_for_both(
    quick_pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def another(than: Any) -> Any:
        while quick_pool._processes[0] is than:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)
        return quick_pool._processes[0]

    async def run() -> None:
        old: Any = DrainingWorker()
        monkeypatch.setattr(quick_pool, "_outlived", lambda process: process is not last)
        last: Any = None
        quick_pool._fill(0, old)
        quick_pool._watches = [asyncio.create_task(quick_pool._keep_running(0))]
        second = await another(old)
        await old.asked.wait()
        await asyncio.sleep(0.05)
        assert quick_pool._processes[0] is second  # no third one beside the two
        second.ended.set_result(None)
        last = await another(second)
        assert old.is_running
        stopping = asyncio.create_task(quick_pool.stop())
        await last.asked.wait()
        last.ended.set_result(None)
        await asyncio.sleep(0.01)
        assert not stopping.done()
        await quick_pool.hurry()
        assert (old.commands, old.is_running) == (["hurry"], False)
        await stopping

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_worker_that_comes_up_during_an_install_drains_when_all_are_to_end(quick_pool: WorkerPool) -> None:
    """It listens, and may have clients already."""

    async def run() -> None:
        async with quick_pool._changing:
            quick_pool._watches = [asyncio.create_task(quick_pool._spawn(0))]
            await asyncio.sleep(0.05)
            stopping = asyncio.create_task(quick_pool.stop())
            await asyncio.sleep(0.01)
            ((_, process),) = quick_pool._leaving
            started: Any = process
            assert started.asked.is_set()
            assert not stopping.done()
            started.ended.set_result(None)
            await stopping

    asyncio.run(asyncio.wait_for(run(), 30))
